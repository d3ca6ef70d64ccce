#!/usr/bin/env python3
"""Writes tests/data/checkpoints and tests/fuzz/corpus/torch for tests/test_checkpoints.c and tests/cli:
the same few tensors in every format of PyTorch and safetensors, a VAE as in Stable Diffusion files, and a
tiny DiT with raw and averaged weights as in the files of trainers.

    scripts/oracle_checkpoints.py     (needs torch, diffusers, safetensors)
"""
import argparse
import collections
import io
import json
import pathlib
import shutil
import sys
import types

import torch
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from safetensors.torch import load_file, save_file

TESTS = pathlib.Path(__file__).resolve().parent.parent / "tests"
DATA = TESTS / "data" / "checkpoints"


class Unknown:
    """A class that ditcl does not know, as training frameworks leave them in files."""

    def __init__(self):
        self.state, self.numbers = {"epoch": 3}, {1, 2.5, None, b"\0"}


class Mapping(dict):
    """A dictionary of a class that ditcl does not know."""


def tensors():
    ramp = lambda *s: ((torch.arange(torch.Size(s).numel()) - 3) * 0.75).reshape(s)
    return {"blocks.0.weight": ramp(3, 4), "blocks.0.bias": ramp(4).half(),
            "final.weight": ramp(2, 3, 2, 2).bfloat16(), "scale": ramp(1).reshape(()),
            "empty": torch.zeros(0, 3), "table": ramp(5, 2).double()}


def otherwise_laid(w):
    """The same values in other layouts: views of one storage, transposed, channels last, with an offset."""
    out = dict(w)
    room = torch.full((40,), 99.0)
    out["blocks.0.weight"] = room[7:19].view(4, 3).t()
    out["blocks.0.weight"].copy_(w["blocks.0.weight"])
    out["scale"] = room[30]
    out["scale"].copy_(w["scale"])
    out["final.weight"] = w["final.weight"].contiguous(memory_format=torch.channels_last)
    out["table"] = torch.cat([w["table"], -w["table"]], 1)[:, :2]
    return out


def trained(w):
    """Saves as train.py of the original program does, where the averaged weights are the result."""
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    average = collections.OrderedDict(w)
    average._metadata = {"": {"version": 1}}
    return {"model": {k: v * 0 for k, v in w.items()}, "ema": average,
            "opt": optimizer.state_dict(), "args": argparse.Namespace(model="DiT-XL/2", lr=1e-4)}


def sharded(w, extension, save):
    """Writes two files and an index, as diffusers does."""
    names, index = list(w), {}
    for i, part in enumerate((names[:3], names[3:])):
        name = f"diffusion_pytorch_model-0000{i + 1}-of-00002.{extension}"
        save({k: w[k] for k in part}, str(DATA / name))
        index.update({k: name for k in part})
    with open(DATA / f"diffusion_pytorch_model.{extension}.index.json", "w") as f:
        json.dump({"metadata": {"total_size": 1}, "weight_map": index}, f)


def write_formats():
    w = tensors()
    save_file(w, str(DATA / "expected.safetensors"))
    old = dict(_use_new_zipfile_serialization=False)
    torch.save(w, DATA / "plain.pt")
    torch.save(trained(w), DATA / "trained.pt")
    torch.save({"state_dict": Mapping({"module." + k: torch.nn.Parameter(v)
                                       for k, v in w.items()}),
                "callbacks": Unknown(), "epoch": 3}, DATA / "framework.ckpt")
    torch.save({"module._orig_mod." + k: v for k, v in otherwise_laid(w).items()},
               DATA / "strided.bin")
    torch.save({"model": w, "other": [Unknown(), (), 1 << 70]}, DATA / "protocol5.pth",
               pickle_protocol=5)
    torch.save(trained(w), DATA / "legacy-trained.pt", **old)
    torch.save(otherwise_laid(w), DATA / "legacy-protocol4.pth", pickle_protocol=4, **old)
    sharded(w, "safetensors", save_file)
    sharded(w, "bin", torch.save)


