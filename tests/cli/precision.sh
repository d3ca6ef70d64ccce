#!/bin/bash
# --precision: an error if the device has no such kernels; named in the picture; weights beyond fp16.
source "$(dirname "$0")/expect.sh"
model=$data/models/plain32 z=$data/models/plain32-z.npy
near="$(dirname "$data")/near.py"

# ---- without such kernels: an error before any work, which names the available precisions ----
export DITCL_FEATURES=-amx_bf16,-avx512_bf16
expect 2 "no fp16 ... cpu family ... fp32" sample "$model" --precision fp16 --out a.png
expect 2 "no bf16 ... cpu family ... fp32" sample "$model" --precision bf16 --out a.png
expect 2 "no bf16 ... gpu family ... fp32, fp16" decode "$model" --latents "$z" \
    --out a.npy --kernels gpu --precision bf16
for command in "check fill" "bench $model --only step" "tune $model --budget 1"; do
    expect 2 "no bf16 kernels" $command --precision bf16
done
expect 0 "checks passed" check fill --kernels gpu --precision fp16

# ---- the text of a picture names the arithmetic types that ran ----
expect 0 "" sample "$model" --class 1 --steps 1 --out a.png
says "precision auto (fp32), device" a.png
expect 0 "" sample "$model" --class 1 --steps 1 --precision fp32 --out a.png
says "precision fp32, device" a.png
made a.png

# ---- weights beyond fp16, whose scale the next layer removes, so the pictures are the same ----
mkdir keep/wide
cp "$model"/vae/config.json keep/wide/
python3 - "$model"/vae/diffusion_pytorch_model.safetensors keep/wide/ <<'END'
import array, json, struct, sys
raw = bytearray(open(sys.argv[1], "rb").read())
n, = struct.unpack("<Q", raw[:8])
table = json.loads(raw[8:8 + n])
for layer, factor in (("decoder.up_blocks.1.resnets.0.conv1", 2.0 ** 22), # a group norm removes the scale
                      ("decoder.mid_block.attentions.0.key", 2.0 ** 22), # the scale of keys and that of queries cancel out
                      ("decoder.mid_block.attentions.0.query", 2.0 ** -22)):
    for part in (".weight", ".bias"):
        begin, end = (8 + n + at for at in table[layer + part]["data_offsets"])
        values = array.array("f", bytes(raw[begin:end]))
        raw[begin:end] = array.array("f", (v * factor for v in values)).tobytes()
open(sys.argv[2] + "diffusion_pytorch_model.safetensors", "wb").write(raw)
END
expect 0 "" decode "$model" --latents "$z" --kernels gpu --precision fp32 --out keep/right.npy
expect 0 "" decode keep/wide --latents "$z" --kernels gpu --precision fp16 --out keep/half.npy
says "decoder.mid_block.attentions.0.to_q.weight: " err
says "1 other" err
"$near" keep/half.npy keep/right.npy 5e-3 || problem "a decode with wide layers"
expect 0 "" decode keep/wide --latents "$z" --kernels gpu --precision fp16 -q --out keep/half.npy
says not "fp16" err

finish
