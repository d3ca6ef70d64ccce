#!/usr/bin/env python3
"""Counts what the compilers for Intel's GPUs make of the kernels for DPAS: messages to local and global
memory for 8 DPAS instructions, and spilled bytes, in the default programs of an untuned device.

    scripts/count_messages.py [--program PATH/ditcl-kernels] [--target NAME,...] [--only NAME,...] [-v]

Prints a line of Markdown's table for each kernel, precision and target: the programs, and the largest
counts among those that multiply enough (8 DPAS or more); -v: a line for each program, too. It counts
instructions of the whole program. The compilers are those of scripts/compile_gpu."""
import argparse
import collections
import concurrent.futures
import importlib.machinery
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile

from compiler_output import read_messages

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGETS = ["dg2", "pvc", "bmg", "ptl"]


def load_compile_gpu():
    loader = importlib.machinery.SourceFileLoader("compile_gpu", str(ROOT / "scripts/compile_gpu"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def count(command, target, source, options):
    """{kernel: counts} of the assembly that IGC writes to a folder."""
    with tempfile.TemporaryDirectory(prefix="count_messages.") as folder:
        pathlib.Path(folder, "k.cl").write_text(source)
        environment = dict(os.environ, IGC_ShaderDumpEnable="1", IGC_DumpToCustomDir=folder)
        done = subprocess.run([*command, "compile", "-q", "-file", "k.cl", "-device", target,
                               "-options", options, "-out_dir", "O"], cwd=folder, env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        texts = [f.read_text(errors="replace") for f in pathlib.Path(folder).glob("*.asm")]
        if done.returncode or not texts:
            sys.exit("count_messages: %s %s: %s" % (target, options, done.stdout.decode()[-400:]))
        return dict(map(read_messages, texts))


def rate(counts, *names):
    return 8 * sum(counts[name] for name in names) / counts["dpas"]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build" / "ditcl-kernels"))
    parser.add_argument("--target", default=",".join(TARGETS))
    parser.add_argument("--only", default="")
    parser.add_argument("-v", "--verbose", action="store_true")
    asked = parser.parse_args()
    gpu = load_compile_gpu()
    compilers = gpu.Compilers()
    targets = [t for t in asked.target.split(",") if gpu.FAMILY[t] not in compilers.missing]
    with tempfile.TemporaryDirectory() as work:
        programs = gpu.write_kernels(asked.program, "first", pathlib.Path(work), 1, targets)
    jobs = {}
    for (source, options), kernels in programs.items():
        k = kernels[0]
        if "-DMATRIX_UNIT_DPAS" not in options or k.name.endswith("pack"):
            continue
        if asked.only and not k.file.startswith(tuple(asked.only.split(","))):
            continue
        for target in targets:
            if gpu.wanted_on(kernels, target):
                # of programs that differ in fused operations only, the first is counted
                jobs.setdefault((k.file, k.precision, target, k.values), (source, options))

    def run(job):
        (file, precision, target, values), (source, options) = job
        command = compilers.newer_ocloc if gpu.FAMILY[target] == "intel26" else [compilers.ocloc]
        for counts in count(command, target, source, options + gpu.DPAS_EXTENSIONS).values():
            if asked.verbose:
                print(target, file, precision, dict(counts), values, flush=True)
            return (file, precision, target), counts

    rows = collections.OrderedDict()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for key, counts in pool.map(run, jobs.items()):
            rows.setdefault(key, []).append(counts)
    print("| kernel | precision | target | programs | local reads | local writes | global reads | "
          "spilled bytes |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    for (file, precision, target), counts in rows.items():
        enough = [c for c in counts if c["dpas"] >= 8] or counts
        print("| `%s` | %s | %s | %d | %.1f | %.1f | %.1f | %d |" % (
            file, "auto" if precision == "fp32" else precision, target, len(counts),
            *(max(rate(c, n) for c in enough)
              for n in ("local_reads", "local_writes", "global_reads")),
            max(c["spilled"] for c in counts)))


if __name__ == "__main__":
    main()
