#!/usr/bin/env python3
"""Times ditcl and its peers on the same processor, threads and shapes, in turn: A B C A B C ...

It times one forward pass with guidance (256 px: latents 2x4x32x32) and the decoding of one 256 px picture.
While one program runs, the others are stopped (SIGSTOP), so their waiting threads take no core. Prints a
Markdown page. README.md says what is measured, and why the comparison is fair.
"""
import argparse
import datetime
import fcntl
import importlib.metadata
import json
import os
import platform
import re
import shlex
import signal
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
PACKAGES = ["torch", "onnxruntime", "openvino", "diffusers"]
PEERS = {"vae": ["torch+channels_last", "compile+channels_last", "onnxruntime", "openvino"],
         "DiT": ["torch", "compile", "onnxruntime", "openvino"]}
STEPS = 50  # ditcl computes the modulation of all steps before the first; each step is charged its share


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--subjects", default="DiT-XL/2,DiT-B/2,DiT-S/2,vae", help="[%(default)s]")
    p.add_argument("--precisions", default="fp32,bf16", help="[%(default)s]")
    p.add_argument("--peers", help="for example torch,compile+max-autotune,openvino [the best]")
    p.add_argument("--ours", default=str(TOP / "build/ditcl"), metavar="CMD",
                   help="the program and global options, or none [%(default)s]")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                   help="[all processors: %(default)s]")
    p.add_argument("--rounds", type=int, default=5, help="turns of each [%(default)s]")
    p.add_argument("--seconds", type=float, default=4, help="of one turn [%(default)s]")
    p.add_argument("--folder", type=Path, default=TOP / "build/peers/work",
                   help="exported models and outputs [%(default)s]")
    p.add_argument("--out", type=Path, help="the page [docs/results/PROCESSOR-DATE.md]")
    p.add_argument("--lock", type=Path, help="a file that other jobs on this machine hold by "
                   "flock(1) while they work: held alone while something is timed, else shared")
    a = p.parse_args()
    a.subjects, a.precisions = a.subjects.split(","), a.precisions.split(",")
    return a


# ---- the machine ----

def processor():
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    flags = re.search(r"flags\s*: (.*)", Path("/proc/cpuinfo").read_text())
    known = ["avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_fp16"]
    found = [f for f in known if flags and f in flags.group(1).split()]
    return (names or [platform.machine()])[0].strip(), found


