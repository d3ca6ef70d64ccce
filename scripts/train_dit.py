#!/usr/bin/env python3
"""Train the emoji model's DiT on the latents of a trained VAE and write a diffusers DiTPipeline folder.

The arithmetic is that of diffusers' DiTTransformer2DModel (timestep divisor 127, norm3 eps 1e-5, tanh GELU,
adaLN-Zero, learned range). All blocks share one timestep and label embedder; the export copies it into each
block, as that class expects. The state is written every few minutes, and the same command continues a stopped
run. Sample sheets go to --out during training."""
import json
import math
import os
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

import train_common as tc

STEPS, BETA_START, BETA_END = 1000, 1e-4, 0.02


# ---------------------------------------------------------------- model
def sincos_2d(dim, side):
    """Fixed position embedding [side*side, dim]: first half encodes the column, second half the row."""
    omega = 10000.0 ** (-torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
    a = torch.arange(side, dtype=torch.float64)[:, None] * omega
    one = torch.cat([a.sin(), a.cos()], 1)
    col = one[None, :, :].expand(side, side, -1)
    row = one[:, None, :].expand(side, side, -1)
    return torch.cat([col, row], -1).reshape(side * side, dim).float()


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.ada = nn.Linear(dim, 6 * dim)
        self.q, self.k, self.v, self.out = (nn.Linear(dim, dim) for _ in range(4))
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x, c):
        n, t, d = x.shape
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.ada(c)[:, None].chunk(6, -1)
        h = F.layer_norm(x, (d,), eps=1e-6) * (1 + scale_a) + shift_a
        q, k, v = (f(h).view(n, t, self.heads, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d)
        x = x + gate_a * self.out(h)
        h = F.layer_norm(x, (d,), eps=1e-5) * (1 + scale_m) + shift_m
        return x + gate_m * self.fc2(F.gelu(self.fc1(h), approximate="tanh"))


class DiT(nn.Module):
    def __init__(self, dim=256, depth=8, heads=4, classes=10, side=16, patch=2, channels=4):
        super().__init__()
        self.config = dict(dim=dim, depth=depth, heads=heads, classes=classes, side=side, patch=patch, channels=channels)
        self.patch, self.channels, self.grid, self.classes = patch, channels, side // patch, classes
        self.proj = nn.Conv2d(channels, dim, patch, patch)
        self.register_buffer("pos", sincos_2d(dim, self.grid), persistent=False)
        # Timesteps(downscale_freq_shift=1): 127, not 128, divides the exponent.
        self.register_buffer("freqs", torch.exp(-math.log(10000) * torch.arange(128).float() / 127), persistent=False)
        self.t1, self.t2 = nn.Linear(256, dim), nn.Linear(dim, dim)
        self.label = nn.Embedding(classes + 1, dim)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.final_ada, self.final = nn.Linear(dim, 2 * dim), nn.Linear(dim, patch * patch * 2 * channels)
        self.reset()

    def reset(self):
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.xavier_uniform_(m.weight)
                nn.init.zeros_(m.bias)
        nn.init.xavier_uniform_(self.proj.weight.view(self.proj.out_channels, -1))
        nn.init.zeros_(self.proj.bias)
        for w in (self.label.weight, self.t1.weight, self.t2.weight):
            nn.init.normal_(w, std=0.02)
        # adaLN-Zero: every block starts as the identity, the output starts as zero.
        for m in [b.ada for b in self.blocks] + [self.final_ada, self.final]:
            nn.init.zeros_(m.weight)

    def forward(self, x, t, y):
        n, p, g = x.shape[0], self.patch, self.grid
        h = self.proj(x).flatten(2).transpose(1, 2).float() + self.pos
        a = t[:, None].float() * self.freqs
        c = self.t2(F.silu(self.t1(torch.cat([a.cos(), a.sin()], -1)))) + self.label(y)
        c = F.silu(c)
        for b in self.blocks:
            h = b(h, c)
        shift, scale = self.final_ada(c)[:, None].chunk(2, -1)
        h = self.final(F.layer_norm(h, (h.shape[-1],), eps=1e-6) * (1 + scale) + shift)
        h = h.view(n, g, g, p, p, 2 * self.channels)
        return torch.einsum("nhwpqc->nchpwq", h).reshape(n, 2 * self.channels, g * p, g * p).float()


# ---------------------------------------------------------------- diffusion
class Diffusion:
    def __init__(self, device):
        beta = torch.linspace(BETA_START, BETA_END, STEPS, dtype=torch.float64)
        abar = torch.cumprod(1 - beta, 0)
        prev = torch.cat([torch.ones(1, dtype=torch.float64), abar[:-1]])
        post = beta * (1 - prev) / (1 - abar)
        post[0] = post[1]
        f = lambda v: v.float().to(device)
        self.abar, self.a, self.s = f(abar), f(abar.sqrt()), f((1 - abar).sqrt())
        self.log_beta, self.log_post = f(beta.log()), f(post.log())
        # Weight of eps in the posterior mean; the rest of the mean does not depend on the network.
        self.mean_eps = f(beta / ((1 - abar).sqrt() * (1 - beta).sqrt()))
        snr = abar / (1 - abar)
        # Steps are drawn in proportion to min(snr, 5)/snr: nearly clean latents teach little.
        self.weights = f(torch.clamp(5 / snr, 0.1, 1.0))

    def loss(self, model, x0, y, vlb):
        n = x0.shape[0]
        t = torch.multinomial(self.weights, n, replacement=True)
        eps = torch.randn_like(x0)
        v = lambda w: w[t].view(n, 1, 1, 1)
        out = model(v(self.a) * x0 + v(self.s) * eps, t, y)
        pred, frac = out.chunk(2, 1)
        simple = F.mse_loss(pred, eps)
        # KL between the true posterior and the model's, in bits; the mean is frozen, so this trains only the variance.
        frac = (frac + 1) / 2
        log_var = frac * v(self.log_beta) + (1 - frac) * v(self.log_post)
        diff = (v(self.mean_eps) * (pred.detach() - eps)) ** 2
        kl = 0.5 * (log_var - v(self.log_post) + torch.exp(v(self.log_post) - log_var) + diff * torch.exp(-log_var) - 1)
        return simple, kl.mean() / math.log(2), vlb

    @torch.no_grad()
    def ddim(self, model, y, steps=50, guidance=3.0, generator=None, noise=None):
        """DDIM, eta 0, leading spacing, guidance on all latent channels, as diffusers' DiTPipeline does."""
        n, dev = len(y), self.a.device
        shape = (n, model.channels, model.grid * model.patch, model.grid * model.patch)
        x = torch.randn(shape, generator=generator) if noise is None else noise
        x, y = x.to(dev), y.to(dev)
        both = torch.cat([y, torch.full_like(y, model.classes)])
        stride = STEPS // steps
        for t in reversed(range(0, stride * steps, stride)):
            tt = torch.full((2 * n,), t, device=dev)
            if guidance == 1:
                e = model(x, tt[:n], y)[:, : model.channels]
            else:
                c, u = model(torch.cat([x, x]), tt, both)[:, : model.channels].chunk(2)
                e = u + guidance * (c - u)
            a = self.abar[t]
            b = self.abar[t - stride] if t >= stride else torch.ones_like(a)
            x = b.sqrt() * (x - (1 - a).sqrt() * e) / a.sqrt() + (1 - b).sqrt() * e
        return x


# ---------------------------------------------------------------- optimiser
class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal by Newton-Schulz steps, for the square-ish matrices of the blocks (K. Jordan, 2024)."""

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @staticmethod
    def orthogonal(g):
        x = g.bfloat16()
        tall = x.shape[-2] > x.shape[-1]
        x = x.mT if tall else x
        x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
        for _ in range(5):
            a = x @ x.mT
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        return (x.mT if tall else x).float()

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            shapes = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault(p.shape, []).append(p)
            for shape, params in shapes.items():
                updates = []
                for p in params:
                    m = self.state[p].setdefault("momentum", torch.zeros_like(p))
                    m.lerp_(p.grad, 1 - group["momentum"])
                    updates.append(p.grad.lerp(m, group["momentum"]))
                scale = group["lr"] * max(1, shape[0] / shape[1]) ** 0.5
                for p, u in zip(params, self.orthogonal(torch.stack(updates))):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(u, alpha=-scale)


def optimisers(model, args):
    matrices = [m.weight for b in model.blocks for m in (b.q, b.k, b.v, b.out, b.fc1, b.fc2)]
    if args.optimizer == "adamw":
        return [torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.99), weight_decay=0.0)]
    ids = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in ids]
    return [Muon(matrices, lr=args.muon_lr), torch.optim.AdamW(rest, lr=args.lr, betas=(0.9, 0.99), weight_decay=0.0)]


# ---------------------------------------------------------------- export
EMBED = {"timestep_embedder.linear_1": "t1", "timestep_embedder.linear_2": "t2"}
BLOCK = {"norm1.linear": "ada", "attn1.to_q": "q", "attn1.to_k": "k", "attn1.to_v": "v", "attn1.to_out.0": "out",
         "ff.net.0.proj": "fc1", "ff.net.2": "fc2"}
OUTER = {"pos_embed.proj": "proj", "proj_out_1": "final_ada", "proj_out_2": "final"}


def key_map(depth):
    """diffusers' key -> ours, one to one for the network, many to one for the embedders."""
    m = {}
    for k in ("weight", "bias"):
        m.update({f"{d}.{k}": f"{o}.{k}" for d, o in OUTER.items()})
        for i in range(depth):
            m.update({f"transformer_blocks.{i}.{d}.{k}": f"blocks.{i}.{o}.{k}" for d, o in BLOCK.items()})
            m.update({f"transformer_blocks.{i}.norm1.emb.{d}.{k}": f"{o}.{k}" for d, o in EMBED.items()})
    for i in range(depth):
        m[f"transformer_blocks.{i}.norm1.emb.class_embedder.embedding_table.weight"] = "label.weight"
    return m


def export(weights, config, vae_dir, out):
    """Write the whole pipeline folder in half precision."""
    from diffusers import AutoencoderKL, DDIMScheduler, DiTTransformer2DModel
    import diffusers

    net = DiTTransformer2DModel(
        num_attention_heads=config["heads"], attention_head_dim=config["dim"] // config["heads"],
        in_channels=config["channels"], out_channels=2 * config["channels"], num_layers=config["depth"],
        sample_size=config["side"], patch_size=config["patch"], num_embeds_ada_norm=config["classes"],
        activation_fn="gelu-approximate", attention_bias=True, norm_type="ada_norm_zero",
        norm_elementwise_affine=False, norm_eps=1e-5)
    missing, unexpected = net.load_state_dict(
        {d: weights[o].clone() for d, o in key_map(config["depth"]).items()}, strict=False)
    assert not unexpected and all(k.startswith("pos_embed.pos") for k in missing), (missing, unexpected)
    net.half().save_pretrained(os.path.join(out, "transformer"))
    AutoencoderKL.from_pretrained(vae_dir).half().save_pretrained(os.path.join(out, "vae"))
    DDIMScheduler(num_train_timesteps=STEPS, beta_start=BETA_START, beta_end=BETA_END, beta_schedule="linear",
                  prediction_type="epsilon", clip_sample=False, set_alpha_to_one=True, steps_offset=0,
                  timestep_spacing="leading").save_pretrained(os.path.join(out, "scheduler"))
    index = {"_class_name": "DiTPipeline", "_diffusers_version": diffusers.__version__,
             "id2label": {str(i): c for i, c in enumerate(tc.CLASSES)},
             "scheduler": ["diffusers", "DDIMScheduler"], "transformer": ["diffusers", "DiTTransformer2DModel"],
             "vae": ["diffusers", "AutoencoderKL"]}
    with open(os.path.join(out, "model_index.json"), "w") as f:
        f.write(json.dumps(index, indent=2) + "\n")
    tidy(out)


def tidy(folder):
    """Remove paths of the training machine from the configs, and let everybody read the files."""
    for part in ("transformer", "vae", "scheduler"):
        for name in os.listdir(os.path.join(folder, part)):
            path = os.path.join(folder, part, name)
            os.chmod(path, 0o644)
            if name.endswith(".json"):
                with open(path) as f:
                    config = json.load(f)
                config.pop("_name_or_path", None)
                with open(path, "w") as f:
                    f.write(json.dumps(config, indent=2, sort_keys=True) + "\n")


def import_weights(model, folder):
    """Start from the weights of an exported folder (warm start)."""
    from safetensors.torch import load_file

    have = load_file(os.path.join(folder, "transformer", "diffusion_pytorch_model.safetensors"))
    model.load_state_dict({o: have[d].float() for d, o in key_map(len(model.blocks)).items()})


# ---------------------------------------------------------------- several processes
class Group:
    """Averages gradients over single-threaded processes.

    On a busy CPU this is faster than threads, which wait for each other in every operation and not once a step."""

    def __init__(self, rank, size, store):
        self.rank, self.size = rank, size
        if size > 1:
            torch.distributed.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=size)

    def average(self, model, clock):
        """Average all gradients. Returns the clock of the first process, which all processes use."""
        if self.size == 1:
            return clock
        grads = [p.grad for p in model.parameters()]
        flat = torch.cat([g.flatten() for g in grads] + [torch.tensor([clock if self.rank == 0 else 0.0])])
        torch.distributed.all_reduce(flat)
        clock = float(flat[-1])
        for g, part in zip(grads, (flat[:-1] / self.size).split([g.numel() for g in grads])):
            g.copy_(part.view_as(g))
        return clock


