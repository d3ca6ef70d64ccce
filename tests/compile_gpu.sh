#!/bin/bash
# scripts/compile_gpu must find broken kernels. One kernel is broken in several ways; each must fail with
# the right message. The whole kernel must pass. usage: tests/compile_gpu.sh PATH/ditcl-kernels
set -u
program=$(readlink -f "${1:?usage: tests/compile_gpu.sh PATH/ditcl-kernels}")
root=$(dirname "$(readlink -f "$0")")/..
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# expect CODE "part of the output" "line added to the kernel" FAMILY
expect()
{
    local code=$1 part=$2 line=$3 family=$4 got
    rm -rf "$work/cl"
    cp -r "$root/cl" "$work/cl"
    sed -i "s|^{\$|&\n$line|" "$work/cl/fill.cl"
    DITCL_CL_DIR=$work/cl DITCL_REQUIRE_COMPILERS=$family "$root/scripts/compile_gpu" \
        --program "$program" --cache "$work/cache" --configs first --only fill --target "$family" \
        >"$work/out" 2>&1
    got=$?
    if [ "$got" -ne "$code" ] || ! grep -qF -- "$part" "$work/out"; then
        echo "WRONG: $family, \"$line\": exit code $got, expected $code and \"$part\":"
        cat "$work/out"
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
}

# spill: more live values than registers; big, bigger: more local memory than the device has
unroll='\n#pragma unroll\n    for (int i = 0; i < 600; i++)'
spill="    int x[600];$unroll x[i] = out[i * 7];\n    barrier(CLK_GLOBAL_MEM_FENCE);"
spill="$spill$unroll out[i * 5] = x[i];"
big='    local int y[COUNT];\n    y[get_local_id(0)] = bits;\n    barrier(CLK_LOCAL_MEM_FENCE);'
big="$big\n    out[1] = y[get_local_id(0) ^ 1];"
bigger=${big/COUNT/20000}
big=${big/COUNT/10000}
for family in intel intel26 amd nvidia spirv clspv; do
    expect 0 "0 failed" "" $family
    expect 1 "does not compile" "    nonsense;" $family
done
expect 1 "spills" "$spill" amd
# a target that is newer than the device libraries
expect 1 "WRONG: gfx1100: cl/fill.cl" "$spill" amd
expect 0 "programs use scratch memory on bmg" "$spill" intel26
expect 1 "40000 bytes of local memory" "$big" nvidia
expect 1 "40000 bytes of local memory" "$big" intel26
# clspv refuses vectors of 8
expect 1 "vectors with more than 4 elements" "    int8 x = vload8(0, out);" clspv
expect 0 "0 failed" "    int8 x = vload8(0, out);" spirv
expect 1 "local memory (80000) exceeds" "$bigger" amd

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
