#!/usr/bin/env python3
"""Runs `ditcl check` on the interpreter of PTX (tests/ptx.h), in every precision; then without one of
the kernels' barriers, which check must notice.

    tests/on.sh ptx tests/ptx.py PATH/ditcl [--barriers N] [NAME...]

The interpreter runs the warps of each launch in another order, and check compares the bits of two
launches of each case. Barriers are deleted one at a time, in a copy of cl/.
--barriers N: deletes N of them, which DITCL_TEST_SEED chooses; 0: all [12]. NAMEs are parts of what is
printed."""
import argparse
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

from seed import test_seed

TESTS = pathlib.Path(__file__).resolve().parent
KERNELS = TESTS.parent / "cl"

# Precision, operators, and what the device has instead of `mma` (tests/offline_driver.c).
CHECKS = [("fp32", [], None), ("auto", ["gemm", "attention", "conv"], None),
          ("bf16", ["gemm", "attention", "conv"], None),
          ("fp16", ["gemm", "attention", "conv"], None),
          ("fp16", ["--quick", "gemm", "attention", "conv"], "mma_k8")]

# Barriers that check does not notice: file, number among those of the file, and why.
UNNOTICED = {
    ("gemm_mma.cl", 0): "only configurations with DB=0 have it, and none is the default",
    ("conv_mma.cl", 1): "only configurations with DB=0 have it, and none is the default",
    ("conv_gpu.cl", 1): "only configurations with ST=0 have it, and none is the default",
    ("attention_mma.cl", 5): "the barriers around the values order the default configurations",
}

OPERATORS = {"gemm_mma.cl": ("gemm", "fp16"), "attention_mma.cl": ("attention", "fp16"),
             "conv_mma.cl": ("conv", "fp16"), "attention.cl": ("attention", "fp32"),
             "conv_gpu.cl": ("conv", "fp32"), "gemm_gpu.cl": ("gemm", "fp32")}


def run(ditcl, precision, operators, kernels, home, unit=None):
    environment = dict(os.environ, XDG_CACHE_HOME=str(home), DITCL_CL_DIR=str(kernels))
    if unit:
        settings = environment["DITCL_OFFLINE"].split(";")
        environment["DITCL_OFFLINE"] = ";".join(unit if s == "mma" else s for s in settings)
    return subprocess.run([str(ditcl), "check", "--device", "PTX", "--precision", precision,
                           "--no-cache", *operators], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)


def barriers(text):
    """Begin and end of each call of barrier()."""
    return [m.span() for m in re.finditer(r"(?<![A-Z_])barrier\(CLK_LOCAL_MEM_FENCE\)", text)]


def without_barriers():
    """Yields the text to print, operator, precision, file, and the file's text without one barrier."""
    for file, (operator, precision) in OPERATORS.items():
        text = (KERNELS / file).read_text()
        for number, (begin, end) in enumerate(barriers(text)):
            if (file, number) not in UNNOTICED:
                line = text.count("\n", 0, begin) + 1
                yield (f"{file}:{line}: no barrier", operator, precision, file,
                       text[:begin] + "(void)0" + text[end:])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ditcl", type=pathlib.Path)
    parser.add_argument("--barriers", type=int, default=12)
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    ditcl = asked.ditcl.resolve()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        home, copy = pathlib.Path(folder, "cache"), pathlib.Path(folder, "cl")
        home.mkdir()
        for precision, operators, unit in CHECKS:
            title = f"{precision}: {' '.join(operators) or 'all operators'}"
            title += f" on {unit}" if unit else ""
            if asked.names and not any(name in title for name in asked.names):
                continue
            result = run(ditcl, precision, operators, KERNELS, home, unit)
            print(f"{title}: {result.stdout.strip().splitlines()[-1]}", flush=True)
            if result.returncode:
                print(result.stdout)
                wrong += 1
        cases = [c for c in without_barriers()
                 if not asked.names or any(name in c[0] for name in asked.names)]
        if asked.barriers and not asked.names:
            cases = random.Random(test_seed()).sample(cases, min(asked.barriers, len(cases)))
        for title, operator, precision, file, text in cases:
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(KERNELS, copy)
            (copy / file).write_text(text)
            result = run(ditcl, precision, [operator], copy, home)
            why = re.findall(r"offline_driver: .*|.*WRONG.*|.*gave other bits.*", result.stdout)
            noticed = result.returncode == 1 and why and "ptx_compile" not in why[0]
            print(f"{'noticed' if noticed else 'NOT NOTICED'}: {title}: "
                  f"{(why or result.stdout.strip().splitlines()[-1:])[0][:200]}", flush=True)
            wrong += not noticed
    print(f"{wrong} wrong")
    sys.exit(1 if wrong else 0)


main()
