#!/bin/bash
# The choice of weights in a file or a folder that has several.
# usage: tests/cli/weights.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

trainers=$data/checkpoints/trainers
plain=$data/models/plain32
tiny="--vae $plain --heads 2 --class 0 --steps 2"
short="--class 0 --steps 2"
mkdir folder keep/here
export HF_HUB_CACHE=$work/keep/none HF_HOME=$work/keep/none

# latents_of NAME ARGUMENT...: draws, and stores the latents as keep/NAME.npy
latents_of()
{
    expect 0 "" sample "${@:2}" -q --latents-out l.npy --out x.png
    mv l.npy "keep/$1.npy"
    rm -f x.png
}

# takes NAME "PART" ARGUMENT...: must draw the latents of NAME and print PART
takes()
{
    local name=$1 part=$2
    shift 2
    expect 0 "$part" sample "$@" --latents-out l.npy --out x.png
    cmp -s l.npy "keep/$name.npy" || problem "sample $*: not the latents of $name: $(cat err)"
    rm -f l.npy x.png
}

# ---- files ----
latents_of ema "$trainers/ema.safetensors" $tiny
latents_of raw "$trainers/raw.safetensors" $tiny
cmp -s keep/ema.npy keep/raw.npy && problem "raw and averaged weights draw the same"
for file in "$trainers"/both*; do
    name=$(basename "$file")
    takes ema "$name: takes \"" "$file" $tiny
    says '(averaged weights); it also contains "' err
    takes raw "" "$file" $tiny --weights raw
    takes ema "" "$file" $tiny --weights ema
done
for file in "$trainers"/raw-*; do takes raw "" "$file" $tiny; done
takes raw "list of tensors without names" "$trainers/raw-nameless.pt" $tiny
takes raw '"optimizer_states.0.ema" is a list' "$trainers/raw-optimizer.pt" $tiny
takes ema 'takes "ema.0.9999"' "$trainers/both-decays.pt" $tiny --weights ema
takes raw "is a pickled Unknown" "$trainers/raw-object.pt" $tiny
takes ema 'pos_embed, not averaged, from "net"' "$trainers/both-shadow.pt" $tiny
takes ema "" "$trainers/both-shadow.pt" $tiny --weights ema.shadow
takes raw "" "$trainers/both-shadow.pt" $tiny --weights net
takes raw "" "$trainers/both-lucid.pt" $tiny --weights ema.online_model
takes ema "" "$trainers/both-lucid.pt" $tiny --weights ema
takes raw "" "$trainers/both-timm.pt" $tiny --weights state_dict.module
expect 0 "" sample "$trainers/both-dit.pt" $tiny -q --out x.png
[ -s err ] && problem "-q prints $(cat err)"
grep -qa "weights ema (averaged)" x.png || problem "the text of a picture does not name the weights"
rm x.png
expect 0 "" sample "$trainers/ema.safetensors" $tiny --out x.png
grep -qa "weights" x.png && problem "the text of a picture names the weights of a file with only one kind"
rm x.png

expect 2 'no averaged weights; it contains "module"' sample "$trainers/raw-deepspeed.pt" $tiny \
    --weights ema
expect 2 'since "ema.shadow_params" is a list' sample "$trainers/raw-nameless.pt" $tiny \
    --weights ema
expect 2 'no such key with a DiT below; it contains "ema" (averaged weights) and "model"' \
    sample "$trainers/both-dit.pt" $tiny --weights opt
expect 1 "float8_e4m3fn" sample "$trainers/not-fp8.pt" $tiny
expect 1 "of type qint8, as are" sample "$trainers/not-quantized.pt" $tiny
expect 1 'it contains "epoch", "loss"' sample "$trainers/not-none.pt" $tiny
expect 1 "a pickled Unknown" sample "$trainers/not-module.pt" $tiny
expect 1 "tensors of an adapter" sample "$trainers/not-adapter.pt" $tiny
expect 1 "it is a VAE: use --vae" sample "$plain/vae" $tiny

