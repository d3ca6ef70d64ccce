#!/usr/bin/env python3
"""Makes tests/data/rng.inc: what torch.randn draws on the CPU, for tests/test_rng.c.

Each case is a seed and a sequence of draws from one generator. Stored are the first eight values of
the last draw, as bits, and a 64-bit FNV-1a hash over the bits of all values of all draws.

    scripts/oracle_rng.py > tests/data/rng.inc

Needs torch on a processor with AVX2 (other processors draw values that differ in the last bits).
"""
import torch

CASES = (
    [(0, [n]) for n in (1, 5, 15, 16, 17, 31, 100, 4096, 100003)]
    + [(5, [16]), (2**32 + 5, [16]), (2**32 + 5, [100]), (2**64 - 1, [33]), (2**31, [4])]
    + [
        (0, [5, 5]),             # a second value waits between two short draws
        (7, [5, 20, 5]),         # and a long draw in between neither uses nor drops it
        (7, [4, 20, 5]),
        (3, [1] * 9),
        (11, [623, 1, 625, 17]), # around the end of the 624 words of state
        (1234, [4096, 8192, 8192, 8192]),
        (99, [0, 16, 0, 3]),
    ]
)


def words(values):
    return values.view(torch.int32).tolist()


def fnv(hash_value, bits):
    for byte in (bits & 0xFFFFFFFF).to_bytes(4, "little"):
        hash_value = (hash_value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return hash_value


def main():
    torch.set_num_threads(1)
    print(f"/* Made by scripts/oracle_rng.py with torch {torch.__version__.split('+')[0]}. */")
    for seed, draws in CASES:
        generator = torch.Generator().manual_seed(seed)
        hash_value, last = 0xCBF29CE484222325, []
        for n in draws:
            last = words(torch.randn(n, generator=generator))
            for bits in last:
                hash_value = fnv(hash_value, bits)
        counts = ", ".join(map(str, draws))
        head = ", ".join(f"0x{bits & 0xFFFFFFFF:08x}" for bits in last[:8])
        print(f"{{{seed}u, {len(draws)}, {{{counts}}},\n 0x{hash_value:016x}u,\n {{{head}}}}},")


if __name__ == "__main__":
    main()
