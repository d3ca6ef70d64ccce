#!/bin/bash
# Recipes: each PNG has the command line that makes it again, `info` prints it, and `sample --again` runs it.
# usage: tests/cli/again.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

plain="$data/models/plain32"

# same A B: whether two pictures have the same bytes
same()
{
    if cmp -s "$1" "$2"; then passed=$((passed + 1)); else problem "$1 and $2 differ"; fi
}

# ---- a picture with all defaults ----
expect 0 "" sample "$plain" --class 1 --out keep/a.png -q
expect 0 "ditcl sample ... --seed 0 ... --steps 50 ... --cfg 4 ... --precision auto ... --kernels cpu" \
    info keep/a.png
says "--class 1" out
expect 0 "" sample --again keep/a.png --out keep/again.png -q
same keep/a.png keep/again.png
# what info prints is a command of the shell
eval "$("$ditcl" info keep/a.png | sed -n '1s/^ditcl/"$ditcl"/p') --out keep/typed.png -q"
if cmp -s <("$ditcl" info keep/a.png --json | sed '/"command"/,/\]/d') \
    <("$ditcl" info keep/typed.png --json | sed '/"command"/,/\]/d'); then passed=$((passed + 1)); else problem "typed again"; fi

# the recipe is UTF-8 in an iTXt chunk: not compressed, no language, no translated keyword
python3 - keep/a.png <<'END' || problem "the recipe's chunk"
import json, sys
data, at, found = open(sys.argv[1], "rb").read(), 8, {}
while at < len(data):
    n = int.from_bytes(data[at:at + 4], "big")
    key, _, rest = data[at + 8:at + 8 + n].partition(b"\0")
    found[data[at + 4:at + 8], key] = rest
    at += n + 12
recipe = found[b"iTXt", b"ditcl"]
sys.exit(recipe[:4] != bytes(4) or json.loads(recipe[4:].decode())["command"][:2] != ["ditcl", "sample"])
END

# ---- every kind of setting, and a series ----
expect 0 "" sample "$plain" -c 0,2 -n 2 -s 5 --steps=3 --sampler ddpm --cfg 2.5 --cfg-channels 3 --compat original \
    --precision fp32 --out keep/s%d.png -v
expect 0 "-n 2" info keep/s3.png
says "picture 3 of 4" <(tr -s ' ' <out)
expect 0 "" sample --again keep/s3.png --out keep/t%d.png -q
for i in 0 1 2 3; do same keep/s$i.png keep/t$i.png; done
# changes
expect 0 "" sample --again keep/s3.png --seed 6 --steps 2 -c 1 -n 1 --out keep/changed.png -q
expect 0 "" sample "$plain" -c 1 -n 1 -s 6 --steps 2 --sampler ddpm --cfg 2.5 --cfg-channels 3 --compat original \
    --precision fp32 --out keep/wanted.png -q
expect 0 "--seed 6 ... --steps 2" info keep/changed.png
python3 - keep/changed.png keep/wanted.png <<'END' || problem "a changed picture has other pixels"
import sys, zlib
def pixels(path):
    data, at, found = open(path, "rb").read(), 8, b""
    while at < len(data):
        n = int.from_bytes(data[at:at + 4], "big")
        if data[at + 4:at + 8] == b"IDAT":
            found += data[at + 8:at + 8 + n]
        at += n + 12
    return zlib.decompress(found)
sys.exit(pixels(sys.argv[1]) != pixels(sys.argv[2]))
END
# another model in the place of the picture's
cp -r "$plain" keep/model
expect 0 "" sample --again keep/a.png keep/model --steps 1 --out keep/m.png -q
expect 0 "sample --class 1 ... keep/model" info keep/m.png

# ---- inputs ----
expect 0 "" sample "$plain" --class 1 --seed 3 --steps 1 --latents-out keep/one.npy --out keep/l.png -q
expect 0 "" sample "$plain" --class 1 --seed 4 --steps 1 --latents-out keep/two.npy --out keep/l.png -q
cp keep/one.npy keep/in.npy
expect 0 "" sample "$plain" --class 1 --latents-in keep/in.npy --steps 4 --out keep/i.png -q
expect 0 "" sample --again keep/i.png --out keep/j.png -q
same keep/i.png keep/j.png
cp keep/two.npy keep/in.npy
expect 1 "--latents-in keep/in.npy ... has the hash ... name the right file" sample --again keep/i.png --out x.png
expect 0 "" sample --again keep/i.png --latents-in keep/one.npy --out keep/k.png -q

# ---- pictures without a recipe, and hostile ones ----
cat >keep/spoil.py <<'END'
"""spoil.py FROM TO RECIPE: replaces the recipe of a PNG."""
import sys, zlib
data, at, out = open(sys.argv[1], "rb").read(), 8, b"\x89PNG\r\n\x1a\n"
while at < len(data):
    n = int.from_bytes(data[at:at + 4], "big")
    name, body = data[at + 4:at + 8], data[at + 8:at + 8 + n]
    at += n + 12
    if body.startswith(b"ditcl\0"):
        name, body = b"tEXt", b"ditcl\0" + sys.argv[3].encode() if sys.argv[3] else b"other\0"
    out += len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")
open(sys.argv[2], "wb").write(out)
END
# spoilt "PART" RECIPE
spoilt()
{
    python3 keep/spoil.py keep/a.png keep/spoilt.png "$2"
    expect 1 "keep/spoilt.png ... $1" sample --again keep/spoilt.png --out x.png
    expect 1 "keep/spoilt.png ... $1" info keep/spoilt.png
}
spoilt "has no recipe" ""
spoilt "recipe" "{"
spoilt "no command line of ditcl sample" "[]"
spoilt "no command line of ditcl sample" '{"command": "ditcl sample emoji"}'
spoilt "no command line of ditcl sample" '{"command": ["ditcl", "sample", 3]}'
spoilt "no command line of ditcl sample" '{"command": ["ditcl", "convert", "a"]}'
python3 keep/spoil.py keep/a.png keep/spoilt.png '{"command": ["ditcl", "sample", "x", "--nonsense", "1"]}'
expect 1 "unknown option --nonsense" sample --again keep/spoilt.png --out x.png
python3 keep/spoil.py keep/a.png keep/spoilt.png '{"command": ["ditcl", "sample", "x", "--seed"]}'
expect 1 "recipe has --seed without a value" sample --again keep/spoilt.png --out x.png
# a recipe does not say which files are written
python3 keep/spoil.py keep/a.png keep/spoilt.png \
    "{\"command\": [\"ditcl\", \"sample\", \"$plain\", \"--class\", \"1\", \"--steps\", \"1\", \"-oout.png\", \"--latents-out\", \"l.npy\"]}"
expect 0 "" sample --again keep/spoilt.png --out keep/mine.png -q
if [ -e out.png ] || [ -e l.npy ]; then problem "a recipe wrote a file"; else passed=$((passed + 1)); fi
expect 1 "no such file" sample --again keep/none.png --out x.png
expect 2 "--again needs a value" sample --again
expect 1 "" info "$data/../../README.md.png"
finish