# ---- the other commands ----
expect 0 'takes "ema" (averaged weights)' convert "$trainers/both-dit.pt" a.safetensors --heads 2
expect 0 "" convert "$trainers/ema.safetensors" b.safetensors --heads 2
cmp -s a.safetensors b.safetensors || problem "convert does not take the averaged weights"
rm a.safetensors b.safetensors
expect 0 'takes "model"; it also contains "ema" (averaged weights)' \
    convert "$trainers/both-dit.pt" a.safetensors --heads 2 --weights model
rm a.safetensors
expect 0 "ema (averaged) ... model" info "$trainers/both-dit.pt" --heads 2
expect 0 '"taken": "model"' info "$trainers/both-dit.pt" --heads 2 --weights raw --json
says '"averaged": false' out
expect 2 "applies only to a MODEL" info --arch DiT-S/8 --weights ema

# ---- a safetensors file with REPA's projectors ----
python3 - "$trainers/ema.safetensors" keep/repa.safetensors <<'END'
import json, struct, sys
raw = open(sys.argv[1], "rb").read()
n, = struct.unpack("<Q", raw[:8])
header, data = json.loads(raw[8:8 + n]), raw[8 + n:]
header["projectors.0.0.weight"] = {"dtype": "F32", "shape": [2],
                                   "data_offsets": [len(data), len(data) + 8]}
text = json.dumps(header).encode()
open(sys.argv[2], "wb").write(struct.pack("<Q", len(text)) + text + data + bytes(8))
END
takes ema "skips projectors.* (1 tensor," keep/repa.safetensors $tiny

# ---- folders ----
# other_weights FILE: changes a value in the middle of the file
other_weights()
{
    printf '\x11\x22' | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") / 2 / 4 * 4)) conv=notrunc \
        2>dd.log && rm dd.log
}
weights=diffusion_pytorch_model
cd keep/here || exit 1
cp -r "$plain" good
cp -r "$plain" other
other_weights other/transformer/$weights.safetensors
cp -r "$plain" variants
mv variants/transformer/$weights{,.bf16}.safetensors
cp -r variants several
cp other/transformer/$weights.safetensors several/transformer/$weights.non_ema.safetensors
cp -r good averaged
cp other/transformer/$weights.safetensors averaged/transformer/$weights.non_ema.safetensors
cp -r good onlyema
mv onlyema/transformer/$weights{,.ema}.safetensors
cp -r onlyema two
cp other/transformer/$weights.safetensors two/transformer/$weights.fp16.safetensors
cp -r good grown
mkdir -p grown/snapshots/1 run2/snapshots
cp "$trainers/ema.safetensors" run2/snapshots/1.safetensors
cp -r good novae
rm -r novae/vae
mkdir -p hub/models--a--b/{snapshots,refs} home/hub hub/models--c--d/snapshots
cp -r other hub/models--a--b/snapshots/9
cp -r good hub/models--a--b/snapshots/0
printf '0\n' >hub/models--a--b/refs/main
mkdir -p run/checkpoints trained
cp "$trainers/ema.safetensors" run/checkpoints/0050000.safetensors
cp -r good/transformer trained/transformer_ema
cp -r other/transformer trained/transformer
cp -r other/transformer lone
mkdir accelerate
cp "$trainers/ema.safetensors" accelerate/model.safetensors
for form in safetensors.index.fp16.json fp16.safetensors.index.json; do
    cp -r good sharded-$form
    mv sharded-$form/transformer/$weights{,.fp16-00001-of-00001}.safetensors
    python3 - sharded-$form/transformer $weights $form <<'END'
import glob, json, os, struct, sys
folder, weights, form = sys.argv[1:]
path, = glob.glob(folder + "/*of*.safetensors")
raw = open(path, "rb").read()
names = json.loads(raw[8:8 + struct.unpack("<Q", raw[:8])[0]])
index = {k: os.path.basename(path) for k in names if k != "__metadata__"}
json.dump({"weight_map": index}, open(f"{folder}/{weights}.{form}", "w"))
END
done
cd "$work" || exit 1

