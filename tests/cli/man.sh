#!/bin/bash
# The manual page: groff accepts it, and it has every command, option and environment variable.
# usage: tests/cli/man.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

root=$(dirname "$data")/..
expect 0 ".SH COMMANDS" --man
cp out keep/ditcl.1
sed 's/\\-/-/g; s/\\f[BIR]//g' keep/ditcl.1 >keep/page

# the page must have each option of --help, at the beginning of a line or after its letter
"$ditcl" --help >out
for command in $(sed -n 's/^  \([a-z]*\)  .*/\1/p' out); do
    sed -n "/^\.SS $command\$/,/^\.S[SH] /p" keep/page >keep/section
    for option in $("$ditcl" "$command" --help | grep -oE '^ {2,6}-[^ ]+( --[a-z-]+)?' | tr -d ,); do
        case $option in -h | --help) continue ;; esac
        if grep -qE -- "^$option( |,|\$)|, $option( |\$)" keep/section; then
            passed=$((passed + 1))
        else
            problem "ditcl --man: $command has no $option"
        fi
    done
done
for name in $(grep -oE '^\.B DITCL_[A-Z_]+' keep/page | cut -c 4-); do
    says "\`$name\`" "$root/docs/environment.md"
done
for code in 0 1 2 130; do grep -qx ".B $code" keep/page || problem "exit code $code is missing"; done

# ditcl help environment has the same
"$ditcl" help environment >keep/plain
for name in $(grep -oE '^\.B [A-Z_]+$' keep/page | cut -c 4-); do
    grep -qx "  $name" keep/plain && passed=$((passed + 1)) || problem "ditcl help environment: no $name"
done
for name in 0 1 2 130 '~/.config/ditcl/devices' '~/.cache/ditcl'; do
    grep -qxF "  $name" keep/plain && passed=$((passed + 1)) || problem "ditcl help environment: no $name"
done
expect 0 "help environment" --help
expect 2 "environmen" help environmen

# versions of what the program is made of
expect 0 "" --version
for line in 'ditcl [0-9][0-9.]*' 'commit    \([0-9a-f]\{12\}\(-dirty\)\?\|unknown\)' 'compiler  \(gcc\|clang\) [0-9].*' \
    'OpenCL    headers [0-9].*, loader .*libOpenCL.*' 'CLBlast   [0-9].*'; do
    grep -qx "$line" out && passed=$((passed + 1)) || problem "ditcl --version: no line $line: $(cat out)"
done

if command -v groff >/dev/null; then
    groff -man -ww -z keep/ditcl.1 >out 2>&1
    if [ -s out ]; then problem "groff: $(cat out)"; else passed=$((passed + 1)); fi
else
    echo "*** SKIPPED: the manual page's markup is not checked: apt install groff-base ***" >&2
fi
finish
