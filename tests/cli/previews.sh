#!/bin/bash
# Previews and strips: they show what forms, appear whole, and change nothing in the pictures.
# usage: tests/cli/previews.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"
export PYTHONPATH=$data/.. # tests/terminal.py

near=$(readlink -f "$data/../near.py")
plain="$data/models/plain32"

# near GOT WANTED LIMIT: two pictures are nearly equal
near()
{
    if python3 "$near" "$@" >why; then passed=$((passed + 1)); else problem "$*: $(cat why)"; fi
    rm -f why
}

cat >keep/row.py <<'END2'
"""row.py STRIP FIRST LAST N: the strip has N pictures in one row, with 2 pixels around each. The first and
the last are nearly those of the two files."""
import importlib.util, sys
source = open(sys.argv[1]).read().split("\ngot, wanted")[0]
near = {}
exec(source, near)
strip, first, last, n = *(near["read_png"](path) for path in sys.argv[2:5]), int(sys.argv[5])
side = last[0]
assert strip[:2] == (n * (side + 2) + 2, side + 4), strip[:2]
for wanted, left in (first, 2), (last, 2 + (n - 1) * (side + 2)):
    for y in range(side):
        at = 3 * ((y + 2) * strip[0] + left)
        line = strip[2][at:at + 3 * side]
        worst = max(abs(a - b) for a, b in zip(line, wanted[2][3 * y * side:3 * (y + 1) * side]))
        assert worst <= 1, f"line {y} at {left}: {worst}"
END2

# ---- the pictures are the same, and the last preview is what they are ----
for sampler in ddpm ddim dpm++ euler heun; do
    with=(sample "$plain" -c 0,2 -n 2 --steps 4 --sampler $sampler -q)
    expect 0 "" "${with[@]}" --out keep/$sampler.png
    expect 0 "" "${with[@]}" --batch 3 --out keep/again.png --preview keep/p.png --strip keep/s.png --preview-every 3
    near keep/again.png keep/$sampler.png 0
    near keep/p.png keep/$sampler.png 1
done
expect 0 "" "${with[@]}" --out keep/again.png --preview keep/linear.png --preview-with linear
if cmp -s keep/again.png keep/heun.png; then passed=$((passed + 1)); else problem "previews change a picture"; fi
expect 0 "" sample "$data/models/sit24" -c 0 --steps 5 -q --out keep/sit.png --preview keep/p.png
near keep/p.png keep/sit.png 5 # the path ends a thousandth before its end
# a linear preview is like the picture: their values correlate
cat >keep/like.py <<'END2'
import sys
source = open(sys.argv[1]).read().split("\ngot, wanted")[0]
near = {}
exec(source, near)
(*_, a), (*_, b) = near["read_png"](sys.argv[2]), near["read_png"](sys.argv[3])
mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
both = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b))
found = both / (sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b)) ** 0.5
sys.exit(f"correlation {found}" if found < 0.8 else 0)
END2
expect 0 "" sample emoji -c 0,1 --steps 8 -q --out keep/e.png --preview keep/l.png --preview-with linear
if python3 keep/like.py "$near" keep/l.png keep/e.png 2>why; then passed=$((passed + 1))
else problem "a linear preview: $(cat why)"; fi
rm -f why
# a recipe does not name them
expect 0 "" info keep/again.png
says not preview out

# ---- previews at other steps, and the states of a strip ----
expect 0 "" sample "$plain" -c 1 --steps 4 -q --out keep/a.png --preview keep/p.png --preview-every 1000
near keep/p.png keep/a.png 1
# with trailing timesteps, every run begins at the last one, and the picture of one step is what the network
# expects there
cp -r "$plain" keep/trailing
python3 - keep/trailing/scheduler/scheduler_config.json <<'END2'
import json, sys
config = json.load(open(sys.argv[1]))
config["timestep_spacing"] = "trailing"
json.dump(config, open(sys.argv[1], "w"))
END2
expect 0 "" sample keep/trailing -c 1 --sampler ddim --cfg 3 --steps 1 -q --out keep/one.png
expect 0 "" sample keep/trailing -c 1 --sampler ddim --cfg 3 --steps 4 -q --out keep/four.png --strip keep/s.png
for states in 2 3 5; do
    expect 0 "" sample keep/trailing -c 1 --sampler ddim --cfg 3 --steps 4 -q --out keep/four.png \
        --strip keep/s.png --strip-states $states
    if python3 keep/row.py "$near" keep/s.png keep/one.png keep/four.png $states 2>why; then passed=$((passed + 1))
    else problem "a strip of $states: $(tail -1 why)"; fi
    rm -f why