latents_of good keep/here/good $short
latents_of other keep/here/other $short
cmp -s keep/good.npy keep/other.npy && problem "other weights draw the same"
takes good "takes $weights.bf16.safetensors, the only variant" keep/here/variants $short
takes good "there is also non_ema: --variant NAME" keep/here/several $short
takes other "" keep/here/several $short --variant non_ema
takes other "takes $weights.non_ema.safetensors" keep/here/several $short --weights raw
takes good "takes $weights.safetensors; there is also non_ema" keep/here/averaged $short
takes good "" keep/here/averaged $short --weights ema
takes other "" keep/here/averaged $short --weights raw
expect 0 "" sample keep/here/averaged $short -q --weights raw --out x.png
grep -qa "file transformer/$weights.non_ema.safetensors" x.png ||
    problem "the text of a picture does not name the file"
rm x.png
takes good "safetensors.index.fp16.json, the only" keep/here/sharded-safetensors.index.fp16.json \
    $short
takes good "fp16.safetensors.index.json, the only" keep/here/sharded-fp16.safetensors.index.json \
    $short
takes good "takes $weights.ema.safetensors, the only variant" keep/here/onlyema $short
takes good "" keep/here/onlyema $short --weights ema
takes good "" keep/here/onlyema $short --weights ema --variant ema
expect 2 "has only averaged weights" sample keep/here/onlyema $short --weights raw
takes good "there is also fp16" keep/here/two $short
takes other "takes $weights.fp16.safetensors" keep/here/two $short --weights raw
expect 2 "only averaged weights" \
    sample keep/here/two $short --weights raw --variant ema
expect 2 "it has bf16, non_ema" sample keep/here/several $short --variant fp16
expect 2 "only a folder has variants" sample "$trainers/ema.safetensors" $tiny --variant fp16

expect 1 "has no vae/ folder" sample keep/here/novae $short
says "--vae FOLDER or FILE" err
takes good "" keep/here/novae $short --vae keep/here/good
takes good "" keep/here/hub/models--a--b $short
takes good "" keep/here/hub/models--a--b/snapshots $short
takes other "" keep/here/hub/models--a--b/snapshots/9 $short
rm keep/here/hub/models--a--b/refs/main
touch -d "2020-01-01" keep/here/hub/models--a--b/snapshots/0
takes other "" keep/here/hub/models--a--b $short
export HF_HUB_CACHE=$work/keep/here/hub
takes other "" a/b $short
unset HF_HUB_CACHE
HF_HOME=$work/keep/here takes other "" a/b $short
expect 1 "hf download a/b" sample a/b $short
expect 1 "hf download facebook/DiT-XL-2-512" sample facebook/DiT-XL-2-512 $short
expect 1 "hf download facebook/DiT-XL-2-256; its name is then" sample dit-xl-2-256x256.pt $short
expect 1 "has no snapshot" sample keep/here/hub/models--c--d $short
expect 1 "keep/here/run/checkpoints/0050000.safetensors" sample keep/here/run $short
expect 1 "keep/here/hub/models--c--d" sample keep/here/hub $short
expect 1 "did you mean keep/here/good?" sample keep/here/goood $short
expect 1 "is not a model" sample folder $short
expect 2 "--vae FOLDER" sample keep/here/lone $short
latents_of lone keep/here/lone $short --vae keep/here/good
takes good "" keep/here/grown $short
expect 1 "keep/here/run2/snapshots/1.safetensors" sample keep/here/run2 $short
takes lone "without a scheduler" keep/here/lone $short --vae keep/here/good
takes lone "the parent folder has its own" keep/here/other/transformer $short --vae keep/here/good
takes lone "" keep/here/trained $short --vae keep/here/good --weights raw
expect 0 "transformer_ema/ ... --weights raw" \
    info keep/here/trained
takes ema "" keep/here/accelerate $tiny
cp "$trainers/raw.safetensors" keep/here/accelerate/model_1.safetensors
expect 0 "model_1.safetensors" info keep/here/accelerate --heads 2
finish
