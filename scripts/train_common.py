#!/usr/bin/env python3
"""Shared by the training and evaluation scripts of the emoji model: data, augmentation, EMA, checkpoints."""
import argparse
import math
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

# The classes of the shipped model: those whose pictures look alike enough for a network of this size.
# Their order gives the label numbers. Each tuple names emoji that are left out, since they do not fit the class.
CLASSES = {
    "happy face": (),
    "sad face": (),
    "cat face": (),
    "animal head": (),
    "heart": ("love letter", "heart exclamation", "heart decoration"),
    "fruit": (),
    "clock": ("hourglass done", "hourglass not done", "watch", "timer clock"),
    "moon or sun": (),
    "flower": ("white flower",),
    "landscape": (),
    "ball": ("tennis", "crystal ball"),
}
# A mirrored clock shows a time that no clock shows.
NO_MIRROR = {"clock"}


def add_common_arguments(parser):
    parser.add_argument("--data", required=True, help="emoji128.npz, made by render_emoji.py")
    parser.add_argument("--threads", type=int, default=0, help="processor threads (0: torch's choice)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)


def setup(args):
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    return torch.device(args.device)


def load_data(path):
    """All pictures of the file as a dict of arrays."""
    with np.load(path) as z:
        return {k: z[k] for k in z.files}


def select_classes(data):
    """Indices of the pictures of the shipped classes, and their labels in the order of CLASSES."""
    index, label = [], []
    names = [str(c) for c in data["classes"]]
    for new, (cls, leave_out) in enumerate(CLASSES.items()):
        for i in np.flatnonzero(data["labels"] == names.index(cls)):
            if str(data["names"][i]) not in leave_out:
                index.append(i)
                label.append(new)
    return np.array(index), np.array(label)


def held_out_mask(data, every=20):
    """Hold out one emoji in `every`, with its pictures from all emoji sets."""
    names = np.unique(data["names"])
    held = set(np.random.default_rng(1234).permutation(names)[: len(names) // every].tolist())
    return np.array([n in held for n in data["names"].tolist()])


def to_tensor(images, size, device="cpu"):
    """uint8 [N,H,W,3] to float [-1,1] [N,3,size,size]; the area filter keeps edges free of aliasing."""
    x = torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    return F.interpolate(x, (size, size), mode="area") if x.shape[-1] != size else x


def to_uint8(x):
    """float [-1,1] [N,3,H,W] to uint8 [N,H,W,3], rounded as diffusers rounds."""
    x = (x.float() / 2 + 0.5).clamp(0, 1) * 255
    return x.permute(0, 2, 3, 1).round().to(torch.uint8).cpu().numpy()


def random_affine(x, size, scale=0.12, rotate=8.0, shift=0.06, mirror=None):
    """Small random scale, rotation, shift (and mirroring where `mirror` allows it) on white ground."""
    n, dev = x.shape[0], x.device
    u = lambda: torch.rand(n, device=dev) * 2 - 1
    a, s = u() * math.radians(rotate), torch.exp(u() * math.log(1 + scale))
    flip = torch.where(torch.rand(n, device=dev) < 0.5, -1.0, 1.0)
    if mirror is not None:
        flip = torch.where(mirror.to(dev), flip, torch.ones_like(flip))
    theta = torch.zeros(n, 2, 3, device=dev)
    theta[:, 0, 0], theta[:, 0, 1], theta[:, 0, 2] = flip * s * a.cos(), -s * a.sin(), u() * shift
    theta[:, 1, 0], theta[:, 1, 1], theta[:, 1, 2] = flip * s * a.sin(), s * a.cos(), u() * shift
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    # The ground is +1, zero padding is 0: shift the picture so that padding is ground.
    y = F.grid_sample(x - 1, grid, padding_mode="zeros", align_corners=False) + 1
    return F.interpolate(y, (size, size), mode="area")


def random_colour(x, amount=0.25):
    """A random rotation about the grey axis (hue) and a slight change of brightness; white stays white."""
    n, dev = x.shape[0], x.device
    a = (torch.rand(n, device=dev) * 2 - 1) * amount * math.pi
    c, s = a.cos(), a.sin() / math.sqrt(3)
    k = (1 - c) / 3
    m = torch.stack([c + k, k - s, k + s, k + s, c + k, k - s, k - s, k + s, c + k], 1).view(n, 3, 3)
    y = torch.einsum("nij,njhw->nihw", m, x - 1)
    y = y * (1 + 0.1 * (torch.rand(n, 1, 1, 1, device=dev) * 2 - 1))
    return (y + 1).clamp(-1, 1)


class Ema:
    """Exponential moving average of a module's weights, with a short memory at the start."""

    def __init__(self, module, decay):
        self.decay, self.step = decay, 0
        self.weights = {k: v.detach().clone().float() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module):
        self.step += 1
        d = min(self.decay, (1 + self.step) / (10 + self.step))
        new = module.state_dict()
        torch._foreach_lerp_(list(self.weights.values()), [new[k].float() for k in self.weights], 1 - d)


class Schedule:
    """Learning-rate factor over a time budget: warm-up, full rate for a share `hold`, then cosine down to `floor`.

    Time spent before a resume counts. Of several processes, each sets `elapsed_override` to the clock of the first."""

    def __init__(self, minutes, warmup_steps, floor, spent=0.0, hold=0.0):
        self.total, self.warmup, self.floor, self.hold = minutes * 60, warmup_steps, floor, hold
        self.spent, self.start, self.elapsed_override = spent, time.time(), None

    @property
    def elapsed(self):
        return self.elapsed_override if self.elapsed_override is not None else self.spent + time.time() - self.start

    def factor(self, step):
        p = min(1.0, self.elapsed / self.total)
        p = max(0.0, p - self.hold) / (1 - self.hold)
        return min(1.0, (step + 1) / self.warmup) * (self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * p)))

    @property
    def done(self):
        return self.elapsed >= self.total


def save_atomic(obj, path):
    """Write a new file, then rename it, so that a run that is stopped keeps a whole checkpoint."""
    torch.save(obj, path + ".tmp")
    os.replace(path + ".tmp", path)


def log(text):
    print(time.strftime("%H:%M:%S"), text, flush=True)


def sheet(images, columns, path, pad=2):
    """Save uint8 pictures [N,H,W,3] as one PNG, row by row."""
    from PIL import Image

    n, h, w, _ = images.shape
    rows = (n + columns - 1) // columns
    out = np.full((rows * (h + pad) + pad, columns * (w + pad) + pad, 3), 160, np.uint8)
    for i, im in enumerate(images):
        y, x = pad + (i // columns) * (h + pad), pad + (i % columns) * (w + pad)
        out[y : y + h, x : x + w] = im
    Image.fromarray(out).save(path)


def parser(description):
    return argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
