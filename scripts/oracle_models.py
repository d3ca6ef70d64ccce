#!/usr/bin/env python3
"""Writes models with random weights, and the expected results of passes, samplers and decoders.

usage: oracle_models.py small tests/data    the committed models
       oracle_models.py big FOLDER          a larger battery, about 360 MB, not committed

diffusers' DiTTransformer2DModel, schedulers and AutoencoderKL compute the folders in diffusers' layout.
oracle_dit.py computes original files, and either layout with the other program's arithmetic. All of it runs
in float32 on the CPU with the weights as stored. The weights of every layer are large enough to matter (no
adaLN is zero), and half of the prediction follows x, as in a trained model.

Each case is one line of FOLDER/cases.txt. tests/data/README.md explains its columns. Torch 2.15,
diffusers 0.42.1.
"""
import json
import os
import sys
import zlib

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMInverseScheduler, DiTTransformer2DModel
from safetensors.torch import save_file

import oracle_dit
from oracle_dit import Net, position_embedding, sample_diffusers, sample_original, sample_sit
from oracle_schedule import CLASSES

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
COLUMNS = ("kind name model vae heads classes n seed steps sampler eta cfg cfg_channels compat "
           "latents_in expected tolerance more").split()
OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def generator(name):
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def normal(g, shape, std, mean=0.0):
    return torch.randn(shape, generator=g) * std + mean


# ---- DiT ----

def dit_config(spec):
    c = {"_class_name": "DiTTransformer2DModel", "_diffusers_version": "0.42.1",
         "num_attention_heads": spec["heads"], "attention_head_dim": spec["width"] // spec["heads"],
         "in_channels": 4, "out_channels": 8 if spec["learned"] else None,
         "num_layers": spec["depth"], "sample_size": spec["size"], "patch_size": spec["patch"],
         "num_embeds_ada_norm": spec["classes"], "norm_type": "ada_norm_zero",
         "activation_fn": "gelu-approximate", "attention_bias": True, "dropout": 0.0,
         "norm_elementwise_affine": False, "norm_eps": 1e-5, "norm_num_groups": 32,
         "upcast_attention": False}
    return {**c, **spec.get("transformer", {})}


def build_class(spec):
    config = {k: v for k, v in dit_config(spec).items() if k[0] != "_"}
    return DiTTransformer2DModel(**config).eval()


def original_shapes(spec):
    d, p, out = spec["width"], spec["patch"], 8 if spec["learned"] else 4
    design = spec.get("design", "adaLN-Zero")
    parts = {"adaLN-Zero": 6, "adaLN": 4}.get(design, 0)
    shapes = {"x_embedder.proj.weight": (d, 4, p, p), "x_embedder.proj.bias": (d,),
              "y_embedder.embedding_table.weight": (spec["classes"] + 1, d)}
    linears = {"t_embedder.mlp.0": (d, 256), "t_embedder.mlp.2": (d, d),
               "final_layer.linear": (p * p * out, d)}
    norms = [] if parts else ["final_layer.norm_final"]
    if parts:
        linears["final_layer.adaLN_modulation.1"] = (2 * d, d)
    for i in range(spec["depth"]):
        b = f"blocks.{i}."
        linears |= {b + "attn.qkv": (3 * d, d), b + "attn.proj": (d, d), b + "mlp.fc1": (4 * d, d),
                    b + "mlp.fc2": (d, 4 * d)}
        if parts:
            linears[b + "adaLN_modulation.1"] = (parts * d, d)
        else:
            norms += [b + "norm1", b + "norm2"]
        if design == "cross-attention":
            norms.append(b + "norm_cross")
            linears |= {b + "cross_attn.q": (d, d), b + "cross_attn.kv": (2 * d, d),
                        b + "cross_attn.proj": (d, d)}
    for name, shape in list(linears.items()) + [(name, (d,)) for name in norms]:
        shapes |= {name + ".weight": shape, name + ".bias": shape[:1]}
    return shapes


