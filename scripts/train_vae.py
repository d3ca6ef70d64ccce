#!/usr/bin/env python3
"""Train the emoji model's KL-VAE (diffusers' AutoencoderKL, f4: 64 px to 16 x 16 x 4 latents).

It trains on all classes of the data file except held-out pictures, because more kinds of edges and colours
make a better decoder. The state is written every few minutes, and the same command continues a stopped run."""
import json
import os
import time

import torch
import torch.nn.functional as F

import train_common as tc

CONFIG = dict(
    in_channels=3, out_channels=3, latent_channels=4, layers_per_block=1, act_fn="silu", norm_num_groups=8,
    block_out_channels=(32, 64, 128), sample_size=64,
    down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
    force_upcast=True,
)


def build(scaling_factor=1.0):
    from diffusers import AutoencoderKL

    return AutoencoderKL(**CONFIG, scaling_factor=scaling_factor)


def gradients(x):
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def reconstruction_loss(y, x):
    # L1 alone leaves soft edges; the differences of neighbouring pixels sharpen them without an outside network.
    (yx, yy), (xx, xy) = gradients(y), gradients(x)
    return F.l1_loss(y, x) + 0.5 * F.mse_loss(y, x) + F.l1_loss(yx, xx) + F.l1_loss(yy, xy)


def perturb(z, x):
    """Turned and shrunk latents must decode to turned and shrunk pictures. Such latents are smoother and easier to denoise."""
    k = int(torch.randint(4, ()))
    z, x = torch.rot90(z, k, (2, 3)), torch.rot90(x, k, (2, 3))
    if torch.rand(()) < 0.5:
        z = F.interpolate(z, scale_factor=0.5, mode="area")
        x = F.interpolate(x, scale_factor=0.5, mode="area")
    return z, x


@torch.no_grad()
def psnr(vae, x, batch=32):
    """Mean over pictures of the PSNR of decode(mode of encode), on the clamped 0..1 scale."""
    out = []
    for b in x.split(batch):
        y = vae.decode(vae.encode(b).latent_dist.mode()).sample.clamp(-1, 1)
        out.append(-10 * torch.log10((((y - b) / 2) ** 2).mean((1, 2, 3))))
    return torch.cat(out)


@torch.no_grad()
def level_channels(vae, x, batch=64):
    """Give every latent channel mean 0 and the same standard deviation, by way of the two 1x1 convolutions.

    The function of the autoencoder does not change; the DiT, which has one scaling factor for all channels,
    no longer sees one channel drowned by another. Returns the common standard deviation."""
    z = torch.cat([vae.encode(b).latent_dist.sample() for b in x.split(batch)])
    mean, std, common = z.mean((0, 2, 3)), z.std((0, 2, 3)), float(z.std())
    ratio, c = common / std, vae.config.latent_channels
    q, pq = vae.quant_conv, vae.post_quant_conv
    q.weight[:c] *= ratio[:, None, None, None]
    q.bias[:c] = (q.bias[:c] - mean) * ratio
    q.bias[c:] += 2 * ratio.log()
    pq.bias += pq.weight[:, :, 0, 0] @ mean
    pq.weight /= ratio[None, :, None, None]
    return common


