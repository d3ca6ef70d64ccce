#!/usr/bin/env python3
"""Writes the tiny network of first-use checks, and its results by diffusers.

usage: oracle_tiny.py models/tiny

The network is a DiT of one block and a VAE of two levels. Its random weights are exact in fp16. Every
operator matters, because gates and scales are as large as what they scale. expected.bin has float32 values:
the latents [4][8][8] after two guided steps of DDPM with learned variances (class 1, guidance scale 4, seed
7), then the decoded picture [3][16][16] before it is clipped. Torch 2.15, diffusers 0.42.1.
"""
import sys

import numpy as np
import torch
from diffusers import (AutoencoderKL, DDPMScheduler, DiTPipeline, DiTTransformer2DModel)

CLASS, GUIDANCE, SEED, STEPS = 1, 4.0, 7, 2


def randomise(module, generator):
    """Draws weights with a gain of about 1, biases and tables of half that. All are exact in fp16."""
    for name, p in module.named_parameters():
        with torch.no_grad():
            if p.dim() > 1 and "embedding_table" not in name:
                scale = 1.0 / np.sqrt(p[0].numel())
            elif "norm" in name and name.endswith("weight"):
                scale = 0.3
            else:
                scale = 0.5
            values = torch.randn(p.shape, generator=generator) * scale
            if "norm" in name and name.endswith("weight") and p.dim() == 1:
                values += 1
            p.copy_(values.half().float())


def make():
    generator = torch.Generator().manual_seed(1)
    dit = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=8, num_layers=1,
        sample_size=8, patch_size=2, num_embeds_ada_norm=3, norm_elementwise_affine=False)
    vae = AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1, norm_num_groups=4, sample_size=16)
    for module in (dit, vae):
        randomise(module, generator)
    vae.encoder = torch.nn.Identity()
    vae.quant_conv = torch.nn.Identity()
    scheduler = DDPMScheduler(beta_schedule="linear", variance_type="learned_range",
                              clip_sample=False)
    return dit.eval(), vae.eval(), scheduler


def sample(dit, vae, scheduler):
    """The loop of diffusers' DiTPipeline, in double precision after the noise is drawn."""
    dit, vae = dit.double(), vae.double()
    generator = torch.Generator().manual_seed(SEED)
    latents = torch.randn((1, 4, 8, 8), generator=generator).double()
    labels = torch.tensor([CLASS, 3])
    scheduler.set_timesteps(STEPS)
    with torch.no_grad():
        for t in scheduler.timesteps:
            both = torch.cat([latents, latents])
            out = dit(both, timestep=torch.tensor([t, t]), class_labels=labels).sample
            eps, rest = out[:, :4], out[:, 4:]
            eps = eps[1:] + GUIDANCE * (eps[:1] - eps[1:])
            full = torch.cat([torch.cat([eps, eps]), rest], dim=1)
            noise = []

            def draw(shape, **_):
                noise.append(torch.randn((2, 4, 8, 8), generator=generator).double())
                return noise[-1]

            import diffusers.schedulers.scheduling_ddpm as module
            module.randn_tensor = draw
            latents = scheduler.step(full, t, both).prev_sample[:1]
        picture = vae.decode(latents / vae.config.scaling_factor).sample
    return latents, picture


def main():
    folder = sys.argv[1]
    dit, vae, scheduler = make()
    DiTPipeline(transformer=dit.half(), vae=vae.half(), scheduler=scheduler,
                id2label={i: f"class {i}" for i in range(3)}).save_pretrained(folder)
    # reload: half() rounded the position embedding, which is computed and not stored
    latents, picture = sample(*make())
    np.concatenate([latents.flatten().numpy(), picture.flatten().numpy()]).astype("<f4").tofile(
        f"{folder}/expected.bin")


if __name__ == "__main__":
    main()
