#!/bin/bash
# ditcl tune as a user runs it: what it keeps, what it never keeps, and what happens to a run that is
# killed. Checks no times. usage: tests/tune.sh PATH/ditcl
set -u
ditcl=$(readlink -f "${1:?usage: tests/tune.sh PATH/ditcl}")
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0
export XDG_CACHE_HOME=$work/cache XDG_CONFIG_HOME=$work/config DITCL_FIT=off
export POCL_CACHE_DIR=$(dirname "$ditcl")/driver-cache/pocl
mkdir -p "$POCL_CACHE_DIR"
model=$here/data/models/separate48
store=$work/config/ditcl/devices

problem()
{
    echo "WRONG: $1"
    failed=$((failed + 1))
}

# expect CODE "part of the message" ARGUMENT...
expect()
{
    local code=$1 part=$2 got
    shift 2
    "$ditcl" "$@" >out 2>err
    got=$?
    if [ "$got" -ne "$code" ]; then
        problem "ditcl $*: exit code $got, expected $code: $(cat err)"
    elif [ -n "$part" ] && ! grep -qiF -- "$part" out err; then
        problem "ditcl $*: does not say \"$part\": $(cat out err)"
    else
        passed=$((passed + 1))
    fi
}

# says TEXT FILE, or says not TEXT FILE
says()
{
    local want=0
    if [ "$1" = not ]; then want=1 && shift; fi
    grep -q -- "$1" "$2"
    if [ $? -eq $want ]; then passed=$((passed + 1)); else problem "$2 about $1: $(cat "$2")"; fi
}

# latents NAME: draws with what is stored now
latents()
{
    "$ditcl" sample "$model" --steps 2 --class 1 --latents-out "$1.npy" --out x.png >out 2>err ||
        problem "sampling $1: $(cat err)"
}

# near A B: the floats of A and B differ by no more than rounding
near()
{
    python3 - "$1" "$2" <<'END'
import array, sys
a, b = (array.array('f', open(name, 'rb').read()[128:]) for name in sys.argv[1:])
sys.exit(len(a) != len(b) or not all(abs(x - y) <= 1e-3 * (1 + abs(x)) for x, y in zip(a, b)))
END
}

# tune_until CONDITION ARGUMENT...: tunes until the command CONDITION succeeds, on a slow machine several
# times. outs has what all these runs printed.
tune_until()
{
    local condition=$1
    shift
    : >outs
    for _ in 1 2 3 4 5 6 7 8; do
        expect 0 "forward pass" tune "$@" -q
        cat out >>outs
        if $condition; then return; fi
    done
    problem "tune $*: not $condition: $(cat outs)"
}