# ---- a VAE in the naming of the Latent Diffusion program ----

def resnet(prefix, wide):
    names = [f"{prefix}.{part}" for part in ("norm1", "conv1", "norm2", "conv2")]
    return names + ([f"{prefix}.nin_shortcut"] if wide else [])


def layers(half, levels, n):
    """The layers of a Stable Diffusion VAE in the order of diffusers'. The levels of `up` are reversed."""
    down = half == "encoder"
    names = [f"{half}.conv_in", f"{half}.norm_out", f"{half}.conv_out"]
    for i in range(levels):
        kind = f"{half}.{'down' if down else 'up'}.{i}"
        for j in range(n if down else n + 1):
            names += resnet(f"{kind}.block.{j}", j == 0)
        names += [f"{kind}.{'downsample' if down else 'upsample'}.conv"]
    for part in ("block_1", "block_2"):
        names += resnet(f"{half}.mid.{part}", False)
    return names + [f"{half}.mid.attn_1.{part}" for part in ("norm", "q", "k", "v", "proj_out")]


def name_pairs(levels, n):
    """(name in Stable Diffusion's files, name in diffusers) of every layer, by diffusers' conversion."""
    names = layers("encoder", levels, n) + layers("decoder", levels, n)
    names += ["quant_conv", "post_quant_conv"]
    numbered = {f"{k}.{s}": torch.tensor([i * 2.0 + (s == "bias")]).reshape(1, 1, 1, 1)
                for i, k in enumerate(names) for s in ("weight", "bias")}
    config = {"down_block_types": [0] * levels, "up_block_types": [0] * levels}
    found = convert_ldm_vae_checkpoint(dict(numbered), config)
    theirs = {int(v): k for k, v in numbered.items()}
    assert len(found) == len(numbered), (len(found), len(numbered))
    return sorted((theirs[int(v.reshape(()))], k) for k, v in found.items())


def write_vae():
    """Writes plain32's VAE in a Stable Diffusion file, and in a folder of its own with a config."""
    source = TESTS / "data" / "models" / "plain32" / "vae"
    w = load_file(str(source / "diffusion_pytorch_model.safetensors"))
    olds = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
    back = {ours: theirs for theirs, ours in name_pairs(3, 1)}
    out = {}
    for name, value in w.items():
        for old, new in olds.items():
            name = name.replace(f"attentions.0.{old}.", f"attentions.0.{new}.")
        matrix = ".attentions.0.to_" in name and name.endswith("weight")
        out[back[name]] = value[:, :, None, None] if matrix else value
    folder = DATA / "vae"
    folder.mkdir()
    shutil.copy(source / "config.json", folder)
    save_file({k: v.contiguous() for k, v in out.items()}, str(folder / "latent-diffusion.safetensors"))
    whole = {"first_stage_model." + k: v for k, v in out.items()}
    whole |= {"model.diffusion_model.out.2.weight": torch.ones(2, 2),
              "cond_stage_model.transformer.position_ids": torch.arange(3)}
    torch.save({"state_dict": whole, "pytorch-lightning_version": "1.4.2",
                "callbacks": {Unknown: Unknown()}}, folder / "stable.ckpt")


# ---- what trainers write ----

WIDTH, CLASSES, SIDE, PATCH = 8, 3, 2, 2


def tiny_dit(generator):
    """A DiT of one block with the original program's names."""
    shapes = {"pos_embed": (1, SIDE * SIDE, WIDTH), "x_embedder.proj.weight": (WIDTH, 4, PATCH, PATCH),
              "x_embedder.proj.bias": (WIDTH,), "t_embedder.mlp.0.weight": (WIDTH, 256),
              "t_embedder.mlp.0.bias": (WIDTH,), "t_embedder.mlp.2.weight": (WIDTH, WIDTH),
              "t_embedder.mlp.2.bias": (WIDTH,),
              "y_embedder.embedding_table.weight": (CLASSES + 1, WIDTH)}
    for name, out, inner in (("blocks.0.attn.qkv", 3, 1), ("blocks.0.attn.proj", 1, 1),
                             ("blocks.0.mlp.fc1", 4, 1), ("blocks.0.mlp.fc2", 1, 4),
                             ("blocks.0.adaLN_modulation.1", 6, 1),
                             ("final_layer.adaLN_modulation.1", 2, 1)):
        shapes |= {name + ".weight": (out * WIDTH, inner * WIDTH), name + ".bias": (out * WIDTH,)}
    shapes |= {"final_layer.linear.weight": (PATCH * PATCH * 4, WIDTH),
               "final_layer.linear.bias": (PATCH * PATCH * 4,)}
    return {k: (0.3 * torch.randn(s, generator=generator)).bfloat16() for k, s in shapes.items()}


