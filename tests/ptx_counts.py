#!/usr/bin/env python3
"""Prints what launches on the PTX interpreter did, a row for each kernel and configuration.

    DITCL_PTX_COUNTS=FILE tests/on.sh ptx build/ditcl check --device PTX --precision fp16 gemm
    tests/ptx_counts.py FILE [--per N]

The interpreter adds a line to FILE for each launch (tests/offline_driver_ptx.c). Each cell is a sum
over all launches of the row, divided by the number of its MMAs. --per N: only rows with at least N
MMAs [1000]."""
import argparse
import collections
import re

TUNABLES = re.compile(r"-D(PARTS|D|MT|NT|KT|WM|WN|DB|SPLIT|STAGES|BQ|BK|WQ|UC|DC|QR|AHEAD|TX|TY|BC|CC|"
                      r"ST|READS_FACTORS|WRITES_FACTORS)=(\d+)")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--per", type=int, default=1000)
    asked = parser.parse_args()
    rows = collections.defaultdict(lambda: [0] * 6)
    local = {}
    for line in open(asked.file):
        name, _, items, *counts, shared, options = line.rstrip("\n").split("\t")
        key = (name, " ".join("%s=%s" % o for o in TUNABLES.findall(options)), items)
        rows[key] = [old + int(new) for old, new in zip(rows[key], counts)]
        local[key] = int(shared)
    print("| kernel | configuration | work-items | local bytes | MMAs | instructions | wavefronts | "
          "local bytes moved | global bytes read |")
    print("| --- " * 9 + "|")
    for key, (instructions, mma, wavefronts, moved, read, _) in sorted(rows.items()):
        if mma < asked.per:
            continue
        name, configuration, items = key
        print(f"| {name} | {configuration} | {items} | {local[key]} | {mma} | {instructions / mma:.1f} "
              f"| {wavefronts / mma:.2f} | {moved / mma:.0f} | {read / mma:.0f} |")


main()
