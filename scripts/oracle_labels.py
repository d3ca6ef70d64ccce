#!/usr/bin/env python3
"""Writes tests/data/labels: latents of original64's network with other label tables.

The transcription of oracle_dit.py draws the null class by its number (null-class.npy), the last class of a
model whose table has only three rows, all of them classes (three-classes.npy), and an unconditional model with
one row (one-class.npy). tests/cli/classes.sh makes such models. Two small checkpoints have args.

usage: oracle_labels.py tests/data      (torch 2.15)
"""
import argparse
import os
import sys

import numpy as np
import torch
from safetensors.torch import load_file

import oracle_dit
from oracle_dit import Net
from oracle_models import sample_original

TABLE = "y_embedder.embedding_table.weight"


def draw(weights, label, cfg, seed):
    net = Net(weights, 1, 16)
    g = torch.Generator().manual_seed(seed)
    x, y = torch.randn((1, 4, 16, 16), generator=g), torch.tensor([label])
    case = {"steps": "10", "sampler": "ddpm", "eta": 0.0, "cfg": cfg, "cfg_channels": 3,
            "interval": None, "invert": False, "diffusion": None}
    network = lambda x, t, y: oracle_dit.forward(net, x, t, y, 128, 1e-6)
    return sample_original(network, {"clip_sample": False}, case, x, y, net.null_class, 4,
                           lambda like: torch.randn(like.shape, generator=g))


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    folder = sys.argv[1] + "/labels"
    os.makedirs(folder, exist_ok=True)
    weights = load_file(sys.argv[1] + "/models/original64.safetensors")
    table = weights[TABLE]
    for name, rows, label, cfg, seed in (("null-class", table, 3, 1.0, 1),
                                         ("null-class-guided", table, 3, 4.0, 1),
                                         ("three-classes", table[1:], 2, 1.0, 2),
                                         ("one-class", table[1:2], 0, 1.0, 3)):
        x = draw({**weights, TABLE: rows.clone()}, label, cfg, seed)
        np.save(f"{folder}/{name}.npy", x.numpy().astype("<f4"))
    w, said = {"a": torch.zeros(2)}, {"num_classes": 3, "class_dropout_prob": 0.1}
    torch.save({"model": w, "args": argparse.Namespace(**said)}, folder + "/namespace.pt")
    torch.save({"ema": w, "args": {**said, "class_dropout_prob": 0}}, folder + "/dictionary.pt",
               _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()
