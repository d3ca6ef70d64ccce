#!/usr/bin/env python3
"""Measure the emoji model: PSNR of the VAE on held-out pictures, and distances of samples to training pictures.

The nearest training picture is the one with the least root-mean-square difference of pixels (0..255 scale,
64 px, mirror images included). Figures go to the screen and to OUT/eval.json, pictures to OUT/*.png."""
import json
import os

import numpy as np
import torch

import train_common as tc


@torch.no_grad()
def draw(pipe, labels, steps, guidance, seeds, batch=24):
    """Sample with transformer and scheduler directly, because DiTPipeline always uses 1000 as the null class."""
    net, sched, vae = pipe.transformer, pipe.scheduler, pipe.vae
    null, c, side = net.config.num_embeds_ada_norm, net.config.in_channels, net.config.sample_size
    out = []
    for lo in range(0, len(labels), batch):
        y = torch.tensor(labels[lo : lo + batch], device=net.device)
        x = torch.cat([torch.randn((1, c, side, side), generator=torch.Generator().manual_seed(int(s)))
                       for s in seeds[lo : lo + batch]]).to(net.device)
        both = torch.cat([y, torch.full_like(y, null)])
        sched.set_timesteps(steps)
        for t in sched.timesteps:
            if guidance == 1:
                e = net(x, timestep=t.expand(len(y)).to(x.device), class_labels=y).sample[:, :c]
            else:
                e = net(torch.cat([x, x]), timestep=t.expand(2 * len(y)).to(x.device), class_labels=both).sample[:, :c]
                a, b = e.chunk(2)
                e = b + guidance * (a - b)
            x = sched.step(e, t, x).prev_sample
        out.append(tc.to_uint8(vae.decode(x / vae.config.scaling_factor).sample))
    return np.concatenate(out)


def rms_table(a, b):
    """Root-mean-square pixel difference of every picture of a [n,D] from every one of b [m,D]."""
    d = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T
    return (d.clamp(min=0) / a.shape[1]).sqrt()


def flat(images):
    return torch.from_numpy(np.ascontiguousarray(images)).float().flatten(1)


def held_out_psnr(vae, data):
    from train_vae import psnr

    return float(psnr(vae, tc.to_tensor(data["images"][tc.held_out_mask(data)], 64, vae.device)).mean())


def nearest(samples, labels, train, train_labels):
    """Share of right labels among the nearest training pictures, and distances that would show copies."""
    both = torch.cat([flat(train), flat(train[:, :, ::-1])])
    both_labels = np.concatenate([train_labels, train_labels])
    d = rms_table(flat(samples), both)
    value, index = d.min(1)
    right = both_labels[index.numpy()] == labels
    # For comparison: the distance of each training picture to the nearest other one.
    own = rms_table(flat(train), both)
    n = len(train)
    own[torch.arange(n), torch.arange(n)] = float("inf")
    own[torch.arange(n), torch.arange(n) + n] = float("inf")
    return right, value.numpy(), own.min(1).values.numpy(), index.numpy() % n


def main():
    p = tc.parser(__doc__.splitlines()[0])
    tc.add_common_arguments(p)
    p.add_argument("--model", required=True, help="exported model folder")
    p.add_argument("--out", required=True, help="folder for figures and pictures")
    p.add_argument("--per-class", type=int, default=20)
    p.add_argument("--guidance", type=float, nargs="+", default=[3.0])
    p.add_argument("--steps", type=int, default=50)
    p.add_argument("--blind", metavar="KEYFILE", help="only write OUT/blind.png (seeds 0..23) and the class names to KEYFILE")
    args = p.parse_args()
    dev = tc.setup(args)
    os.makedirs(args.out, exist_ok=True)

    from diffusers import DiTPipeline

    pipe = DiTPipeline.from_pretrained(args.model)
    pipe.transformer.float().to(dev).eval(), pipe.vae.float().to(dev).eval()
    names = list(tc.CLASSES)
    if args.blind:
        labels = np.random.default_rng(args.seed or None).permutation(np.arange(24) % len(names))
        x = draw(pipe, labels, args.steps, args.guidance[0], np.arange(24))
        x = x.repeat(2, 1).repeat(2, 2)
        tc.sheet(x, 6, os.path.join(args.out, "blind.png"), pad=6)
        with open(args.blind, "w") as f:
            f.writelines(f"{i // 6 + 1},{i % 6 + 1} (seed {i}): {names[k]}\n" for i, k in enumerate(labels))
        return

    data = tc.load_data(args.data)
    index, train_labels = tc.select_classes(data)
    train = tc.to_uint8(tc.to_tensor(data["images"][index], 64))
    labels = np.repeat(np.arange(len(names)), args.per_class)
    result = dict(held_out_psnr=held_out_psnr(pipe.vae, data), training_pictures=len(train), steps=args.steps, runs=[])
    print(f"held-out PSNR {result['held_out_psnr']:.2f} dB")
    for g in args.guidance:
        x = draw(pipe, labels, args.steps, g, 1000 + np.arange(len(labels)))
        right, near, own, which = nearest(x, labels, train, train_labels)
        run = dict(guidance=g, samples=len(x), right=float(right.mean()),
                   right_by_class={n: float(right[labels == i].mean()) for i, n in enumerate(names)},
                   distance_to_nearest=dict(median=float(np.median(near)), p10=float(np.quantile(near, 0.1))),
                   distance_between_training=dict(median=float(np.median(own)), p10=float(np.quantile(own, 0.1))),
                   share_closer_than_training_p10=float((near < np.quantile(own, 0.1)).mean()),
                   different_nearest=int(len(set(which.tolist()))))
        result["runs"].append(run)
        print(json.dumps(run, indent=1))
        tc.sheet(x, args.per_class, os.path.join(args.out, f"samples_cfg{g:g}.png"))
        show = np.arange(0, len(x), args.per_class // 2 or 1)
        tc.sheet(np.concatenate([x[show], train[which[show]]]), len(show), os.path.join(args.out, f"nearest_cfg{g:g}.png"))
    with open(os.path.join(args.out, "eval.json"), "w") as f:
        f.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
