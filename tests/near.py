#!/usr/bin/env python3
"""Exit code 0 if two files are nearly equal. Standard library only.

usage: near.py GOT WANTED LIMIT

Two .npy files of float32: their relative L2 distance must be below LIMIT. Two .png files of 8-bit RGB:
no value may differ by more than LIMIT.
"""
import array
import math
import struct
import sys
import zlib


def read_npy(path):
    raw = open(path, "rb").read()
    assert raw[:8] == b"\x93NUMPY\x01\0" and b"'<f4'" in raw[:128], path
    return array.array("f", raw[10 + int.from_bytes(raw[8:10], "little"):])


def paeth(a, b, c):
    """Of a (left), b (above) and c (above left), the one nearest to a + b - c (PNG specification, 9.4)."""
    p = a + b - c
    return min((a, b, c), key=lambda value: abs(p - value))


def read_png(path):
    """Returns (width, height, values)."""
    raw, at, data = open(path, "rb").read(), 8, b""
    assert raw[:8] == b"\x89PNG\r\n\x1a\n", path
    while at < len(raw):
        size, kind = struct.unpack(">I4s", raw[at:at + 8])
        if kind == b"IHDR":
            width, height, *form = struct.unpack(">IIBBBBB", raw[at + 8:at + 21])
            assert form == [8, 2, 0, 0, 0], f"{path}: not plain 8-bit RGB"
        if kind == b"IDAT":
            data += raw[at + 8:at + 8 + size]
        at += size + 12
    data, row, values = zlib.decompress(data), 3 * width, bytearray()
    above = bytearray(row)
    for y in range(height):
        kind, line = data[y * (row + 1)], bytearray(data[y * (row + 1) + 1:(y + 1) * (row + 1)])
        for x in range(row):
            left, corner = (line[x - 3], above[x - 3]) if x >= 3 else (0, 0)
            guess = (0, left, above[x], (left + above[x]) // 2, paeth(left, above[x], corner))[kind]
            line[x] = (line[x] + guess) & 255
        values += line
        above = line
    return width, height, values


def main():
    got, wanted, limit = sys.argv[1:]
    if got.endswith(".png"):
        (*size, got), (*size_wanted, wanted) = read_png(got), read_png(wanted)
        assert size == size_wanted, f"{size}, expected {size_wanted}"
        difference = max(abs(a - b) for a, b in zip(got, wanted))
        differ = sum(a != b for a, b in zip(got, wanted))
        print(f"{differ} of {len(got)} values differ, by {difference} at most, limit {limit}")
        sys.exit(difference > float(limit))
    got, wanted = read_npy(got), read_npy(wanted)
    assert len(got) == len(wanted) > 0
    distance = math.sqrt(sum((a - b) ** 2 for a, b in zip(got, wanted)) / sum(b * b for b in wanted))
    print(f"relative L2 distance {distance:.2e}, limit {limit}")
    sys.exit(not distance < float(limit))


if __name__ == "__main__":
    main()
