#!/bin/bash
# Help, misspelt names, environment variables, and -q on a terminal.
# usage: tests/cli/manners.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

root=$(dirname "$data")/..
model=$data/models/separate48
latents=$data/models/separate48-z.npy
picture=$data/pictures/initial.png

# the help of a command, by every spelling; no option and no letter twice, also not -h
expect 0 "help COMMAND" help
expect 0 "usage: ditcl sample" help sample
expect 0 "usage: ditcl sample" --help sample
expect 0 "usage: ditcl devices" devices help
expect 2 "did you mean ditcl help sample?" help smaple
expect 2 'unexpected argument "more"' help sample more
"$ditcl" help >out
commands=$(sed -n 's/^  \([a-z]*\)  .*/\1/p' out)
[ "$(echo "$commands" | wc -w)" -ge 10 ] || problem "commands: $commands"
for command in $commands; do
    "$ditcl" "$command" --help >out 2>err
    twice=$(grep -oE '^ {2,6}(-[a-zA-Z], )?-{1,2}[a-z-]+' out | grep -oE -- '-[a-zA-Z-]+' | sort | uniq -d)
    [ -z "$twice" ] || problem "ditcl $command: twice among its options: $twice"
    [ "$(grep -cE '^ {2,6}-' out)" -ge 1 ] || problem "ditcl $command: no options"
done

# --kernels, which was called --class
expect 2 "auto, cpu, gpu" check --kernels nonsense
for command in "check" "bench $model" "tune $model" "decode $model" "encode a b"; do
    expect 2 "did you mean --kernels?" $command --class cpu
done
expect 0 "checks passed" check --kernels gpu fill --quick

# environment variables: a wrong value is an error that names the variable
while read -r name value said; do
    export "$name=$value"
    expect 2 "$name=$value: " decode "$model" --latents "$latents" --out keep/a.png
    expect 2 "$said" check fill
    if [ "$name" = DITCL_FIT ]; then export DITCL_FIT=off; else unset "$name"; fi
done <<'END'
DITCL_FIT ofF did you mean DITCL_FIT=off?
DITCL_FIT 1 one of on, off
DITCL_GEMM nonsense one of
DITCL_GEMM cpuu did you mean DITCL_GEMM=cpu?
DITCL_ATTENTION nonsense one of
DITCL_CONV winogard did you mean DITCL_CONV=winograd?
DITCL_CL_DIR keep/missing no such folder
DITCL_BUILD_LOG yes one of 0, 1
DITCL_TUNE_FAULT crash one of die, hang
DITCL_TUNE_LIMIT -1 number of seconds
DITCL_TUNE_LIMIT 3s number of seconds
END
DITCL_DEVICE=nothing expect 2 "DITCL_DEVICE=nothing: no such device" check
expect 2 "--device nothing: no such device" check --device nothing
DITCL_FEATURES=+nothing expect 2 'DITCL_FEATURES: found "+nothing"' check
DITCL_MODELS=keep/missing expect 2 "DITCL_MODELS=keep/missing: no such folder" info emoji
for name in DITCL_FIT DITCL_GEMM DITCL_CL_DIR DITCL_TUNE_LIMIT DITCL_DEVICE DITCL_MODELS; do
    export "$name="
done
expect 0 "" check fill --quick
export DITCL_FIT=off
unset DITCL_GEMM DITCL_CL_DIR DITCL_TUNE_LIMIT DITCL_DEVICE DITCL_MODELS
DITCL_GEMM=gpu_mma expect 0 "DITCL_GEMM=gpu_mma: " \
    check --kernels cpu fill --quick
DITCL_GEMM=cpu expect 0 "" check --kernels cpu fill --quick
says not "DITCL_GEMM" err
for name in $(grep -rhoE --include='*.c' 'getenv\("[A-Z_]+' "$root/host" "$root/tests" |
    cut -d '"' -f 2 | sort -u) \
    $(grep -oE '"DITCL_[A-Z_]+' "$root/host/cli/environment.c" | tr -d '"') \
    $(grep -rhoE '(environ\.get\("|\$\{)DITCL_[A-Z_]+' "$root/scripts" "$root/tests" |
        grep -oE 'DITCL_[A-Z_]+' | sort -u); do
    grep -q "^|.*\`$name\`.*|" "$root/docs/environment.md" ||
        problem "docs/environment.md: no row has $name"
