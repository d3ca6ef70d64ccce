#!/usr/bin/env python3
"""Runs `ditcl check` on the interpreter of PTX (tests/ptx.h), in every precision; then with kernels in
which one barrier is deleted or one place is broken, which check must notice.

    tests/on.sh ptx tests/ptx.py PATH/ditcl [--faults N] [NAME...]

The interpreter runs the warps of each launch in another order, and check compares the bits of two
launches of each case. Each fault is made in a copy of cl/.
--faults N: makes N of them, which DITCL_TEST_SEED chooses; 0: all [8]. NAMEs are parts of what is
printed."""
import argparse
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

from seed import test_seed

TESTS = pathlib.Path(__file__).resolve().parent
KERNELS = TESTS.parent / "cl"

# Precision, operators, and what the device has instead of `mma` (tests/offline_driver.c).
CHECKS = [("fp32", [], None), ("auto", ["gemm", "attention", "conv"], None),
          ("bf16", ["gemm", "attention", "conv"], None),
          ("fp16", ["gemm", "attention", "conv"], None),
          ("fp16", ["--quick", "gemm", "attention", "conv"], "mma_k8")]

# Barriers that check does not notice: file, number among those of the file, and why.
UNNOTICED = {
    ("gemm_mma.cl", 1): "only configurations with DB=0 have it, and those of one step are defaults",
    ("conv_mma.cl", 1): "only kernels for DPAS have it",
    ("conv_mma.cl", 3): "only configurations with DB=0 have it, and none is the default",
    ("conv_gpu.cl", 1): "only configurations with ST=0 have it, and none is the default",
    ("attention_mma.cl", 5): "the barriers around the values order the default configurations",
}

OPERATORS = {"gemm_mma.cl": ("gemm", "fp16"), "attention_mma.cl": ("attention", "fp16"),
             "conv_mma.cl": ("conv", "fp16"), "attention.cl": ("attention", "fp32"),
             "conv_gpu.cl": ("conv", "fp32"), "gemm_gpu.cl": ("gemm", "fp32")}


# The device on which the fault is noticed, if that is not one with `mma`.
UNITS = {("gemm_mma.cl", 2): "mma_k8", ("conv_mma.cl", 4): "mma_k8"}

# Faults: what is broken, operator, precision, unit, file, a text that is in it once, and the text that
# replaces it.
BROKEN = [
    ("no wait for a stage", "gemm", "fp16", None, "gemm_mma.cl", "        WAIT_FOR_STAGE();\n", ""),
    ("a wait that leaves one group more", "gemm", "auto", None, "gemm_mma.cl",
     "#define WAIT_FOR_STAGE() MMA_WAIT(1)", "#define WAIT_FOR_STAGE() MMA_WAIT(2)"),
    ("no empty groups at the end", "gemm", "fp16", None, "gemm_mma.cl",
     "        MMA_END_GROUP(); /* also", "        if (k + ahead < k_end) MMA_END_GROUP(); /* also"),
    ("a stage filled too early", "gemm", "fp16", None, "gemm_mma.cl",
     "stage ? stage - 1 : STAGES - 1", "stage + 1 < STAGES ? stage + 1 : 0"),
    ("copies of rows that do not exist", "gemm", "fp16", None, "gemm_mma.cl", "row < rows && (!TAIL",
     "true && (!TAIL"),
    ("a row that is copied unswizzled", "gemm", "fp16", None, "gemm_mma.cl",
     "#define SLOT(row, slot) MMA_SLOT(slot, row, ROW_VECTORS)", "#define SLOT(row, slot) (slot)"),
    ("another swizzle of a", "gemm", "fp16", None, "mma.clh",
     "MMA_SLOT(slot ^ lane / 16, row, slots)", "MMA_SLOT(slot ^ lane / 16, row + 1, slots)"),
    ("the wrong half of a's steps", "gemm", "bf16", None, "mma.clh",
     "tile + lane % 16 * words + lane / 16 * 4", "tile + lane % 16 * words + lane % 2 * 4"),
    ("swapped words of ldmatrix", "gemm", "bf16", None, "mma.clh", "*words = (uint4)(x, y, z, w);",
     "*words = (uint4)(x, z, y, w);"),
    ("swapped fragments of b", "conv", "fp16", "mma_k8", "mma.clh", """lane / 8 % 2 * 4);
    fragments[0] = both.lo;
    fragments[1] = both.hi;""", """lane / 8 % 2 * 4);
    fragments[0] = both.hi;
    fragments[1] = both.lo;"""),
    ("swapped fragments of b", "gemm", "fp16", None, "mma.clh", """lane / 8 % 2, row, slots)) * 4);
    fragments[0] = both.lo;
    fragments[1] = both.hi;""", """lane / 8 % 2, row, slots)) * 4);
    fragments[0] = both.hi;
    fragments[1] = both.lo;"""),
    ("swapped words of an MMA", "attention", "bf16", None, "mma.clh",
     "{%4,%5,%6,%7}, {%8,%9}, {%0", "{%4,%6,%5,%7}, {%8,%9}, {%0"),
    ("a fragment's row", "conv", "auto", None, "mma_sums.clh", "a + FRAGMENT_ROW(i) * PITCH_WORDS",
     "a + FRAGMENT_ROW(0) * PITCH_WORDS"),
    ("a stage of weights that is never changed", "conv", "fp16", None, "conv_mma.cl",
     "stage = stage + 1 < W_STAGES ? stage + 1 : 0;", ";"),
    ("no wait for weights", "conv", "bf16", None, "conv_mma.cl", "            MMA_WAIT(1);\n", ""),
    ("a wait for weights that leaves one group more", "conv", "auto", None, "conv_mma.cl",
     "MMA_WAIT(1);", "MMA_WAIT(2);"),
    ("weights that are copied unswizzled", "conv", "fp16", None, "conv_mma.cl",
     "MMA_SLOT(slot, row, slots) * 8", "slot * 8"),
    ("keys of another row", "attention", "fp16", None, "attention_tiles.clh",
     "LOCAL_ROW(row) * PITCH_K", "LOCAL_ROW(row ^ 1) * PITCH_K"),
    ("no low parts of queries", "attention", "auto", None, "attention_mma.cl",
     "int p = 2 * FACTOR_PARTS - 2; p >= 0", "int p = FACTOR_PARTS - 1; p >= 0"),
    ("no low parts of keys and values", "attention", "auto", None, "attention_mma.cl",
     "multiply(sum, query[p / 2], key[p % 2], exchange);",
     "if (p != 1) multiply(sum, query[p / 2], key[p % 2], exchange);"),
    ("no low parts of p", "attention", "auto", None, "attention_mma.cl",
     "mma_pack4_low(vload4(0, four), parts[0][quad])", "(uint2)(0)"),
    ("swapped fours of p", "attention", "auto", None, "attention_mma.cl",
     "(uint4)(QUAD(0), QUAD(1))", "(uint4)(QUAD(1), QUAD(0))"),
    ("swapped keys of values in 16 bits", "attention", "fp16", None, "attention_tiles.clh",
     "(x[c] & 0xffffu) | y[c] << 16", "(y[c] & 0xffffu) | x[c] << 16"),
    ("low parts of a row at the front", "attention", "auto", None, "attention_tiles.clh",
     "*(local uint4 *)(dst + part * low)", "*(local uint4 *)(dst + 0 * low)"),
]


