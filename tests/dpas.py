#!/usr/bin/env python3
"""Runs `ditcl check` on the kernels for DPAS, unchanged, on a device that has no DPAS: tests/dpas.clh
makes its functions of sub-groups. Then breaks kernels in a copy of cl/, which check must notice.

    tests/on.sh intel tests/dpas.py PATH/ditcl [--all] [--spoilt N] [NAME...]

The layer libopencl_layer.so beside ditcl reports the extension and puts dpas.clh before every program.
--all: every operator with every precision and both sizes of a sub-group, which takes an hour; else
those of FEW. --spoilt N: breaks N places, which DITCL_TEST_SEED chooses; 0: all [2]. NAMEs are parts of
what is printed."""
import argparse
import itertools
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

# Lanes of a sub-group, precision, operator: each of them at least once.
FEW = [(8, "fp16", "gemm"), (16, "auto", "attention"), (16, "bf16", "conv")]
ALL = list(itertools.product([8, 16], ["fp16", "auto", "bf16"], ["gemm", "attention", "conv"]))

# Lanes, precision, operator, file, a text that is in it once, and what replaces it.
SPOILT = [
    (8, "fp16", "gemm", "gemm_dpas.cl", "barrier(CLK_LOCAL_MEM_FENCE);", "(void)0;"),
    (16, "fp16", "gemm", "mma_sums.clh", "FRAGMENT_ROW(i) * MMA_K", "0"),
    (16, "auto", "gemm", "mma_sums.clh", "b[p % 2][j]", "b[p / 2][j]"),
    (8, "auto", "gemm", "gemm_dpas.cl", "b[1 - current]", "b[current]"),
    (8, "bf16", "gemm", "mma_sums.clh", "packed + j * column_words", "packed"),
    (8, "fp16", "gemm", "mma.clh", "intel_sub_group_block_read8(tile)",
     "intel_sub_group_block_read8(tile + 8)"),
    (16, "fp16", "gemm", "mma.clh", "intel_sub_group_block_read8(packed)",
     "intel_sub_group_block_read8(packed + 16)"),
    (16, "bf16", "gemm", "gemm_dpas.cl", "MMA_STEP(step, MT);", "step;"),
]


def run(ditcl, lanes, precision, operator, kernels, home):
    layer = ditcl.parent / "libopencl_layer.so"
    environment = dict(os.environ, XDG_CACHE_HOME=str(home), DITCL_CL_DIR=str(kernels),
                       OPENCL_LAYERS=str(layer),
                       DITCL_LAYER=f"dpas={lanes};prelude={TESTS / 'dpas.clh'};"
                                   f"builds={home / 'builds'}")
    (home / "builds").unlink(missing_ok=True)
    return subprocess.run([str(ditcl), "check", "--quick", "--kernels", "gpu", "--precision",
                             precision, "--no-cache", operator], env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def uses_dpas(lanes, home):
    """Whether a kernel of an operator was built for DPAS, not only its probe; emulated, it does not
    count."""
    built = (home / "builds").read_text().splitlines()
    return any(f"-DMATRIX_UNIT_DPAS{lanes} " in line and "_EMULATED" not in line and
               re.search("-D(WM|WQ)=", line) for line in built)


def check(ditcl, lanes, precision, operator, home):
    """Whether the operator is right, by programs that call DPAS."""
    result = run(ditcl, lanes, precision, operator, KERNELS, home)
    print(f"{lanes} lanes, {precision} {operator}: {result.stdout.strip().splitlines()[-1]}", flush=True)
    if result.returncode or not uses_dpas(lanes, home):
        print(result.stdout)
        return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ditcl", type=pathlib.Path)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--spoilt", type=int, default=2)
    parser.add_argument("names", nargs="*")
    asked = parser.parse_intermixed_args()
    ditcl = asked.ditcl.resolve()

    def wanted(title):
        return not asked.names or any(name in title for name in asked.names)

    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        home, copy = pathlib.Path(folder, "cache"), pathlib.Path(folder, "cl")
        home.mkdir()
        for lanes, precision, operator in ALL if asked.all else FEW:
            if wanted(f"{lanes} lanes, {precision} {operator}"):
                wrong += not check(ditcl, lanes, precision, operator, home)
        cases = [c for c in SPOILT if wanted(f"{c[3]}: {c[4]}")]
        if asked.spoilt and not asked.names:
            cases = random.Random(test_seed()).sample(cases, min(asked.spoilt, len(cases)))
        for lanes, precision, operator, file, old, new in cases:
            text = (KERNELS / file).read_text()
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(KERNELS, copy)
            (copy / file).write_text(text.replace(old, new))
            result = run(ditcl, lanes, precision, operator, copy, home)
            why = re.findall(r".*WRONG.*|.*gave other bits.*", result.stdout)
            if not result.returncode and not uses_dpas(lanes, home):
                why = ["the probe took the matrix unit away"]
            noticed = text.count(old) == 1 and result.returncode in (0, 1) and why
            print(f"{'noticed' if noticed else 'NOT NOTICED'}: {file}: {old} -> {new}: "
                  f"{(why or result.stdout.strip().splitlines()[-1:])[0][:160]}", flush=True)
            wrong += not noticed
    print(f"{wrong} wrong")
    sys.exit(1 if wrong else 0)


main()
