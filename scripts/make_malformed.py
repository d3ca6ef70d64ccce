#!/usr/bin/env python3
"""Breaks good models in more than 200 ways, for the test malformed. Standard library only.

usage: make_malformed.py tests/data/models FOLDER               write the broken models
       make_malformed.py tests/data/models FOLDER --run DITCL   and run the program over them

FOLDER/malformed.txt has one line for each case, with columns separated by tabs: name, exit code, a text
that stdout or stderr must contain (case is ignored), arguments of ditcl with @ for FOLDER. A case with
exit code 0 must work, with a warning. Any other must print one line, and perhaps a hint, and leave no
file.
"""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

NAN, INF = struct.pack("<f", float("nan")), struct.pack("<f", float("inf"))
WEIGHTS = "diffusion_pytorch_model.safetensors"
BLOCK = "transformer_blocks.0."


# ---- safetensors, taken apart ----

def load(path):
    """{name: [dtype, shape, bytes]}, in the order of the data."""
    raw = open(path, "rb").read()
    length = struct.unpack("<Q", raw[:8])[0]
    header, data = json.loads(raw[8:8 + length]), raw[8 + length:]
    header.pop("__metadata__", None)
    items = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
    return {k: [v["dtype"], v["shape"], data[slice(*v["data_offsets"])]] for k, v in items}


def header_of(tensors):
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    return header


def assemble(header, tensors, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    data = b"".join(t[2] for t in tensors.values())
    return struct.pack("<Q", len(text) if length is None else length) + text + data


# ---- the cases ----

class Cases:
    def __init__(self, good, folder):
        self.good, self.folder, self.rows = good, folder, []
        self.dit = load(f"{good}/plain32/transformer/{WEIGHTS}")
        self.vae = load(f"{good}/plain32/vae/{WEIGHTS}")
        self.original = load(f"{good}/original64.safetensors")
        os.makedirs(folder, exist_ok=True)
        shutil.copytree(good + "/plain32", folder + "/good", dirs_exist_ok=True)

    def row(self, name, code, word, arguments):
        assert name not in [r[0] for r in self.rows], name
        self.rows.append((name, code, word, arguments))

    def copy(self, name, word, code=1, arguments="sample @/{} --class 0 --steps 2 -q"):
        """Copies the good folder. The caller breaks the copy."""
        path = f"{self.folder}/{name}"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.good + "/plain32", path)
        self.row(name, code, word, arguments.format(name))
        return path

    def raw(self, name, word, data, part="transformer", code=1):
        path = f"{self.copy(name, word, code)}/{part}/{WEIGHTS}"
        with open(path, "wb") as f:
            f.write(data)

    def tensors(self, name, word, change, part="transformer", code=1):
        """change(tensors) edits the tensors. The file stays well-formed."""
        tensors = {k: list(v) for k, v in (self.dit if part == "transformer" else self.vae).items()}
        tensors = change(tensors) or tensors
        self.raw(name, word, assemble(header_of(tensors), tensors), part, code)

    def header(self, name, word, change):
        """change(header) edits the header only. The data stay."""
        header = header_of(self.dit)
        header = change(header) or header
        self.raw(name, word, assemble(header, self.dit))

    def config(self, name, word, file, change):
        path = f"{self.copy(name, word)}/{file}"
        with open(path) as f:
            config = json.load(f)
        text = change(config)
        with open(path, "w" if not isinstance(text, bytes) else "wb") as f:
            f.write(text if isinstance(text, (str, bytes)) else json.dumps(config))

    def single(self, name, word, change, code=1, heads="--heads 1", source=None):
        tensors = {k: list(v) for k, v in (source or self.original).items()}
        tensors = change(tensors) or tensors
        with open(f"{self.folder}/{name}.safetensors", "wb") as f:
            f.write(assemble(header_of(tensors), tensors))
        self.row(name, code, word, f"sample @/{name}.safetensors --vae @/good {heads} --class 0 "
                                   "--steps 2 -q")

    def latents(self, name, word, data, command="decode @/good --latents @/{0} --out {0}.png -q"):
        with open(f"{self.folder}/{name}.npy", "wb") as f:
            f.write(data)
        self.row(name, 1, word, command.format(name + ".npy"))


