#!/bin/bash
# Small GPUs: their launches, their lines in cl/devices, and their pictures. tests/opencl_layer.c makes a
# good driver behave like theirs, and refuses the launches that they would refuse.
# usage: tests/cli/small_devices.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

export OPENCL_LAYERS=$(dirname "$ditcl")/libopencl_layer.so
root=$(dirname "$data")/..
if [ ! -f "$OPENCL_LAYERS" ]; then
    echo "*** SKIPPED: the OpenCL headers here have no layers ***"
    exit 77
fi
near()
{
    if python3 "$root/tests/near.py" "$1" "$2" 1 >near.out; then passed=$((passed + 1)); else
        problem "$3: $(cat near.out)"
    fi
    rm -f near.out
}

# ---- ditcl devices ----
asked()
{
    DITCL_LAYER="type=gpu;$1" expect 0 "$2" devices -v
    DITCL_LAYER="type=gpu;$1" expect 0 "$3" devices --json
    says "$4" out
}
asked "group=64;local=none" "work-groups of 64, local memory: none" \
    '"local_memory": "none"' '"local_bytes": 0'
says '"max_work_group": 64' out
asked "group=128;local=global" "work-groups of 128, local memory: global, " \
    '"local_memory": "global"' '"max_work_group": 128'
asked "local=16" "local memory: global, 16 KB" '"local_bytes": 16384' '"fp16": false'

# ---- every operator, without local memory and in work-groups of 64, of 16 and of 1 ----
"$ditcl" check --kernels gpu --quick >keep/plain.out 2>&1
all=$(grep -o '^[0-9]* checks passed' keep/plain.out)
[ -n "$all" ] || problem "check without the layer: $(tail -n 3 keep/plain.out)"
for precision in fp32 auto fp16; do
    DITCL_LAYER="type=gpu;group=64;local=none" expect 0 "$all" check --quick --precision $precision
done
for group in 16 1; do
    DITCL_LAYER="type=gpu;group=$group;local=none" expect 0 "checks passed" \
        check gemm attention conv groupnorm modulate --quick --precision fp32
done
# CLBlast needs local memory, so it does not serve, even if DITCL_GEMM names it
DITCL_GEMM=clblast DITCL_LAYER="type=gpu;group=64;local=none" expect 0 "checks passed" \
    check gemm --quick --precision fp32
DITCL_LAYER="type=gpu;local=global" expect 0 "checks passed" check gemm attention conv modulate --quick

# ---- the sheet of the README ----
line=$(grep -m 1 'ditcl sample emoji .*--out pictures.png' "$root/README.md")
read -r -a words <<<"${line#*ditcl }"
DITCL_LAYER="type=gpu;group=64;local=none" expect 0 "" "${words[@]}" --precision fp32 -q
near pictures.png "$root/docs/emoji.png" "the sheet of 64 work-items and no local memory"
made pictures.png

# ---- other limits do not change pictures ----
draw=(sample "$data/models/separate48" --class 1 --steps 3 --precision fp32 -q)
expect 0 "" "${draw[@]}" --out keep/plain.png
drawn()
{
    DITCL_LAYER="$1" expect 0 "" "${draw[@]}" --out a.png "${@:2}"
    near a.png keep/plain.png "$1"
    made a.png
}
drawn "type=gpu;group=1;local=none"
drawn "type=gpu;group=128;local=global"
drawn "type=gpu;group=64;local=1"
drawn "type=gpu;largest=256;no_images;no_fp16;units=1"
drawn "type=accelerator;group=16;local=none;largest=256"

