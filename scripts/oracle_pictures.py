#!/usr/bin/env python3
"""Expected results of encoding, image variation, inpainting and interpolation.

usage: oracle_pictures.py tests/data    writes pictures/ and pictures.txt there, from models/ there

diffusers' AutoencoderKL computes the encoders of small random VAEs with several topologies. Runs with an
initial image follow diffusers' img2img pipelines (the number of steps, add_noise, the mean of the
posterior). Masks follow diffusers' inpainting for models without mask inputs: after each step the kept part
is noised to the level of the next step, and it is clean at the end. Network, guidance and samplers are those
of oracle_dit.py. Interpolation is linear in rows of the label table, and on the great circle in noise. Torch
2.15, diffusers 0.42.1.
"""
import os
import shutil
import struct
import sys
import zlib

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler
from diffusers.utils import load_image
from PIL import Image
from safetensors.torch import load_file, save_file

import oracle_dit
import oracle_models
from oracle_dit import Net, guide

VAES = [
    {"name": "one-level", "channels": [24], "layers": 1, "groups": 8, "size": (6, 10)},
    {"name": "three-levels", "channels": [8, 16, 32], "layers": 2, "groups": 8, "size": (20, 12),
     "old_names": True, "config": {"shift_factor": 0.3, "scaling_factor": 1.7}},
    {"name": "no-quant", "channels": [16, 8], "layers": 1, "groups": 4, "size": (14, 18),
     "config": {"mid_block_add_attention": False, "use_quant_conv": False,
                "use_post_quant_conv": False}},
    {"name": "bare", "channels": [32, 32], "layers": 1, "groups": 32, "size": (8, 8), "bare": True},
]


def picture(seed, height, width):
    """Smooth colours with some detail, and noise."""
    g = np.random.default_rng(seed + 100 * height + width)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [np.sin(5 * x + 3 * y * (c + 1) + c) * 90 + 128 for c in range(3)]
    return np.clip(np.stack(waves, -1) + g.normal(0, 20, (height, width, 3)), 0, 255).astype("u1")


def normalised(rgb):
    return 2 * (torch.from_numpy(rgb.astype("f4")) / 255).permute(2, 0, 1)[None] - 1


class Writer:
    def __init__(self, root):
        self.root, self.lines = root, []
        shutil.rmtree(f"{root}/pictures", ignore_errors=True)
        os.makedirs(f"{root}/pictures")

    def image(self, name, rgb):
        Image.fromarray(rgb).save(f"{self.root}/pictures/{name}.png")
        return f"@pictures/{name}.png"

    def case(self, name, command, expected, tolerance, words):
        path = f"pictures/{name}.npy"
        np.save(f"{self.root}/{path}", expected.numpy().astype("<f4"))
        self.lines.append(f"{name} {command} {path} {tolerance} {words}")
        print(self.lines[-1])


def latents_of(vae, rgb, noise=None):
    posterior = vae.encode(normalised(rgb)).latent_dist
    z = posterior.mean if noise is None else posterior.mean + posterior.std * noise
    return (z - (vae.config.shift_factor or 0)) * vae.config.scaling_factor


def leave_encoder(path, bare):
    """Removes the decoder, which encoding with -q does not need. A file without a configuration keeps
    the tensors that tell the sizes."""
    sizes = ("decoder.conv_", "decoder.up", "decoder.mid_block.attentions.0.group") if bare else ()
    w = {k: v for k, v in load_file(path).items() if k.startswith(("encoder.", "quant_conv.", *sizes))
         and not (k.startswith("decoder.up") and "conv1" not in k)}
    save_file(w, path, {"format": "pt"})


def encode_cases(out):
    for spec in VAES:
        spec = {"dtype": "f16", "encoder": True, **spec}
        where = f"{out.root}/pictures/{spec['name']}"
        path, vae = oracle_models.write_vae(where, spec)
        bare = spec.get("bare")
        leave_encoder(path if bare else path + "/diffusion_pytorch_model.safetensors", bare)
        height, width = spec["size"]
        rgb = picture(len(spec["name"]), height, width)
        image = out.image(spec["name"], rgb)
        words = f"{image} OUT --vae @{os.path.relpath(path, out.root)}"
        z = latents_of(vae, rgb)
        out.case(spec["name"] + "-mean", "encode", z, "1e-5", words)
        noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(5))
        out.case(spec["name"] + "-sample", "encode", latents_of(vae, rgb, noise), "1e-5",
                 words + " --sample --seed 5")


# ---- files ----

