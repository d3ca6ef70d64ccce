#!/bin/bash
# Recommended settings (ditcl.conf in a model's folder): defaults that the command line overrides, which info and
# a picture's recipe show.
# usage: tests/cli/preset.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

plain="$data/models/plain32"
cp -r "$plain" keep/model
chmod -R u+w keep/model
# same: the pictures of keep/model as it is and of the plain model with these options
same()
{
    expect 0 "" sample keep/model -c 0 --latents-out keep/a.npy --out keep/a.png -q "${changes[@]}"
    expect 0 "" sample "$plain" -c 0 "$@" --latents-out keep/b.npy --out keep/b.png -q
    if cmp -s keep/a.npy keep/b.npy; then passed=$((passed + 1)); else problem "${changes[*]}: not the latents of $*"; fi
}
changes=()
expect 0 "parameters" info keep/model
says not recommended out

printf '# best settings\n\n\tsampler  dpm++ # fast\r\nsteps 5\ncfg 2.5\nguidance-interval 100,900' >keep/model/ditcl.conf
expect 0 "recommended ... --sampler dpm++ --steps 5 --cfg 2.5 --guidance-interval 100,900" info keep/model
expect 0 "" info keep/model --json
python3 - out <<'END' || problem "info --json"
import json, sys
want = {"sampler": "dpm++", "steps": "5", "cfg": 2.5, "guidance_interval": "100,900"}
sys.exit(json.load(open(sys.argv[1]))["recommended"] != want)
END
same --sampler dpm++ --steps 5 --cfg 2.5 --guidance-interval 100,900
# the command line goes first
changes=(--sampler ddim --steps 4 --cfg 3 --guidance-interval all)
same --sampler ddim --steps 4 --cfg 3
changes=(--steps 4)
same --sampler dpm++ --steps 4 --cfg 2.5 --guidance-interval 100,900
# a recipe has what was recommended then
expect 0 "--steps 4 ... --sampler dpm++ ... --cfg 2.5 ... --guidance-interval 100,900" info keep/a.png
cp keep/a.npy keep/then.npy
rm keep/model/ditcl.conf
expect 0 "" sample --again keep/a.png --latents-out keep/a.npy --out keep/a.png -q
if ! cmp -s keep/a.npy keep/then.npy; then problem "drawn again without ditcl.conf"; fi
echo 'cfg 3' >keep/model/ditcl.conf
changes=(--steps 4)
same --steps 4 --cfg 3
expect 0 "--cfg 3" info "$(dirname "$data")/../models/emoji"

# wrong VALUE "PART"
wrong()
{
    printf 'cfg 3\n%s\n' "$1" >keep/model/ditcl.conf
    expect 1 "ditcl.conf:2: ... $2" info keep/model
    expect 1 "ditcl.conf:2: ... $2" sample keep/model -c 0 --out x.png
}
wrong "sampler best" "the name of a sampler"
wrong "steps -5" "the steps"
wrong "cfg 4" "each once"
wrong "strength 4" "sampler, steps, cfg or guidance-interval"
wrong "guidance-interval 9,1" "LO,HI"
wrong "guidance-interval 9" "LO,HI"
wrong "steps" "one value"
wrong "steps 5 6" "one value"
wrong "steps $(printf '%070d' 1)" "one value"
printf 'cfg 3\0' >keep/model/ditcl.conf
expect 1 "ditcl.conf: holds a NUL byte" info keep/model
sed '/^cfg/d' "$(dirname "$data")/../models/emoji/ditcl.conf" >keep/model/ditcl.conf
printf 'cfg 1001' >>keep/model/ditcl.conf
expect 1 "cfg 1001: expected a number from 0 to 1000" info keep/model
finish