done

# ---- each preview is a whole file ----
cat >keep/watch.py <<'END2'
"""watch.py FILE COMMAND...: reads FILE all the time while the command runs. It must be a whole PNG each
time, and change at least once."""
import os, subprocess, sys
seen, child = set(), subprocess.Popen(sys.argv[2:])
while child.poll() is None:
    if os.path.exists(sys.argv[1]):
        data = open(sys.argv[1], "rb").read()
        assert data[:4] == b"\x89PNG" and data[-8:-4] == b"IEND", "a part of a picture"
        seen.add(data)
assert child.returncode == 0 and len(seen) > 1, f"{len(seen)} different previews"
END2
if python3 keep/watch.py keep/w.png "$ditcl" sample "$plain" -c 0 --steps 40 --sampler ddpm --preview keep/w.png \
    --preview-every 1 --out keep/x.png -q; then passed=$((passed + 1)); else problem "a preview is not whole"; fi

# ---- in a terminal: kitty's graphics protocol ----
cat >keep/kitty.py <<'END2'
"""kitty.py PICTURE N COMMAND...: runs the command on a pseudo-terminal of 20 rows. It must send N pictures
in kitty's graphics protocol, in chunks of at most 4096 bytes of base64. Writes the last one to PICTURE."""
import base64, re, sys
from terminal import run
picture, n, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
said, code = run(20, 80, command)
assert code == 0, said[-500:]
chunks = re.findall(rb"\x1b_G([^;]*);([^\x1b]*)\x1b\\", said)
assert len(chunks) == said.count(b"\x1b_G"), "a sequence without an end"
pictures, more = [], False
for keys, payload in chunks:
    keys = dict(pair.split(b"=") for pair in keys.split(b","))
    assert len(payload) <= 4096 and len(payload) % 4 == 0, len(payload)
    if more:
        assert list(keys) == [b"m"], keys
    else:
        assert (keys[b"a"], keys[b"f"], keys[b"q"], keys[b"C"]) == (b"T", b"100", b"2", b"1"), keys
        assert 1 < int(keys[b"r"]) <= 18 and int(keys[b"i"]) > 0, keys
        pictures.append(b"")
    more = keys[b"m"] == b"1"
    assert not more or len(payload) == 4096, len(payload)
    pictures[-1] += base64.b64decode(payload, validate=True)
assert not more and len(pictures) == n, f"{len(pictures)} pictures"
# the cursor goes up to a picture, and back to the bar
up, down = (re.findall(rb"\x1b\[(\d+)%s" % way, said) for way in (b"A", b"B"))
assert up == down and len(up) == n and len(set(up)) == 1, (up, down)
assert len(set(pictures)) == n, "equal previews"
open(picture, "wb").write(pictures[-1])
END2
expect 0 "" sample emoji -c 0,1 --steps 4 -q --out keep/e.png
if python3 keep/kitty.py keep/k.png 2 "$ditcl" sample emoji -c 0,1 --steps 4 --preview terminal --preview-every 2 \
    --out keep/x.png 2>why; then passed=$((passed + 1)); else problem "in a terminal: $(tail -1 why)"; fi
rm -f why
near keep/k.png keep/e.png 1
near keep/x.png keep/e.png 0
expect 2 "--preview terminal ... not a terminal ... FILE.png" sample "$plain" -c 0 --preview terminal

# ---- misuse ----
expect 2 "--preview-every ... needs --preview" sample "$plain" -c 0 --preview-every 3
expect 2 "--preview-with ... needs --preview" sample "$plain" -c 0 --preview-with vae
expect 2 "--strip-states ... needs --strip" sample "$plain" -c 0 --strip-states 3
expect 2 "--strip-states ... 1 ... 2" sample "$plain" -c 0 --strip s.png --strip-states 1
expect 2 "--preview p.jpg ... .png" sample "$plain" -c 0 --preview p.jpg
expect 2 "--out a.png ... --preview a.png ... one file" sample "$plain" -c 0 --out a.png --preview a.png
expect 2 "--preview a.png ... --strip ./a.png ... one file" sample "$plain" -c 0 --preview a.png --strip ./a.png
expect 1 "nowhere" sample "$plain" -c 0 --preview nowhere/a.png
expect 2 "--invert ... --preview" sample "$plain" -c 0 --invert --latents-in "$data/models/plain32-z.npy" \
    --latents-out o.npy --preview a.png
finish
