#!/usr/bin/env python3
"""The kernels for NVIDIA's matrix units, run as clang compiles them for sm_80: by the interpreter of
tests/ptx.h, on the device of tests/offline_driver.c.

    tests/ptx.py PATH/ditcl [--spoilt N] [NAME...]

First `check` must pass in every precision; the driver runs the warps of each launch in another
order, and check compares the bits of two launches of each case. Then kernels are spoilt in a copy of
cl/: one barrier is deleted at a time; check must fail.
--spoilt N: N of them, others with each DITCL_TEST_SEED; 0: all [12]. NAMEs are parts of what is
printed. Exit code 77, and a line, where there is no clang-15 or no libclc."""
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
CLC = "/usr/lib/clc/nvptx64--nvidiacl.bc"
# limits of sm_80, as NVIDIA's OpenCL reports them
DEVICE = "name=PTX;platform=PTX;group=1024;local=48;units=108;mma;memory=4096"

CHECKS = [("fp32", []), ("auto", ["gemm", "attention", "conv"]),
          ("bf16", ["gemm", "attention", "conv"]), ("fp16", ["gemm", "attention", "conv"])]

# Barriers that check need not notice: file, number among the file's barriers, why.
UNNOTICED = {}

OPERATORS = {"gemm_mma.cl": ("gemm", "fp16"), "attention_mma.cl": ("attention", "fp16"),
             "conv_mma.cl": ("conv", "fp16"), "attention.cl": ("attention", "fp32"),
             "conv_gpu.cl": ("conv", "fp32"), "gemm_gpu.cl": ("gemm", "fp32")}


def run(ditcl, precision, operators, kernels, home):
    environment = dict(os.environ, OCL_ICD_VENDORS=str(ditcl.parent / "offline"),
                       DITCL_OFFLINE=f"{DEVICE};ptx={TESTS / 'ptx_compile.sh'}",
                       DITCL_PTX_CACHE=str(ditcl.parent / "ptx-cache"), HOME=str(home),
                       XDG_CACHE_HOME=str(home), XDG_CONFIG_HOME=str(home),
                       DITCL_CL_DIR=str(kernels), DITCL_FIRST_USE="off", DITCL_FIT="off")
    for name in ("DITCL_GEMM", "DITCL_CONV", "DITCL_ATTENTION", "DITCL_FEATURES"):
        environment.pop(name, None)
    return subprocess.run([str(ditcl), "check", "--device", "PTX", "--precision", precision,
                           "--no-cache", *operators], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)


def barriers(text):
    """Where calls of barrier() begin and end."""
    return [m.span() for m in re.finditer(r"(?<![A-Z_])barrier\(CLK_LOCAL_MEM_FENCE\)", text)]


def spoilt():
    """What is printed, operator, precision, file, and its text without one barrier."""
    for file, (operator, precision) in OPERATORS.items():
        text = (KERNELS / file).read_text()
        for number, (begin, end) in enumerate(barriers(text)):
            if (file, number) not in UNNOTICED:
                line = text.count("\n", 0, begin) + 1
                yield (f"{file}:{line}: no barrier", operator, precision, file,
                       text[:begin] + "(void)0" + text[end:])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ditcl", type=pathlib.Path)
    parser.add_argument("--spoilt", type=int, default=12)
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    ditcl = asked.ditcl.resolve()
    if not shutil.which("clang-15") or not os.path.exists(CLC):
        print("*** SKIPPED: there is no clang-15, or no libclc-15-dev ***")
        sys.exit(77)
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        home, copy = pathlib.Path(folder, "home"), pathlib.Path(folder, "cl")
        home.mkdir()
        for precision, operators in CHECKS:
            title = f"{precision}: {' '.join(operators) or 'all operators'}"
            if asked.names and not any(name in title for name in asked.names):
                continue
            result = run(ditcl, precision, operators, KERNELS, home)
            print(f"{title}: {result.stdout.strip().splitlines()[-1]}", flush=True)
            if result.returncode:
                print(result.stdout)
                wrong += 1
        cases = [c for c in spoilt()
                 if not asked.names or any(name in c[0] for name in asked.names)]
        if asked.spoilt and not asked.names:
            cases = random.Random(test_seed()).sample(cases, min(asked.spoilt, len(cases)))
        for title, operator, precision, file, text in cases:
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(KERNELS, copy)
            (copy / file).write_text(text)
            result = run(ditcl, precision, [operator], copy, home)
            noticed = result.returncode == 1
            why = re.findall(r"offline_driver: .*|.*WRONG.*|.*gave other bits.*", result.stdout)
            print(f"{'noticed' if noticed else 'NOT NOTICED'}: {title}: "
                  f"{(why or result.stdout.strip().splitlines()[-1:])[0][:200]}", flush=True)
            wrong += not noticed
    print(f"{wrong} wrong" if wrong else "all right")
    sys.exit(1 if wrong else 0)


main()