def main():
    p = tc.parser(__doc__.splitlines()[0])
    tc.add_common_arguments(p)
    p.add_argument("--out", required=True, help="folder for checkpoint.pt and the exported vae/")
    p.add_argument("--minutes", type=float, default=30, help="time budget, resumed time included")
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--kl", type=float, default=2e-4, help="weight of the KL term (mean over latent elements)")
    p.add_argument("--perturb", type=float, default=0.25, help="share of steps with turned or shrunk latents")
    p.add_argument("--ema", type=float, default=0.999)
    p.add_argument("--bf16", action="store_true", help="bfloat16 autocast")
    p.add_argument("--warm-start", metavar="DIR", help="start from an exported vae/ folder")
    p.add_argument("--save-every", type=float, default=180, help="seconds between checkpoints")
    p.add_argument("--max-steps", type=int, default=0, help="stop early (for speed measurements)")
    args = p.parse_args()
    dev = tc.setup(args)
    os.makedirs(args.out, exist_ok=True)
    ckpt = os.path.join(args.out, "checkpoint.pt")

    data = tc.load_data(args.data)
    held = tc.held_out_mask(data)
    train = tc.to_tensor(data["images"][~held], 128, dev)
    test = tc.to_tensor(data["images"][held], 64, dev)
    vae = build().to(dev)
    if args.warm_start:
        from diffusers import AutoencoderKL

        vae.load_state_dict(AutoencoderKL.from_pretrained(args.warm_start).state_dict())
    vae = vae.to(memory_format=torch.channels_last)
    opt = torch.optim.AdamW(vae.parameters(), lr=args.lr, betas=(0.9, 0.99), weight_decay=1e-3)
    ema, step, spent = tc.Ema(vae, args.ema), 0, 0.0
    if os.path.exists(ckpt):
        c = torch.load(ckpt, map_location=dev)
        vae.load_state_dict(c["model"]), opt.load_state_dict(c["opt"])
        ema.weights, ema.step, step, spent = c["ema"], c["step"], c["step"], c["spent"]
        tc.log(f"resumed at step {step}, {spent / 60:.1f} min")
    sched = tc.Schedule(args.minutes, 100, 0.02, spent)
    tc.log(f"{len(train)} training, {len(test)} held-out pictures, {sum(q.numel() for q in vae.parameters())} parameters")

    def save():
        tc.save_atomic(dict(model=vae.state_dict(), opt=opt.state_dict(), ema=ema.weights, step=step,
                            spent=sched.elapsed), ckpt)

    def export(final):
        tc.log(f"step {step}: exporting")
        out = build().to(dev)
        out.load_state_dict(ema.weights)
        out.eval()
        std = level_channels(out, F.interpolate(train[:: 1 if final else 8], (64, 64), mode="area"))
        q = psnr(out, test)
        tc.log(f"held-out PSNR {q.mean():.2f} dB, latent std {std:.4f}")
        out.register_to_config(scaling_factor=round(1 / std, 5))
        out.save_pretrained(os.path.join(args.out, "vae"))
        n = min(16, len(test))
        with torch.no_grad():
            y = out.decode(out.encode(test[:n]).latent_dist.mode()).sample
        tc.sheet(tc.to_uint8(torch.cat([test[:n], y])), n, os.path.join(args.out, "held_out.png"))
        with open(os.path.join(args.out, "vae.json"), "w") as f:
            json.dump(dict(step=step, images_seen=step * args.batch, held_out_psnr=float(q.mean()), latent_std=std,
                           minutes=sched.elapsed / 60), f)

    last_save = last_log = t0 = time.time()
    s0, saves, running = step, 0, 0.0
    while not sched.done and not (args.max_steps and step >= args.max_steps):
        i = torch.randint(len(train), (args.batch,), device=dev)
        x = tc.random_affine(train[i], 64)
        x = torch.where(torch.rand(args.batch, 1, 1, 1, device=dev) < 0.5, tc.random_colour(x, 1.0), x)
        x = x.contiguous(memory_format=torch.channels_last)
        for g in opt.param_groups:
            g["lr"] = args.lr * sched.factor(step)
        with torch.autocast(dev.type, torch.bfloat16, enabled=args.bf16):
            dist = vae.encode(x).latent_dist
            z = dist.sample()
            target = x
            if torch.rand(()) < args.perturb:
                z, target = perturb(z, x)
            y = vae.decode(z).sample
        rec = reconstruction_loss(y.float(), target)
        mean, logvar = dist.mean.float(), dist.logvar.float()
        kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
        loss = rec + args.kl * kl
        opt.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        if torch.isfinite(norm):
            opt.step()
        ema.update(vae)
        step += 1
        running = float(rec.detach()) if running == 0 else 0.98 * running + 0.02 * float(rec.detach())
        if time.time() - last_log > 30:
            tc.log(f"step {step} rec {running:.4f} kl {float(kl.detach()):.2f} lr {opt.param_groups[0]['lr']:.2e} "
                   f"{(step - s0) * args.batch / (time.time() - t0):.1f} images/s, {sched.elapsed / 60:.1f} min")
            last_log = time.time()
        if time.time() - last_save > args.save_every:
            save()
            saves += 1
            if saves % 3 == 0:
                export(False)
            last_save = time.time()
    tc.log(f"{(step - s0) * args.batch / (time.time() - t0):.1f} images/s")
    save()
    export(True)


if __name__ == "__main__":
    main()
