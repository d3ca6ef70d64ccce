"""The DiT and its two sampling loops in PyTorch, written from the equations and independent of ditcl.

Peebles & Xie 2022 (all four designs of section 3.2), Nichol & Dhariwal 2021 (respaced DDPM, learned
range), Song et al. 2021 (DDIM), Ho & Salimans 2022 (guidance). Weights may have the names of diffusers or
of the original program, and any model runs with either program's arithmetic. Used by the other oracles.
"""
import math

import numpy as np
import torch
import torch.nn.functional as F

import oracle_sit
from oracle_schedule import original_tables


# ---- weights in either naming ----

def position_embedding(side, width):
    """The first half of the channels encodes the column, the second the row. Sines, then cosines."""
    omega = 10000.0 ** -(np.arange(width // 4, dtype=np.float64) / (width // 4))
    rows, columns = np.divmod(np.arange(side * side, dtype=np.float64), side)
    parts = []
    for at in (columns, rows):
        angle = at[:, None] * omega[None]
        parts += [np.sin(angle), np.cos(angle)]
    return torch.from_numpy(np.concatenate(parts, 1).astype(np.float32))


class Net:
    """The tensors of a DiT, with heads and latent size, which the weights do not tell."""

    def __init__(self, weights, heads, size):
        w = {k: v.float() for k, v in weights.items()}
        self.heads = heads
        self.original = "x_embedder.proj.weight" in w
        patch = "x_embedder.proj" if self.original else "pos_embed.proj"
        self.patch_w, self.patch_b = w[patch + ".weight"], w[patch + ".bias"]
        self.width, self.channels, self.patch = self.patch_w.shape[:3]
        self.positions = w["pos_embed"][0] if self.original else position_embedding(
            size // self.patch, self.width)
        self.final = self.linear(w, "final_layer.linear" if self.original else "proj_out_2")
        self.final_mod = self.final_norm = None
        if "final_layer.norm_final.weight" in w:
            self.final_norm = self.linear(w, "final_layer.norm_final")
        else:
            self.final_mod = self.linear(
                w, "final_layer.adaLN_modulation.1" if self.original else "proj_out_1")
        self.channels_out = self.final[0].shape[0] // self.patch ** 2
        self.blocks = []
        while True:
            block = self.block(w, len(self.blocks))
            if block is None:
                break
            self.blocks.append(block)
        self.null_class = self.blocks[0]["labels"].shape[0] - 1

    @staticmethod
    def linear(w, name):
        return w[name + ".weight"], w[name + ".bias"]

    def block(self, w, i):
        if self.original:
            names = {"qkv": f"blocks.{i}.attn.qkv",
                     "proj": f"blocks.{i}.attn.proj", "mlp1": f"blocks.{i}.mlp.fc1",
                     "mlp2": f"blocks.{i}.mlp.fc2", "time1": "t_embedder.mlp.0",
                     "time2": "t_embedder.mlp.2"}
            others = {"mod": f"blocks.{i}.adaLN_modulation.1", "norm1": f"blocks.{i}.norm1",
                      "norm_cross": f"blocks.{i}.norm_cross", "norm2": f"blocks.{i}.norm2",
                      "cross_q": f"blocks.{i}.cross_attn.q",
                      "cross_kv": f"blocks.{i}.cross_attn.kv",
                      "cross_proj": f"blocks.{i}.cross_attn.proj"}
            names |= {key: name for key, name in others.items() if name + ".weight" in w}
            labels = "y_embedder.embedding_table.weight"
        else:
            b = f"transformer_blocks.{i}."
            emb = b + "norm1.emb."
            names = {"mod": b + "norm1.linear", "proj": b + "attn1.to_out.0",
                     "mlp1": b + "ff.net.0.proj", "mlp2": b + "ff.net.2",
                     "time1": emb + "timestep_embedder.linear_1",
                     "time2": emb + "timestep_embedder.linear_2"}
            labels = emb + "class_embedder.embedding_table.weight"
        if names["proj"] + ".weight" not in w:
            return None
        out = {key: self.linear(w, name) for key, name in names.items()}
        if not self.original:
            parts = [self.linear(w, b + "attn1.to_" + p) for p in "qkv"]
            out["qkv"] = tuple(torch.cat(p) for p in zip(*parts))
        out["labels"] = w[labels]
        return out


# ---- the network ----

def embed(block, t, y, divisor):
    """The embeddings of timestep and label, [n,D] each."""
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(128, dtype=torch.float32) / divisor)
    angle = t.float()[:, None] * frequencies[None]
    features = torch.cat([torch.cos(angle), torch.sin(angle)], 1).to(block["labels"].dtype)
    time = F.linear(F.silu(F.linear(features, *block["time1"])), *block["time2"])
    return time, block["labels"][y]


def condition(block, t, y, divisor):
    return sum(embed(block, t, y, divisor))


def modulated_norm(x, shift, scale, eps):
    return F.layer_norm(x, x.shape[-1:], eps=eps) * (1 + scale[:, None]) + shift[:, None]


def attention(block, x, heads):
    n, tokens, width = x.shape
    q, k, v = F.linear(x, *block["qkv"]).reshape(n, tokens, 3, heads, width // heads).permute(
        2, 0, 3, 1, 4)
    weights = torch.softmax(q @ k.transpose(-1, -2) * (width // heads) ** -0.5, -1)
    return F.linear((weights @ v).transpose(1, 2).reshape(n, tokens, width), *block["proj"])


def cross_attention(block, x, context, heads):
    """x [n,T,D] attends to context [n,2,D]."""
    split = lambda z: z.unflatten(-1, (heads, -1)).transpose(1, 2)
    k, v = F.linear(context, *block["cross_kv"]).chunk(2, -1)
    out = F.scaled_dot_product_attention(split(F.linear(x, *block["cross_q"])), split(k), split(v))
    return F.linear(out.transpose(1, 2).flatten(2), *block["cross_proj"])


def mlp(block, x):
    inner = F.gelu(F.linear(x, *block["mlp1"]), approximate="tanh")
    return F.linear(inner, *block["mlp2"])


def adaln_block(block, h, c, heads, mlp_eps):
    """adaLN-Zero has six modulation vectors; adaLN has four and no gates."""
    parts = F.linear(c, *block["mod"]).unflatten(1, (-1, h.shape[-1])).unbind(1)
    ones = torch.ones_like(c)
    if len(parts) == 6:
        shift1, scale1, gate1, shift2, scale2, gate2 = parts
    else:
        (shift1, scale1, shift2, scale2), gate1, gate2 = parts, ones, ones
    h = h + gate1[:, None] * attention(block, modulated_norm(h, shift1, scale1, 1e-6), heads)
    return h + gate2[:, None] * mlp(block, modulated_norm(h, shift2, scale2, mlp_eps))


def plain_block(block, h, context, heads, mlp_eps):
    """A block with affine norms, and with cross-attention between its halves if the design has it."""
    norm = lambda key, eps: F.layer_norm(h, h.shape[-1:], *block[key], eps)
    h = h + attention(block, norm("norm1", 1e-6), heads)
    if "norm_cross" in block:
        h = h + cross_attention(block, norm("norm_cross", 1e-6), context, heads)
    return h + mlp(block, norm("norm2", mlp_eps))


def forward(net, x, t, y, divisor=128, mlp_eps=1e-6):
    """x [n,C,s,s], t [n], y [n] -> [n,C or 2C,s,s]. divisor 127 and mlp_eps 1e-5: diffusers."""
    n, _, size, _ = x.shape
    p, side = net.patch, size // net.patch
    h = F.conv2d(x, net.patch_w, net.patch_b, stride=p).flatten(2).transpose(1, 2) + net.positions
    context = torch.stack(embed(net.blocks[0], t, y, divisor), 1)
    in_context = net.final_norm is not None and "norm_cross" not in net.blocks[0]
    if in_context:
        h = torch.cat([context, h], 1)
    for block in net.blocks:
        if net.final_norm is None:
            h = adaln_block(block, h, F.silu(condition(block, t, y, divisor)), net.heads, mlp_eps)
        else:
            h = plain_block(block, h, context, net.heads, mlp_eps)
    if in_context:
        h = h[:, 2:]
    if net.final_norm is None:
        c = F.silu(condition(net.blocks[0], t, y, divisor))
        h = modulated_norm(h, *F.linear(c, *net.final_mod).chunk(2, 1), 1e-6)
    else:
        h = F.layer_norm(h, h.shape[-1:], *net.final_norm, 1e-6)
    out = F.linear(h, *net.final)
    out = out.reshape(n, side, side, p, p, net.channels_out)
    return out.permute(0, 5, 1, 3, 2, 4).reshape(n, net.channels_out, size, size)


def guide(out, scale, channels):
    """out holds the conditional, then the unconditional half. Guides the first `channels` channels."""
    eps, rest = out[:, :channels], out[:, channels:]
    cond, uncond = eps.chunk(2)
    half = uncond + scale * (cond - uncond)
    return torch.cat([torch.cat([half, half]), rest], 1)


def predict(network, x, t, y, case, guided, n):
    """One guided prediction. Outside the guidance interval, an unguided one."""
    low, high = case.get("interval") or (-math.inf, math.inf)
    when = torch.as_tensor(t).expand(len(x))
    if not guided:
        return network(x, when, y)
    if low <= float(t) <= high:
        half = torch.cat([x[:n], x[:n]])
        return guide(network(half, when, y), case["cfg"], case["cfg_channels"])
    alone = network(x[:n], when[:n], y[:n])
    return torch.cat([alone, alone])


# ---- the original's sampling loop ----

def sample_original(network, config, case, x, y, null_class, channels, noise):
    """network(x, t, y) -> output; x [n,C,s,s]; noise(like) draws noise. Returns the final x."""
    table = original_tables(config, case["steps"])
    f32 = lambda name, i: torch.tensor(table[name][i], dtype=torch.float64).float()
    n, guided = len(x), case["cfg"] != 1
    if guided:
        x, y = torch.cat([x, x]), torch.cat([y, torch.full_like(y, null_class)])
    order = range(len(table["kept"]))
    for i in order if case.get("invert") else reversed(order):
        out = predict(network, x, table["kept"][i], y, case, guided, n)
        o, v = out[:, :channels], out[:, channels:]
        if config.get("prediction_type") == "sample":
            x0 = o
        else:
            x0 = f32("recip", i) * x - f32("recipm1", i) * o
        if case.get("invert"):
            eps, after = (f32("recip", i) * x - x0) / f32("recipm1", i), f32("after", i)
            x = x0 * torch.sqrt(after) + torch.sqrt(1 - after) * eps
            continue
        fresh, live = noise(x), float(i != 0)
        if case["sampler"] == "ddpm":
            log_variance = f32("fixed", i)
            if v.shape[1]:
                fraction = (v + 1) / 2
                log_variance = fraction * f32("max_log", i) + (1 - fraction) * f32("min_log", i)
            mean = f32("to_x0", i) * x0 + f32("to_x", i) * x
            x = mean + live * torch.exp(0.5 * log_variance) * fresh
        else:
            eps = (f32("recip", i) * x - x0) / f32("recipm1", i)
            now, before = f32("bar", i), f32("before", i)
            ratio = (1 - before) / (1 - now) * (1 - now / before)
            sigma = case["eta"] * torch.sqrt(ratio)
            mean = x0 * torch.sqrt(before) + torch.sqrt(1 - before - sigma ** 2) * eps
            x = mean + live * sigma * fresh
    return x[:n]


# ---- diffusers' sampling loop, around its own schedulers ----

def sample_diffusers(network, scheduler, case, x, y, null_class, channels, generator):
    """As DiTPipeline, but with the model's own null class, with eta, and with learned variances kept."""
    n, guided = len(x), case["cfg"] > 1
    if guided:
        x, y = torch.cat([x, x]), torch.cat([y, torch.full_like(y, null_class)])
    scheduler.set_timesteps(int(case["steps"]))
    learned = case["sampler"] == "ddpm" and scheduler.config.variance_type == "learned_range"
    extra = {"eta": case["eta"]} if case["sampler"] == "ddim" and not case.get("invert") else {}
    if case["sampler"] in ("ddpm", "ddim") and not case.get("invert"):
        extra["generator"] = generator
    x = x * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        if guided:
            x = torch.cat([x[:n], x[:n]])
        out = predict(network, scheduler.scale_model_input(x, t), t, y, case, guided, n)
        if not learned:
            out = out[:, :channels]
        x = scheduler.step(out, t, x, **extra).prev_sample
    return x[:n]


# ---- SiT's sampling loop ----

def sample_sit(network, config, case, x, y, null_class, channels, noise):
    n, guided = len(x), case["cfg"] != 1
    if guided:
        x, y = torch.cat([x, x]), torch.cat([y, torch.full_like(y, null_class)])
    ask = lambda x, t: predict(network, x, t, y, case, guided, n)[:, :channels]
    return oracle_sit.sample_sit(ask, config, case, x, lambda i: noise(x))[2][:n]
