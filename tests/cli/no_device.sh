#!/bin/bash
# Messages if OpenCL has no device, and the ways in which ditcl finds one.
source "$(dirname "$0")/expect.sh"

plain="$data/models/plain32"
short="--class 0 --steps 2 -q --out keep/x.png"
vendors=$OCL_ICD_VENDORS # tests/on.sh: only the driver under test
uid=$(id -u)
unset POCL_CACHE_DIR

# ---- the cache of the driver, if none of its folders is writable ----
export TMPDIR=$work/keep/tmp
mkdir "$TMPDIR"
HOME=/proc XDG_CACHE_HOME='' expect 0 "" sample "$plain" $short
if [ -z "$(ls "$TMPDIR/ditcl-$uid")" ]; then problem "$TMPDIR/ditcl-$uid holds no programs"; fi
says 700 <(stat -c %a "$TMPDIR/ditcl-$uid")
for home in / /proc /dev/null ''; do
    if [ "$uid" -ne 0 ] || [ -n "${home#/}" ]; then # root may write to /.cache
        HOME=$home XDG_CACHE_HOME='' expect 0 "in $TMPDIR" devices -v
    fi
    HOME=$home XDG_CACHE_HOME=/proc expect 0 "in $TMPDIR" devices -v
done
# ditcl's cache is preferred to the folder for temporary files
rm -rf "$TMPDIR/ditcl-$uid"
mkdir keep/cache2
touch keep/cache2/pocl # a file where the driver needs a folder
XDG_CACHE_HOME=$work/keep/cache2 expect 0 "is in $work/keep/cache2/ditcl/driver" devices -v
if [ -e "$TMPDIR/ditcl-$uid" ]; then problem "$TMPDIR/ditcl-$uid was made without need"; fi
# a link, a folder that others may write to, or one that they could replace is not used
mine=$(test -e "/tmp/ditcl-$uid" && echo there)
mkdir keep/elsewhere
ln -s "$work/keep/elsewhere" "$TMPDIR/ditcl-$uid"
HOME=/proc XDG_CACHE_HOME='' expect 0 "cache is in /tmp/ditcl-$uid" devices -v
rm "$TMPDIR/ditcl-$uid"
mkdir -m 777 "$TMPDIR/ditcl-$uid"
HOME=/proc XDG_CACHE_HOME='' expect 0 "cache is in /tmp/ditcl-$uid" devices -v
rmdir "$TMPDIR/ditcl-$uid"
chmod 777 "$TMPDIR"
HOME=/proc XDG_CACHE_HOME='' expect 0 "cache is in /tmp/ditcl-$uid" devices -v
if [ -z "$mine" ]; then rm -rf "/tmp/ditcl-$uid"; fi
# a folder that the user names is not replaced by another
for folder in /proc/x /dev/null keep/cache2/pocl; do
    POCL_CACHE_DIR=$folder expect 1 "POCL_CACHE_DIR=$folder: " \
        sample "$plain" $short
    says "name one that can be made" err
done
POCL_CACHE_DIR=/proc/x expect 1 "POCL_CACHE_DIR=/proc/x: " devices
POCL_DEVICES=nonsense expect 1 "unset POCL_DEVICES" devices

# ---- no platform ----
mkdir keep/none keep/broken
OCL_ICD_VENDORS=$work/keep/none expect 1 "keep/none lists no driver" devices
says "apt install pocl-opencl-icd" err
OCL_ICD_VENDORS=/none expect 1 "OCL_ICD_VENDORS is /none" devices
vendors_of() { env -u OCL_ICD_VENDORS OPENCL_VENDOR_PATH="$1" "$ditcl" devices; }
if vendors_of /none >out 2>err; then problem "OPENCL_VENDOR_PATH=/none: exit code 0"; fi
says "OPENCL_VENDOR_PATH is /none" err
echo libditcl-no-such-driver.so >keep/broken/a.icd
OCL_ICD_VENDORS=$work/keep/broken expect 1 "none of the 1 drivers that" devices

# ---- a platform that shows devices only if a variable names their drivers ----
if [ -f /etc/OpenCL/vendors/rusticl.icd ]; then
    cp /etc/OpenCL/vendors/rusticl.icd keep/none
    unset RUSTICL_ENABLE
    OCL_ICD_VENDORS=$work/keep/none expect 1 "set RUSTICL_ENABLE=radeonsi" devices
    cp "$vendors"/*.icd keep/none
    OCL_ICD_VENDORS=$work/keep/none expect 0 "rusticl: set" devices
else
    echo "*** SKIPPED: rusticl is not installed ***"
fi

# ---- limits of the process: drivers abort without memory ----
unlimited=$ditcl
printf '#!/bin/bash\nulimit -$LIMIT && exec %q "$@"\n' "$unlimited" >keep/limited
chmod +x keep/limited
ditcl=$work/keep/limited
export POCL_CACHE_DIR=$work/keep/named
for limit in "v 300000" "v 800000" "d 500000"; do
    LIMIT=$limit expect 1 "OpenCL drivers need 900 MB" sample "$plain" $short
done
LIMIT="v 1400000" expect 0 "" sample "$plain" $short
LIMIT="v 1400000" expect 1 "under this process's limits" bench --arch DiT-XL/2 -q
finish
