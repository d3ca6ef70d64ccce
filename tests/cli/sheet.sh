#!/bin/bash
# The README's command draws docs/emoji.png: in fp32, on any device, no value differs by more than one level.
# diffusers' transformer, scheduler and VAE also draw it within one level.
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
