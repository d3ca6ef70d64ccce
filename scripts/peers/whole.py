#!/usr/bin/env python3
"""Times one guided picture of DiT-XL/2 at 256 px, from the start of a process to its PNG: ditcl sample,
diffusers' DiTPipeline, and OpenVINO in turn, each time in a new process.

All read the same random weights from disk and begin with the same noise. The last column is the distance of
their pictures. OpenVINO's models are converted beforehand. All files are read once before the first turn, so
they are in the page cache.
"""
import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

import run

LABEL, GUIDANCE, SEED = 207, 4.0, 0


# ---- the model ----

def make_model(folder):
    """Writes a diffusers folder with random weights, and the same networks for OpenVINO."""
    import openvino as ov
    import torch
    from diffusers import DDIMScheduler, DiTPipeline, DiTTransformer2DModel
    from models import Decoder, autoencoder
    torch.manual_seed(0)
    dit = DiTTransformer2DModel(num_attention_heads=16, attention_head_dim=72, in_channels=4,
                                out_channels=8, num_layers=28, sample_size=32).eval()
    vae = autoencoder().eval()
    DiTPipeline(dit, vae, DDIMScheduler(clip_sample=False)).save_pretrained(folder / "model")
    noise = torch.randn(1, 4, 32, 32, generator=torch.manual_seed(SEED))
    np.save(folder / "noise.npy", noise.numpy())

    class Forward(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.dit = dit

        def forward(self, x, t, y):
            return self.dit(x, timestep=t, class_labels=y, return_dict=False)[0]

    for name, network, example in (
            ("dit", Forward().eval(), (noise.repeat(2, 1, 1, 1), torch.tensor([1, 1]),
                                torch.tensor([LABEL, 1000]))),
            ("vae", Decoder(vae), (noise,))):
        with torch.inference_mode():
            converted = ov.convert_model(network, example_input=example,
                                         input=[list(x.shape) for x in example])
        ov.save_model(converted, folder / f"{name}.xml", compress_to_fp16=False)
    (folder / "complete").touch()


# ---- the peers, as a user would write them ----

def draw_torch(folder, precision, steps, out):
    import torch
    from diffusers import DiTPipeline
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    pipe = DiTPipeline.from_pretrained(folder / "model", dtype=dtype)
    pipe.vae.to(memory_format=torch.channels_last)
    pipe.set_progress_bar_config(disable=True)
    generator = torch.manual_seed(SEED)
    pipe([LABEL], GUIDANCE, generator, steps).images[0].save(out)


def draw_openvino(folder, precision, steps, out):
    import openvino as ov
    core = ov.Core()
    core.set_property("CPU", {
        "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": len(os.sched_getaffinity(0)),
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"})
    dit, vae = (core.compile_model(folder / f"{x}.xml", "CPU") for x in ("dit", "vae"))
    beta = np.linspace(1e-4, 0.02, 1000, dtype=np.float32)
    alpha = np.cumprod(1 - beta)
    x = np.load(folder / "noise.npy")
    y = np.array([LABEL, 1000])
    stride = 1000 // steps
    for t in range((steps - 1) * stride, -1, -stride):
        guided, free = np.split(dit([np.repeat(x, 2, 0), np.array([t, t]), y])[0][:, :4], 2)
        epsilon = free + GUIDANCE * (guided - free)
        now, then = alpha[t], alpha[t - stride] if t >= stride else np.float32(1)
        clean = (x - np.sqrt(1 - now) * epsilon) / np.sqrt(now)
        x = np.sqrt(then) * clean + np.sqrt(1 - then) * epsilon
    picture = np.clip(vae([x / 0.18215])[0][0] / 2 + 0.5, 0, 1).transpose(1, 2, 0)
    Image.fromarray((picture * 255).round().astype(np.uint8)).save(out)


# ---- timing ----

def command(name, a, out):
    if name == "ditcl":
        return shlex.split(a.ours) + [
            "sample", str(a.folder / "model"), "--class", str(LABEL), "--cfg", str(GUIDANCE),
            "--seed", str(SEED), "--steps", str(a.steps), "--sampler", "ddim", "--precision",
            a.precision, "--quiet", "--out", str(out)]
    return [sys.executable, __file__, "--draw", name, "--precision", a.precision, "--steps",
            str(a.steps), "--folder", str(a.folder), "--out", str(out)]


def turn(name, a):
    """Returns seconds and peak memory in MB."""
    begin = time.perf_counter()
    child = subprocess.Popen(command(name, a, a.folder / f"{name}.png"))
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{name}: exit status {child.returncode}")
    return seconds, usage.ru_maxrss / 1024


def warm(folder):
    """Reads all files of the model, so that they are in the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as f:
                while f.read(1 << 24):
                    pass


def compare(a):
    names = a.peers.split(",")
    found = {name: [] for name in names}
    for _ in range(a.rounds):
        for name in names:
            with run.hold(a.lock, alone=True):
                warm(a.folder)
                found[name].append(turn(name, a))
            run.say(f"{a.precision} {name}: {found[name][-1][0]:.2f} s")
    pictures = {n: np.asarray(Image.open(a.folder / f"{n}.png"), dtype=float) for n in names}
    base = statistics.median(x[0] for x in found[names[0]])
    print(f"{run.processor()[0]}, {a.threads} threads, {a.precision}, {a.steps} steps: process "
          f"start to PNG, median of {a.rounds}\n\n| | s | lowest to highest | relative time | "
          "peak memory, MB | mean distance of pixels |\n" + "| --- " * 6 + "|")
    for name in names:
        seconds = [x[0] for x in found[name]]
        apart = np.abs(pictures[name] - pictures[names[0]]).mean()
        print(f"| {name} | {statistics.median(seconds):.2f} | {min(seconds):.2f} to "
              f"{max(seconds):.2f} | {statistics.median(seconds) / base:.2f} | "
              f"{max(x[1] for x in found[name]):.0f} | {apart:.3f} |")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--peers", default="ditcl,torch,openvino", help="[%(default)s]")
    p.add_argument("--ours", default=str(run.TOP / "build/ditcl"), metavar="CMD")
    p.add_argument("--precision", default="fp32",
                   help="fp32, bf16, or auto: the peers in fp32 then [%(default)s]")
    p.add_argument("--steps", type=int, default=10, help="[%(default)s]")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--rounds", type=int, default=3, help="[%(default)s]")
    p.add_argument("--folder", type=Path, default=run.TOP / "build/peers/whole",
                   help="models, 6 GB, and pictures [%(default)s]")
    p.add_argument("--lock", type=Path, help="as of run.py")
    p.add_argument("--draw", help=argparse.SUPPRESS)  # runs one peer
    p.add_argument("--out", help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.draw:
        globals()[f"draw_{a.draw}"](a.folder, a.precision, a.steps, a.out)
        return
    run.environment(a.threads)
    a.folder.mkdir(parents=True, exist_ok=True)
    if not (a.folder / "complete").exists():
        with run.hold(a.lock, alone=False):
            subprocess.run([sys.executable, "-c", "import pathlib, sys, whole; "
                            "whole.make_model(pathlib.Path(sys.argv[1]))", a.folder.resolve()],
                           cwd=run.HERE, check=True)
    compare(a)


if __name__ == "__main__":
    main()