done

# names of models with a typing error
mkdir -p keep/models && ln -s "$model" keep/models/pebbles
export DITCL_MODELS=$work/keep/models
expect 0 "width" info pebbles
expect 0 "width" info pebbles/
expect 0 "width" info pebbles//
expect 0 "width" info keep/models/pebbles//
expect 1 "did you mean pebbles?" info pebblesi
expect 1 "did you mean pebbles?" info Pebles/
expect 1 "did you mean keep/models/pebbles?" info keep/models/peebles
expect 1 "did you mean pebbles?" encode a.png a.npy --vae peebles
expect 1 "looked in" info nothing-like-this
unset DITCL_MODELS
expect 0 "parameters" info emoji # a program in a build folder finds the models

# if the store cannot be written, each run measures and says so
unset DITCL_FIT
XDG_CONFIG_HOME=/proc expect 0 "cannot be stored: /proc" decode "$model" --precision fp32 \
    --latents "$latents" --out keep/a.png
says "3 seconds" err
says not "once" err
export DITCL_FIT=off

# -q and messages on a terminal and in a pipe; tests/cli/colour.sh tests colours
export NO_COLOR=1

# terminal both|err COMMAND...: runs it with stdout and stderr, or only stderr, on a terminal. The output of
# the terminal goes to `shown`, the other stream to keep/results.
terminal()
{
    python3 - "$@" <<'END'
import os, pty, subprocess, sys
own, theirs = pty.openpty()
both = sys.argv[1] == "both"
child = subprocess.Popen(sys.argv[2:], stdin=theirs, stderr=theirs,
                         stdout=theirs if both else open("keep/results", "wb"))
os.close(theirs)
with open("shown", "wb") as shown:
    while True:
        try:
            data = os.read(own, 4096)
        except OSError:
            break
        if not data:
            break
        shown.write(data)
sys.exit(child.wait())
END
}
quiet()
{
    terminal "$@" || problem "$*: exit code $?"
    if [ -s shown ]; then problem "$*: -q says $(cat -v shown)"; else passed=$((passed + 1)); fi
    find . -maxdepth 1 -type f -delete
}
small="--class 1 --steps 2 --precision fp32"
unset DITCL_FIT # the first use of the device is quiet, too
quiet both "$ditcl" sample "$model" $small -q
export DITCL_FIT=off
quiet both "$ditcl" sample "$model" $small -q -v
quiet both "$ditcl" sample "$model" $small -q --guidance-interval 0,1 --cfg 1 -n 2 --out s-%d.png
quiet both "$ditcl" decode "$model" --latents "$latents" -q -v
quiet both "$ditcl" decode "$model" --latents "$latents" -q --out a.npy
quiet both "$ditcl" encode "$picture" a.npy --vae "$model" -q -v
quiet both "$ditcl" init --arch DiT-S/8 a.safetensors -q
quiet err "$ditcl" bench "$model" --repeat 1 --only forward,qkv -q -v --precision fp32
says "GFLOP/s" keep/results
quiet err "$ditcl" tune "$model" --budget 1s --only conv -q -v
"$ditcl" tune --export keep/tuned.conf
echo "tune nothing" >>keep/tuned.conf
for file in keep/config/ditcl/devices/*.conf; do echo "tune nothing" >>"$file"; done
quiet err "$ditcl" tune --show -q
quiet both "$ditcl" tune --import keep/tuned.conf -q
quiet both "$ditcl" tune --export a.conf -q
quiet both "$ditcl" tune --forget -q
quiet both "$ditcl" sample "$model" $small -q --out a.png
terminal both "$ditcl" sample "$model" $small
says "wrote ditcl.png (1 picture)" shown
says "sampling [" shown
made ditcl.png shown
terminal both "$ditcl" sample nothing-like-this -q && problem "exit code 0"
says "ditcl: nothing-like-this: no such model" shown
"$ditcl" sample "$model" $small --out keep/a.png >out 2>err
[ "$(grep -vc '^device 0: ' err)" = 0 ] && [ ! -s out ] || problem "in a pipe: $(cat out err)"

finish
