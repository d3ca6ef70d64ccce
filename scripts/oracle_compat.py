#!/usr/bin/env python3
"""Draws pictures with diffusers and the original program, for models with random weights.

usage: oracle_compat.py tests/data/compat [FOLDER of the original program]

It writes two tiny models: a folder in diffusers' layout, and a file with the original program's names,
which uses the folder's VAE. Two programs draw pictures with each model in 50 and 250 steps:

- diffusers' DiTPipeline with DDIM, and with DDPM, which draws noise in every step. The original file is
  converted first, as diffusers' convert_dit_to_diffusers.py does.
- A transcription of the original program's sample.py: the network and the loop of oracle_dit.py, seeded
  after the weights are loaded, as in the program's notebook; once with the noise of a small GPU. If the
  folder of the original program is given (models.py, diffusion/), its code must draw the same.

The models have 1000 classes, because both programs fix the null class at 1000. The last layer is fitted to
denoise (ridge regression), so long trajectories stay in the range of a trained model's. Everything else is
random. cases.txt has the columns of tests/data/README.md. The expected pictures of a case are one 8-bit
file, one above the other. Torch 2.15, diffusers 0.42.1, CPU, one thread.
"""
import sys
import types

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, DiTPipeline
from PIL import Image

import oracle_dit
from oracle_dit import Net, modulated_norm, sample_original
from oracle_models import (COLUMNS, DTYPES, HEAD, build_class, generator, normal, random_dit,
                           renamed, write_dit, write_vae)
from oracle_rng import cuda_draw
from oracle_sets import dit, vae

CLASSES = [207, 360, 387, 974]
NULL = 1000  # fixed in both programs
PIXELS = 1e-3  # see tests/data/README.md


# ---- models that denoise a little ----

def examples(spec, n, g):
    """Returns x0, whose mean depends on class and position, and x_t, t, y, eps."""
    bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    t = torch.randint(0, 1000, (n,), generator=g)
    y = torch.tensor(CLASSES + [NULL])[torch.randint(0, 5, (n,), generator=g)]
    means = torch.randn((1001, 4, 1, 1), generator=g)
    means[NULL] = 0
    ramp = torch.linspace(-1, 1, spec["size"])[None, None, None]
    x0 = 0.5 * means[y] + 0.5 * ramp + 0.6 * normal(g, (n, 4, spec["size"], spec["size"]), 1.0)
    eps = torch.randn(x0.shape, generator=g)
    a = torch.from_numpy(bar).float()[t][:, None, None, None]
    return a.sqrt() * x0 + (1 - a).sqrt() * eps, t, y, eps


