#!/usr/bin/env python3
"""Writes tests/data/files and tests/data/rounding.inc for tests/test_safetensors.c and tests/test_files.c.

tests/data/files: arrays written by safetensors and numpy. Element i of each is (i - 3) * 0.75, which every
floating type holds exactly.
tests/data/rounding.inc: floats around every tie of the two rules that round floats to 8 bits, with the
results of torchvision's save_image and of diffusers' numpy_to_pil.

    scripts/oracle_files.py     (needs torch, numpy, safetensors)
"""
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file

DATA = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data"


def ramp(shape, dtype=torch.float32):
    n = int(np.prod(shape))
    return ((torch.arange(n, dtype=torch.float32) - 3) * 0.75).reshape(shape).to(dtype)


def write_files(folder):
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            "f32": ramp((2, 3, 4)),
            "f16": ramp((5,), torch.float16),
            "bf16": ramp((3, 3), torch.bfloat16),
            "scalar": ramp(()),
            "empty": ramp((0, 7)),
            "integers": torch.arange(6),
            "truths": torch.tensor([True, False, True]),
        },
        folder / "good.safetensors",
        metadata={"note": 'quotes " and \u00fcmlauts'},
    )
    (folder / "good.safetensors").chmod(0o644)
    for version in ((1, 0), (2, 0), (3, 0)):
        for kind in ("<f2", "<f4", "<f8"):
            with open(folder / f"v{version[0]}_{kind[1:]}.npy", "wb") as out:
                np.lib.format.write_array(out, ramp((2, 3, 4)).numpy().astype(kind), version)
    np.save(folder / "line.npy", ramp((5,)).numpy())
    np.save(folder / "scalar.npy", ramp(()).numpy())
    np.save(folder / "empty.npy", ramp((0, 7)).numpy())
    np.save(folder / "fortran.npy", np.asfortranarray(ramp((3, 4)).numpy()))
    np.save(folder / "big_endian.npy", ramp((4,)).numpy().astype(">f4"))
    np.save(folder / "integers.npy", np.arange(4))
    np.save(folder / "structure.npy", np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]))


def original(x):
    """The operations of torchvision.utils.save_image(normalize=True, value_range=(-1, 1))."""
    x = x.clone().clamp_(min=-1, max=1)
    x.sub_(-1).div_(max(1 - -1, 1e-5))
    return x.mul(255).add_(0.5).clamp_(0, 255).to(torch.uint8)


def diffusers(x):
    """The operations of DiTPipeline's decoding and of numpy_to_pil."""
    x = (x / 2 + 0.5).clamp(0, 1)
    return torch.from_numpy((x.numpy() * 255).round().astype("uint8"))


def write_rounding(path):
    ties = ((torch.arange(-1, 257, dtype=torch.float64) + 0.5) / 255 * 2 - 1).float()
    near = [ties]
    for direction in (-2.0, 2.0):
        step = ties
        for _ in range(2):
            step = torch.nextafter(step, torch.tensor(direction))
            near.append(step)
    x = torch.cat([torch.stack(near).flatten(), torch.tensor([-1.0, 1, 0, -0.0, -7, 9, 1e-30])])
    a, b = original(x), diffusers(x)
    rows = zip((v & 0xFFFFFFFF for v in x.view(torch.int32).tolist()), a.tolist(), b.tolist())
    with open(path, "w") as out:
        print("/* Made by scripts/oracle_files.py. */", file=out)
        items = [f"{{0x{bits:08x}, {o}, {d}}}," for bits, o, d in rows]
        for i in range(0, len(items), 4):
            print(*items[i : i + 4], file=out)


def main():
    torch.set_num_threads(1)
    write_files(DATA / "files")
    write_rounding(DATA / "rounding.inc")


if __name__ == "__main__":
    main()
