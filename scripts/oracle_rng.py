#!/usr/bin/env python3
"""Writes the noise that tests/test_rng.c compares with.

    scripts/oracle_rng.py vector > tests/data/rng.inc
    ATEN_CPU_CAPABILITY=default scripts/oracle_rng.py scalar > tests/data/rng_scalar.inc
    scripts/oracle_rng.py cuda > tests/data/rng_cuda.inc

vector, scalar: noise of torch.randn on the CPU, with its AVX2 kernel (needs a CPU with AVX2) and without.
Each case is a seed and a sequence of draws from one generator. A case stores the bits of the first eight
values of the last draw, and a 64-bit FNV-1a hash of the bits of all values of all draws.

cuda: noise of torch.randn on a GPU, computed thread by thread as PyTorch's kernel does, from the definitions
of Philox4x32-10 and of the Box-Muller transform. Needs neither a GPU nor torch. Each case is a GPU, a seed
and a sequence of draws. It stores eight values of the last draw, with their places.
"""
import sys

import numpy as np

CASES = (
    [(0, [n]) for n in (1, 5, 15, 16, 17, 31, 100, 4096, 100003)]
    + [(5, [16]), (2**32 + 5, [16]), (2**32 + 5, [100]), (2**64 - 1, [33]), (2**31, [4])]
    + [
        (0, [5, 5]),             # a second Box-Muller value is kept between two short draws
        (7, [5, 20, 5]),         # a long draw in between neither uses nor drops that value
        (7, [4, 20, 5]),
        (3, [1] * 9),
        (11, [623, 1, 625, 17]), # around the end of the 624 words of state
        (1234, [4096, 8192, 8192, 8192]),
        (99, [0, 16, 0, 3]),
    ]
)

# multiprocessors, threads of each, seed, draws
CUDA_CASES = [
    (108, 2048, 0, [12]),
    (108, 2048, 2**64 - 1, [1]),
    (108, 2048, 2**32 + 5, [255, 257]),
    (108, 2048, 3, [32768, 65536, 65536, 65536]),  # sample.py at 256 pixels
    (40, 1024, 3, [32768, 65536, 65536, 65536]),   # uses the second value of each thread
    (68, 1536, 7, [131072, 262144, 5]),
    (3, 1024, 11, [3072 * 4, 3072 * 4 + 1, 3072 * 8 + 77, 20]),  # a second group of four values of each thread
    (1, 1100, 12, [1024, 5000, 33]),               # the number of threads is no multiple of a block
]


def words(values):
    return values.view(np.uint32).tolist()


def fnv(hash_value, bits):
    for byte in (bits & 0xFFFFFFFF).to_bytes(4, "little"):
        hash_value = (hash_value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return hash_value


def cpu():
    import torch
    torch.set_num_threads(1)
    print(f"/* Made by scripts/oracle_rng.py {sys.argv[1]} with torch "
          f"{torch.__version__.split('+')[0]}. */")
    for seed, draws in CASES:
        generator = torch.Generator().manual_seed(seed)
        hash_value, last = 0xCBF29CE484222325, []
        for n in draws:
            last = words(torch.randn(n, generator=generator).numpy())
            for bits in last:
                hash_value = fnv(hash_value, bits)
        counts = ", ".join(map(str, draws))
        head = ", ".join(f"0x{bits:08x}" for bits in last[:8])
        print(f"{{{seed}u, {len(draws)}, {{{counts}}},\n 0x{hash_value:016x}u,\n {{{head}}}}},")


class Thread:
    """All threads of a launch. Each has its own subsequence of curand's Philox."""

    def __init__(self, seed, threads, offset):
        low, high = offset // 4 & 0xFFFFFFFF, offset // 4 >> 32
        self.counter = [np.full(threads, low, np.uint64), np.full(threads, high, np.uint64),
                        np.arange(threads, dtype=np.uint64), np.zeros(threads, np.uint64)]
        self.key = seed & 0xFFFFFFFF, seed >> 32

    def four(self):
        mask = np.uint64(0xFFFFFFFF)
        c, key = list(self.counter), list(self.key)
        for _ in range(10):
            first, third = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
            c = [(third >> np.uint64(32)) ^ c[1] ^ np.uint64(key[0]), third & mask,
                 (first >> np.uint64(32)) ^ c[3] ^ np.uint64(key[1]), first & mask]
            key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
        self.counter[0] = self.counter[0] + np.uint64(1)
        return c

    def four_normals(self):
        x, y, z, w = (part.astype(np.float32).astype(np.float64) for part in self.four())
        turn = float(np.float32(6.2831855)) / 2**32
        out = []
        for a, b in ((x, y), (z, w)):
            u = (a / 2**32 + 2.0**-33).astype(np.float32).astype(np.float64)
            v = (b * turn + turn / 2).astype(np.float32).astype(np.float64)
            radius = np.sqrt(-2 * np.log(u))
            out += [radius * np.sin(v), radius * np.cos(v)]
        return out


def cuda_draw(processors, per_processor, seed, offset, n):
    """Returns the values, and the offset of the generator after them."""
    grid = min((n + 255) // 256, processors * (per_processor // 256))
    threads = 256 * grid
    state, out = Thread(seed, threads, offset), np.full(n, np.nan)
    rounded = ((n - 1) // (threads * 4) + 1) * threads * 4
    index = np.arange(threads)
    while index[0] < rounded:
        for i, values in enumerate(state.four_normals()):
            at = index + threads * i
            out[at[at < n]] = values[at < n]
        index = index + threads * 4
    return out, offset + ((n - 1) // (threads * 4) + 1) * 4


def cuda():
    print("/* Made by scripts/oracle_rng.py cuda. */")
    choose = np.random.default_rng(1)
    for processors, threads, seed, draws in CUDA_CASES:
        offset = 0
        for n in draws:
            values, offset = cuda_draw(processors, threads, seed, offset, n)
        assert np.isfinite(values).all()
        places = sorted({0, n - 1, *choose.integers(0, n, 6).tolist()})[:8]
        places += [places[-1]] * (8 - len(places))
        some = ", ".join(f"{values[i]:.9g}" for i in places)
        print(f"{{{processors}, {threads}, {seed}u, {len(draws)}, "
              f"{{{', '.join(map(str, draws))}}},\n {{{', '.join(map(str, places))}}},\n"
              f" {{{some}}}}},")


if __name__ == "__main__":
    what = {"vector": cpu, "scalar": cpu, "cuda": cuda}
    if len(sys.argv) != 2 or sys.argv[1] not in what:
        sys.exit(__doc__)
    what[sys.argv[1]]()
