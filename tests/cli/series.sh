#!/bin/bash
# Seeds of a series: --seeds has a generator for each picture, --pick draws some pictures of a series exactly as
# the whole series does, and --seed random says which seed it drew. Latents are compared bit for bit.
# usage: tests/cli/series.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

plain="$data/models/plain32"
cat >keep/part.py <<'END'
"""part.py A.npy I B.npy J: exit code 0 if picture I of A has the bits of picture J of B."""
import ast, sys
def picture(path, i):
    data = open(path, "rb").read()
    head = 10 + int.from_bytes(data[8:10], "little")
    n = ast.literal_eval(data[10:head].decode())["shape"][0]
    size = (len(data) - head) // n
    assert int(i) < n, f"{path} has {n} pictures"
    return data[head + int(i) * size:head + (int(i) + 1) * size]
sys.exit(picture(*sys.argv[1:3]) != picture(*sys.argv[3:5]))
END
# same A I B J; differ A I B J: of the files keep/A.npy and keep/B.npy
same()
{
    if python3 keep/part.py "keep/$1.npy" "$2" "keep/$3.npy" "$4"; then passed=$((passed + 1)); else problem "$1 $2, $3 $4 differ"; fi
}
differ()
{
    if python3 keep/part.py "keep/$1.npy" "$2" "keep/$3.npy" "$4"; then problem "$1 $2, $3 $4 agree"; else passed=$((passed + 1)); fi
}
# draw NAME ARGUMENT...: keep/NAME.png and keep/NAME.npy
draw()
{
    local name=$1
    shift
    expect 0 "" sample "$plain" --precision fp32 --kernels cpu --steps 3 --latents-out "keep/$name.npy" --out "keep/$name.png" -q "$@"
}

# ---- ddim draws once, ddpm in each step, and guided runs draw for twice the batch ----
for how in "--sampler ddim --cfg 2" "--sampler ddpm --cfg 2" "--sampler ddpm --cfg 1" \
    "--sampler ddim --eta 1 --cfg 2 --compat original --rng torch-cuda"; do
    # a series, and some of its pictures
    draw whole $how -c 0,2 -n 3 --seed 4
    draw one $how -c 0,2 -n 3 --seed 4 --pick 5
    draw two $how -c 0,2 -n 3 --seed 4 --pick 1-2,4
    same whole 5 one 0
    same whole 1 two 0
    same whole 2 two 1
    same whole 4 two 2
    differ whole 1 two 1
    # a generator for each picture
    draw list $how -c 0,2 --seeds 5,9
    draw five $how -c 0 --seed 5
    draw nine $how -c 2 --seed 9
    same list 0 five 0
    same list 3 nine 0
    differ list 0 list 1
    draw of_list $how -c 0,2 --seeds 3-5,9 --pick 7,2
    same of_list 0 nine 0
    same of_list 1 five 0
done

# ---- names of files, recipes ----
expect 0 "" sample "$plain" -c 0,2 -n 3 --steps 1 --pick 3,5 --out keep/p%d.png -q
expect 0 "--pick 3,5" info keep/p5.png
says "picture 5 of 6" <(tr -s ' ' <out)
if [ -e keep/p0.png ] || [ ! -e keep/p3.png ]; then problem "names of picked pictures"; fi
expect 0 "" sample --again keep/p5.png --pick 5 --out keep/q.png -q
expect 0 "--pick 5" info keep/q.png
says "picture 5 of 6" <(tr -s ' ' <out)
expect 0 "--seeds 5,9" info keep/list.png
says not "--seed " out
says not " -n " out
expect 0 "" sample --again keep/list.png --latents-out keep/again.npy --out keep/again.png -q
same list 3 again 3
expect 0 "" sample --again keep/list.png --seed 9 -c 2 --latents-out keep/again.npy --out keep/again.png -q
same list 3 again 0
expect 0 "" sample --again keep/whole.png --seeds 8 -c 2 --steps 2 --out keep/again.png -q
expect 0 "--seeds 8" info keep/again.png

# ---- a seed that is drawn ----
expect 0 "seed " sample "$plain" -c 0 --steps 1 --seed random --out keep/r.png
seed=$(sed -n 's/^seed \([0-9]*\)$/\1/p' err)
expect 0 "--seed ${seed:-none} " info keep/r.png
says not random out
expect 0 "" sample "$plain" -c 0 --steps 1 --seed random --out keep/r2.png
if [ "$seed" = "$(sed -n 's/^seed \([0-9]*\)$/\1/p' err)" ]; then problem "the same seed twice"; fi

# ---- misuse ----
for list in "" , 5, ,5 5- -5 9-5 5-6-7 x 5,x 18446744073709551616 0-18446744073709551615; do
    expect 2 "--seeds" sample "$plain" --seeds "$list" --out x.png
done
expect 2 "--pick 6 ... expected 0 to 5" sample "$plain" -c 0,2 -n 3 --pick 6 --out x.png
expect 2 "--pick x" sample "$plain" --pick x --out x.png
expect 2 "--seed and --seeds" sample "$plain" --seed 1 --seeds 2 --out x.png
expect 2 "-n 2: --seeds" sample "$plain" -n 2 --seeds 2 --out x.png
expect 2 "--seeds ... --interpolate" sample "$plain" -c 0,1 --seeds 2 --interpolate 3 --out x.png
expect 2 "--pick ... --latents-in" sample "$plain" -c 0 --pick 0 --latents-in keep/five.npy --out x.png
expect 2 "--seed rando: expected a whole number ... random" sample "$plain" --seed rando --out x.png
finish