def chunk(kind, data):
    return (struct.pack(">I", len(data)) + kind + data +
            struct.pack(">I", zlib.crc32(kind + data)))


def png(width, height, rows, before=b"", after=b"", interlaced=0):
    """An 8-bit RGB file from rows with their filters, with chunks before and after the pixels."""
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + before +
            chunk(b"IDAT", zlib.compress(rows, 9)) + after + chunk(b"IEND", b""))


def tiff(orientation, end):
    """EXIF data with a maker's name and an orientation. end: the byte order, "<" or ">"."""
    entries = struct.pack(end + "HHI4s", 0x10F, 2, 2, b"a\0\0\0")
    entries += struct.pack(end + "HHIHH", 0x112, 3, 1, orientation, 0)
    head = b"II*\0" if end == "<" else b"MM\0*"
    return head + struct.pack(end + "IH", 8, 2) + entries + bytes(4)


def orientation_cases(folder, rgb):
    """Writes pictures with an orientation, and the pixels that diffusers' load_image reads."""
    rows = b"".join(b"\0" + row.tobytes() for row in rgb)
    profile = lambda o: b"\nexif\n %8d\n%s\n" % (len(tiff(o, ">")), tiff(o, ">").hex().encode())
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<rdf:Description tiff:Orientation="%d"/>'
    files = {f"orientation-{o}": (chunk(b"eXIf", tiff(o, "<>"[o % 2])), b"") for o in range(10)}
    files["orientation-after-pixels"] = (b"", chunk(b"eXIf", tiff(6, "<")))
    files["orientation-zTXt"] = (
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile(8))), b"")
    files["orientation-tEXt"] = (chunk(b"tEXt", b"Raw profile type exif\0" + profile(5)), b"")
    files["orientation-xmp"] = (chunk(b"iTXt", xmp % 7), b"")
    files["orientation-xmp-and-exif"] = (chunk(b"iTXt", xmp % 7) + chunk(b"eXIf", tiff(3, "<")), b"")
    for name, (before, after) in files.items():
        path = f"{folder}/{name}.png"
        with open(path, "wb") as f:
            f.write(png(7, 5, rows, before, after))
        load_image(path).save(f"{folder}/{name}-rgb.png")


def file_cases(root):
    """Writes png/: KIND.png and its pixels as RGB, KIND-rgb.png; and pictures that Pillow scaled."""
    folder = f"{root}/pictures/png"
    os.makedirs(folder)
    rgb = picture(5, 5, 7)
    g = np.random.default_rng(1)
    alpha = g.integers(0, 256, (5, 7, 1)).astype("u1")
    grey = rgb[..., 0]
    deep = (grey.astype("u2") << 8) + g.integers(0, 256, grey.shape).astype("u2")
    palette = Image.fromarray(rgb).quantize(9)
    over = (rgb.astype(int) * alpha + 255 * (255 - alpha.astype(int)) + 127) // 255
    thin = (grey > 128) * np.uint8(255)
    for name, image, want in [
            ("grey", Image.fromarray(grey), np.stack([grey] * 3, -1)),
            ("grey-1-bit", Image.fromarray(thin).convert("1"), np.stack([thin] * 3, -1)),
            ("grey-16-bit", Image.fromarray(deep), np.stack([grey] * 3, -1)),
            ("palette", palette, np.array(palette.convert("RGB"))),
            ("alpha", Image.fromarray(np.concatenate([rgb, alpha], -1)), over.astype("u1"))]:
        image.save(f"{folder}/{name}.png")
        Image.fromarray(want).save(f"{folder}/{name}-rgb.png")
    with open(f"{folder}/bomb.png", "wb") as f:  # one pixel with 16 MB of data
        f.write(png(1, 1, bytes(1 << 24)))
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
              (0, 1, 1, 2)]
    rows = [b"\0" + row.tobytes() for x, y, dx, dy in passes if x < 7
            for row in rgb[y::dy, x::dx]]
    with open(f"{folder}/interlaced.png", "wb") as f:
        f.write(png(7, 5, b"".join(rows), interlaced=1))
    Image.fromarray(rgb).save(f"{folder}/interlaced-rgb.png")
    orientation_cases(folder, rgb)
    big = Image.fromarray(picture(6, 41, 57))
    big.save(f"{folder}/scaled.png")
    for width, height in [(16, 16), (57, 20), (100, 90)]:
        share = min(57 / width, 41 / height)
        left, top = (57 - share * width) / 2, (41 - share * height) / 2
        box = (left, top, left + share * width, top + share * height)
        big.resize((width, height), Image.BILINEAR, box).save(
            f"{folder}/scaled-{width}x{height}.png")


