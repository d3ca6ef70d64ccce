#!/bin/bash
# Launches in slices, a short queue, and a lost device. tests/opencl_layer.c makes such devices from a
# good driver. usage: tests/cli/launches.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

export OPENCL_LAYERS=$(dirname "$ditcl")/libopencl_layer.so
if [ ! -f "$OPENCL_LAYERS" ]; then
    echo "*** SKIPPED: the OpenCL headers here have no layers ***"
    exit 77
fi
model=$data/models/separate48
emoji=$(dirname "$data")/../models/emoji
export DITCL_MODELS=$(readlink -f "$(dirname "$emoji")")

# draw NAME MODEL OPTION...: draws keep/NAME.png and .npy; keep/calls and keep/launches log the calls
draw()
{
    local name=$1 drawn=$2
    shift 2
    rm -f keep/calls keep/launches
    DITCL_LAYER="log=$work/keep/calls;launches=$work/keep/launches${layer:+;$layer}" expect 0 "" \
        sample "$drawn" --class 1 --steps 2 -q --out "keep/$name.png" \
        --latents-out "keep/$name.npy" "$@"
}

same()
{
    cmp -s "keep/$1.npy" "keep/$2.npy" || problem "$2: other latents than $1"
    cmp -s "keep/$1.png" "keep/$2.png" || problem "$2: another picture than $1"
    passed=$((passed + 2))
}

# called NAME: prints what the log says of NAME, such as the number of its calls
called()
{
    local n
    n=$(sed -n "s/^$1 //p" keep/calls)
    echo "${n:-0}"
}

slices()
{
    awk '$2 != "0,0,0"' keep/launches | wc -l
}

# at_most WHAT NUMBER LIMIT, at_least WHAT NUMBER LIMIT
at_most()
{
    if [ "$2" -le "$3" ]; then passed=$((passed + 1)); else problem "$1: $2, expected at most $3"; fi
}

at_least()
{
    if [ "$2" -ge "$3" ]; then passed=$((passed + 1)); else problem "$1: $2, expected $3 or more"; fi
}

# on a CPU, launches are not split, and the queue is neither flushed nor awaited, except for noise that
# is drawn ahead
layer="" draw plain-auto "$model"
at_most "slices on a CPU" "$(slices)" 0
at_most "markers on a CPU" "$(called clEnqueueMarkerWithWaitList)" 0
at_most "flushes on a CPU" "$(called clFlush)" 0
layer="" draw noise "$model" --sampler ddpm --steps 3
at_least "flushes before the noise of the second of three steps is drawn" "$(called clFlush)" 1
at_most "flushes on a CPU" "$(called clFlush)" 1
layer="" draw plain-gpu "$model" --kernels gpu
layer="" draw emoji "$emoji"

# a slow device, which the driver resets if a launch takes too long: no launch does, and the pictures are
# the same, in both kernel families and for two models
for family in auto gpu; do
    layer="slow=500;watchdog=30" draw "cut-$family" "$model" --kernels $family --max-launch-ms 20
    at_least "slices with --kernels $family" "$(slices)" 10
    at_most "the longest launch, in ms" "$(called longest)" 30
    same "plain-$family" "cut-$family"
done
layer="slow=200;watchdog=30" draw emoji-cut "$emoji" --max-launch-ms 20
at_least "slices of emoji" "$(slices)" 20
same emoji emoji-cut

# GEMMs of CLBlast are split between rows of tiles
export DITCL_GEMM=clblast_direct
many=(--class 1,2 -n 12 --kernels gpu)
layer="" draw clblast "$model" "${many[@]}" --max-launch-ms 0
whole=$(grep -c ^XgemmDirect keep/launches)
layer="slow=50;watchdog=12" draw clblast-cut "$model" "${many[@]}" --max-launch-ms 8
at_least "launches of CLBlast, $whole without a limit" "$(grep -c ^XgemmDirect keep/launches)" $((whole + 20))
at_most "the longest launch, in ms" "$(called longest)" 12
same clblast clblast-cut
unset DITCL_GEMM

# on a GPU the limit is 100 ms by default, at most about a second of work is queued, and the GPU is busy
# while the host waits
layer="type=gpu" draw plain-gpu-type "$model" --max-launch-ms 0 # a GPU may choose other tiles
layer="type=gpu;slow=8000;watchdog=100" draw gpu "$model"
at_least "slices on a GPU" "$(slices)" 20
at_most "the longest launch, in ms" "$(called longest)" 100
at_most "the deepest queue, in ms" "$(called deepest)" 1150
at_least "the deepest queue, in ms" "$(called deepest)" 400
at_least "flushes" "$(called clFlush)" 20
at_least "waits for a marker" "$(called clWaitForEvents)" 1
same plain-gpu-type gpu

# without a limit the driver resets the device; the message names the kernel and the option to lower
DITCL_LAYER="type=gpu;slow=4000;watchdog=100" expect 1 "the device was lost" \
    sample "$model" --class 1 --steps 2 -q --max-launch-ms 0 --out x.png
says "queued last: kernel " err
says "--max-launch-ms 20" err
for bad in -1 x 1e9; do
    expect 2 "--max-launch-ms" sample "$model" --class 1 -q --max-launch-ms=$bad --out x.png
done

# ditcl ends at once wherever the device is lost, even if the driver never answers again.
DITCL_LAYER="launches=keep/counted" expect 0 "" sample "$model" --class 1 --steps 2 -q --out x.png
made x.png
all=$(wc -l <keep/counted)
step=$(grep -n ^step_update keep/counted | tail -n 1 | cut -d: -f1)
if [ "${DITCL_TEST_SEED:-1}" != random ]; then RANDOM=${DITCL_TEST_SEED:-1}; fi # seeds $RANDOM
for at in 5 $((RANDOM % all + 1)) $((all - 3)) $((step - 3)); do # early, anywhere, decoding, in step 2
    DITCL_LAYER="lose=$at;stuck" timeout -s KILL 60 "$ditcl" sample "$model" --class 1 --steps 2 -q \
        --out x.png >out 2>err
    code=$?
    if [ $code -ne 1 ]; then problem "lost at launch $at: exit code $code: $(cat err)"; fi
    says "queued last: kernel " err
    [ ! -e x.png ] || problem "lost at launch $at: there is a picture"
    passed=$((passed + 1))
done
says "step 2 of 2: " err
finish
