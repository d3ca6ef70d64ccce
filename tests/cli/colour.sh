#!/bin/bash
# Colours: on a terminal that has them; not with NO_COLOR, TERM=dumb or without TERM, and never in a pipe.
# usage: tests/cli/colour.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

green=$'\e[32m' red=$'\e[31m' off=$'\e[0m'
draw=("$ditcl" sample "$data/models/plain32" -c 0 --steps 2 --out keep/a.png)
unset NO_COLOR
export TERM=xterm

tty() { python3 "$data/../terminal.py" 24 60 "$@" >keep/said; }
tty "${draw[@]}"
says "sampling [${green}######" keep/said
says "#####$off] 2/2" keep/said
tty "$ditcl" check blend --quick
says "  ${green}ok$off" keep/said
tty "$ditcl" sample nowhere-at-all
says "${red}ditcl:$off nowhere-at-all" keep/said
cp -r "$data/../../cl" keep/cl
sed -i 's/float known = signal/float known = 2 * signal/' keep/cl/blend.cl
DITCL_CL_DIR=keep/cl tty "$ditcl" check blend --quick
says "  ${red}WRONG$off: " keep/said

# none
for setting in NO_COLOR=1 TERM=dumb TERM=; do
    for command in "${draw[*]}" "$ditcl check blend --quick" "$ditcl sample nowhere-at-all"; do
        tty env $setting $command
        if [ ! -s keep/said ] || grep -q $'\e\[[0-9]*m' keep/said; then
            problem "$setting $command: $(cat -v keep/said)"
        else passed=$((passed + 1)); fi
    done
done
says "ditcl: nowhere-at-all" keep/said
for command in "$ditcl check blend --quick" "$ditcl sample nowhere-at-all" "${draw[*]}"; do
    $command >keep/said 2>&1
    if grep -q $'\e' keep/said; then problem "$command in a pipe: $(cat -v keep/said)"; else passed=$((passed + 1)); fi
done
finish
