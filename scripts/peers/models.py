"""The models that the peers compute, in plain PyTorch: DiT with adaLN-Zero conditioning (Peebles & Xie
2022, arXiv:2212.09748) and the decoder of Stable Diffusion's KL autoencoder (diffusers). The random weights
are the same in every process. Only the position embedding, a constant of the model, is computed before the
forward pass.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

# depth, width, heads of the paper's sizes
SIZES = {"XL": (28, 1152, 16), "L": (24, 1024, 16), "B": (12, 768, 12), "S": (12, 384, 6)}


def sincos(positions, width):
    """[n] positions -> [n, width] sines, then cosines"""
    half = width // 2
    angles = positions[:, None] * torch.exp(
        -math.log(10000) / half * torch.arange(half, device=positions.device))
    return angles.sin(), angles.cos()


def position_embedding(side, width):
    """[side * side, width]: the first half of the channels encodes the column, the second the row"""
    line = torch.cat(sincos(torch.arange(side).float(), width // 2), dim=1)
    rows = line[:, None, :].expand(side, side, -1)
    columns = line[None, :, :].expand(side, side, -1)
    return torch.cat([columns, rows], dim=2).reshape(side * side, width)


def modulate(x, shift, scale):
    return x * (1 + scale[:, None]) + shift[:, None]


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)
        self.adaln = nn.Linear(width, 6 * width)

    def attention(self, x):
        n, t, width = x.shape
        qkv = self.qkv(x).reshape(n, t, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(n, t, width))

    def forward(self, x, c):
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaln(F.silu(c)).chunk(6, dim=1)
        x = x + gate1[:, None] * self.attention(modulate(self.norm(x), shift1, scale1))
        h = F.gelu(self.fc1(modulate(self.norm(x), shift2, scale2)), approximate="tanh")
        return x + gate2[:, None] * self.fc2(h)


class DiT(nn.Module):
    """(latents [N, 4, side, side], timesteps [N], labels [N]) -> [N, 8, side, side]"""

    def __init__(self, name, side=32, classes=1000):
        super().__init__()
        size, patch = name.split("/")
        depth, width, heads = SIZES[size]
        self.patch = int(patch)
        self.side = side // self.patch
        self.embed = nn.Conv2d(4, width, self.patch, stride=self.patch)
        self.register_buffer("position", position_embedding(self.side, width))
        self.time1 = nn.Linear(256, width)
        self.time2 = nn.Linear(width, width)
        self.label = nn.Embedding(classes + 1, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.adaln = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, self.patch ** 2 * 8)

    def forward(self, latents, timesteps, labels):
        x = self.embed(latents).flatten(2).transpose(1, 2) + self.position
        sin, cos = sincos(timesteps.float(), 256)
        t = torch.cat([cos, sin], dim=1).to(x.dtype)
        c = self.time2(F.silu(self.time1(t))) + self.label(labels)
        for block in self.blocks:
            x = block(x, c)
        shift, scale = self.adaln(F.silu(c)).chunk(2, dim=1)
        x = self.out(modulate(self.norm(x), shift, scale))
        x = x.reshape(-1, self.side, self.side, self.patch, self.patch, 8)
        x = x.permute(0, 5, 1, 3, 2, 4)
        return x.reshape(-1, 8, self.side * self.patch, self.side * self.patch)


def autoencoder():
    """Stable Diffusion's autoencoder"""
    from diffusers import AutoencoderKL  # only the decoder needs it

    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)


class Decoder(nn.Module):
    """latents [N, 4, h, w] -> picture [N, 3, 8 h, 8 w]"""

    def __init__(self, vae):
        super().__init__()
        self.post_quant_conv = vae.post_quant_conv
        self.decoder = vae.decoder

    def forward(self, latents):
        return self.decoder(self.post_quant_conv(latents))


def subject(name, side=32):
    """A model in float32 and its inputs. name: DiT-XL/2 and so on (inputs: both halves of a guided
    picture), or vae (one picture)."""
    torch.manual_seed(0)
    if name == "vae":
        return Decoder(autoencoder()).eval(), (torch.randn(1, 4, side, side),)
    model = DiT(name.removeprefix("DiT-"), side)
    inputs = (torch.randn(1, 4, side, side).repeat(2, 1, 1, 1), torch.tensor([500, 500]),
              torch.tensor([207, 1000]))
    return model.eval(), inputs
