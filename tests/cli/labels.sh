#!/bin/bash
# Labels on sheets: a strip below each picture has the name of its class. The pictures stay as they are.
# usage: tests/cli/labels.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

emoji="$data/../../models/emoji"
short="--steps 2 --precision fp32 -q"
cat >keep/strips.py <<'END'
"""strips.py PLAIN LABELLED COLUMNS: the pictures agree; prints a line for each strip: a number for what it shows."""
import sys
sys.path.insert(0, sys.argv[0].replace("strips.py", ""))
from near import read_png
(w, h, plain), (w2, h2, labelled) = read_png(sys.argv[1]), read_png(sys.argv[2])
columns, side, border, seen = int(sys.argv[3]), 64, 2, []
rows = (h - border) // (side + border)
strip = (h2 - border) // rows - side - border
assert (w, h2) == (w2, border + rows * (side + border + strip)) and strip == 13, (w, w2, h, h2)
def part(values, left, top, rows):
    return [bytes(values[3 * (y * w + left):3 * (y * w + left + side)]) for y in range(top, top + rows)]
for i in range(rows * columns):
    left = border + i % columns * (side + border)
    top, down = border + i // columns * (side + border), border + i // columns * (side + border + strip)
    assert part(plain, left, top, side) == part(labelled, left, down, side), f"picture {i}"
    label = part(labelled, left, down + side, strip)
    assert set(b"".join(label)) <= {0, 255}
    if label not in seen:
        seen.append(label)
    print(seen.index(label), int(0 in b"".join(label)))
END
cp "$(dirname "$data")/near.py" keep/
expect 0 "" sample "$emoji" $short -c heart,clock,null -n 2 --out keep/plain.png
expect 0 "" sample "$emoji" $short -c heart,clock,null -n 2 --labels --out keep/labelled.png
columns=$(python3 -c 'import struct; print((struct.unpack(">I", open("keep/plain.png", "rb").read()[16:20])[0] - 2) // 66)')
python3 keep/strips.py keep/plain.png keep/labelled.png "$columns" >keep/found || problem "strips"
# the two pictures of a class have one label, the classes three
if [ "$(head -6 keep/found | tr '\n' ' ')" != "0 1 0 1 1 1 1 1 2 1 2 1 " ]; then problem "labels: $(cat keep/found)"; else passed=$((passed + 1)); fi
expect 0 "--labels" info keep/labelled.png
expect 0 "" sample --again keep/labelled.png -q --out keep/again.png
if ! cmp -s keep/again.png keep/labelled.png; then problem "drawn again"; fi
# classes without names, and names that are too long, in other letters or of an interpolation
expect 0 "" sample "$data/models/plain32" $short -c 0,1 --interpolate 5 --labels --out keep/x.png
cp -r "$emoji" keep/model
chmod -R u+w keep/model
sed -i 's/"heart"/"\\u2665 \\t a name of very many words that no picture has room for, heart"/' keep/model/model_index.json
expect 0 "" sample keep/model $short -c 4,6 --labels --out keep/x.png
expect 2 "--labels: needs a sheet" sample "$emoji" -c heart --labels --out x.png
expect 2 "--labels: needs a sheet" sample "$emoji" -c heart -n 2 --labels --out x%d.png
finish