stored()
{
    grep -q '^tune.*use=' "$store"/*.conf 2>/dev/null
}

# some candidates of attention failed
some_failed()
{
    awk '/^attention/ { n += $9 } END { exit !(n > 0) }' outs && stored
}

# some candidates of GEMM failed or were wrong, and another one was chosen
some_refused()
{
    awk '/^gemm/ { n += $9 + $10 } END { exit !(n > 0) }' outs && grep -q '^tune.*use=cpu' "$store"/*.conf
}

# misuse
expect 0 "usage: ditcl tune" tune --help
expect 2 "no MODEL and no --arch" tune
expect 2 "one MODEL" tune "$model" emoji
expect 2 "only to a MODEL" tune --arch DiT-S/2 --heads 3
expect 2 "combined with the MODEL" tune "$model" --arch DiT-S/2
expect 2 "such as 90s" tune "$model" --budget soon
expect 2 "such as 90s" tune "$model" --budget 0
expect 2 "gemm, attention or conv" tune "$model" --only qkv
expect 2 "only one of --show" tune --show --forget
expect 2 "take no MODEL" tune --show "$model"
expect 2 "only ditcl tune starts it" tune-worker candidates 3>&-
expect 1 "no such model" tune nothing-like-this
expect 1 "No such file" tune --import missing.conf

# the best is stored and shown, and a run uses it without a message
latents untuned
tune_until stored "$model" --budget 6s
says "^attention \|^gemm \|^conv " out
says "^right: different candidates" out
expect 0 "use=" tune --show
cp out shown
expect 0 "" tune --export keep.conf
cmp -s shown keep.conf || problem "exported something else"
latents tuned
grep -v "^device 0" err && problem "tuned sampling says: $(cat err)"
expect 0 "" tune --forget
[ -z "$(ls "$store")" ] || problem "not forgotten: $(ls "$store")"
expect 0 "imported" tune --import keep.conf
expect 0 "" tune --show
cmp -s out keep.conf || problem "imported something else"
latents again
near untuned.npy again.npy || problem "tuned kernels draw something else"
cmp -s tuned.npy again.npy || problem "the same store draws something else"
echo rubbish >bad.conf
expect 1 "no line can be used" tune --import bad.conf
says "bad.conf:1: ignored" err

# a message names a damaged store; the run goes on and draws the same
file=$(ls "$store"/*.conf)
damage()
{
    cp keep.conf "$file"
    "$@" "$file"
    latents damaged
    near untuned.npy damaged.npy || problem "$*: draws something else"
    says "ignored" err
}
# a line of an implementation without tunables has no value at its end
damage sed -i '/^tune/{s/=[0-9]*$/=12345/;t;s/$/ X=12345/}' # no choice
damage sed -i 's/kernels=[0-9a-f]\{4\}/kernels=ffff/'       # other kernels
damage sed -i 's/kernels=[0-9a-f]\{4\}/kernels=/'           # no hash
damage sed -i 's/ use=[a-z_]*/ use=nothing/'                # no implementation
damage sed -i 's/^tune   [a-z]*/tune   nonsense/'           # no operator
damage sed -i 's/driver=[^ ]*/driver=0.0/'                  # another driver
damage sed -i 's/device=[^ ]*/device=Other/'                # another device
damage sed -i '/^match/d'                                   # no device
damage sed -i 's/ [0-9]*x[0-9]*x/ 0x-7x/'                   # no shape
damage sed -i '/^tune/s/$/ X=1/'                            # a value too many
damage truncate -s 250                                      # cut
scramble()
{
    dd if=/dev/urandom of="$1" bs=64 count=8 seek=3 conv=notrunc status=none
}
damage scramble
cp keep.conf "$file"

# a run that is killed leaves no child behind, and the next run continues its search
"$ditcl" tune --forget
"$ditcl" tune "$model" --budget 600s --only attention,conv -q >out 2>err &
pid=$!
for _ in $(seq 1200); do
    if [ "$(grep -c '^was' "$store"/*.tried 2>/dev/null)" -ge 3 ] 2>/dev/null; then break; fi
    sleep 0.1
done
children=$(pgrep -P $pid)
kill -9 $pid
wait $pid 2>/dev/null
alive()
{
    grep -q '^State:.[^Z]' "/proc/$1/status" 2>/dev/null
}
for child in $children; do
    for _ in $(seq 100); do
        if alive "$child"; then sleep 0.1; fi
    done
    if alive "$child"; then problem "child $child is left behind"; fi
done
[ "$(grep -c '^tune' "$store"/*.conf)" -ge 1 ] || problem "a killed run kept nothing"
expect 0 "forward pass" tune "$model" --budget 5s --only attention,conv -q
[ -z "$(grep '^try' "$store"/*.tried | cut -d ' ' -f 3- | sort | uniq -d)" ] || problem "a candidate was tried twice"

# an interrupt: 130, results kept
"$ditcl" tune "$model" --budget 60s --only attention -q >out 2>err &
pid=$!
sleep 1
kill -INT $pid
wait $pid
code=$?
[ $code -eq 130 ] || problem "interrupted: exit code $code, expected 130"
[ "$(grep -c '^tune' "$store"/*.conf)" -ge 1 ] || problem "an interrupt lost what was found"

# candidates that die or hang are counted, and the run goes on
for fault in die hang; do
    "$ditcl" tune --forget
    DITCL_TUNE_FAULT=$fault DITCL_TUNE_LIMIT=3 tune_until some_failed "$model" --budget 6s --only attention
    expect 0 "use=" tune --show
done

# kernels that are wrong, or do not compile, are never chosen
mkdir spoilt
cp "$here"/../cl/*.cl "$here"/../cl/*.clh spoilt
sed 's/^#define MULTIPLY(x, b, sum) mad(.*$/#if KU == 4\n&\n#elif KU == 2\nno C\n#else\n#define MULTIPLY(x, b, sum) mad(x, b, (sum) * 1.01f)\n#endif/' \
    "$here"/../cl/gemm_cpu.cl >spoilt/gemm_cpu.cl
"$ditcl" tune --forget
DITCL_CL_DIR=$work/spoilt tune_until some_refused "$model" --budget 15s --only gemm
if grep '^tune.*use=cpu' "$store"/*.conf | grep -qv 'KU=4'; then
    problem "a wrong kernel was chosen: $(cat "$store"/*.conf)"
fi

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
