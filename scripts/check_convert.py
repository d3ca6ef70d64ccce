#!/usr/bin/env python3
"""Checks that other programs read what `ditcl convert` writes. Converts models both ways and opens the
results with safetensors and diffusers. They must find exactly the expected tensors, warn of none that they
ignore, and compute what ditcl computes.

usage: check_convert.py DITCL tests/data/models SCRATCH

Needs torch, diffusers and safetensors. Exit code 1 when something is wrong.
"""
import io
import logging
import os
import subprocess
import sys

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiTPipeline, DiTTransformer2DModel
from diffusers.utils import logging as diffusers_logging
from safetensors.torch import load_file

import oracle_dit
import oracle_models

wrong = 0


def check(good, what):
    global wrong
    wrong += not good
    print("ok   " if good else "WRONG", what, flush=True)


def ditcl(*args):
    done = subprocess.run(args, capture_output=True, text=True)
    check(done.returncode == 0, " ".join(args[1:3]) + " " + done.stderr.strip())


def listen():
    """Collects diffusers' warnings from now on."""
    said = io.StringIO()
    logger = diffusers_logging.get_logger("diffusers")
    logger.handlers = [logging.StreamHandler(said)]
    logger.setLevel(logging.WARNING)
    return said


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k].float(), b[k].float()) for k in a)


def folder(program, source, vae, weights, heads, scratch, dtype, kept):
    """Converts an original file to a folder, which diffusers opens."""
    out = f"{scratch}/{os.path.basename(source)}-{dtype}"
    ditcl(program, "convert", source, out, "--vae", vae, "--heads", str(heads), "--dtype", dtype)
    said = listen()
    t, info = DiTTransformer2DModel.from_pretrained(out + "/transformer", output_loading_info=True)
    check(not info["missing_keys"] and not info["mismatched_keys"], f"{out}: all tensors are there")
    check(list(info["unexpected_keys"]) == (["pos_embed.pos_embed"] if kept else []),
          f"{out}: and no other but {info['unexpected_keys']}")
    check("_ditcl" not in said.getvalue(), f"{out}: no complaint about the configuration")
    kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    expected = {k: v.to(kind) for k, v in oracle_models.renamed(weights, len(t.transformer_blocks))
                .items()}
    check(same({k: v for k, v in t.state_dict().items()}, expected), f"{out}: the same values")
    pipe = DiTPipeline.from_pretrained(out)
    check(type(pipe.vae) is AutoencoderKL, f"{out}: a pipeline, VAE included")
    return out, pipe


def back(program, source, heads, scratch, expected, name):
    """Converts a folder or file to one original file, which PyTorch opens."""
    out = f"{scratch}/{name}.safetensors"
    ditcl(program, "convert", source, out)
    got = load_file(out)
    check(same(got, expected), f"{out}: the original's names and values")


def pictures(program, model, other, vae, scratch):
    """Checks that source and result draw the same latents."""
    arrays = []
    for i, name in enumerate((model, other)):
        out = f"{scratch}/latents{i}.npy"
        args = [program, "sample", *name, "--class", "1", "--steps", "4", "-q", "--latents-out", out,
                "--out", f"{scratch}/p.png", "--device", "cpu"]
        ditcl(*args)
        arrays.append(np.load(out))
    check(np.array_equal(*arrays), f"{other[0]} draws what {model[0]} draws")


def main():
    program, data, scratch = sys.argv[1:]
    torch.set_grad_enabled(False)
    os.makedirs(scratch, exist_ok=True)
    source, vae = f"{data}/original64.safetensors", f"{data}/original64-vae.safetensors"
    weights = load_file(source)
    for dtype in ("fp32", "fp16", "bf16"):
        out, _ = folder(program, source, vae, weights, 2, scratch, dtype, True)
        if dtype != "bf16":
            continue
        back(program, out, 2, scratch, weights, "back")
        pictures(program, [source, "--vae", vae, "--heads", "2"], [out], vae, scratch)
    # with the formula's position table, diffusers computes what ditcl does
    weights["pos_embed"] = oracle_dit.position_embedding(8, 64)[None]
    torch.save({"ema": weights}, f"{scratch}/formula.pt")
    folder(program, f"{scratch}/formula.pt", vae, weights, 2, scratch, "fp32", False)
    separate, plain = f"{data}/separate48", f"{data}/plain32"
    ditcl(program, "convert", separate, f"{scratch}/separate")
    a = DiTPipeline.from_pretrained(separate)
    b = DiTPipeline.from_pretrained(f"{scratch}/separate")
    check(same(a.transformer.state_dict(), b.transformer.state_dict()), "a folder from a folder")
    check(same(a.vae.state_dict(), b.vae.state_dict()), "and its VAE")
    for pipe in (a, b):  # the pipeline does not support this model's scheduler
        pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    # without guidance, since the pipeline always uses 1000 as the null class
    draw = lambda p: p([0, 1], num_inference_steps=2, guidance_scale=1.0, output_type="np",
                       generator=torch.manual_seed(0)).images
    check(np.array_equal(draw(a), draw(b)), "whose pictures are equal in diffusers")
    ditcl(program, "convert", plain, f"{scratch}/plain.safetensors")
    pictures(program, [plain], [f"{scratch}/plain.safetensors", "--vae", plain], plain, scratch)
    print(f"{wrong} wrong")
    sys.exit(wrong > 0)


main()
