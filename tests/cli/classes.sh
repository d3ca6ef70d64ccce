#!/bin/bash
# Classes, the null class, labels, and the scheduler of a folder: what the file says, what options say, and
# errors. usage: tests/cli/classes.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

original=$data/models/original64.safetensors
vae="--vae $data/models/original64-vae.safetensors --heads 1"
unguided="$vae --cfg 1 --steps 10 --sampler ddpm -q --out keep/x.png --latents-out keep/x.npy"
short="--steps 2 -q --out keep/x.png"

# cut OUT FIRST LAST [KEY=VALUE...]: writes the model with only these rows of the label table, and metadata
cut()
{
    python3 - "$original" keep/"$1" "${@:2}" <<'END'
import json, struct, sys
source, out, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
data = open(source, "rb").read()
n = struct.unpack("<Q", data[:8])[0]
header, body = json.loads(data[8:8 + n]), data[8 + n:]
header["__metadata__"] = dict(note.split("=", 1) for note in sys.argv[5:])
parts, at = [], 0
for name, t in header.items():
    if name == "__metadata__":
        continue
    begin, end = t["data_offsets"]
    part = body[begin:end]
    if name == "y_embedder.embedding_table.weight":
        row = (end - begin) // t["shape"][0]
        part, t["shape"][0] = part[first * row:last * row], last - first
    t["data_offsets"] = [at, at + len(part)]
    at += len(part)
    parts.append(part)
text = json.dumps(header).encode()
open(out, "wb").write(struct.pack("<Q", len(text)) + text + b"".join(parts))
END
}