# ---- each file of cl/devices applies to its devices, and they draw ----
# known FILE "SETTINGS" QUIRK... [not QUIRK...]: cl/devices/FILE.conf matches a device with these
# settings, which has the first quirks and not the others
known()
{
    local file=$1 names="type=gpu;$2" absent=
    DITCL_LAYER=$names expect 0 "known to devices/$file.conf" devices -v
    for quirk in "${@:3}"; do
        if [ "$quirk" = not ]; then absent=not; else says $absent "$quirk (devices/$file.conf)" out; fi
    done
    drawn "$names" --device 0
}
adreno="platform=QUALCOMM Snapdragon(TM);vendor=QUALCOMM;name=QUALCOMM Adreno(TM)"
compiler="driver=OpenCL 3.0 QUALCOMM build: commit unknown Compiler E031"
known adreno "$adreno;version=OpenCL 2.0 Adreno(TM) 642L;$compiler.37.12.01" MAX_GROUP=128 \
    NO_SUBGROUPS ANY_GROUP MAX_REGISTERS=96
known adreno "$adreno 740;version=OpenCL 3.0 Adreno(TM) 740;$compiler.38.11.07" ANY_GROUP \
    not NO_SUBGROUPS MAX_GROUP=128
known mali "platform=ARM Platform;vendor=ARM;name=Mali-G78;local=global" MAX_GROUP=64 \
    MAX_REGISTERS=64
known powervr "platform=PowerVR;vendor=Imagination Technologies;name=PowerVR B-Series BXE-4-32"
known apple "platform=Apple;vendor=Apple;name=Apple M1" MAX_BUFFER_MB=2047 not MAX_GROUP=1
known clvk "platform=clvk;vendor=FIXME;name=V3D 4.2" CHOOSE_LAST
known openclon12 "platform=OpenCLOn12;vendor=Microsoft;name=Microsoft Basic Render Driver" \
    ONLY_IF_NAMED
known clover "platform=Clover;vendor=AMD;name=AMD TAHITI" ONLY_IF_NAMED LANES_ARE_ITEMS
known nvidia "platform=NVIDIA CUDA;vendor=NVIDIA Corporation;name=NVIDIA GeForce RTX 3060"
known intel "platform=Intel(R) OpenCL Graphics;vendor=Intel(R) Corporation;name=Intel(R) Arc(TM) A770"
known intel "platform=Intel(R) OpenCL Graphics;vendor=Intel(R) Corporation;name=Intel(R) UHD Graphics 770" \
    MAX_REGISTERS=100
amd="platform=AMD Accelerated Parallel Processing;vendor=Advanced Micro Devices, Inc."
for gfx in "gfx1100 wmma" "gfx1151 wmma" "gfx1170 wmma2" "gfx1201 wmma2" "gfx90a:sramecc+:xnack- mfma" \
    "gfx908:sramecc+:xnack- mfma1"; do
    DITCL_LAYER="type=gpu;$amd;name=${gfx% *}" expect 0 "known to devices/amd.conf" devices -v
    grep -qx "    may have ${gfx#* }" out && [ "$(grep -c 'may have' out)" = 1 ] ||
        problem "$gfx: $(cat out)"
done
DITCL_LAYER="type=cpu;platform=Apple;name=Intel(R) Core(TM) i7-4578U CPU @ 3.00GHz" \
    expect 0 "MAX_GROUP=1 (devices/apple.conf)" devices -v
drawn "type=cpu;platform=Apple;name=Intel(R) Core(TM) i7-4578U CPU @ 3.00GHz"

# not chosen by default, but listed, and used if it is named
for platform in OpenCLOn12 Clover; do
    DITCL_LAYER="type=gpu;platform=$platform" expect 1 "no device" "${draw[@]}" --out x.png
    DITCL_LAYER="type=gpu;platform=$platform" expect 0 "" check fill --quick --device gpu
done

# ---- a driver whose work-items are the lanes of a vector ----
unset OCL_ICD_VENDORS
for layer in "group=64;local=none" "type=gpu;group=128;local=global;no_images"; do
    DITCL_LAYER=$layer "$root/tests/on.sh" rusticl "$ditcl" check gemm attention conv modulate \
        --quick --precision fp32 >out 2>err
    case $? in
    0) says "checks passed" out ;;
    77) cat err ;;
    *) problem "rusticl with $layer: $(tail -n 3 err out)" ;;
    esac
done
finish