class Module(torch.nn.Module):
    """Holds the weights as parameters under their dotted names."""

    def __init__(self, w):
        super().__init__()
        for name, value in w.items():
            at, *parts = self, *name.split(".")
            for part in parts[:-1]:
                if not hasattr(at, part):
                    at.add_module(part, torch.nn.Module())
                at = getattr(at, part)
            at.register_parameter(parts[-1], torch.nn.Parameter(value, name != "pos_embed"))


def averaged_model(raw, ema):
    """torch's AveragedModel with the raw weights averaged to these."""
    model = torch.optim.swa_utils.AveragedModel(Module(raw))
    model.update_parameters(Module(ema))
    return model.state_dict()


def write_trainers():
    folder = DATA / "trainers"
    folder.mkdir()
    generator = torch.Generator().manual_seed(5)
    raw, ema = tiny_dit(generator), tiny_dit(generator)
    raw["pos_embed"] = ema["pos_embed"].clone()  # not trained
    trained_ema = {k: v for k, v in ema.items() if k != "pos_embed"}
    before = lambda prefix, w: {prefix + k: v for k, v in w.items()}
    wrapped = lambda k: "_fsdp_wrapped_module." + k.replace(
        "blocks.0.", "blocks.0._orig_mod._checkpoint_wrapped_module.")
    save_file(raw, str(folder / "raw.safetensors"))
    save_file(ema, str(folder / "ema.safetensors"))
    save_file(before("online_model.", raw) | before("ema_model.", ema),
              str(folder / "both.safetensors"))
    optimizer = trained({"a": torch.zeros(1)})["opt"]
    lightning = {"epoch": 1, "pytorch-lightning_version": "2.2", "optimizer_states": [optimizer]}
    without_dots = {"model_ema." + k.replace(".", ""): v for k, v in trained_ema.items()}
    both = {
        "dit": {"model": before("module.", raw), "ema": ema, "opt": optimizer,
                "args": argparse.Namespace(model="DiT-S/2")},
        "timm": {"epoch": 1, "arch": "dit", "state_dict": before("module.", raw),
                 "state_dict_ema": ema, "optimizer": optimizer},
        "torch": {"model_state_dict": raw, "second": averaged_model(raw, ema), "step": 1},
        "lucid": {"step": 1, "model": raw, "scaler": None, "ema": {
            "initted": torch.tensor([True]), "step": torch.tensor([3]),
            **before("ema_model.", ema), **before("online_model.", raw)}},
        "shadow": {"net": raw, "ema": {"decay": 0.999, "shadow": trained_ema}},
        "decays": {"model": raw, "ema": {0.9999: ema}},
        "latent": {**lightning, "state_dict": {
            **before("model.", raw), **without_dots, "model_ema.decay": torch.tensor(0.99)}},
        "lightning": {**lightning, "current_model_state": before("net.", raw),
                      "state_dict": before("net.", ema),
                      "averaging_state": {"n_averaged": torch.tensor(3)}},
        "mmengine": {"meta": {"epoch": 1}, "message_hub": {}, "state_dict": ema, "ema_state_dict": {
            **before("module.", raw), "steps": torch.tensor(3)}},
        "composer": {"state": {"model": before("dit.", raw), "algorithms": [("EMA", {
            "ema_model": {"named_parameters_dict": before("dit.", trained_ema)}})]}}}
    alone = {"deepspeed": {"module": raw, "buffer_names": [], "optimizer": None},
             "wrappers": {wrapped(k): v for k, v in raw.items()},
             "nameless": {"model": raw, "ema": {"decay": 0.99, "shadow_params": list(ema.values())}},
             "optimizer": {**lightning, "state_dict": before("model.", raw),
                           "optimizer_states": [{**optimizer, "ema": list(ema.values())}]},
             "object": {"model": raw, "ema": Unknown()}}
    adapted = {"base_model.model." + k.replace("qkv.", "qkv.base_layer."): v for k, v in raw.items()}
    adapted["base_model.model.blocks.0.attn.qkv.lora_A.default.weight"] = torch.zeros(2, WIDTH)
    refused = {"adapter": adapted, "module": Unknown(), "none": {"epoch": 3, "loss": torch.zeros(2)},
               "fp8": {k: v.to(torch.float8_e4m3fn) for k, v in raw.items()},
               "quantized": {k: torch.quantize_per_tensor(v.float(), 0.1, 0, torch.qint8)
                             for k, v in raw.items()}}
    for kind, files in (("both", both), ("raw", alone), ("not", refused)):
        for name, value in files.items():
            torch.save(value, folder / f"{kind}-{name}.pt")