def setter(name, index, value):
    """Sets dtype (0), shape (1) or data (2) of one tensor."""
    def change(tensors):
        tensors[name][index] = value(tensors[name][index]) if callable(value) else value
    return change


def dropper(name):
    return lambda tensors: {k: v for k, v in tensors.items() if k != name}


def shortened(name):
    """Removes one row of a tensor with two bytes a value."""
    def change(tensors):
        dtype, shape, data = tensors[name]
        row = 2 * (shape[1] if len(shape) > 1 else 1)
        tensors[name] = [dtype, [shape[0] - 1] + list(shape[1:]), data[:-row]]
    return change


def patch(data, at, value):
    return data[:at] + value + data[at + len(value):]


def broken_files(c):
    dit, header = c.dit, header_of(c.dit)
    whole = assemble(header, dit)
    text = json.dumps(header).encode()
    lengths = {"length_max": 2 ** 64 - 1, "length_sign": 2 ** 63, "length_billion": 10 ** 9,
               "length_zero": 0, "length_one_more": len(text) + 1, "length_one_less": len(text) - 1}
    for name, data in {
            "empty": b"", "seven_bytes": whole[:7], "only_length": whole[:8],
            "cut_in_header": whole[:200], "cut_in_data": whole[:len(whole) // 2],
            "cut_last_byte": whole[:-1], "bytes_behind": whole + b"\0\0\0\0",
            "garbage": b"\x93" * 4096, "zip": b"PK\x03\x04" + bytes(4096),
            "lfs_pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 +
                           b"\nsize 12345\n"}.items():
        c.raw("file_" + name, "transformer/" + WEIGHTS, data)
    for name, length in lengths.items():
        c.raw("file_" + name, WEIGHTS, assemble(header, dit, length))
    for name, data in {"array": b"[" + text + b"]",
                       "bad_utf8": text.replace(b"proj_out_1", b"\xff\xfe"),
                       "nul": text.replace(b"F32", b"F\0 ", 1), "deep": b'{"a":' * 50000,
                       "comma": text[:-1] + b",}", "twice": text[:-1] + b"," + text[1:],
                       "bare_nan": text.replace(b"[0,", b"[NaN,", 1)}.items():
        c.raw("header_" + name, WEIGHTS, assemble(data, dit))


def broken_headers(c):
    name = "proj_out_1.bias"
    entry = lambda key, value: lambda h: h[name].__setitem__(key, value)
    size = header_of(c.dit)[name]["data_offsets"]
    end = max(v["data_offsets"][1] for v in header_of(c.dit).values())
    for case, key, value in (
            ("offsets_backwards", "data_offsets", size[::-1]),
            ("offsets_beyond", "data_offsets", [end, end + size[1] - size[0]]),
            ("offsets_negative", "data_offsets", [-4, size[1]]),
            ("offsets_huge", "data_offsets", [2 ** 62, 2 ** 62 + 256]),
            ("offsets_overlap", "data_offsets", [size[0] - 4, size[1] - 4]),
            ("offsets_short", "data_offsets", [size[0], size[1] - 4]),
            ("offsets_three", "data_offsets", size + [0]), ("offsets_text", "data_offsets", "0,4"),
            ("shape_product", "shape", [65]), ("shape_negative", "shape", [-64]),
            ("shape_overflow", "shape", [2 ** 32, 2 ** 32]), ("shape_huge", "shape", [2 ** 63 - 1]),
            ("shape_fraction", "shape", [64.0]), ("shape_text", "shape", "64"),
            ("shape_null", "shape", None), ("shape_nine", "shape", [1] * 8 + [64]),
            ("dtype_unknown", "dtype", "F128"), ("dtype_number", "dtype", 32),
            ("dtype_smaller", "dtype", "F16"), ("key_more", "strides", [1])):
        c.header(case, name, entry(key, value))
    for key in ("dtype", "shape", "data_offsets"):
        c.header("no_" + key, name, lambda h, k=key: h[name].pop(k) and None)
    c.header("entry_null", name, lambda h: h.__setitem__(name, None))
    c.header("metadata_number", "__metadata__", lambda h: {"__metadata__": {"format": 1}, **h})


def broken_tensors(c):
    q = BLOCK + "attn1.to_q.weight"
    table = BLOCK + "norm1.emb.class_embedder.embedding_table.weight"
    for case, name in (("q", q), ("final", "proj_out_2.bias"), ("labels", table),
                       ("patch", "pos_embed.proj.weight"), ("adaln", BLOCK + "norm1.linear.bias")):
        c.tensors("missing_" + case, name, dropper(name))
    wide = BLOCK + "ff.net.0.proj.weight"
    c.tensors("transposed", wide, setter(wide, 1, lambda s: s[::-1]))
    c.tensors("one_dim_more", q, setter(q, 1, lambda s: [1] + s))
    c.tensors("scalar", "proj_out_1.bias", setter("proj_out_1.bias", slice(1, 3), [[], NAN]))
    c.tensors("no_elements", q, setter(q, slice(1, 3), [[0, 32], b""]))
    c.tensors("one_class_less", table,
              setter(table, slice(1, 3), lambda v: [[v[0][0] - 1, v[0][1]], v[1][:-128]]))
    c.tensors("integers", q, setter(q, 0, "I32"))
    c.tensors("unknown_tensor", "extra.weight", lambda t: t.update(
        {"extra.weight": ["F32", [1], NAN]}))
    c.tensors("another_block", "transformer_blocks.1", lambda t: t.update(
        {"transformer_blocks.1.attn1.to_q.weight": t[q]}))
    c.tensors("norm_weight", "norm3.weight", lambda t: t.update(
        {BLOCK + "norm3.weight": t[BLOCK + "attn1.to_q.bias"]}))
    c.tensors("control_name", "unknown tensor", lambda t: t.update(
        {"a\x1b[2J\r\nb": ["F32", [1], b"\0\0\0\0"]}))
    c.tensors("long_name", "unknown tensor", lambda t: t.update(
        {"n" * 100000: ["F32", [1], b"\0\0\0\0"]}))
    for case, value in (("nan", NAN), ("inf", INF), ("minus_inf", b"\0\0\x80\xff")):
        c.tensors("weight_" + case, q, setter(q, 2, lambda d, v=value: patch(d, 4 * 77, v)))
    c.tensors("label_nan", table, setter(table, 2, lambda d: patch(d, len(d) - 4, NAN)))
    conv, norm = "decoder.conv_in.weight", "decoder.conv_norm_out.bias"
    c.tensors("vae_missing", conv, dropper(conv), "vae")
    c.tensors("vae_missing_attention", "attentions.0",
              lambda t: {k: v for k, v in t.items() if ".key." not in k}, "vae")
    c.tensors("vae_shape", conv, setter(conv, 1, lambda s: [s[1], s[0]] + s[2:]), "vae")
    c.tensors("vae_nan", norm, setter(norm, 2, lambda d: patch(d, 0, NAN)), "vae")
    c.tensors("vae_inf", conv, setter(conv, 2, lambda d: patch(d, 16, INF)), "vae")
    c.raw("vae_cut", "vae/" + WEIGHTS, assemble(header_of(c.vae), c.vae)[:-5], "vae")
    # an unknown tensor of a VAE is a warning
    path = c.copy("vae_unknown", "extra.weight", 0,
                  "sample @/{} --class 0 --steps 2 --out vae_unknown.png")
    tensors = {**c.vae, "extra.weight": ["F32", [1], b"\0\0\0\0"]}
    with open(f"{path}/vae/{WEIGHTS}", "wb") as f:
        f.write(assemble(header_of(tensors), tensors))


def broken_configs(c):
    t, v, s = "transformer/config.json", "vae/config.json", "scheduler/scheduler_config.json"
    for case, file, key, value, word in (
            ("heads_text", t, "num_attention_heads", "2", "num_attention_heads"),
            ("heads_zero", t, "num_attention_heads", 0, "num_attention_heads"),
            ("heads_huge", t, "num_attention_heads", 2 ** 40, "num_attention_heads"),
            ("heads_other", t, "num_attention_heads", 4, "[32"),
            ("head_dim_huge", t, "attention_head_dim", 2 ** 31 - 1, "attention_head_dim"),
            ("head_dim_odd", t, "attention_head_dim", 15, "multiple of 4"),
            ("layers_more", t, "num_layers", 2, "transformer_blocks.1"),
            ("layers_negative", t, "num_layers", -1, "num_layers"),
            ("patch_other", t, "patch_size", 4, "pos_embed.proj.weight"),
            ("patch_three", t, "patch_size", 3, "patch_size"),
            ("size_odd", t, "sample_size", 7, "sample_size"),
            ("size_huge", t, "sample_size", 10 ** 9, "sample_size"),
            ("classes_more", t, "num_embeds_ada_norm", 8, "embedding_table"),
            ("classes_huge", t, "num_embeds_ada_norm", 2 ** 31, "num_embeds_ada_norm"),
            ("channels_out", t, "out_channels", 8, "proj_out_2"),
            ("channels_in", t, "in_channels", 16, "latent channels"),
            ("norm_type", t, "norm_type", "layer_norm", "norm_type"),
            ("activation", t, "activation_fn", "gelu", "activation_fn"),
            ("class_name", t, "_class_name", "UNet2DModel", "UNet2DModel"),
            ("vae_latents", v, "latent_channels", 8, "latent"),
            ("vae_groups", v, "norm_num_groups", 3, "norm_num_groups"),
            ("vae_levels", v, "block_out_channels", [4, 8], "up_block_types"),
            ("vae_widths", v, "block_out_channels", [8, 8, 8], "decoder."),
            ("vae_layers", v, "layers_per_block", 2, "resnets.2"),
            ("vae_scaling", v, "scaling_factor", 0, "scaling_factor"),
            ("vae_class", v, "_class_name", "AutoencoderTiny", "AutoencoderTiny"),
            ("scheduler_class", "model_index.json", "scheduler", ["diffusers", "PNDMScheduler"],
             "PNDMScheduler"),
            ("scheduler_betas", s, "beta_schedule", "sigmoid", "beta_schedule"),
            ("scheduler_snr", s, "rescale_betas_zero_snr", True, "rescale_betas_zero_snr"),
            ("scheduler_range", s, "beta_end", 2, "beta_end"),
            ("scheduler_trained", s, "trained_betas", [0.1, 0.2], "trained_betas"),
            ("names_key", "model_index.json", "id2label", {"seven": "x"}, "id2label"),
            ("names_beyond", "model_index.json", "id2label", {"8": "x"}, "id2label")):
        c.config("config_" + case, word, file, lambda d, k=key, x=value: d.__setitem__(k, x))
    c.config("config_empty", t, t, lambda d: "")
    c.config("config_cut", t, t, lambda d: json.dumps(d)[:-1])
    c.config("config_nan", v, v, lambda d: json.dumps({**d, "scaling_factor": float("nan")}))
    c.config("config_twice", s, s, lambda d: json.dumps(d)[:-1] + ', "beta_end": 0.5}')
    c.config("config_list", s, s, lambda d: "[1, 2]")
    c.config("config_nul", t, t, lambda d: json.dumps(d).encode() + b"\0")
    c.config("config_binary", t, t, lambda d: bytes(range(1, 256)))


def missing_files(c):
    for name in ("transformer/config.json", "transformer/" + WEIGHTS, "vae/config.json",
                 "vae/" + WEIGHTS, "scheduler/scheduler_config.json"):
        case = "absent_" + name.replace("/", "_").split(".")[0].replace("diffusion_pytorch_", "")
        os.remove(f"{c.copy(case, name)}/{name}")
    for name in ("transformer", "vae", "scheduler"):
        shutil.rmtree(f"{c.copy('absent_' + name, name)}/{name}")
    path = c.copy("only_bin", "", 0) + "/transformer/"
    os.rename(path + WEIGHTS, path + "diffusion_pytorch_model.bin")
    path = c.copy("sharded", "index.json") + "/transformer/"
    os.rename(path + WEIGHTS, path + WEIGHTS + ".index.json")
    for name in ("transformer/config.json", "vae/" + WEIGHTS):
        path = f"{c.copy('folder_' + name.split('/')[0], name)}/{name}"
        os.remove(path)
        os.mkdir(path)
    path = f"{c.copy('pipe', WEIGHTS)}/transformer/{WEIGHTS}"
    os.remove(path)
    os.mkfifo(path)  # ditcl must not wait for a writer
    os.makedirs(c.folder + "/nothing", exist_ok=True)
    c.row("nothing", 1, "is not a model", "sample @/nothing --class 0 -q")
    c.row("no_such_model", 1, "no_such_model", "sample @/no_such_model --class 0 -q")


def single_files(c):
    c.single("single_good", "", lambda t: None, 0)
    c.single("single_no_heads", "--heads", lambda t: None, 2, "")
    c.single("single_odd_heads", "--heads", lambda t: None, 2, "--heads 3")
    for case, name in (("positions", "pos_embed"), ("qkv", "blocks.1.attn.qkv.weight"),
                       ("time", "t_embedder.mlp.2.bias"), ("final", "final_layer.linear.weight"),
                       ("patch", "x_embedder.proj.weight")):
        c.single("single_missing_" + case, name, dropper(name))
    c.single("single_gap", "blocks.2.", lambda t: {
        k.replace("blocks.1.", "blocks.2."): v for k, v in t.items()})
    qkv = "blocks.0.attn.qkv.weight"
    c.single("single_transposed", qkv, setter(qkv, 1, lambda s: s[::-1]))
    c.single("single_positions", "pos_embed", setter(
        "pos_embed", slice(1, 3), lambda v: [[1, 15, 64], v[1][:15 * 64 * 2]]))
    c.single("single_nan", qkv, setter(qkv, 2, lambda d: patch(d, 10, b"\xc0\x7f")))
    c.single("single_unknown", "optimizer.step", lambda t: t.update(
        {"optimizer.step": ["F32", [1], b"\0\0\0\0"]}))
    c.single("single_wrapped", "", lambda t: {"model." + k: v for k, v in t.items()}, 0)
    c.single("single_twice", "are both ", lambda t: t.update(
        {"module." + k: v for k, v in t.items()}))
    c.single("single_networks", "two networks", lambda t: {
        b + k: v for k, v in t.items() for b in ("a.", "b.")})
    c.single("single_decoder", "unknown tensor decoder.blocks.0.mlp.fc1.bias", lambda t: t.update(
        {"decoder." + k: v for k, v in t.items() if k.startswith("blocks.0.mlp.fc1.bias")}))
    c.single("single_adapter", "not merged", lambda t: t.update(
        {"blocks.0.attn.qkv.lora_A.default.weight": ["F32", [1], bytes(4)]}))
    with open(c.folder + "/dit.pt", "wb") as f:
        f.write(b"PK\x03\x04" + bytes(1000))
    c.row("single_pt", 1, "zip archive", "sample @/dit.pt --vae @/good --heads 1 --class 0 -q")
    whole = "sample @/single_good.safetensors --heads 1 --class 0 -q"
    c.row("single_no_vae", 2, "--vae", whole)
    c.row("single_vae_absent", 1, "no_such_vae", whole + " --vae @/no_such_vae")
    c.row("single_vae_is_dit", 1, "decoder.", whole + " --vae @/single_good.safetensors")


def npy(shape, data, descr="'<f4'", order="False", magic=b"\x93NUMPY\x01\x00", header=None):
    text = header or "{'descr': %s, 'fortran_order': %s, 'shape': %s, }" % (descr, order, shape)
    text = text.encode().ljust(118 - 1) + b"\n"
    return magic + struct.pack("<H", len(text)) + text + data


def broken_latents(c):
    n, shape = 4 * 8 * 8, "(1, 4, 8, 8)"
    zeros = struct.pack(f"<{n}f", *[0.0] * n)
    c.row("latents_absent", 1, "absent.npy", "decode @/good --latents @/absent.npy --out x.png -q")
    for case, data in {
            "empty": b"", "magic": npy(shape, zeros, magic=b"\x93NUMPX\x01\x00"),
            "version": npy(shape, zeros, magic=b"\x93NUMPY\x09\x00"),
            "cut": npy(shape, zeros[:-1]), "behind": npy(shape, zeros + b"\0"),
            "big_endian": npy(shape, zeros, "'>f4'"), "integers": npy(shape, zeros, "'<i4'"),
            "objects": npy(shape, zeros, "'|O'"), "record": npy(shape, zeros, "[('a', '<f4')]"),
            "fortran": npy(shape, zeros, order="True"), "three_dims": npy("(4, 8, 8)", zeros),
            "channels": npy("(1, 3, 8, 8)", zeros[:3 * 64 * 4]), "none": npy("(0, 4, 8, 8)", b""),
            "lying": npy("(1000000, 4, 8, 8)", zeros), "negative": npy("(-1, 4, 8, 8)", zeros),
            "overflow": npy("(4294967296, 4294967296, 8, 8)", zeros),
            "header": npy(shape, zeros, header="import os"),
            "no_shape": npy(shape, zeros, header="{'descr': '<f4', 'fortran_order': False}"),
            "nan": npy(shape, patch(zeros, 400, NAN)),
            "inf": npy(shape, patch(zeros, 0, INF))}.items():
        c.latents("latents_" + case, ".npy", data)
    start = "sample @/good --class 0 --steps 2 --latents-in @/{0} -q --out {0}.png"
    c.latents("start_nan", ".npy", npy(shape, patch(zeros, 400, NAN)), start)
    c.latents("start_size", "8", npy("(1, 4, 4, 16)", zeros), start)
    c.latents("start_many", "[2,4,8,8]", npy("(2, 4, 8, 8)", zeros * 2), start)


# ---- running them ----

def run(folder, program, rows):
    wrong = 0
    for name, code, word, arguments in rows:
        with tempfile.TemporaryDirectory() as scratch:
            args = [a.replace("@", os.path.abspath(folder)) for a in arguments.split()]
            try:
                done = subprocess.run([os.path.abspath(program)] + args, cwd=scratch, timeout=120,
                                      capture_output=True)
            except subprocess.TimeoutExpired:
                print(f"{name}: hangs")
                wrong += 1
                continue
            said = (done.stdout + done.stderr).decode(errors="replace")
            lines = done.stderr.decode(errors="replace").splitlines()
            lines = [line for line in lines if not line.startswith("device ")]
            left = os.listdir(scratch)
        good = done.returncode == code and word.lower() in said.lower()
        good = good and (code == 0 or (1 <= len(lines) <= 2 and not left))
        wrong += not good
        said = " / ".join(lines)[:300] + (f" left {left}" if left else "")
        print("%-5s %s: exit %d, %s" % ("ok" if good else "WRONG", name, done.returncode, said))
    print(f"{len(rows)} cases, {wrong} wrong")
    return wrong


def pickled(*parts):
    """A pickle. Python text becomes a string opcode."""
    return b"\x80\x02" + b"".join(p if isinstance(p, bytes) else
                                  b"X" + struct.pack("<I", len(p)) + p.encode() for p in parts)


def torch_tensors(n):
    """A file of torch.save's older format with n tensors of two values, all in one storage."""
    magic = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
    tensor = (b"ctorch._utils\n_rebuild_tensor_v2\n(q\x01(", "storage",
              b"ctorch\nFloatStorage\n", "0", "cpu", b"K\x02NtQK\x00K\x02\x85K\x01\x85\x89NtRq\x02")
    names = [x for i in range(n) for x in (f"t{i}", b"h\x02")]
    first = pickled(*tensor)[2:].replace(b"(q\x01", b"(")
    body = b"\x80\x02}(" + pickled("t")[2:] + first + pickled(*names)[2:] + b"u."
    return (pickled(magic) + pickled(b"M\xe9\x03.") + pickled(b"}", "little_endian", b"\x88s.") +
            body + pickled(b"]", "0", b"a.") + struct.pack("<Q2f", 2, 1.0, 2.0))


def far_archive():
    """A zip archive whose directory says that its only entry is at offset 2^63."""
    name, place = b"a/data.pkl", b"\x01\0\x08\0" + struct.pack("<Q", 2 ** 63)
    central = (b"PK\1\2" + struct.pack("<6H3I5H2I", 45, 45, 0, 0, 0, 0, 0, 0, 0, len(name),
                                       len(place), 0, 0, 0, 0, 2 ** 32 - 1) + name + place)
    return (b"PK\3\4" + bytes(40) + central +
            b"PK\5\6" + struct.pack("<4H2IH", 0, 0, 1, 1, len(central), 44, 0))


def hostile_sizes(c):
    """Small files that would take much time or memory if their sizes were trusted."""
    entries = {f"t{i}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(120000)}
    c.raw("many_tensors", "120000 tensors", assemble(entries, {}))
    c.raw("many_values", "more than 1048576 values", assemble(b"{\"a\":[" + b"[]," * 1100000, {}))
    index = json.dumps({"weight_map": {f"{i:x}": "" for i in range(1100000)}})
    for name, text in (("many_indexed", index), ("many_lists", "[" + "{}," * 900000)):
        path = c.copy(name, "more than 1048576 values") + "/transformer/"
        os.remove(path + WEIGHTS)
        with open(path + WEIGHTS + ".index.json", "w") as f:
            f.write(text)
    c.config("config_many", "more than 1048576 values", "model_index.json",
             lambda d: "[" + "{}," * 900000)
    for name, word, data in (("torch_few", "x_embedder.proj.weight", torch_tensors(3)),
                             ("torch_many", "more than 100000 tensors", torch_tensors(100000)),
                             ("torch_far", "not where it should be", far_archive())):
        with open(f"{c.folder}/{name}.pt", "wb") as f:
            f.write(data)
        c.row(name, 1, word, f"sample @/{name}.pt --vae @/good --heads 1 --class 0 -q")
    # pictures with more pixels than an int can count
    path = c.copy("huge_pictures", "131072 pixels per side")
    for file, more in (("transformer", {"sample_size": 1024}),
                       ("vae", {"block_out_channels": [8] * 8,
                                "up_block_types": ["UpDecoderBlock2D"] * 8})):
        with open(f"{path}/{file}/config.json") as f:
            config = json.load(f)
        with open(f"{path}/{file}/config.json", "w") as f:
            json.dump({**config, **more}, f)
    side = 129
    c.single("huge_positions", "latents of 1032 per side", lambda t: t.update({
        "x_embedder.proj.weight": ["BF16", [64, 4, 8, 8], bytes(64 * 4 * 64 * 2)],
        "final_layer.linear.weight": ["BF16", [512, 64], bytes(512 * 64 * 2)],
        "pos_embed": ["BF16", [1, side * side, 64], bytes(side * side * 128)]}))


def other_designs(c):
    for model, heads, names in (
            ("adaln40", 5, ["blocks.1.adaLN_modulation.1.weight",
                            "final_layer.adaLN_modulation.1.bias"]),
            ("cross36", 3, ["blocks.1.norm_cross.weight", "blocks.0.norm2.bias",
                            "blocks.1.cross_attn.kv.weight", "blocks.0.cross_attn.proj.bias",
                            "final_layer.norm_final.weight"]),
            ("context52", 4, ["blocks.1.norm1.bias", "blocks.0.norm2.weight",
                              "final_layer.norm_final.bias"])):
        source = load(f"{c.good}/{model}.safetensors")
        more = {"heads": f"--heads {heads}", "source": source}
        c.single(f"{model}_good", "", lambda t: None, 0, **more)
        for i, name in enumerate(names):
            c.single(f"{model}_missing_{i}", name, dropper(name), **more)
            c.single(f"{model}_short_{i}", name, shortened(name), **more)
        c.single(f"{model}_unknown", "blocks.0.norm3.weight", lambda t: t.update(
            {"blocks.0.norm3.weight": ["F32", [1], bytes(4)]}), **more)
        bias = "blocks.0.attn.proj.bias"
        nan = b"\xff\xff"
        c.single(f"{model}_nan", bias, setter(bias, 2, lambda d: patch(d, 2, nan)), **more)


def main():
    if len(sys.argv) not in (3, 5):
        sys.exit(__doc__)
    cases = Cases(sys.argv[1], sys.argv[2])
    for make in (broken_files, broken_headers, broken_tensors, broken_configs, missing_files,
                 single_files, other_designs, hostile_sizes, broken_latents):
        make(cases)
    with open(sys.argv[2] + "/malformed.txt", "w") as f:
        f.writelines("\t".join(map(str, row)) + "\n" for row in cases.rows)
    if len(sys.argv) == 5:
        sys.exit(run(sys.argv[2], sys.argv[4], cases.rows) > 0)


main()
