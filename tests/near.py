#!/usr/bin/env python3
"""Exit code 0 when two .npy files of float32 are alike. Standard library only.

usage: near.py GOT WANTED LIMIT      of the relative L2 distance
"""
import array
import math
import sys


def read(path):
    raw = open(path, "rb").read()
    assert raw[:8] == b"\x93NUMPY\x01\0" and b"'<f4'" in raw[:128], path
    return array.array("f", raw[10 + int.from_bytes(raw[8:10], "little"):])


got, wanted = read(sys.argv[1]), read(sys.argv[2])
assert len(got) == len(wanted) > 0
distance = math.sqrt(sum((a - b) ** 2 for a, b in zip(got, wanted)) / sum(b * b for b in wanted))
print(f"relative L2 distance {distance:.2e}, limit {sys.argv[3]}")
sys.exit(not distance < float(sys.argv[3]))
