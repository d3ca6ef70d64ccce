#!/bin/bash
# The message is that of the first failure. A later failure, such as one of storing programs, does not
# replace it.
source "$(dirname "$0")/expect.sh"

plain="$data/models/plain32"
python3 - keep/huge.npy <<'END'
import struct, sys
head = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4, 8, 8), }"
head += " " * (117 - len(head)) + "\n"
with open(sys.argv[1], "wb") as f:
    f.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head.encode() +
            struct.pack("<256f", *[3e38] * 256))
END
export POCL_CACHE_DIR=$work/keep/pocl
touch keep/file
mkdir keep/home
# none of these can hold the cache, each for another reason
for place in /proc keep/file relative /dev/full/x "$(printf '/%0300d' 0)"; do
    for config in "$XDG_CONFIG_HOME" /proc; do
        XDG_CACHE_HOME=$place XDG_CONFIG_HOME=$config HOME=$work/keep/home \
            expect 1 "step 1 of 2 ... finite" \
            sample "$plain" --class 0 --steps 2 -q --latents-in keep/huge.npy
        says "ditcl check" err
    done
done
# without the cache, for comparison
expect 1 "step 1 of 2 ... finite" \
    sample "$plain" --class 0 --steps 2 -q --latents-in keep/huge.npy --no-cache
finish