# near FILE: the latents of the last run must be close to PyTorch's in FILE
near()
{
    if python3 - keep/x.npy "$data/labels/$1" <<'END'
import struct, sys
def values(path):
    data = open(path, "rb").read()
    data = data[10 + struct.unpack("<H", data[8:10])[0]:]
    return struct.unpack("<%df" % (len(data) // 4), data)
a, b = map(values, sys.argv[1:])
error = sum((x - y) ** 2 for x, y in zip(a, b)) ** 0.5 / sum(y * y for y in b) ** 0.5
sys.exit(len(a) != len(b) or not error < 1e-4)
END
    then passed=$((passed + 1)); else problem "latents far from $1"; fi
}

# the null class by its name, as PyTorch draws it; with guidance, both halves are the same
expect 0 "" sample "$original" $unguided --class null --seed 1
near null-class.npy
says "class null" keep/x.png
expect 0 "" sample "$original" $unguided --cfg 4 --class null --seed 1
near null-class-guided.npy
expect 0 "" sample "$original" $vae $short --class 0,null --interpolate 3
expect 2 "--class null" sample "$original" $vae $short --class 4
expect 2 "--num-classes 4" sample "$original" $vae $short --class 3

# if nothing says otherwise, the last row is the null class, and a message says so
expect 0 "" sample "$original" $vae --class 0 --steps 2 --out keep/x.png
says "null class" err
says "--num-classes 4" err
expect 0 "" sample "$original" $vae --class 0 $short
says not "null class" err
expect 0 "3, and ... assumed" info "$original" --heads 1

# all rows are classes (--num-classes)
cut three.safetensors 1 4
expect 0 "" sample keep/three.safetensors $unguided --class 2 --seed 2 --num-classes 3
near three-classes.npy
expect 0 "" sample keep/three.safetensors $vae --num-classes 3 --class 2 --steps 2 --out keep/x.png
says "drawn without guidance" err
says not "label table" err
says "num-classes 3" keep/x.png
expect 2 "no null class ... --num-classes" \
    sample keep/three.safetensors $vae $short --num-classes 3 --class 2 --cfg 4
expect 2 "no null class" sample keep/three.safetensors $vae $short --num-classes 3 --class null
expect 2 "classes 0 to 2" sample keep/three.safetensors $vae $short --num-classes 3 --class 3
expect 0 "3, no null class" info keep/three.safetensors --heads 1 --num-classes 3
expect 0 '"null_class": false' info keep/three.safetensors --heads 1 --num-classes 3 --json
expect 0 "" bench keep/three.safetensors $vae --num-classes 3 --only forward -q --repeat 1
expect 2 "--num-classes ... 7 ... 3 rows" \
    info keep/three.safetensors --heads 1 --num-classes 7
expect 2 "--num-classes" info --arch DiT-S/2 --num-classes 3
expect 2 "num-classes" info "$data/models/plain32" --num-classes 3
expect 0 "" info "$data/models/plain32" --num-classes 7
# a converted file says the same; a folder cannot
expect 0 "" convert keep/three.safetensors keep/copy.safetensors --heads 1 --num-classes 3
expect 0 "3, no null class" info keep/copy.safetensors
expect 0 "" sample keep/copy.safetensors --vae "$data/models/original64-vae.safetensors" $short \
    --class 2
expect 2 "always has one" convert keep/copy.safetensors keep/folder
[ ! -e keep/folder ] || problem "a folder without a null class was written"

# a table with one row: an unconditional model
cut one.safetensors 1 2
expect 0 "" sample keep/one.safetensors $unguided --seed 3
near one-class.npy
expect 2 "no null class ... label table" \
    sample keep/one.safetensors $vae $short --cfg 2
expect 2 "the label table has one row" info keep/one.safetensors --heads 1 --num-classes 2

# args of a checkpoint decide, then id2label
names='ditcl.model_index={"id2label": {"0": "a", "1": "b", "2": "c"}}'
cut args.safetensors 0 3 args.num_classes=3 "$names"
expect 0 "3, no null class ... args" info keep/args.safetensors --heads 1
expect 2 "--num-classes 2 ... 3 classes" \
    info keep/args.safetensors --heads 1 --num-classes 2
cut args.safetensors 0 3 args.num_classes=2 "$names"
expect 0 "2, and the null class" info keep/args.safetensors --heads 1
says not assumed out
says "c (the null class)" out
cut args.safetensors 0 3 args.class_dropout_prob=0
expect 0 "3, no null class" info keep/args.safetensors --heads 1
cut args.safetensors 0 3 args.num_classes=3 args.class_dropout_prob=0.1
expect 1 "class_dropout_prob 0.1 ... 3 rows ... expected 4" \
    info keep/args.safetensors --heads 1
says "--num-classes" err
expect 0 "3, no null class" info keep/args.safetensors --heads 1 --num-classes 3
# an unconditional model may say 0 classes
cut args.safetensors 1 2 args.num_classes=0 args.class_dropout_prob=0.1
expect 0 "1, no null class ... args" info keep/args.safetensors --heads 1
cut args.safetensors 0 2 args.num_classes=0
expect 1 "its args say num_classes 0" info keep/args.safetensors --heads 1
cut args.safetensors 0 3 args.num_classes=9
expect 1 "num_classes 9 ... 3 rows" \
    info keep/args.safetensors --heads 1
expect 0 "3, no null class" info keep/args.safetensors --heads 1 --num-classes 3
cut args.safetensors 0 3 "$names"
expect 0 "3, no null class ... id2label" \
    info keep/args.safetensors --heads 1
cut args.safetensors 0 4 "$names"
expect 0 "3, and the null class" info keep/args.safetensors --heads 1
says not assumed out

# labels with commas, and a label of the null class
labels()
{
    rm -rf keep/m && cp -r "$data/models/plain32" keep/m
    python3 -c "import json, sys
p = 'keep/m/model_index.json'
d = json.load(open(p))
d['id2label'] = json.loads(sys.argv[1])
json.dump(d, open(p, 'w'))" "$1"
}
labels '{"0": "great grey owl, great gray owl, Strix nebulosa", "1": "crane", "7": "none"}'
expect 0 "" sample keep/m $short --class "great grey owl, great gray owl, Strix nebulosa,crane"
says "class 0 1" keep/x.png
expect 0 "" sample keep/m $short --class "Great grey owl,great gray owl,strix nebulosa"
says "class 0" keep/x.png
expect 0 "" sample keep/m $short --class "crane,0" --class none --class Strix
says "class 1 0 null 0" keep/x.png
expect 0 "none (the null class)" info keep/m
labels '{"8": "none"}'
expect 1 "id2label names class 8" sample keep/m $short --class 0

# the class in model_index.json decides which scheduler
labels '{}'
scheduler() { echo "$1" >keep/m/scheduler/scheduler_config.json; }
index() { sed -i "s/\"[A-Za-z]*Scheduler\"/\"$1\"/" keep/m/model_index.json; }
index DPMSolverMultistepScheduler
expect 0 "dpm++, DPMSolverMultistepScheduler" info keep/m
says "scheduler_config.json says DDIMScheduler" out
expect 0 '"scheduler": "DPMSolverMultistepScheduler"' info keep/m --json
scheduler '{}'
expect 0 "dpm++" info keep/m
expect 0 "" sample keep/m $short --class 0
says "sampler dpm++" keep/x.png
scheduler '{"use_karras_sigmas": true, "_class_name": "DDIMScheduler"}'
expect 1 "use_karras_sigmas true" sample keep/m $short --class 0
says "ddpm or ddim" err
expect 0 "none: give one to sample" info keep/m
expect 0 "" sample keep/m $short --class 0 --sampler ddim
expect 0 "" bench keep/m --only forward -q --repeat 1
expect 0 "" convert keep/m keep/converted
says DPMSolverMultistepScheduler keep/converted/model_index.json
says DPMSolverMultistepScheduler keep/converted/scheduler/scheduler_config.json
index UniPCMultistepScheduler
expect 1 "UniPCMultistepScheduler" sample keep/m $short --class 0
says "--sampler ddpm, ddim" err
expect 0 "" sample keep/m $short --class 0 --sampler ddpm
rm keep/m/model_index.json
scheduler '{"beta_end": 0.01}'
expect 1 "names a scheduler class" sample keep/m $short --class 0
expect 0 "" sample keep/m $short --class 0 --sampler ddim
# the class in a configuration contradicts model_index.json
labels '{}'
sed -i '/_class_name/d' keep/m/transformer/config.json keep/m/vae/config.json
expect 0 "" sample keep/m $short --class 0
rm keep/m/model_index.json
expect 1 "transformer/config.json: _class_name" sample keep/m $short --class 0

# files with byte order marks
labels '{"0": "crane"}'
for file in model_index.json transformer/config.json scheduler/scheduler_config.json vae/config.json; do
    sed -i '1s/^/\xef\xbb\xbf/' keep/m/$file
done
expect 0 "" sample keep/m $short --class crane
rm -r keep/converted
expect 0 "" convert keep/m keep/converted
python3 -c "open('keep/m/vae/config.json', 'ab').close()
t = open('keep/m/vae/config.json', encoding='utf-8-sig').read()
open('keep/m/vae/config.json', 'w', encoding='utf-16').write(t)"
expect 1 "vae/config.json ... UTF-16" sample keep/m $short --class crane
finish
