#!/bin/bash
# The offline driver (tests/offline_driver.c), and ditcl-kernels, which runs models on it.
# usage: tests/cli/offline.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

tree=$(dirname "$ditcl")
if [ ! -x "$tree/ditcl-kernels" ]; then
    echo "*** SKIPPED: no $tree/ditcl-kernels: CMake found no CL/cl_icd.h ***" >&2
    exit 77
fi
export OCL_ICD_VENDORS=$tree/offline
model=$data/models/plain32

# ---- commands on the offline driver ----
DITCL_OFFLINE="name=a small one;group=64;local=none;units=3;memory=100" expect 0 "a small one" devices -v
says "work-groups of 64" out
says "local memory: none" out
DITCL_OFFLINE="type=cpu;fp16;subgroups=16;images" expect 0 " yes  yes " devices
DITCL_OFFLINE="memory=1" expect 1 "(an offline device) has 1 MB" sample emoji --steps 2 --out a.png
mkdir keep/programs
DITCL_OFFLINE="folder=keep/programs" expect 0 "" sample "$model" --class 1 --steps 2 --out a.png
made a.png
cut -f 2 keep/programs/index.tsv >keep/files
says step.cl keep/files
DITCL_OFFLINE="group=0" "$ditcl" devices >out 2>err
[ $? -eq 99 ] || problem "a setting that is not understood: $(cat err)"
says '"group=0" is not understood' err

# ---- ditcl-kernels ----
ditcl=$tree/ditcl-kernels
expect 0 "usage: ditcl-kernels" --help
expect 2 "--out DIR is missing"
expect 2 "first, default, all" --out keep/kernels --configs best
expect 2 "fp16, subgroups" --out keep/kernels --features fp61
expect 2 "0 to 1024" --out keep/kernels --local-memory 1025
expect 1 "no such model" not-there --precision fp32 --out keep/kernels
expect 1 "/proc" --out /proc/kernels
expect 0 "" "$model" --out keep/kernels --features fp16,subgroups,mma --precision bf16
columns="source file kernel config precision work_group options"
[ "$(head -n 1 keep/kernels/index.tsv | tr '\t' ' ')" = "$columns" ] || problem "columns of the index"
sed 1d keep/kernels/index.tsv | while IFS=$'\t' read -r source file name config precision group options; do
    grep -q "$name(" "keep/kernels/$source" || echo "$source: no kernel $name"
    [ "$config $precision" = "first bf16" ] || echo "$source: $config $precision"
    [ "$group" -gt 0 ] && [ "$group" -le 256 ] || echo "$source: $name of $file: a work-group of $group"
    [ "$file" != gemm_mma.cl ] || [[ $options == *-DMATRIX_UNIT_MMA* ]] || echo "$source: $options"
done >keep/missing
[ -s keep/missing ] && problem "kernels: $(cat keep/missing)"
grep -q gemm_mma.cl keep/kernels/index.tsv || problem "no kernel of matrix units"
grep -q "^gemm_mma.cl.*MT NT" keep/kernels/tunables.tsv || problem "tunables: $(cat keep/kernels/tunables.tsv)"

finish