def random_dit(spec):
    """Random weights with the names of the layout, rounded to the type of the file."""
    g, d, p = generator(spec["name"]), spec["width"], spec["patch"]
    original = spec["layout"] == "original"
    shapes = original_shapes(spec) if original else {
        k: tuple(v.shape) for k, v in build_class(spec).state_dict().items()}
    w = {}
    for name in sorted(shapes):
        shape = shapes[name]
        if name.endswith(".bias"):
            w[name] = normal(g, shape, 0.2)
        elif "embedding_table" in name:
            w[name] = normal(g, shape, 0.7)
        elif len(shape) == 1:
            w[name] = normal(g, shape, 0.4, 1.0)
        else:
            sharp = (".qkv", ".to_q", ".to_k", "cross_attn.q", "cross_attn.kv")
            gain = 1.4 if any(part in name for part in sharp) else 1.0
            gain = 1.5 if "mlp.0." in name or "linear_1." in name else gain
            w[name] = normal(g, shape, gain / np.prod(shape[1:]) ** 0.5)
    if original:  # differs from the formula, to test that the stored table is used
        table = position_embedding(spec["size"] // p, d)
        w["pos_embed"] = (table + normal(g, table.shape, 0.1))[None]
    elif not spec.get("separate"):
        for name in w:
            if ".norm1.emb." in name:
                part = name.split(".norm1.emb.")[1]
                w[name] = w["transformer_blocks.0.norm1.emb." + part].clone()
    follow_input(w, spec, original)
    return {k: v.to(DTYPES[spec["dtype"]]).contiguous() for k, v in w.items()}


def follow_input(w, spec, original):
    """Adds the transpose of the patch embedding to the last layer, and scales outputs to about 1."""
    d, p = spec["width"], spec["patch"]
    patch = w["x_embedder.proj.weight" if original else "pos_embed.proj.weight"]
    final = "final_layer.linear" if original else "proj_out_2"
    out = w[final + ".weight"].reshape(p, p, -1, d)  # channels vary fastest
    follow = patch.permute(2, 3, 1, 0) * (4 * p * p / d)
    out[:, :, :4] = 0.7 * out[:, :, :4] + follow
    x = torch.randn((2, 4, spec["size"], spec["size"]), generator=generator(spec["name"] + "x"))
    with torch.no_grad():
        o = oracle_dit.forward(Net(w, spec["heads"], spec["size"]), x, torch.tensor([500, 20]),
                               torch.tensor([0, 1]))
    out[:, :, :4] *= 1 / o[:, :4].std()
    out[:, :, 4:] *= 0.4 / o[:, 4:].std() if spec["learned"] else 1


# ---- VAE ----

def vae_config(spec):
    levels = len(spec["channels"])
    c = {"_class_name": "AutoencoderKL", "_diffusers_version": "0.42.1", "act_fn": "silu",
         "block_out_channels": list(spec["channels"]), "layers_per_block": spec["layers"],
         "norm_num_groups": spec["groups"], "latent_channels": 4, "in_channels": 3,
         "out_channels": 3, "down_block_types": ["DownEncoderBlock2D"] * levels,
         "up_block_types": ["UpDecoderBlock2D"] * levels, "sample_size": 32,
         "scaling_factor": 0.18215}
    return {**c, **spec.get("config", {})}


def build_vae(spec):
    return AutoencoderKL(**{k: v for k, v in vae_config(spec).items() if k[0] != "_"}).eval()


def random_vae(spec):
    g, vae = generator(spec["name"]), build_vae(spec)
    w = {}
    for name, value in sorted(vae.state_dict().items()):
        shape = tuple(value.shape)
        if name.endswith(".bias"):
            w[name] = normal(g, shape, 0.15)
        elif len(shape) == 1:
            w[name] = normal(g, shape, 0.2, 1.0)
        else:
            gain = 1.5 if ".to_q." in name or ".to_k." in name else 1.0
            w[name] = normal(g, shape, gain / np.prod(shape[1:]) ** 0.5)
    vae.load_state_dict(w)
    with torch.no_grad():
        z = torch.randn((1, 4, 8, 8), generator=g) / vae.config.scaling_factor
        w["decoder.conv_out.weight"] *= 0.5 / vae.decode(z).sample.std()
    return {k: v.to(DTYPES[spec["dtype"]]).contiguous() for k, v in w.items()}


def write_vae(folder, spec):
    """Returns the path for --vae, and the model in float32 with the stored weights."""
    w = random_vae(spec)
    vae = build_vae(spec)
    vae.load_state_dict({k: v.float() for k, v in w.items()})
    stored = dict(w)
    if not spec.get("encoder"):
        stored = {k: v for k, v in w.items() if not k.startswith(("encoder.", "quant_conv."))}
    if spec.get("old_names"):
        for new, old in OLD_NAMES.items():
            stored = {k.replace(f"attentions.0.{new}.", f"attentions.0.{old}."): v
                      for k, v in stored.items()}
    if spec.get("bare"):
        save_file(stored, folder + ".safetensors")
        return folder + ".safetensors", vae
    os.makedirs(folder, exist_ok=True)
    save_file(stored, folder + "/diffusion_pytorch_model.safetensors", {"format": "pt"})
    write_json(folder + "/config.json", vae_config(spec))
    return folder, vae


# ---- files ----

def write_json(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(json.dumps(value, indent=2, sort_keys=True) + "\n")


def scheduler_config(spec):
    return {"_class_name": "DDIMScheduler", "_diffusers_version": "0.42.1",
            "num_train_timesteps": 1000, "beta_start": 0.0001, "beta_end": 0.02,
            "beta_schedule": "linear", "clip_sample": False, "prediction_type": "epsilon",
            **spec.get("scheduler", {})}


def is_sit(spec):
    return spec.get("scheduler", {}).get("_class_name") == "SiT"


def write_dit(root, spec, weights):
    """Returns the path for MODEL."""
    path = f"{root}/{spec['name']}"
    if spec["layout"] == "original":
        save_file(weights, path + ".safetensors")
        return path + ".safetensors"
    write_json(path + "/transformer/config.json", dit_config(spec))
    save_file(weights, path + "/transformer/diffusion_pytorch_model.safetensors", {"format": "pt"})
    config = spec["scheduler"] if is_sit(spec) else scheduler_config(spec)
    write_json(path + "/scheduler/scheduler_config.json", config)
    index = {"_class_name": "DiTPipeline", "_diffusers_version": "0.42.1",
             "scheduler": ["diffusers", config["_class_name"]],
             "transformer": ["diffusers", "DiTTransformer2DModel"],
             "vae": ["diffusers", "AutoencoderKL"]}
    if spec.get("labels"):
        index["id2label"] = {str(i): name for i, name in enumerate(spec["labels"])}
    write_json(path + "/model_index.json", index)
    return path


# ---- expected values ----

class Model:
    """A model on disk, and the networks that compute its expected results."""

    def __init__(self, root, spec, rows):
        self.root, self.spec, self.rows, self.names = root, spec, rows, set()
        self.folder = root + "/models"
        os.makedirs(self.folder, exist_ok=True)
        weights = random_dit(spec)
        self.path = write_dit(self.folder, spec, weights)
        self.net = Net(weights, spec["heads"], spec["size"])
        self.original = spec["layout"] == "original"
        vae = dict(spec["vae"])
        vae["name"] = spec["name"] + "-vae"
        where = f"{self.folder}/{vae['name']}" if self.original else self.path + "/vae"
        self.vae_path, self.vae = write_vae(where, vae)
        self.whole = None
        if not self.original:
            self.whole = build_class(spec)
            self.whole.load_state_dict({k: v.float() for k, v in weights.items()})
        if "design" not in spec:  # diffusers has only adaLN-Zero
            self.check_transcription(weights)

    def check_transcription(self, weights):
        """Compares oracle_dit.py with diffusers' class, in diffusers' arithmetic."""
        x, t, y = self.example(2), torch.tensor([777, 777]), torch.tensor([1, 0])
        whole = self.whole
        if self.original:
            whole = build_class({**self.spec, "layout": "diffusers"})
            whole.load_state_dict(renamed(weights, self.spec["depth"]))
            whole.pos_embed.pos_embed = self.net.positions[None]
        got = self.network("diffusers", own=True)(x, t, y)
        error = relative(got, whole(x, timestep=t, class_labels=y).sample)
        assert error < 2e-5, (self.spec["name"], error)

    def example(self, n, key="x"):
        size = self.spec["size"]
        return torch.randn((n, 4, size, size), generator=generator(self.spec["name"] + key))

    def network(self, compat, own=False):
        if compat == "diffusers" and self.whole is not None and not own:
            return lambda x, t, y: self.whole(x, timestep=t, class_labels=y).sample
        eps = self.spec.get("transformer", {}).get("norm_eps", 1e-5)
        args = (127, eps) if compat == "diffusers" else (128, 1e-6)
        return lambda x, t, y: oracle_dit.forward(self.net, x, t, y, *args)

    def save_array(self, name, values):
        """Writes values. Returns the path for cases.txt."""
        assert torch.isfinite(values).all(), name
        np.save(f"{self.folder}/{self.spec['name']}-{name}.npy", values.numpy().astype("<f4"))
        return f"models/{self.spec['name']}-{name}.npy"

    def save(self, kind, values, what=(), **row):
        """Adds a case, named by its model, its kind and what is special about it."""
        name = "-".join(what or [kind])
        assert name not in self.names, name
        self.names.add(name)
        row = {"model": self.relative(self.path), "tolerance": "1e-4", **row, "kind": kind,
               "name": f"{self.spec['name']}-{name}", "expected": self.save_array(name, values)}
        if self.original:
            row |= {"vae": self.relative(self.vae_path), "heads": str(self.spec["heads"])}
        self.rows.append(" ".join(str(row.get(c, "-")) for c in COLUMNS))
        print(self.rows[-1], "std %.2f" % values.std(), flush=True)

    def relative(self, path):
        return os.path.relpath(path, self.root)

    def forward(self, t, classes):
        x = self.example(len(classes), "forward")
        own = "original" if self.original else "diffusers"
        o = self.network(own)(x, torch.full((len(x),), t), torch.tensor(classes))
        self.save("forward", o, steps=t, classes=",".join(map(str, classes)), n=1,
                  latents_in=self.save_array("x", x), tolerance="1e-5")

    def decode(self, n, height, width):
        z = torch.randn((n, 4, height, width), generator=generator(self.spec["name"] + "z"))
        config = self.vae.config
        pixels = self.vae.decode(z / config.scaling_factor + (config.shift_factor or 0)).sample
        self.save("decode", pixels, n=n, latents_in=self.save_array("z", z), tolerance="1e-5")

    def sample(self, classes, n=1, seed=0, steps="10", sampler="ddim", eta=0.0, cfg=4.0,
               cfg_channels=None, compat=None, latents_in=False, interval=None, invert=False,
               sit=None, diffusion=None):
        """sit: the configuration of SiT for an original file. A folder has its own."""
        own = "original" if self.original or is_sit(self.spec) else "diffusers"
        arithmetic = compat or own
        wanted = range(self.spec["classes"]) if classes == "all" else classes
        y = torch.tensor([c for c in wanted for _ in range(n)])
        case = {"steps": steps, "sampler": sampler, "eta": eta, "cfg": cfg,
                "cfg_channels": cfg_channels or (3 if arithmetic == "original" else 4),
                "interval": interval, "invert": invert, "diffusion": diffusion}
        g = torch.Generator().manual_seed(seed)
        shape = (len(y), 4, self.spec["size"], self.spec["size"])
        given = self.save_array("in", self.example(len(y), "in")) if latents_in else "-"
        x = self.example(len(y), "in") if latents_in else torch.randn(shape, generator=g)
        config = {"clip_sample": False} if self.original else scheduler_config(self.spec)
        draw = lambda like: torch.randn(like.shape, generator=g)
        network, null = self.network(arithmetic), self.net.null_class
        if sit is not None or is_sit(self.spec):
            x = sample_sit(network, sit or config, case, x, y, null, 4, draw)
        elif arithmetic == "original" and sampler in ("ddpm", "ddim"):
            x = sample_original(network, config, case, x, y, null, 4, draw)
        else:
            kind = DDIMInverseScheduler if invert else CLASSES[sampler]
            if sampler == "dpm":  # with a learned variance it would use only three channels
                config = {k: v for k, v in config.items() if k != "variance_type"}
            x = sample_diffusers(network, kind.from_config(config), case, x, y, null, 4, g)
        more = [f"--guidance-interval={interval[0]},{interval[1]}"] if interval else []
        more += ["--invert"] if invert else []
        more += [f"--diffusion={diffusion}"] if diffusion else []
        if sit is not None:
            more += ["--model-type=sit"]
            more += [f"--path={sit['path_type']}"] if "path_type" in sit else []
            more += [f"--prediction={sit['prediction']}"] if "prediction" in sit else []
        what = ["dpmpp" if sampler == "dpm" else sampler]
        what += ["eta"] if eta else []
        what += ["unguided"] if cfg == 1 else []
        what += [{4: "all-channels", 3: "3-channels"}[cfg_channels]] if cfg_channels else []
        what += [compat] if compat else []
        what += [steps.replace(",", "-") + "-steps"] if steps != "10" else []
        what += ["inverted"] if invert else ["from-latents"] if latents_in else []
        what += ["interval"] if interval else []
        what += [diffusion] if diffusion else []
        what += ["sit", *sit.values()] if sit is not None else []
        self.save("sample", x, what, classes=classes if classes == "all" else ",".join(map(str, classes)),
                  n=n, seed=seed, steps=steps, sampler="dpm++" if sampler == "dpm" else sampler,
                  eta=eta, cfg=cfg, more=";".join(more) or "-",
                  cfg_channels={None: "-", 4: "all", 3: "3"}[cfg_channels], compat=compat or "-",
                  latents_in=given)


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


def renamed(w, depth):
    """The tensors of an original file under diffusers' names."""
    pairs = {"x_embedder.proj": "pos_embed.proj", "final_layer.adaLN_modulation.1": "proj_out_1",
             "final_layer.linear": "proj_out_2"}
    out = {}
    for suffix in ("weight", "bias"):
        take = lambda name: w[f"{name}.{suffix}"].float()
        out |= {f"{new}.{suffix}": take(old) for old, new in pairs.items()}
        for i in range(depth):
            b, to = f"blocks.{i}.", f"transformer_blocks.{i}."
            emb = to + "norm1.emb."
            out |= {emb + f"timestep_embedder.linear_1.{suffix}": take("t_embedder.mlp.0"),
                    emb + f"timestep_embedder.linear_2.{suffix}": take("t_embedder.mlp.2"),
                    to + f"norm1.linear.{suffix}": take(b + "adaLN_modulation.1"),
                    to + f"attn1.to_out.0.{suffix}": take(b + "attn.proj"),
                    to + f"ff.net.0.proj.{suffix}": take(b + "mlp.fc1"),
                    to + f"ff.net.2.{suffix}": take(b + "mlp.fc2")}
            for part, value in zip("qkv", take(b + "attn.qkv").chunk(3)):
                out[to + f"attn1.to_{part}.{suffix}"] = value
            out[emb + "class_embedder.embedding_table.weight"] = \
                w["y_embedder.embedding_table.weight"].float()
    return out


HEAD = """# Expected results of models with random weights, written by scripts/oracle_models.py.
# tests/data/README.md explains the columns. Paths are relative to this file; "-" means no value.
# """


def main():
    import oracle_sets
    if len(sys.argv) != 3 or sys.argv[1] not in ("small", "big"):
        sys.exit(__doc__)
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    root, rows = sys.argv[2], []
    os.makedirs(root, exist_ok=True)
    for spec, cases in getattr(oracle_sets, sys.argv[1])():
        cases(Model(root, spec, rows))
    with open(root + "/cases.txt", "w") as f:
        f.write(HEAD + " ".join(COLUMNS) + "\n" + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
