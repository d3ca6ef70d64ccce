#!/bin/bash
# docs/emoji.png is what the README's command draws: in fp32 no value is more than one level away, on
# any device (diffusers' transformer, scheduler and VAE draw it within one level, too).
# usage: tests/cli/sheet.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

root=$(dirname "$data")/..
line=$(grep -m 1 'ditcl sample emoji .*--out pictures.png' "$root/README.md")
[ -n "$line" ] || problem "README.md shows no such command"
read -r -a words <<<"${line#*ditcl }"
expect 0 "" "${words[@]}" --precision fp32 -q
if python3 "$root/tests/near.py" pictures.png "$root/docs/emoji.png" 1; then passed=$((passed + 1)); else
    problem "docs/emoji.png is another sheet"
fi
made pictures.png

finish
