#!/bin/bash
# Tests ditcl on PoCL and rusticl of another Debian suite, in a tree of scripts/driver_tree:
#
#     tests/drivers.sh SUITE PATH/ditcl-tests PATH/ditcl [SEED]
#
# - `ditcl check` with the device's kernel family; on PoCL also with the gpu family, in a precision that
#   the seed chooses
# - one of the suites models, pictures and compat, which the seed chooses
# - on PoCL the README's sheet. rusticl would take minutes for it, so it draws fewer pictures in fewer
#   steps, which this machine's PoCL draws too
#
# SEED: default DITCL_TEST_SEED (a number or `random`), or 1.
# Exit code: 0 if all tests pass; 77, with a message, if the suite has no tree or the user is not root, or
# 1 if DITCL_REQUIRE (such as "trixie sid") names the suite.
set -u
usage="usage: tests/drivers.sh SUITE PATH/ditcl-tests PATH/ditcl [SEED]"
suite=${1:?$usage}
# in the tree, this machine's files are below /host
tests=/host$(readlink -f "${2:?$usage}")
ditcl=/host$(readlink -f "${3:?$usage}")
seed=${4:-${DITCL_TEST_SEED:-1}}
if [ "$seed" = random ]; then seed=$(($(date +%s) % 100000)); fi
case $seed in '' | *[!0-9]*)
    echo "tests/drivers.sh: the seed is $seed; expected a number or random" >&2
    exit 2
    ;;
esac
seed=$((10#$seed))
cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
suites=(models pictures compat)
models=${suites[seed % 3]}
precisions=(auto fp16)
precision=${precisions[seed / 3 % 2]}

missing()
{
    for required in ${DITCL_REQUIRE:-}; do
        if [ "$required" = "$suite" ]; then
            echo "*** the drivers of $suite are required, but: $1 ***" >&2
            exit 1
        fi
    done
    echo "*** SKIPPED: the drivers of $suite: $1 ***" >&2
    exit 77
}

tree=$(scripts/driver_tree find "$suite" 2>&1) || missing "$tree"
why=$(scripts/driver_tree run "$tree" true 2>&1) || missing "${why:-no mount namespace here}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# step PLATFORM COMMAND...: runs the command in the tree, where no driver may be missing
step()
{
    local start code
    start=$(date +%s)
    DITCL_REQUIRE="pocl rusticl" scripts/driver_tree run "$tree" "$PWD/tests/on.sh" "$@"
    code=$?
    echo "exit code $code after $(($(date +%s) - start)) s: $*"
    [ "$code" -eq 0 ]
}

# Draws a picture of each class in few steps, with this machine's PoCL and in the tree. No value may differ
# by more than one level.
row_of_the_sheet()
{
    local draw=(sample models/emoji --class all -n 1 --cfg 3 --seed "$seed" --steps 10
        --precision fp32 -q)
    tests/on.sh pocl "${2#/host}" "${draw[@]}" --out "$work/here.png" || return 1
    step "$1" "$2" "${draw[@]}" --out "/host$work/tree.png" || return 1
    python3 tests/near.py "$work/tree.png" "$work/here.png" 1
}

all_steps()
{
    local bad=0
    step "$1" "$ditcl" devices -v || bad=1
    if [ "$1" = pocl ]; then
        step "$1" "$PWD/tests/cli/sheet.sh" "$ditcl" || bad=1
    else
        row_of_the_sheet "$1" "$ditcl" || bad=1
    fi
    step "$1" "$tests" -s "$seed" "$models" || bad=1
    step "$1" "$ditcl" check --seed "$seed" || bad=1
    if [ "$1" = pocl ]; then
        step "$1" "$ditcl" check --seed "$seed" --kernels gpu --precision "$precision" || bad=1
    fi
    return "$bad"
}

echo "seed $seed: $models, kernels of the gpu family in $precision"
declare -A job
for platform in pocl rusticl; do
    all_steps "$platform" >"$work/$platform" 2>&1 &
    job[$platform]=$!
done
failed=0
for platform in pocl rusticl; do
    wait "${job[$platform]}" || failed=1
    echo "==== $platform of $suite ===="
    cat "$work/$platform"
done
times
exit "$failed"