# ---------------------------------------------------------------- data
@torch.no_grad()
def encode_all(vae, x, batch=64):
    """Mean and standard deviation of the latents of every picture, scaled as the DiT sees them."""
    mean, std = [], []
    for b in x.split(batch):
        d = vae.encode(b).latent_dist
        mean.append(d.mean), std.append(d.std)
    s = vae.config.scaling_factor
    return torch.cat(mean) * s, torch.cat(std) * s


def make_latents(vae, data, copies, device, cache):
    """[kinds, N, 4, 16, 16]: the picture, its mirror image, and `copies` slightly moved and tinted ones."""
    if os.path.exists(cache):
        return torch.load(cache, map_location=device)
    index, label = tc.select_classes(data)
    big = tc.to_tensor(data["images"][index], 128, device)
    x = F.interpolate(big, (64, 64), mode="area")
    fixed = torch.tensor([list(tc.CLASSES)[i] in tc.NO_MIRROR for i in label], device=device)
    kinds = [x, torch.where(fixed[:, None, None, None], x, x.flip(-1))]
    for _ in range(copies):
        y = tc.random_affine(big, 64, scale=0.06, rotate=4, shift=0.03, mirror=~fixed)
        kinds.append(tc.random_colour(y, 0.06))
    pairs = [encode_all(vae, k) for k in kinds]
    out = dict(mean=torch.stack([p[0] for p in pairs]), std=torch.stack([p[1] for p in pairs]),
               label=torch.from_numpy(label).to(device))
    tc.save_atomic(out, cache)
    return out