def last_features(net, x, t, y):
    """The inputs of the last linear layer."""
    seen = []
    weight, bias = net.final
    probe = Net.__new__(Net)
    probe.__dict__ = dict(net.__dict__)
    eye = torch.eye(net.width)
    # with rows of the identity as the last layer, the network returns its features
    size = net.channels_out * net.patch ** 2
    for first in range(0, net.width, size):
        part = torch.zeros(size, net.width)
        rows = min(size, net.width - first)
        part[:rows] = eye[first:first + rows]
        probe.final = (part, torch.zeros(size))
        out = oracle_dit.forward(probe, x, t, y)
        n, c, s, _ = out.shape
        p = net.patch
        tokens = out.reshape(n, c, s // p, p, s // p, p).permute(0, 2, 4, 3, 5, 1)
        seen.append(tokens.reshape(-1, size)[:, :rows])
    return torch.cat(seen, 1)


def denoising_dit(spec):
    """random_dit with quieter inputs and gates, and a last layer that predicts noise."""
    w = random_dit({**spec, "dtype": "f32"})
    original, d, p = spec["layout"] == "original", spec["width"], spec["patch"]
    w["x_embedder.proj.weight" if original else "pos_embed.proj.weight"] *= 0.4
    for name in w:  # gates are the third and the sixth part
        if "adaLN_modulation.1" in name and "blocks" in name or ".norm1.linear." in name:
            parts = w[name].view(6, d, -1)
            parts[[2, 5]] *= 0.3
        if "final_layer.adaLN" in name or "proj_out_1" in name:
            w[name] *= 0.3
    if original:  # published files hold the table of the formula
        w["pos_embed"] = oracle_dit.position_embedding(spec["size"] // p, d)[None]
    w = {k: v if k == "pos_embed" else v.to(DTYPES[spec["dtype"]]).float() for k, v in w.items()}
    net, g = Net(w, spec["heads"], spec["size"]), generator(spec["name"] + "fit")
    x, t, y, eps = examples(spec, 6000, g)
    f = last_features(net, x, t, y)
    f = torch.cat([f, torch.ones(len(f), 1)], 1).double()
    n, c, s, _ = eps.shape
    want = eps.reshape(n, c, s // p, p, s // p, p).permute(0, 2, 4, 3, 5, 1).reshape(len(f), -1)
    fit = torch.linalg.solve(f.T @ f + 1e-3 * len(f) * torch.eye(d + 1), f.T @ want.double())
    left = (f @ fit - want).square().mean().sqrt().item()
    print(f"{spec['name']}: noise predicted but for {left:.2f} of it")
    final = "final_layer.linear" if original else "proj_out_2"
    weight, bias = w[final + ".weight"].view(p * p, 8, d), w[final + ".bias"].view(p * p, 8)
    weight[:, :4] = fit[:d].T.reshape(p * p, 4, d).float()
    bias[:, :4] = fit[d].reshape(p * p, 4).float()
    weight[:, 4:] *= 0.4  # keeps variances between their bounds
    # published files hold the table in float32; a rounded one would differ from what diffusers computes
    return {k: (v if k == "pos_embed" else v.to(DTYPES[spec["dtype"]])).contiguous()
            for k, v in w.items()}


# ---- the two programs ----

def save_image(samples):
    """torchvision's save_image(normalize=True, value_range=(-1, 1)), without the border."""
    x = samples.clamp(-1, 1).sub(-1).div(2)
    return x.mul(255).add(0.5).clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8).numpy()


class CudaStream:
    """torch.randn on a GPU so small that each thread draws several values."""
    processors, threads, offset = 2, 256, 0

    def __init__(self, seed):
        self.seed = seed

    def __call__(self, shape):
        values, self.offset = cuda_draw(self.processors, self.threads, self.seed, self.offset,
                                        int(np.prod(shape)))
        return torch.from_numpy(values).float().reshape(shape)


def sample_py(net, decoder, steps, cfg, seed, forward=oracle_dit.forward, randn=torch.randn):
    n = len(CLASSES)
    torch.manual_seed(seed)
    z = randn((n, 4, net.size, net.size))
    case = {"steps": str(steps), "sampler": "ddpm", "cfg": cfg, "cfg_channels": 3}
    z = sample_original(lambda x, t, y: forward(net, x, t, y), {}, case, z, torch.tensor(CLASSES),
                        NULL, 4, lambda like: randn(like.shape))
    return save_image(decoder.decode(z / 0.18215).sample)


def original_program(folder):
    """The original program's create_diffusion and DiT. The three modules of timm that it uses are made here."""
    class PatchEmbed(torch.nn.Module):
        def __init__(self, size, patch, channels, width, bias=True):
            super().__init__()
            self.patch_size, self.num_patches = (patch, patch), (size // patch) ** 2
            self.proj = torch.nn.Conv2d(channels, width, patch, patch, bias=bias)

        def forward(self, x):
            return self.proj(x).flatten(2).transpose(1, 2)

    class Attention(torch.nn.Module):
        def __init__(self, width, num_heads, qkv_bias, **_):
            super().__init__()
            self.heads, self.qkv = num_heads, torch.nn.Linear(width, 3 * width, bias=qkv_bias)
            self.proj = torch.nn.Linear(width, width)

        def forward(self, x):
            n, tokens, width = x.shape
            q, k, v = self.qkv(x).reshape(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            x = torch.nn.functional.scaled_dot_product_attention(q, k, v)
            return self.proj(x.transpose(1, 2).reshape(n, tokens, width))

    class Mlp(torch.nn.Module):
        def __init__(self, in_features, hidden_features, act_layer, **_):
            super().__init__()
            self.fc1, self.act = torch.nn.Linear(in_features, hidden_features), act_layer()
            self.fc2 = torch.nn.Linear(hidden_features, in_features)

        def forward(self, x):
            return self.fc2(self.act(self.fc1(x)))

    timm = types.ModuleType("timm.models.vision_transformer")
    timm.PatchEmbed, timm.Attention, timm.Mlp = PatchEmbed, Attention, Mlp
    sys.modules |= {"timm": timm, "timm.models": timm, "timm.models.vision_transformer": timm}
    sys.path.insert(0, folder)
    from diffusion import create_diffusion
    from models import DiT
    return create_diffusion, DiT


def check_original(program, spec, weights, decoder, steps, cfg, seed, expected):
    create_diffusion, build = program
    model = build(input_size=spec["size"], patch_size=spec["patch"], hidden_size=spec["width"],
                  depth=spec["depth"], num_heads=spec["heads"]).eval()
    model.load_state_dict(weights)
    n = len(CLASSES)
    torch.manual_seed(seed)
    z = torch.randn(n, 4, spec["size"], spec["size"])
    out = create_diffusion(str(steps)).p_sample_loop(
        model.forward_with_cfg, (2 * n, *z.shape[1:]), torch.cat([z, z]), clip_denoised=False,
        model_kwargs={"y": torch.tensor(CLASSES + [NULL] * n), "cfg_scale": cfg}, device="cpu")
    got = save_image(decoder.decode(out.chunk(2)[0] / 0.18215).sample)
    report("the original program's code", got, expected)


def report(what, got, expected):
    off = np.abs(got.astype(int) - expected)
    print(f"    {what}: {np.count_nonzero(off)} of {off.size} values differ, by {off.max()} at most")
    return off.max()


def original_names(weights, depth):
    """The tensors of a folder, whose embedders are equal copies, under the original program's names."""
    pairs = {"pos_embed.proj": "x_embedder.proj", "proj_out_1": "final_layer.adaLN_modulation.1",
             "proj_out_2": "final_layer.linear"}
    emb = "transformer_blocks.0.norm1.emb."
    pairs |= {emb + "timestep_embedder.linear_1": "t_embedder.mlp.0",
              emb + "timestep_embedder.linear_2": "t_embedder.mlp.2",
              emb + "class_embedder.embedding_table": "y_embedder.embedding_table"}
    for i in range(depth):
        b, to = f"transformer_blocks.{i}.", f"blocks.{i}."
        pairs |= {b + "norm1.linear": to + "adaLN_modulation.1", b + "attn1.to_out.0": to + "attn.proj",
                  b + "ff.net.0.proj": to + "mlp.fc1", b + "ff.net.2": to + "mlp.fc2"}
    out = {}
    for old, new in pairs.items():
        for part in ("weight", "bias"):
            if f"{old}.{part}" in weights:
                out[f"{new}.{part}"] = weights[f"{old}.{part}"].float()
    for i in range(depth):
        for part in ("weight", "bias"):
            qkv = [weights[f"transformer_blocks.{i}.attn1.to_{x}.{part}"] for x in "qkv"]
            out[f"blocks.{i}.attn.qkv.{part}"] = torch.cat(qkv).float()
    return out


# ---- cases ----

class Writer:
    def __init__(self, root, program):
        self.root, self.program, self.rows = root, program, []

    def save(self, name, pictures, **row):
        assert pictures.shape[0] == len(CLASSES)
        stacked = pictures.reshape(-1, *pictures.shape[2:])
        Image.fromarray(stacked).save(f"{self.root}/{name}.png", optimize=True)
        ends = np.mean((pictures == 0) | (pictures == 255))
        print(f"{name}: mean {pictures.mean():.0f}, deviation {pictures.std():.0f}, {ends:.1%} at "
              "either end", flush=True)
        row |= {"kind": "picture", "name": name, "n": 1, "classes": ",".join(map(str, CLASSES)),
                "expected": name + ".png", "tolerance": f"{PIXELS:g}"}
        self.rows.append(" ".join(str(row.get(c, "-")) for c in COLUMNS))

    def pipeline(self, name, pipe, sampler, steps, seed, **row):
        kind = DDPMScheduler if sampler == "ddpm" else DDIMScheduler
        pipe.scheduler = kind.from_config(pipe.scheduler.config)
        out = pipe(class_labels=CLASSES, guidance_scale=4.0, num_inference_steps=steps,
                   generator=torch.manual_seed(seed), output_type="pil").images
        pictures = np.stack([np.asarray(x) for x in out])
        self.save(name, pictures, sampler=sampler, steps=steps, seed=seed, cfg=4.0, **row)
        return pictures

    def sample_py(self, name, spec, weights, decoder, steps, seed, **row):
        net = Net(weights, spec["heads"], spec["size"])
        net.size = spec["size"]
        pictures = sample_py(net, decoder, steps, 4.0, seed)
        self.save(name, pictures, sampler="ddpm", steps=steps, seed=seed, cfg=4.0, **row)
        if self.program:
            own = weights if spec["layout"] == "original" else original_names(weights, spec["depth"])
            own = {"pos_embed": net.positions[None], **own}
            check_original(self.program, spec, own, decoder, steps, 4.0, seed, pictures)
        with_frequencies = lambda *a: oracle_dit.forward(*a, divisor=127)
        wrong = sample_py(net, decoder, steps, 4.0, seed, with_frequencies)
        report("with the other program's timestep frequencies", wrong, pictures)


    def sample_py_cuda(self, name, spec, weights, decoder, steps, seed, **row):
        net = Net(weights, spec["heads"], spec["size"])
        net.size = spec["size"]
        pictures = sample_py(net, decoder, steps, 4.0, seed, randn=CudaStream(seed))
        self.save(name, pictures, sampler="ddpm", steps=steps, seed=seed, cfg=4.0,
                  more=f"--rng;torch-cuda:{CudaStream.processors}x{CudaStream.threads}", **row)


def quiet(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    root = sys.argv[1]
    out = Writer(root, original_program(sys.argv[2]) if len(sys.argv) == 3 else None)
    folder = dit("folder", "diffusers", 32, 2, 2, 2, 8, 1000, "f16", None)
    single = dit("single", "original", 48, 3, 2, 2, 8, 1000, "f16", None)
    weights, single_weights = denoising_dit(folder), denoising_dit(single)
    path = write_dit(root, folder, weights)
    write_dit(root, single, single_weights)
    write_vae(path + "/vae", {**vae((8, 16, 16), 1, 4, "f16", encoder=True), "name": "compat-vae"})
    decoder = AutoencoderKL.from_pretrained(path + "/vae", torch_dtype=torch.float32)
    own = quiet(DiTPipeline.from_pretrained(path, torch_dtype=torch.float32))
    converted = build_class({**single, "layout": "diffusers"})
    converted.load_state_dict(renamed(single_weights, single["depth"]))
    from_original = quiet(DiTPipeline(converted, decoder, DDIMScheduler(
        num_train_timesteps=1000, beta_schedule="linear", prediction_type="epsilon",
        clip_sample=False)))
    one = {"model": "single.safetensors", "vae": "folder/vae", "heads": single["heads"]}
    for steps in (50, 250):
        for sampler in ("ddim", "ddpm"):
            out.pipeline(f"folder-{sampler}-{steps}", own, sampler, steps, 1, model="folder")
            out.pipeline(f"converted-{sampler}-{steps}", from_original, sampler, steps, 2,
                         compat="diffusers", **one)
        out.sample_py(f"single-{steps}", single, {k: v.float() for k, v in single_weights.items()},
                      decoder, steps, 3, **one)
        out.sample_py(f"folder-original-{steps}", folder, {k: v.float() for k, v in weights.items()},
                      decoder, steps, 4, model="folder", compat="original")
    out.sample_py_cuda("single-cuda-50", single, {k: v.float() for k, v in single_weights.items()},
                       decoder, 50, 5, **one)
    with open(root + "/cases.txt", "w") as f:
        f.write(HEAD.replace("oracle_models", "oracle_compat") + " ".join(COLUMNS) + "\n" +
                "\n".join(out.rows) + "\n")


if __name__ == "__main__":
    main()
