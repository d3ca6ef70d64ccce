#!/usr/bin/env python3
"""Runs ditcl on the cases of oracle_models.py or oracle_compat.py and prints the error of each: relative
L2, or for pictures the fraction of values that differ (1 if any differs by more than 1).

usage: check_models.py DITCL FOLDER/cases.txt [--only TEXT] [-- further options of ditcl]

Exit code 1 if an error exceeds its tolerance or a command fails. `forward` cases have no command; the C
tests run them.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np

GIVEN = {"n": "-n", "seed": "--seed", "steps": "--steps", "eta": "--eta", "cfg": "--cfg",
         "sampler": "--sampler", "cfg_channels": "--cfg-channels", "compat": "--compat"}


def read(path):
    lines = [line.rstrip("\n") for line in open(path)]
    columns = next(line for line in lines if line.startswith("# kind"))[2:].split()
    return [dict(zip(columns, line.split())) for line in lines if line and line[0] != "#"]


def command(program, row, folder, out):
    at = lambda name: os.path.join(folder, name)
    picture = row["kind"] == "picture"
    args = [program, "sample" if picture else row["kind"], at(row["model"]), "-q"]
    if row["vae"] != "-":
        args += ["--vae", at(row["vae"])]
    if row["kind"] == "decode":
        return args + ["--latents", at(row["latents_in"]), "--out", out]
    if row["heads"] != "-":
        args += ["--heads", row["heads"]]
    args += ["--class", row["classes"]]
    args += ["--out", os.path.dirname(out)] if picture else \
        ["--latents-out", out, "--out", out + ".png"]
    if row["latents_in"] != "-":
        args += ["--latents-in", at(row["latents_in"])]
    for column, option in GIVEN.items():
        if row[column] != "-" and not (column == "eta" and row["sampler"] != "ddim"):
            args += [option, row[column]]
    return args + (row["more"].split(";") if row["more"] != "-" else [])


def compare_pictures(folder, expected):
    from PIL import Image
    load = lambda path: np.asarray(Image.open(path)).astype(int)
    got = np.concatenate([load(f"{folder}/{name}") for name in sorted(os.listdir(folder))])
    want = load(expected)
    if got.shape != want.shape:
        return None, f"shape {got.shape}, expected {want.shape}"
    off = np.abs(got - want)
    return (1.0 if off.max() > 1 else np.count_nonzero(off) / off.size), ""


def run(program, row, folder, extra):
    with tempfile.TemporaryDirectory() as scratch:
        out = scratch + "/out.npy"
        done = subprocess.run(command(program, row, folder, out) + extra, capture_output=True,
                              text=True)
        if done.returncode:
            return None, done.stderr.strip()
        if row["kind"] == "picture":
            return compare_pictures(scratch, os.path.join(folder, row["expected"]))
        got = np.load(out).astype(np.float64)
    want = np.load(os.path.join(folder, row["expected"])).astype(np.float64)
    if got.shape != want.shape:
        return None, f"shape {got.shape}, expected {want.shape}"
    return float(np.linalg.norm(got - want) / np.linalg.norm(want)), ""


def main():
    args, extra = sys.argv[1:], []
    if "--" in args:
        args, extra = args[:args.index("--")], args[args.index("--") + 1:]
    if len(args) not in (2, 4):
        sys.exit(__doc__)
    only = args[3] if len(args) == 4 else ""
    failed, worst, n = 0, {}, 0
    for row in read(args[1]):
        if row["kind"] == "forward" or only not in row["name"]:
            continue
        error, message = run(args[0], row, os.path.dirname(args[1]) or ".", extra)
        good = error is not None and error < float(row["tolerance"])
        n, failed = n + 1, failed + (not good)
        what = message if error is None else "%.2e" % error
        print("%-4s %-7s %-44s %s" % ("ok" if good else "FAIL", row["kind"], row["name"], what),
              flush=True)
        if error is not None:
            worst[row["kind"]] = max(worst.get(row["kind"], 0), error)
    print("%d cases, %d failed; worst" % (n, failed),
          ", ".join("%s %.2e" % item for item in worst.items()))
    sys.exit(failed > 0)


main()