# ---------------------------------------------------------------- main
def arguments():
    p = tc.parser(__doc__.splitlines()[0])
    tc.add_common_arguments(p)
    p.add_argument("--vae", required=True, help="exported vae/ folder")
    p.add_argument("--out", required=True, help="folder for checkpoint.pt, sample sheets and the exported model/")
    p.add_argument("--minutes", type=float, default=75, help="time budget, resumed time included")
    p.add_argument("--dim", type=int, default=256)
    p.add_argument("--depth", type=int, default=8)
    p.add_argument("--heads", type=int, default=4)
    p.add_argument("--batch", type=int, default=128, help="pictures a step, all processes together")
    p.add_argument("--processes", type=int, default=1, help="processes that share the batch (processor only)")
    p.add_argument("--optimizer", choices=("muon", "adamw"), default="muon")
    p.add_argument("--lr", type=float, default=8e-4, help="AdamW's learning rate")
    p.add_argument("--muon-lr", type=float, default=0.02)
    p.add_argument("--hold", type=float, default=0.3, help="share of the budget before the cosine begins")
    p.add_argument("--ema", type=float, default=0.998)
    p.add_argument("--drop", type=float, default=0.1, help="share of dropped labels (for guidance)")
    p.add_argument("--vlb", type=float, default=0.1, help="weight of the variance loss")
    p.add_argument("--copies", type=int, default=6, help="moved and tinted copies per picture")
    p.add_argument("--copy-share", type=float, default=0.4, help="share of draws taken from those copies")
    p.add_argument("--favour", nargs="*", default=[], metavar="CLASS=FACTOR", help="draw a class more or less often")
    p.add_argument("--bf16", action="store_true", help="bfloat16 autocast")
    p.add_argument("--compile", action="store_true", help="torch.compile the blocks")
    p.add_argument("--warm-start", metavar="DIR", help="start from the weights of an exported model folder")
    p.add_argument("--save-every", type=float, default=180, help="seconds between checkpoints")
    p.add_argument("--sheet-every", type=float, default=600, help="seconds between sample sheets and exports")
    p.add_argument("--max-steps", type=int, default=0, help="stop early (for speed measurements)")
    return p.parse_args()


