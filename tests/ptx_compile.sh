#!/bin/bash
# Compiles OpenCL C into PTX for sm_80 or sm_75, as offline_driver_ptx.c asks. usage: ptx_compile.sh
# SOURCE RESULT OPTION...; with DITCL_PTX_CACHE, a folder, results are kept there.
set -eu
source=$1 result=$2
shift 2
target=sm_80
if [[ $* == *-DMATRIX_UNIT_MMA_K8* ]]; then target=sm_75; fi
flags=(-x cl -cl-std=CL1.2 -target nvptx64-nvidia-nvcl -O3 -w)
cached=${DITCL_PTX_CACHE:-}
if [ -n "$cached" ]; then
    mkdir -p "$cached"
    cached=$cached/$({ cat "$source"; echo "$@"; } | sha256sum | cut -c1-32).ptx
    if [ -f "$cached" ]; then exec cp "$cached" "$result"; fi
fi
# libclc has no get_global_offset, and its get_global_id does not add it. NVIDIA's driver keeps it in
# the registers %envreg3 to 5.
offset=${result%.ptx}-offset
trap 'rm -f "$offset.cl" "$offset.bc"' EXIT
cat >"$offset.cl" <<'END'
__attribute__((overloadable)) size_t get_global_offset(uint d)
{
    uint x, y, z;
    __asm__("mov.b32 %0, %%envreg3;" : "=r"(x));
    __asm__("mov.b32 %0, %%envreg4;" : "=r"(y));
    __asm__("mov.b32 %0, %%envreg5;" : "=r"(z));
    return d == 0 ? x : d == 1 ? y : z;
}
__attribute__((overloadable)) size_t get_global_id(uint d)
{
    uint first = (uint)get_global_offset(d);
    switch (d) {
    case 0: return first + __nvvm_read_ptx_sreg_ctaid_x() * __nvvm_read_ptx_sreg_ntid_x() + __nvvm_read_ptx_sreg_tid_x();
    case 1: return first + __nvvm_read_ptx_sreg_ctaid_y() * __nvvm_read_ptx_sreg_ntid_y() + __nvvm_read_ptx_sreg_tid_y();
    default: return first + __nvvm_read_ptx_sreg_ctaid_z() * __nvvm_read_ptx_sreg_ntid_z() + __nvvm_read_ptx_sreg_tid_z();
    }
}
END
clang-15 "${flags[@]}" -emit-llvm -c -o "$offset.bc" "$offset.cl"
clang-15 "${flags[@]}" -Xclang -target-cpu -Xclang "$target" -Xclang -target-feature -Xclang +ptx74 \
    -Xclang -finclude-default-header -Xclang -mlink-builtin-bitcode -Xclang "$offset.bc" \
    -Xclang -mlink-builtin-bitcode -Xclang /usr/lib/clc/nvptx64--nvidiacl.bc \
    -Wno-linker-warnings -S "$@" -o "$result" "$source"
if [ -n "$cached" ]; then cp "$result" "$cached.$$" && mv "$cached.$$" "$cached"; fi