def run(ditcl, precision, operators, kernels, home, unit=None):
    environment = dict(os.environ, XDG_CACHE_HOME=str(home), DITCL_CL_DIR=str(kernels))
    if unit:
        settings = environment["DITCL_OFFLINE"].split(";")
        environment["DITCL_OFFLINE"] = ";".join(unit if s == "mma" else s for s in settings)
    return subprocess.run([str(ditcl), "check", "--device", "PTX", "--precision", precision,
                           "--no-cache", *operators], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)


def barriers(text):
    """Begin and end of each call of barrier()."""
    return [m.span() for m in re.finditer(r"(?<![A-Z_])barrier\(CLK_LOCAL_MEM_FENCE\)", text)]


def faults():
    """Yields what is printed, operator, precision, unit, file, and the file's text with a fault."""
    for file, (operator, precision) in OPERATORS.items():
        text = (KERNELS / file).read_text()
        for number, (begin, end) in enumerate(barriers(text)):
            if (file, number) not in UNNOTICED:
                line = text.count("\n", 0, begin) + 1
                yield (f"{file}:{line}: no barrier", operator, precision, UNITS.get((file, number)),
                       file, text[:begin] + "(void)0" + text[end:])
    for what, operator, precision, unit, file, old, new in BROKEN:
        text = (KERNELS / file).read_text()
        if text.count(old) != 1:
            sys.exit(f"tests/ptx.py: {file} does not contain once: {old}")
        yield f"{file}: {what}", operator, precision, unit, file, text.replace(old, new)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ditcl", type=pathlib.Path)
    parser.add_argument("--faults", type=int, default=8)
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    ditcl = asked.ditcl.resolve()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        home, copy = pathlib.Path(folder, "cache"), pathlib.Path(folder, "cl")
        home.mkdir()
        for precision, operators, unit in CHECKS:
            title = f"{precision}: {' '.join(operators) or 'all operators'}"
            title += f" on {unit}" if unit else ""
            if asked.names and not any(name in title for name in asked.names):
                continue
            result = run(ditcl, precision, operators, KERNELS, home, unit)
            print(f"{title}: {result.stdout.strip().splitlines()[-1]}", flush=True)
            if result.returncode:
                print(result.stdout)
                wrong += 1
        cases = [c for c in faults() if not asked.names or any(name in c[0] for name in asked.names)]
        if asked.faults and not asked.names:
            cases = random.Random(test_seed()).sample(cases, min(asked.faults, len(cases)))
        for title, operator, precision, unit, file, text in cases:
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(KERNELS, copy)
            (copy / file).write_text(text)
            result = run(ditcl, precision, [operator], copy, home, unit)
            # a device without a unit that passes its probe is refused in bf16
            why = re.findall(r"offline_driver: .*|.*WRONG.*|.*gave other bits.*|"
                             r".*takes the fastest of fp32's accuracy", result.stdout)
            noticed = (result.returncode and why and
                       not re.search("ptx_compile|not understood", why[0]))
            print(f"{'noticed' if noticed else 'NOT NOTICED'}: {title}: "
                  f"{(why or result.stdout.strip().splitlines()[-1:])[0][:200]}", flush=True)
            wrong += not noticed
    print(f"{wrong} wrong")
    sys.exit(1 if wrong else 0)


main()