def environment(threads):
    """The environment of every process: the same CPUs and number of threads. OpenMP does not bind
    threads, because it would bind the main thread, too, and so every thread of other libraries."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ.update(OMP_NUM_THREADS=str(threads), POCL_AFFINITY="1",
                      POCL_MAX_PTHREAD_COUNT=str(threads))


@contextmanager
def hold(path, alone):
    """Holds the lock PATH. PATH.gate is held while waiting, so that no other process overtakes."""
    if not path:
        yield
        return
    with open(path.with_suffix(".gate"), "w") as gate, open(path, "w") as lock:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        gate.close()
        yield


# ---- who is timed ----

class Peer:
    """A worker process, which is stopped except in its turns."""

    def __init__(self, name, subject, precision, a):
        self.name, self.turns, self.cores, self.why = name, [], [], None
        self.errors = a.folder / f"{name}.stderr"
        command = [sys.executable, HERE / "worker.py", name, subject, precision, str(a.threads),
                   a.folder]
        with open(self.errors, "w") as errors:
            self.process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=errors)
        ready = self.answer()
        self.setting = ", ".join(ready.get("setting", []))
        self.output = np.load(ready["output"]) if ready else None

    def answer(self):
        line = self.process.stdout.readline()
        if line:
            self.process.send_signal(signal.SIGSTOP)
            return json.loads(line)
        rc = self.process.wait()
        lines = self.errors.read_text().strip().splitlines()
        self.why = f"ended by signal {-rc}" if rc < 0 else lines[-1] if lines else f"exit {rc}"
        return {}

    def turn(self, seconds):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        answer = self.answer()
        if answer:
            self.turns.append(statistics.median(answer["ms"]))
            self.cores.append(answer["cores"])

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Ours:
    """ditcl bench, in a new process for each turn."""
    output, cores = None, []

    def __init__(self, subject, precision, a):
        self.name, self.turns, self.why, self.bench = f"ditcl {precision}", [], None, {}
        self.whole = "vae_decode" if subject == "vae" else "forward"
        arch = "DiT-S/2" if subject == "vae" else subject
        rows = self.whole if subject == "vae" else "forward,modulation"
        self.command = shlex.split(a.ours) + [
            "bench", "--arch", arch, "--image-size", "256", "--precision", precision, "--only",
            rows, "--json"]
        self.setting = "`" + " ".join(["ditcl"] + self.command[1:]) + "`"

    def turn(self, seconds):
        done = subprocess.run(self.command, capture_output=True, text=True)
        if done.returncode:
            self.why = done.stderr.strip() or f"exit status {done.returncode}"
            return
        self.bench = json.loads(done.stdout)
        ms = {r["name"]: r["ms"] for r in self.bench["results"]}
        self.turns.append(ms[self.whole] + ms.get("modulation", 0) / STEPS)

    def end(self):
        pass


def measure(subject, precision, a):
    kind = "vae" if subject == "vae" else "DiT"
    all_of_them = []
    if a.ours != "none":
        ours = ["fp32", "auto"] if precision == "fp32" else [precision]
        all_of_them = [Ours(subject, p, a) for p in ours]
    try:
        for name in a.peers.split(",") if a.peers else PEERS[kind]:
            with hold(a.lock, alone=False):
                begin = time.monotonic()
                all_of_them.append(Peer(name, subject, precision, a))
                say(f"{subject} {precision} {name}: loaded in {time.monotonic() - begin:.0f} s")
        for _ in range(a.rounds):
            with hold(a.lock, alone=True):
                for one in (x for x in all_of_them if not x.why):
                    one.turn(a.seconds)
            say(f"{subject} {precision}: " + ", ".join(
                f"{x.name} {x.why or f'{x.turns[-1]:.1f} ms'}" for x in all_of_them))
    finally:
        for one in all_of_them:
            one.end()
    return all_of_them


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- the page ----

def distance(x, y):
    """relative L2 of x to y"""
    return float(np.linalg.norm(x.astype(np.float64) - y) / np.linalg.norm(y.astype(np.float64)))


def reference(results):
    """The outputs of PyTorch in float32, to compare the others with."""
    for one in results.values():
        if one.name.split("+")[0] == "torch" and one.output is not None:
            return one.output
    return None


def rows(results, references):
    """Yields the Markdown table cells of each measured program."""
    ours = [x.turns for x in results if x.name.startswith("ditcl") and x.turns]
    base = statistics.median(ours[0]) if ours else None
    lines = []
    for one in results:
        if not one.turns:
            lines.append([one.name, "-", "-", "-", "-", "-", one.why or ""])
            continue
        ms = statistics.median(one.turns)
        far = "-" if one.output is None or references is None else \
            f"{distance(one.output, references):.1e}"
        lines.append([one.name, f"{ms:.1f}", f"{min(one.turns):.1f} to {max(one.turns):.1f}",
                      f"{ms / base:.2f}" if base else "-",
                      f"{statistics.median(one.cores):.2f}" if one.cores else "-", far,
                      one.setting])
    return lines


def fastest(results):
    peers = [x for x in results if not x.name.startswith("ditcl") and x.turns]
    return min(peers, key=lambda x: statistics.median(x.turns), default=None)


def page(measured, a):
    name, features = processor()
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in PACKAGES)
    text = [f"# Peers on {name}", "",
            f"{datetime.date.today()}. {name}, {a.threads} threads, {' '.join(features)}; Linux "
            f"{platform.release()}, Python {platform.python_version()}, {versions}.", "",
            f"    {shlex.join(['scripts/peers/run.py'] + sys.argv[1:])}", "",
            f"Median of {a.rounds} turns in ms (lowest to highest turn), everyone in turn. ditcl's "
            f"forward pass bears a {STEPS}th of the modulation of {STEPS} steps. Relative time: "
            "to the first line of the same table. Relative L2: of the output to PyTorch's in "
            "float32, from the same weights.", ""]
    for bench in [x.bench for r in measured.values() for x in r if getattr(x, "bench", None)][:1]:
        peak = ", ".join(f"{k} {v:.1f}" for k, v in bench["peak"].items())
        text += [f"ditcl's device: {bench['device']} ({bench.get('platform', '')} "
                 f"{bench.get('driver', '')}); measured peaks: {peak}.", ""]
    text += ["| | " + " | ".join(["precision", "ditcl", "fastest peer", "ms", "ditcl is"]) + " |",
             "| --- " * 6 + "|"]
    for (subject, precision), results in measured.items():
        peer = fastest(results)
        for one in (x for x in results if x.name.startswith("ditcl") and x.turns and peer):
            best, ms = (statistics.median(x.turns) for x in (peer, one))
            text.append(f"| {subject} | {one.name.split()[1]} | {ms:.1f} | {peer.name} {precision} "
                        f"| {best:.1f} | {best / ms:.2f} times as fast |")
    for (subject, precision), results in measured.items():
        base = reference({x.name: x for x in measured.get((subject, "fp32"), [])})
        text += ["", f"## {subject}, {precision}", "", "| | ms | lowest to highest | relative time "
                 "| cores busy | relative L2 | setting |", "| --- " * 7 + "|"]
        text += ["| " + " | ".join(line) + " |" for line in rows(results, base)]
    return "\n".join(text) + "\n"


def main():
    a = arguments()
    name, _ = processor()
    slug = re.sub(r"[^a-z0-9]+", "-", re.sub(r"\(.*?\)", "", name).lower()).strip("-")
    out = a.out or TOP / "docs/results" / f"{slug}-{datetime.date.today()}.md"
    for folder in (a.folder, out.parent):
        folder.mkdir(parents=True, exist_ok=True)
    environment(a.threads)
    measured = {}
    for subject in a.subjects:
        for precision in a.precisions:
            measured[subject, precision] = measure(subject, precision, a)
            out.write_text(page(measured, a))  # the results so far
    print(out.read_text(), end="")
    say(f"written: {out}")


if __name__ == "__main__":
    main()
