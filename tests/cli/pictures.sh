#!/bin/bash
# PNG files that are rotated by EXIF or damaged, or whose text is not Latin-1. The expected rotated
# pictures are those of diffusers (scripts/oracle_pictures.py).
source "$(dirname "$0")/expect.sh"

plain="$data/models/plain32"
vae="$data/models/separate48"
png="$data/pictures/png"

# ---- a rotated picture is encoded upright ----
for name in orientation-6 orientation-zTXt orientation-xmp; do
    expect 0 "" encode "$png/$name.png" keep/oriented.npy --vae "$vae" --fit -q
    expect 0 "" encode "$png/$name-rgb.png" keep/upright.npy --vae "$vae" --fit -q
    if ! cmp -s keep/oriented.npy keep/upright.npy; then problem "$name: other latents"; fi
done

# ---- other kinds of pictures ----
kinds="$data/pictures/kinds"
for name in jpeg-orientation.jpg webp-alpha.webp bmp-565.bmp; do
    expect 0 "" encode "$kinds/$name" keep/kind.npy --vae "$vae" --fit -q
    expect 0 "" encode "$kinds/${name%.*}-rgb.png" keep/png.npy --vae "$vae" --fit -q
    if ! cmp -s keep/kind.npy keep/png.npy; then problem "$name: other latents"; fi
    head -c 300 "$kinds/$name" >keep/cut.picture
    expect 1 "keep/cut.picture: damaged" encode keep/cut.picture x.npy --vae "$vae" --fit
done
expect 0 "" sample "$vae" --class 0 --steps 3 --image "$kinds/jpeg.jpg" --fit --out keep/x.png -q

# ---- pictures out: WebP has the pixels of PNG, JPEG nearly so ----
draw="sample $plain --class 0,1,2 --steps 5 -q --out"
for ending in png jpg JPEG webp; do expect 0 "" $draw "keep/out.$ending"; done
for ending in jpg JPEG webp; do
    expect 0 "" encode "keep/out.$ending" "keep/$ending.npy" --vae "$vae" --fit -q
done
expect 0 "" encode keep/out.png keep/png.npy --vae "$vae" --fit -q
if ! cmp -s keep/png.npy keep/webp.npy; then problem "WebP is not lossless"; fi
cp "$(dirname "$data")/near.py" keep/
python3 keep/near.py keep/jpg.npy keep/png.npy 0.15 >out || problem "JPEG is far from PNG: $(cat out)"
if cmp -s keep/png.npy keep/jpg.npy; then problem "JPEG is PNG"; fi
if ! cmp -s keep/out.jpg keep/out.JPEG; then problem "JPEG by its ending"; fi
expect 0 "" $draw keep/out%d.jpg
if [ "$(head -c 3 keep/out2.jpg | od -An -tx1)" != " ff d8 ff" ]; then problem "out2.jpg is no JPEG"; fi
if [ "$(head -c 4 keep/out.webp)" != RIFF ]; then problem "out.webp is no WebP"; fi
expect 1 "not a PNG" info keep/out.jpg

# ---- standard output ----
if "$ditcl" $draw - >keep/piped.png 2>err && [ ! -s err ]; then passed=$((passed + 1)); else problem "--out -: $(cat err)"; fi
expect 0 "" encode keep/piped.png keep/piped.npy --vae "$vae" --fit -q
if ! cmp -s keep/png.npy keep/piped.npy; then problem "--out - is another picture"; fi
expect 0 "sample" info keep/piped.png
expect 2 "--json" $draw - --json
if "$ditcl" $draw - >/dev/full 2>err || ! grep -q "standard output: No space" err; then problem "/dev/full: $(cat err)"; fi

# ---- standard input, as a pipe and as a file; a recipe has the picture's hash ----
if cat keep/piped.png | "$ditcl" encode - keep/stdin.npy --vae "$vae" --fit -q && cmp -s keep/stdin.npy keep/piped.npy; then
    passed=$((passed + 1))
else
    problem "encode - from a pipe"
fi
"$ditcl" encode - keep/stdin.npy --vae "$vae" --fit -q <"$png/scaled.png" || problem "encode - from a file"
expect 0 "" encode "$png/scaled.png" keep/named.npy --vae "$vae" --fit -q
cmp -s keep/stdin.npy keep/named.npy || problem "encode - from a file: other latents"
drawn="sample $vae --class 0 --steps 3 --fit -q --image"
cat "$kinds/jpeg.jpg" | "$ditcl" $drawn - --out keep/from_stdin.png || problem "--image -"
expect 0 "" $drawn "$kinds/jpeg.jpg" --out keep/from_name.png
expect 0 "" encode keep/from_stdin.png keep/a.npy --vae "$vae" --fit -q
expect 0 "" encode keep/from_name.png keep/b.npy --vae "$vae" --fit -q
cmp -s keep/a.npy keep/b.npy || problem "--image -: another picture"
expect 0 "" sample --again keep/from_stdin.png --out keep/again.png -q < <(cat "$kinds/jpeg.jpg")
expect 1 "has the hash" sample --again keep/from_stdin.png --out x.png -q < <(cat "$png/scaled.png")
expect 1 "standard input: is empty" $drawn - --out x.png </dev/null
expect 2 "standard input is one picture" $drawn - --mask - --out x.png <keep/piped.png

# ---- damaged pictures: the message says what is wrong, and where ----
python3 - "$png/scaled.png" <<'END'
import sys
good = open(sys.argv[1], "rb").read()
at = good.index(b"IDAT")
open("keep/byte.png", "wb").write(good[:at + 50] + bytes([good[at + 50] ^ 1]) + good[at + 51:])
open("keep/cut.png", "wb").write(good[:2000])
END
expect 1 "chunk IDAT at byte 33 ... checksum 0x" \
    encode keep/byte.png x.npy --vae "$vae" --fit
expect 1 "chunk IDAT" encode keep/cut.png x.npy --vae "$vae" --fit
expect 1 "keep/byte.png: " \
    sample "$vae" --class 0 --steps 2 -q --image keep/byte.png --fit

# ---- text: Latin-1 in tEXt chunks, other text as UTF-8 in iTXt chunks ----
texts()
{
    python3 - "$1" <<'END'
import struct, sys
b, at = open(sys.argv[1], "rb").read(), 8
while at < len(b):
    n, name = struct.unpack(">I4s", b[at:at + 8])
    key, _, rest = b[at + 8:at + 8 + n].partition(b"\0")
    if name == b"tEXt":
        print("tEXt", key.decode(), rest.decode("latin-1"))
    if name == b"iTXt":
        print("iTXt", key.decode(), rest[:4] == bytes(4), rest[4:].decode("utf-8"))
    at += n + 12
END
}
for name in modell modèle 模型 $'bad\xff'; do
    cp -r "$plain" "keep/$name"
    expect 0 "" sample "keep/$name" --class 0 --steps 2 -q --out keep/x.png
    PYTHONIOENCODING=utf-8 texts keep/x.png >keep/text
    case $name in
    modell | modèle) says "tEXt Comment model $name," keep/text ;;
    模型) says "iTXt Comment True model 模型," keep/text ;;
    *) says "iTXt Comment True model bad�," keep/text ;;
    esac
done
finish
