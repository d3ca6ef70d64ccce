#!/bin/bash
# ditcl doctor in broken set-ups: what it finds, and what it tells to do on this distribution.
# usage: tests/cli/doctor.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

vendors=$OCL_ICD_VENDORS
mkdir -p keep/none keep/broken keep/both keep/etc keep/sys/bus/pci/devices
export DITCL_SYSTEM=$work/keep
echo 'ID=ubuntu
ID_LIKE=debian' >keep/etc/os-release

expect 0 "ok ... can be loaded ... Portable Computing Language ... 1 device, 0 problems" doctor

# no driver at all
OCL_ICD_VENDORS=$work/keep/none expect 1 "no device" doctor
says "PROBLEM $work/keep/none: $work/keep/none lists no driver" <(tr -s ' ' <out)
says "to mend it: apt install pocl-opencl-icd" out
# a driver whose library is missing, beside one that works
echo libditcl-no-such-driver.so >keep/broken/a.icd
OCL_ICD_VENDORS=$work/keep/broken expect 1 "cannot be loaded: libditcl-no-such-driver.so ... dpkg -S" doctor
cp "$vendors"/*.icd keep/broken/a.icd keep/both
cp keep/broken/a.icd keep/both
OCL_ICD_VENDORS=$work/keep/both expect 0 "cannot be loaded ... 1 device, 1 problem." doctor
# a platform without a device
POCL_DEVICES=nonsense expect 1 "shows no device ... unset POCL_DEVICES" doctor
if [ -f /etc/OpenCL/vendors/rusticl.icd ]; then
    cp /etc/OpenCL/vendors/rusticl.icd keep/none
    (unset RUSTICL_ENABLE; OCL_ICD_VENDORS=$work/keep/none "$ditcl" doctor >keep/rusticl 2>&1)
    says "to mend it: set RUSTICL_ENABLE=" keep/rusticl
fi
# a folder that cannot be written
XDG_CACHE_HOME=/proc expect 0 "/proc/ditcl: built programs cannot be kept ... XDG_CACHE_HOME name another" doctor
POCL_CACHE_DIR=/proc/x expect 1 "PROBLEM ... POCL_CACHE_DIR=/proc/x" doctor

# GPUs of this machine: class, vendor, device of each PCI device
pci()
{
    mkdir -p "keep/sys/bus/pci/devices/$1"
    echo "$2" >"keep/sys/bus/pci/devices/$1/class"
    echo "$3" >"keep/sys/bus/pci/devices/$1/vendor"
    echo "$4" >"keep/sys/bus/pci/devices/$1/device"
}
pci 0000:00:1f.0 0x060100 0x8086 0x7a04 # no display controller
pci 0000:01:00.0 0x030000 0x1a03 0x2000 # a server's plain controller
expect 0 "0 problems" doctor
pci 0000:03:00.0 0x030000 0x8086 0x56a0
pci 0000:04:00.0 0x030200 0x10de 0x2330
expect 0 "2 problems ... 0000:03:00.0 (8086:56a0): no OpenCL platform ... 0000:04:00.0 (10de:2330)" doctor
says "apt install intel-opencl-icd" out
says "apt install nvidia-opencl-icd" out
echo 'ID=fedora' >keep/etc/os-release
expect 0 "dnf install intel-compute-runtime" doctor
echo 'ID=plan9' >keep/etc/os-release
expect 0 "install the vendor's OpenCL driver" doctor

if "$ditcl" doctor --json | python3 -c 'import json, sys
d = json.load(sys.stdin)
assert d["devices"] == 1 and d["problems"] == 2 == sum(not f["good"] for f in d["findings"])'; then
    passed=$((passed + 1))
else
    problem "ditcl doctor --json"
fi
DITCL_SYSTEM=/none expect 2 "DITCL_SYSTEM=/none" doctor
expect 2 "unexpected argument" doctor nonsense
finish