# ---- runs that begin with a picture ----

class Model:
    """tests/data/models/separate48. Its VAE has an encoder. Each block has its own label table, so
    interpolation must mix the rows of every table."""

    name, heads, size, classes = "separate48", 2, 8, 5

    def __init__(self, root):
        folder = f"{root}/models/{self.name}"
        weights = load_file(folder + "/transformer/diffusion_pytorch_model.safetensors")
        self.net = Net({k: v.float() for k, v in weights.items()}, self.heads, self.size)
        self.vae = AutoencoderKL.from_pretrained(folder + "/vae", torch_dtype=torch.float32).eval()
        self.scale = 2 ** (len(self.vae.config.block_out_channels) - 1)

    def noise(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        return torch.randn((n, 4, self.size, self.size), generator=g), g

    def tables(self, mixes):
        """Appends the rows that mix (a, b, t) to the label table of every block."""
        for block in self.net.blocks:
            t = block["labels"][:self.classes + 1]
            rows = [(1 - s) * t[a] + s * t[b] for a, b, s in mixes]
            block["labels"] = torch.cat([t] + [r[None] for r in rows]) if rows else t

    def predict(self, x, t, y, cfg, original):
        n, channels = len(x), 3 if original else 4
        if cfg != 1:
            x, y = torch.cat([x, x]), torch.cat([y, torch.full_like(y, self.classes)])
        args = (128, 1e-6) if original else (127, 1e-5)
        o = oracle_dit.forward(self.net, x, torch.full((len(x),), int(t)), y, *args)
        if cfg != 1:
            o = guide(o, cfg, channels)
        return o[:n]


def keep(x, image, noise, mask, signal, spread):
    return x if mask is None else mask * x + (1 - mask) * (signal * image + spread * noise)


def run_diffusers(model, x, y, case, g, image=None, noise=None, mask=None):
    """DDIM with eta, as diffusers' scheduler computes it. x: the noise, also if there is an image."""
    scheduler = DDIMScheduler(clip_sample=False)
    scheduler.set_timesteps(case["steps"])
    timesteps = scheduler.timesteps
    if image is not None:
        left = min(int(case["steps"] * case["strength"]), case["steps"])
        timesteps = timesteps[case["steps"] - left:]
        x = scheduler.add_noise(image.expand(len(noise), -1, -1, -1), noise, timesteps[:1])
    for i, t in enumerate(timesteps):
        o = model.predict(x, t, y, case["cfg"], False)[:, :4]
        fresh = None
        if case["eta"] > 0:  # diffusers draws noise for both halves of the guided batch
            both = torch.randn((2 * len(x), *x.shape[1:]), generator=g)
            fresh = both[:len(x)]
        x = scheduler.step(o, t, x, eta=case["eta"], variance_noise=fresh).prev_sample
        a = scheduler.alphas_cumprod[timesteps[i + 1]] if i + 1 < len(timesteps) else 1.0
        x = keep(x, image, noise, mask, a ** 0.5, (1 - a) ** 0.5)
    return x


def run_original(model, x, y, case, g, image=None, noise=None, mask=None):
    """DDPM of the original program, with learned variance."""
    config = {"num_train_timesteps": 1000, "beta_start": 0.0001, "beta_end": 0.02,
              "beta_schedule": "linear"}
    table = oracle_dit.original_tables(config, str(case["steps"]))
    f = lambda name, i: float(np.float32(table[name][i]))
    steps = len(table["kept"])
    if image is not None:
        left = min(int(steps * case["strength"]), steps)
        a = table["bar"][left - 1]
        x, steps = float(a ** 0.5) * image + float((1 - a) ** 0.5) * noise, left
    for i in reversed(range(steps)):
        out = model.predict(x, table["kept"][i], y, case["cfg"], True)
        o, v = out[:, :4], out[:, 4:]
        fresh = torch.randn((2 * len(x), *x.shape[1:]), generator=g)[:len(x)]
        x0 = f("recip", i) * x - f("recipm1", i) * o
        fraction = (v + 1) / 2
        log_variance = fraction * f("max_log", i) + (1 - fraction) * f("min_log", i)
        x = f("to_x0", i) * x0 + f("to_x", i) * x
        if i:
            x = x + torch.exp(0.5 * log_variance) * fresh
        a = table["bar"][i - 1] if i else 1.0
        x = keep(x, image, noise, mask, float(a ** 0.5), float((1 - a) ** 0.5))
    return x


def mask_picture(side):
    """A white area whose edge is within the pixels of a latent, and a grey that counts as black."""
    m = np.zeros((side, side, 3), "u1")
    m[side // 4:side // 2 + 1, side // 3:] = 255
    m[:2] = 100
    return m


def reduced(rgb, scale):
    white = (rgb.astype(int).sum(-1) >= 3 * 128)
    h, w = white.shape
    return torch.from_numpy(white.reshape(h // scale, scale, w // scale, scale).max((1, 3))
                            .astype("f4"))


def picture_cases(out, model):
    side = model.size * model.scale
    rgb, mask = picture(5, side, side), mask_picture(side)
    words = f"@models/{model.name} --image {out.image('initial', rgb)} --cfg 3"
    masked = f" --mask {out.image('mask', mask)}"
    image, grid = latents_of(model.vae, rgb), reduced(mask, model.scale)
    for name, run, n, y, extra, case, m in [
            ("variation", run_diffusers, 2, [1, 3],
             "--class 1,3 --sampler ddim --steps 10 --strength 0.6",
             {"steps": 10, "strength": 0.6, "eta": 0.0}, None),
            ("variation-eta", run_diffusers, 1, [2],
             "--class 2 --sampler ddim --eta 0.5 --steps 12 --strength 0.29",
             {"steps": 12, "strength": 0.29, "eta": 0.5}, None),
            ("variation-original", run_original, 2, [0, 4],
             "--class 0,4 --compat original --sampler ddpm --steps 10 --strength 0.75",
             {"steps": 10, "strength": 0.75}, None),
            ("inpainting", run_diffusers, 2, [4, 2],
             "--class 4,2 --sampler ddim --steps 10",
             {"steps": 10, "strength": 1.0, "eta": 0.0}, grid),
            ("inpainting-original", run_original, 1, [3],
             "--class 3 --compat original --sampler ddpm --steps 8 --strength 0.8",
             {"steps": 8, "strength": 0.8}, grid)]:
        noise, g = model.noise(n, 7)
        x = run(model, None, torch.tensor(y), {"cfg": 3, **case}, g, image, noise, m)
        out.case(name, "sample", x, "1e-4",
                 f"{words} --seed 7 {extra}{masked if m is not None else ''}")


# ---- interpolation ----

def slerp(a, b, t):
    a, b = a.double(), b.double()
    w = torch.acos((a * b).sum() / (a.norm() * b.norm()))
    return ((torch.sin((1 - t) * w) * a + torch.sin(t * w) * b) / torch.sin(w)).float()


def interpolation_cases(out, model):
    case = {"steps": 10, "eta": 0.0, "cfg": 2}
    words = f"@models/{model.name} --cfg 2 --sampler ddim --steps 10"
    one, other = model.noise(1, 3)[0], model.noise(1, 11)[0]
    model.tables([(1, 4, 1 / 3), (1, 4, 2 / 3)])
    x = run_diffusers(model, one.expand(4, -1, -1, -1), torch.tensor([1, 6, 7, 4]), case, None)
    out.case("classes", "sample", x, "1e-4", words + " --class 1,4 --interpolate 4 --seed 3")
    x = torch.cat([slerp(one, other, i / 2) for i in range(3)])
    x = run_diffusers(model, x, torch.tensor([2, 2, 2]), case, None)
    out.case("seeds", "sample", x, "1e-4",
             words + " --class 2 --interpolate 3 --seed 3 --seed-to 11")
    model.tables([(0, 3, 1 / 2)])
    x = torch.cat([slerp(one, other, i / 2) for i in range(3)])
    x = run_diffusers(model, x, torch.tensor([0, 6, 3]), case, None)
    out.case("classes-and-seeds", "sample", x, "1e-4",
             words + " --class 0,3 --interpolate 3 --seed 3 --seed-to 11 --batch 2")


HEAD = """# Commands and their expected arrays, written by scripts/oracle_pictures.py. Columns: name, command,
# expected array, tolerance of its relative L2 error, arguments. @ stands for this folder, OUT for the
# array that encode writes. sample gets --latents-out.
"""


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    out = Writer(sys.argv[1])
    file_cases(out.root)
    encode_cases(out)
    model = Model(out.root)
    picture_cases(out, model)
    interpolation_cases(out, model)
    with open(f"{out.root}/pictures.txt", "w") as f:
        f.write(HEAD + "\n".join(out.lines) + "\n")


if __name__ == "__main__":
    main()