def main():
    args = arguments()
    os.makedirs(args.out, exist_ok=True)
    store = os.path.abspath(os.path.join(args.out, "rendezvous"))
    if args.processes > 1:
        if os.path.exists(store):
            os.remove(store)
        torch.multiprocessing.spawn(work, (args, store), args.processes)
    else:
        work(0, args, store)


def work(rank, args, store):
    dev = tc.setup(args)
    group = Group(rank, args.processes, store)
    first, batch = rank == 0, args.batch // args.processes
    log = tc.log if first else lambda text: None
    ckpt = os.path.join(args.out, "checkpoint.pt")

    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(args.vae).to(dev).eval()
    cache = os.path.join(args.out, "latents.pt")
    if first:
        make_latents(vae, tc.load_data(args.data), args.copies, dev, cache)
    if group.size > 1:
        torch.distributed.barrier()
    lat = torch.load(cache, map_location=dev)
    kinds, count = lat["mean"].shape[:2]
    # Sampling weights between uniform over pictures and uniform over classes.
    per_class = torch.bincount(lat["label"]).float()
    weight = per_class[lat["label"]] ** -0.5
    for name, factor in (f.rsplit("=", 1) for f in args.favour):
        weight[lat["label"] == list(tc.CLASSES).index(name)] *= float(factor)
    model = DiT(args.dim, args.depth, args.heads, classes=len(tc.CLASSES)).to(dev)
    if args.warm_start:
        import_weights(model, args.warm_start)
    opts = optimisers(model, args)
    base = [g["lr"] for o in opts for g in o.param_groups]
    ema, step, spent = tc.Ema(model, args.ema), 0, 0.0
    if os.path.exists(ckpt):
        c = torch.load(ckpt, map_location=dev)
        model.load_state_dict(c["model"])
        for o, s in zip(opts, c["opt"]):
            o.load_state_dict(s)
        ema.weights, ema.step, step, spent = c["ema"], c["step"], c["step"], c["spent"]
        log(f"resumed at step {step}, {spent / 60:.1f} min")
    sched = tc.Schedule(args.minutes, 100, 0.01, spent, args.hold)
    sched.elapsed_override = spent if group.size > 1 else None
    diff = Diffusion(dev)
    if args.compile:  # compile one block; its code serves all blocks
        for b in model.blocks:
            b.compile()
    torch.manual_seed(args.seed + 1000 * step + rank)  # the same initial weights in each process, but different draws
    log(f"{count} pictures, {kinds} kinds, {sum(q.numel() for q in model.parameters())} parameters")

    def clock_now():
        return spent + time.time() - sched.start

    def save():
        tc.save_atomic(dict(model=model.state_dict(), opt=[o.state_dict() for o in opts], ema=ema.weights,
                            step=step, spent=sched.elapsed, config=model.config), ckpt)

    def draw(guidance=3.0, per_class=2):
        test = DiT(**model.config).to(dev).eval()
        test.load_state_dict(ema.weights)
        y = torch.arange(test.classes).repeat(per_class)
        with torch.autocast(dev.type, torch.bfloat16, enabled=args.bf16):
            z = diff.ddim(test, y, 25, guidance, torch.Generator().manual_seed(0))
        with torch.no_grad():
            x = vae.decode(z / vae.config.scaling_factor).sample
        tc.sheet(tc.to_uint8(x), test.classes, os.path.join(args.out, f"sheet_{step:06d}.png"))
        export(ema.weights, model.config, args.vae, os.path.join(args.out, "model"))
        log(f"step {step}: sheet and export written")

    last_save = last_log = last_sheet = t0 = time.time()
    s0, running = step, [0.0, 0.0]
    while not sched.done and not (args.max_steps and step >= args.max_steps):
        i = torch.multinomial(weight, batch, replacement=True)
        k = torch.where(torch.rand(batch, device=dev) < args.copy_share,
                        torch.randint(2, kinds, (batch,), device=dev) if kinds > 2 else 0,
                        torch.randint(0, 2, (batch,), device=dev))
        x0 = lat["mean"][k, i] + lat["std"][k, i] * torch.randn_like(lat["mean"][0, : batch])
        y = torch.where(torch.rand(batch, device=dev) < args.drop, model.classes, lat["label"][i])
        f = sched.factor(step)
        for g, lr in zip([g for o in opts for g in o.param_groups], base):
            g["lr"] = lr * f
        with torch.autocast(dev.type, torch.bfloat16, enabled=args.bf16):
            simple, kl, w = diff.loss(model, x0, y, args.vlb)
        for o in opts:
            o.zero_grad(set_to_none=True)
        (simple + w * kl).backward()
        clock = group.average(model, clock_now())
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if torch.isfinite(norm):
            for o in opts:
                o.step()
        sched.elapsed_override = clock if group.size > 1 else None
        if first:
            ema.update(model)
        step += 1
        m = 0.99 if step - s0 > 100 else 1 - 1 / (step - s0)
        running = [m * r + (1 - m) * float(v.detach()) for r, v in zip(running, (simple, kl))]
        now = time.time()
        if now - last_log > 30:
            log(f"step {step} loss {running[0]:.4f} vlb {running[1]:.4f} lr x{f:.3f} grad {float(norm):.2f} "
                f"{(step - s0) * args.batch / (now - t0):.1f} images/s, {sched.elapsed / 60:.1f} min")
            last_log = now
        if first and now - last_save > args.save_every:
            save()
            last_save = now
        if first and now - last_sheet > args.sheet_every:
            draw()
            last_sheet = time.time()
    log(f"{(step - s0) * args.batch / (time.time() - t0):.1f} images/s, loss {running[0]:.4f}")
    if first and args.max_steps == 0:
        save()
        draw()


if __name__ == "__main__":
    main()