def write_names():
    with open(TESTS / "data" / "vae_names.inc", "w") as f:
        f.write("/* A VAE's tensors as the Latent Diffusion program and diffusers call them, by "
                "diffusers' own\n * conversion. Made by scripts/oracle_checkpoints.py. */\n")
        for theirs, ours in name_pairs(4, 2):
            f.write(f'{{"{theirs}",\n "{ours}"}},\n')


def small_states():
    """State dictionaries of a DiT whose tensors are all views of one storage of 48 bytes."""
    view = torch.arange(12.0).view(3, 4)
    w = {k: view for k in ("x_embedder.proj.weight", "blocks.0.attn.qkv.bias", "pos_embed")}
    before = lambda prefix: {prefix + k: v for k, v in w.items()}
    dotless = {"model_ema." + k.replace(".", ""): v for k, v in w.items()}
    return {"states_averaged": {"model": before("module."), "ema": {"shadow": w, "list": [view]}},
            "states_dotless": {"state_dict": {**before("model."), **dotless}},
            "states_lists": [("EMA", before("a._orig_mod.")), {"projectors.0": view}],
            "states_eight": {"x_embedder.proj.weight": view.view(-1).to(torch.float8_e4m3fn),
                             "q": torch.quantize_per_tensor(view.view(-1), 0.1, 0, torch.qint8)}}


def write_corpus():
    """Writes pickles of archives, and whole files of the older format (see tests/fuzz/fuzz_torch.c)."""
    import zipfile
    folder = TESTS / "fuzz" / "corpus" / "torch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("trained.pt", "framework.ckpt", "strided.bin", "protocol5.pth"):
        with zipfile.ZipFile(DATA / name) as z:
            pickled = next(n for n in z.namelist() if n.endswith("data.pkl"))
            (folder / name.split(".")[0]).write_bytes(b"p" + z.read(pickled))
    for name, value in small_states().items():
        room = io.BytesIO()
        torch.save(value, room)
        with zipfile.ZipFile(room) as z:
            pickled = next(n for n in z.namelist() if n.endswith("data.pkl"))
            (folder / name).write_bytes(b"p" + z.read(pickled))
    (folder / "archive").write_bytes(b"f" + (DATA / "plain.pt").read_bytes())
    (folder / "legacy").write_bytes(b"f" + (DATA / "legacy-protocol4.pth").read_bytes())


def main():
    # so that pickles name the same module however this script is started
    module = types.ModuleType("framework")
    for kind in (Unknown, Mapping):
        kind.__module__ = "framework"
        setattr(module, kind.__name__, kind)
    sys.modules["framework"] = module
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir(parents=True)
    torch.manual_seed(0)
    write_formats()
    write_vae()
    write_trainers()
    write_names()
    write_corpus()


main()
