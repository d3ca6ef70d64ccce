#!/bin/bash
# First-use checks: wrong, crashing and hanging kernels are struck out, the next configuration serves,
# and no wrong picture is drawn. usage: tests/cli/first_use.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"
unset DITCL_FIRST_USE
near=$data/../near.py
layer=$(dirname "$ditcl")/libopencl_layer.so
model=$data/models/separate48
checked=$XDG_CACHE_HOME/ditcl/checked.txt
draw=(sample "$model" --class 1 --steps 2 --out x.png --latents-out keep/x.npy)

# a new device, without verdicts
forget() { rm -f "$checked"; }

# the picture exists and is right
drawn()
{
    made x.png
    python3 "$near" keep/x.npy keep/right.npy 1e-4 || problem "$1: the latents are wrong"
    rm -f keep/x.npy
}

DITCL_FIRST_USE=off expect 0 "" "${draw[@]}"
says not "checking once" err
cp keep/x.npy keep/right.npy
drawn "without checks"
expect 0 "checking once" "${draw[@]}"
says "tiny network" err
says not "WARNING" err
drawn "with checks"
# verdicts are stored, readable by this user only
expect 0 "" "${draw[@]}"
says not "checking once" err
made x.png
[ "$(stat -c %a "$checked")" = 600 ] || problem "$checked: mode $(stat -c %a "$checked")"
grep -q " right cpu auto gemm \| right gpu auto gemm " "$checked" || problem "$checked has no GEMM: $(cat "$checked")"
# a file that others may write, or without valid verdicts, is ignored
chmod 666 "$checked"
expect 0 "checking once" "${draw[@]}"
made x.png
head -c 3000 /dev/urandom >"$checked"
expect 0 "checking once" "${draw[@]}"
made x.png

# ditcl tune --forget removes verdicts
expect 0 "" tune --forget
[ ! -e "$checked" ] || problem "tune --forget leaves $checked"


if [ ! -f "$layer" ]; then
    echo "*** the OpenCL headers here have no layers: no bad drivers ***"
    finish
    exit
fi
export OPENCL_LAYERS=$layer
# the same implementations on every processor
export DITCL_FEATURES=-amx_bf16

# rusticl's llvmpipe uses only the gpu family, and compiles slowly
families="cpu gpu" kernels="modulate groupnorm attention patchify unpatchify condition step to_pixels"
if [ "${DITCL_TEST_PLATFORM:-}" = rusticl ]; then families=gpu kernels="modulate step"; fi

# a wrong kernel with an alternative is struck out, the verdict is stored, and the picture is right
for family in $families; do
    forget
    DITCL_LAYER="wrong=gemm_$family*" expect 0 "$family auto gemm" "${draw[@]}" --kernels $family
    says "not used on this device" err
    drawn "wrong=gemm_$family"
    grep -q " struck $family auto gemm $family" "$checked" || problem "gemm $family is not struck out"
    # the next run uses the verdict and checks nothing
    DITCL_LAYER="wrong=gemm_$family*" expect 0 "" "${draw[@]}" --kernels $family
    says not "checking once" err
    drawn "wrong=gemm_$family, again"
done

# the driver allows kernels fewer work-items than the device
if [ "${DITCL_TEST_PLATFORM:-}" != rusticl ]; then
    forget
    DITCL_FIT=on DITCL_LAYER="type=gpu;kernel_group=64" expect 0 "" "${draw[@]}" --precision fp32
    drawn "kernel_group=64"
    forget
    DITCL_LAYER="type=gpu;kernel_group=32" expect 1 "this kernel 32" "${draw[@]}" -q
    rm -f keep/x.npy
fi

# a wrong kernel without an alternative: no picture, and the message names the kernel
for kernel in $kernels; do
    forget
    DITCL_LAYER="wrong=$kernel*" expect 1 "" "${draw[@]}" -q
    rm -f keep/x.npy
done
says "draws a tiny network wrong" err

# a kernel that crashes or hangs ends only the child; the parent uses the next configuration
forget
DITCL_LAYER="crash_on=gemm_gpu*" expect 0 "ended the process" "${draw[@]}" \
    --kernels gpu
drawn "crash_on=gemm_gpu"
forget
DITCL_CHECK_SECONDS=20 DITCL_LAYER="hang_on=gemm_gpu*" expect 0 "20 seconds" \
    "${draw[@]}" --kernels gpu
drawn "hang_on=gemm_gpu"
# if no configuration is left, this run and the next one say so
forget
DITCL_LAYER="child;crash=clEnqueueNDRangeKernel:1" expect 1 "no implementation works" "${draw[@]}" -q
DITCL_LAYER="child;crash=clEnqueueNDRangeKernel:1" expect 1 "no implementation works" "${draw[@]}" -q
rm -f keep/x.npy
forget
DITCL_LAYER="child;fail=clCreateContext:1:-6" expect 1 "could not open the device" "${draw[@]}" -q \
    --no-cache
rm -f keep/x.npy

# a feature is not used if its probe ends the process
forget
DITCL_FEATURES=+mma DITCL_LAYER="crash_on=probe_mma" expect 0 "probe mma" "${draw[@]}" \
    --kernels gpu -v
drawn "crash_on=probe_mma"
finish
