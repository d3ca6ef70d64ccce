#!/bin/bash
# Messages and outputs with drivers that fail, report wrong values or have small limits.
# tests/opencl_layer.c makes them from a good driver. usage: tests/cli/bad_drivers.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

export OPENCL_LAYERS=$(dirname "$ditcl")/libopencl_layer.so
if [ ! -f "$OPENCL_LAYERS" ]; then
    echo "*** SKIPPED: the OpenCL headers here have no layers ***"
    exit 77
fi
model=$data/models/separate48
draw=(sample "$model" --class 1 --steps 2 -q --out x.png)

# the layer: without settings nothing changes; an unknown setting ends the program
expect 0 "" sample "$model" --class 1 --steps 2 -q --out keep/plain.png --latents-out keep/plain.npy
DITCL_LAYER="log=$work/keep/calls" expect 0 "" sample "$model" --class 1 --steps 2 -q --out keep/a.png \
    --latents-out keep/a.npy
cmp -s keep/plain.npy keep/a.npy || problem "the layer changes latents"
launches=$(sed -n 's/^clEnqueueNDRangeKernel //p' keep/calls)
[ "${launches:-0}" -gt 20 ] || problem "the layer counted ${launches:-no} launches"
DITCL_LAYER="fial=3" expect 99 "is not understood" "${draw[@]}"

# a call fails: the message names it, and there is no picture
for call in clCreateContext:1:-6 clCreateCommandQueue:1:-6 clCreateBuffer:3:-4 clBuildProgram:1:-6 \
    "clEnqueueNDRangeKernel:$((launches / 2))" clEnqueueReadBuffer:1 clFinish:2; do
    DITCL_LAYER="fail=$call" expect 1 "${call%%:*}" "${draw[@]}" --no-cache
done

# a device is lost during sampling, or its memory is full
DITCL_LAYER="lose=$((launches / 2))" expect 1 "CL_OUT_OF_RESOURCES" "${draw[@]}"
DITCL_LAYER="memory=4" expect 1 "has 4 MB" sample emoji --class 1 --steps 2 -q \
    --out x.png

# texts of the driver reach the terminal without control characters
DITCL_LAYER=$'type=gpu;units=6;name=Sma\e[31mll;vendor=V\xc2\x9bx;platform=P' expect 0 "Sma" devices -v
grep -qP '\x1b|\xc2\x9b' out err && problem "devices prints control characters: $(cat -v out err)"
says "gpu" out
DITCL_LAYER="name=Small;group=64;largest=64" expect 0 "Small" devices
DITCL_LAYER="version=OpenCL 3.1 of 2026;c_version=OpenCL C 3.1 " expect 0 "" "${draw[@]}"
made x.png

# -cl-std is passed only to programs with sub-groups, and only with drivers that need it (cl/devices)
# builds OPTION SETTINGS: programs with sub-groups must be built with OPTION, others without it
builds()
{
    local file=$work/keep/builds with without
    rm -f "$file"
    DITCL_FEATURES=+subgroups DITCL_LAYER="type=gpu;builds=$file;$2" expect 0 "" "${draw[@]}" \
        --precision fp32 --no-cache
    made x.png
    with=$(grep -e -DSUBGROUPS "$file" | sed -n 's/.*\(-cl-std=[^ ]*\).*/\1/p' | sort -u)
    without=$(grep -ve -DSUBGROUPS "$file" | grep -c -e -cl-std)
    grep -q -e -DSUBGROUPS "$file" || problem "$2: no program with sub-groups: $(cat "$file")"
    [ "$with" = "$1" ] || problem "$2: sub-groups with \"$with\", expected \"$1\""
    [ "$without" -eq 0 ] || problem "$2: $without programs without sub-groups have -cl-std"
}
amd="platform=AMD Accelerated Parallel Processing;name=gfx1030"
builds -cl-std=CL2.0 "$amd;c_version=OpenCL C 2.0 "
builds -cl-std=CL2.0 "$amd;c_version=OpenCL C 3.1 "
builds "" "$amd;c_version=OpenCL C 1.2 "
builds "" "c_version=OpenCL C 2.0 "
builds "" "platform=rusticl;name=AMD Radeon;c_version=OpenCL C 3.1 "
finish
