#!/bin/bash
# scripts/try_gpu without a GPU: makes the bundle, unpacks it elsewhere, and runs its steps on this
# machine's CPU. usage: tests/try_gpu.sh PATH/build
set -u
build=$(readlink -f "${1:?usage: tests/try_gpu.sh PATH/build}")
top=$(dirname "$(dirname "$(readlink -f "$0")")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0

# holds "what is tested" COMMAND...: the command must succeed
holds()
{
    local what=$1
    shift
    if "$@" >out 2>&1; then
        passed=$((passed + 1))
    else
        echo "WRONG: $what: $(cat out)"
        failed=$((failed + 1))
    fi
}

holds "the bundle is made" "$top/scripts/try_gpu" bundle bundle.tar.gz --build "$build"
holds "it is under 64 MiB" test "$(stat -c %s bundle.tar.gz)" -lt $((64 << 20))
mkdir elsewhere
holds "it unpacks" tar -C elsewhere -xzf bundle.tar.gz
holds "its steps run" elsewhere/ditcl-gpu/try_gpu --device cpu --arch DiT-S/8 --minutes 15 \
    --slow 10 --only devices,emoji,bench-fp32 --out results.tar.gz
holds "there is an archive" tar -xzf results.tar.gz
for step in devices emoji-auto emoji-auto-near bench-fp32; do
    holds "step $step was done" grep -q "^| $step | done |" results/summary.md
done
holds "the sheet is there" test -s results/emoji-auto.png
holds "programs are brought back" sh -c 'ls results/programs/*.bin'
holds "no step begins when the time is up" sh -c "elsewhere/ditcl-gpu/try_gpu --device cpu \
    --minutes 0.1 --only devices --out late.tar.gz | grep 'devices | not begun: the time is up'"
holds "a wrong option is named" sh -c \
    "elsewhere/ditcl-gpu/try_gpu --minuets 3 2>&1 | grep 'unexpected argument \"--minuets\"'"

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
