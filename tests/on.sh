#!/bin/bash
# Runs a command that sees only one OpenCL platform:
#
#     tests/on.sh pocl|rusticl|intel|oclgrind|ptx COMMAND...
#
# ptx is no driver of a device: it compiles kernels for NVIDIA's GPUs by clang and interprets the result
# (tests/ptx.h). DITCL_PTX_ICD is its folder, ../build/offline unless set.
#
# Exit code: that of the command. If the platform is not installed: 77 with a message, or 1 if
# DITCL_REQUIRE (such as "pocl rusticl intel oclgrind") names it. scripts/fetch-intel-opencl installs
# Intel's runtime for CPUs; if it does not start on this processor, the exit code is 77 in any case. On
# oclgrind, any finding fails the run, whatever the exit code of the command.
set -uo pipefail

platform=${1:?usage: tests/on.sh PLATFORM COMMAND...}
shift
vendors=/etc/OpenCL/vendors
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/icd"
# the same kernels in each run: no stored measurements, and no new ones
export DITCL_FIT=off DITCL_FIRST_USE=off XDG_CONFIG_HOME=$tmp/config

# One configuration in `one_in` is tested. DITCL_TEST_SEED chooses which. PoCL compiles fastest, so more
# are tested there.
if [ "$platform" = pocl ]; then one_in=8; else one_in=16; fi
export DITCL_TEST_CONFIGS=${DITCL_TEST_CONFIGS:-$one_in}

missing()
{
    for required in ${DITCL_REQUIRE:-}; do
        if [ "$required" = "$platform" ]; then
            echo "*** $platform is required, but not installed: $1 ***" >&2
            exit 1
        fi
    done
    echo "*** SKIPPED: $platform is not installed: $1 ***" >&2
    exit 77
}

# only LIBRARY PACKAGE: the loader sees only the driver files of $vendors that name LIBRARY.
only()
{
    local file
    for file in "$vendors"/*.icd; do
        if grep -qi "$1" "$file" 2>/dev/null; then cp "$file" "$tmp/icd/"; fi
    done
    if [ -z "$(ls "$tmp/icd")" ]; then missing "apt install $2"; fi
    export OCL_ICD_VENDORS=$tmp/icd
}

# Whether the loader finds a device in the current environment.
device_found()
{
    timeout 120 clinfo -l >"$tmp/clinfo" 2>&1 && grep -q 'Device #' "$tmp/clinfo"
}

if ! command -v clinfo >/dev/null; then missing "apt install clinfo"; fi

case $platform in
pocl)
    only pocl pocl-opencl-icd
    export DITCL_TEST_PLATFORM='Portable Computing Language'
    if ! device_found; then missing "PoCL shows no device"; fi
    ;;
rusticl)
    only rusticl mesa-opencl-icd
    export RUSTICL_ENABLE=llvmpipe DITCL_TEST_PLATFORM=rusticl
    if ! device_found; then missing "rusticl shows no device on llvmpipe"; fi
    ;;
intel)
    folder=${DITCL_INTEL_OPENCL:-${XDG_CACHE_HOME:-$HOME/.cache}/ditcl/intel-opencl}
    if [ ! -f "$folder/ocl/libintelocl.so" ]; then missing "run scripts/fetch-intel-opencl"; fi
    echo "$folder/ocl/libintelocl.so" >"$tmp/icd/intel.icd"
    export OCL_ICD_VENDORS=$tmp/icd DITCL_TEST_PLATFORM='Intel(R) OpenCL'
    export LD_LIBRARY_PATH=$folder/ocl${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    if ! device_found; then
        processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
        echo "*** SKIPPED: Intel's runtime is installed but does not start on this processor" \
            "($processor): $(tail -n 1 "$tmp/clinfo") ***" >&2
        exit 77
    fi
    ;;
oclgrind)
    if ! command -v oclgrind >/dev/null; then missing "apt install oclgrind"; fi
    export DITCL_TEST_PLATFORM=oclgrind DITCL_TEST_SMALL=1
    # each process of the command truncates the log when it opens it, so the log is a pipe
    mkfifo "$tmp/pipe"
    cat "$tmp/pipe" >"$tmp/log" &
    reader=$!
    exec 9>"$tmp/pipe"
    oclgrind --check-api --data-races --uninitialized --global-mem-size 2147483648 \
        --max-errors 20 --build-options -cl-opt-disable --log "$tmp/pipe" "$@"
    code=$?
    exec 9>&-
    wait "$reader"
    findings=$(grep -ciE 'invalid|error|race|uninitiali[sz]ed|divergence|exceed' "$tmp/log")
    if [ "$findings" -gt 0 ]; then
        echo "*** oclgrind: $findings lines of findings ***" >&2
        head -n 200 "$tmp/log" >&2
        if [ "$code" -eq 0 ]; then code=1; fi
    elif [ "$code" -eq 0 ]; then
        echo "oclgrind: no findings"
    fi
    exit "$code"
    ;;
ptx)
    tests=$(cd "$(dirname "$0")" && pwd)
    if ! command -v clang-15 >/dev/null; then missing "apt install clang-15"; fi
    if [ ! -f /usr/lib/clc/nvptx64--nvidiacl.bc ]; then missing "apt install libclc-15-dev"; fi
    export OCL_ICD_VENDORS=${DITCL_PTX_ICD:-$tests/../build/offline} DITCL_TEST_PLATFORM=PTX
    # the limits of an sm_80, as NVIDIA's OpenCL reports them
    export DITCL_OFFLINE="name=PTX;platform=PTX;group=1024;local=48;units=108;mma;memory=4096"
    DITCL_OFFLINE="$DITCL_OFFLINE;ptx=$tests/ptx_compile.sh"
    export DITCL_PTX_CACHE=${DITCL_PTX_CACHE:-$tmp/ptx}
    if ! device_found; then missing "no driver in $OCL_ICD_VENDORS"; fi
    ;;
*)
    echo "tests/on.sh: $platform: expected pocl, rusticl, intel, oclgrind or ptx" >&2
    exit 2
    ;;
esac

"$@"
