"""Runs each command again and again; each time one allocation or one OpenCL call fails (tests/faults.c).
The command must either end with code 0 and the same outputs as without the fault, or with code 1, one
line of message and no file.

    tests/faults.py PATH/ditcl PATH/libfaults.so [COMMAND...]

By default some faults of each command are tried. They are evenly spaced, and the seed (DITCL_TEST_SEED)
chooses the first. DITCL_TEST_FAULTS=1 tries every fault. Needs an OpenCL device; tests/on.sh pocl chooses
one."""

import concurrent.futures
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading

from seed import test_seed

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
PLAIN = DATA + "/models/plain32"
MODEL = DATA + "/models/separate48"  # its VAE encodes
PICTURE = "in.png"
LATENTS = DATA + "/models/separate48-z.npy"
# name: (arguments, how many faults of each kind to try, how stdout is compared)
SAME, SHAPE = "same", "shape"
COMMANDS = {
    "info": (["info", PLAIN], 40, SAME),
    "info-json": (["info", PLAIN, "--json"], 60, SAME),
    "init": (["init", "--arch", "DiT-S/8", "--dtype", "fp16", "-q", "n.safetensors"], 6, SAME),
    "convert-file": (["convert", PLAIN, "w.safetensors"], 60, SAME),
    "convert-folder": (["convert", "m.safetensors", "folder", "--vae", PLAIN], 60, SAME),
    "devices-json": (["devices", "--json"], 40, SAME),
    "devices": (["devices", "-v"], 20, SAME),
    "sample": (["sample", MODEL, "-c", "1", "--steps", "2", "-q", "--out", "o.png"], 4, SAME),
    "sample-image": (["sample", MODEL, "-c", "1", "--steps", "2", "-q", "--image", PICTURE,
                      "--latents-out", "l.npy", "--out", "o.png"], 4, SAME),
    "encode": (["encode", PICTURE, "l.npy", "--vae", MODEL, "--fit", "-q"], 4, SAME),
    "decode": (["decode", MODEL, "--latents", LATENTS, "--out", "o.png", "-q"], 4, SAME),
    "decode-cold": (["decode", MODEL, "--latents", LATENTS, "--out", "o.png", "-q"], 3, SAME),
    "check": (["check", "--quick", "modulate"], 3, SAME),
    "bench": (["bench", MODEL, "--only", "step", "--repeat", "3", "--json", "-q"], 3, SHAPE),
    "tune-show": (["tune", "--show", "-q"], 5, SAME),
    "tune-export": (["tune", "--export", "e.conf", "-q"], 5, SAME),
}
# input: (the command that makes it, the output of that command)
INPUTS = {PICTURE: ("sample", "o.png"), "m.safetensors": ("convert-file", "w.safetensors")}
TIMEOUT = 300  # seconds, once all kernels are compiled


class Place:
    """A work folder with its own cache, for one run at a time."""

    def __init__(self, top, cache):
        self.work = os.path.join(top, "work")
        self.cache = os.path.join(top, "cache")
        self.config = os.path.join(top, "config")
        for folder in ("", "-pocl"):
            os.makedirs(self.cache + folder)
            if cache:
                shutil.copytree(cache + folder, self.cache + folder, dirs_exist_ok=True)
        self.count = os.path.join(top, "count")

    def run(self, ditcl, command, inputs, fault="", library="", cold=False):
        shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work)
        for name in inputs:
            os.link(name, os.path.join(self.work, os.path.basename(name)))
        cache = self.cache + "-cold" if cold else self.cache
        if cold:
            shutil.rmtree(cache, ignore_errors=True)
        # the driver's own cache stays warm
        environment = dict(os.environ, XDG_CACHE_HOME=cache, XDG_CONFIG_HOME=self.config,
                           POCL_CACHE_DIR=self.cache + "-pocl", DITCL_FIT="off")
        if fault:
            environment.update(DITCL_FAULT=fault, DITCL_FAULT_COUNT=self.count, LD_PRELOAD=library)
        ended = subprocess.run([ditcl] + command, cwd=self.work, env=environment,
                               capture_output=True, timeout=TIMEOUT if fault else None,
                               stdin=subprocess.DEVNULL)
        hidden = [name for _, _, names in os.walk(cache) for name in names if name.startswith(".")]
        return ended, files_in(self.work, {os.path.basename(i) for i in inputs}), hidden


def files_in(folder, apart):
    found = {}
    for where, folders, names in os.walk(folder):
        for name in folders:
            found[os.path.relpath(os.path.join(where, name), folder) + "/"] = b""
        for name in names:
            path = os.path.join(where, name)
            if name not in apart:
                with open(path, "rb") as file:
                    found[os.path.relpath(path, folder)] = hashlib.sha256(file.read()).digest()
    return found


def without_values(value):
    """JSON without its numbers, which are times."""
    if isinstance(value, dict):
        return {k: without_values(v) for k, v in value.items()}
    if isinstance(value, list):
        return [without_values(v) for v in value]
    return value if isinstance(value, (str, bool)) else 0


def comparable(stdout, how):
    if how == SAME:
        return stdout
    try:
        return without_values(json.loads(stdout))
    except ValueError:
        return stdout


def complaint(kind, ended, files, hidden, expected, how):
    """What is wrong with a run that had a fault, or None."""
    good, good_files = expected
    errors = [line for line in ended.stderr.decode(errors="replace").splitlines()
              if not re.match(r"device \d+: |ditcl: warning: ", line)]
    if hidden:
        return f"left {hidden} in the cache"
    if ended.returncode == 0:
        if files != good_files:
            return f"code 0 with other files: {sorted(files)}"
        if comparable(ended.stdout, how) != comparable(good.stdout, how):
            return f"code 0 with another output: {ended.stdout[-300:]}"
        if errors:
            return f"code 0 and: {errors}"
        return None
    if ended.returncode != 1:
        return f"code {ended.returncode}: {errors}"
    if files:
        return f"code 1 with files: {sorted(files)}"
    if len(errors) not in (1, 2) or not errors[0].startswith("ditcl: ") or (
            len(errors) == 2 and not errors[1].startswith("       ")):
        return f"code 1, expected one line and a hint at most: {errors}"
    if kind == "memory" and "memory" not in errors[0]:
        return f"the message does not say that memory ran out: {errors}"
    if kind == "opencl" and "CL_" not in errors[0]:
        return f"the message does not name OpenCL's error: {errors}"
    return None


class Sweep:
    def __init__(self, ditcl, library, top, seed):
        self.ditcl, self.library, self.top = ditcl, library, top
        self.random = random.Random(seed)
        self.all = os.environ.get("DITCL_TEST_FAULTS") == "1"
        self.first = Place(os.path.join(top, "first"), None)
        self.workers = os.cpu_count() or 1
        self.free, self.lock = [], threading.Lock()
        self.wrong = 0

    def inputs_of(self, command):
        """The files that the command reads. Other commands make them, once."""
        needed = []
        for name, (maker, made) in INPUTS.items():
            path = os.path.join(self.top, name)
            if name not in command:
                continue
            if not os.path.exists(path):
                ended, _, _ = self.first.run(self.ditcl, COMMANDS[maker][0], [])
                if ended.returncode != 0:
                    sys.exit(f"WRONG: {maker} without a fault: {ended.stderr.decode()}")
                os.rename(os.path.join(self.first.work, made), path)
            needed.append(path)
        return needed

    def try_one(self, name, kind, k, expected):
        command, _, how = COMMANDS[name]
        with self.lock:
            place = self.free.pop()
        fault = f"{kind}:{k}"
        try:
            ended, files, hidden = place.run(self.ditcl, command, self.inputs_of(command), fault,
                                             self.library, cold=name.endswith("cold"))
            what = complaint(kind, ended, files, hidden, expected, how)
        except subprocess.TimeoutExpired:
            ended, what = None, "does not end"
        with self.lock:
            self.free.append(place)
            if what:
                print(f"WRONG: {name}, {fault}: {what}", flush=True)
        return bool(what), ended is not None and ended.returncode == 0

    def sweep(self, name):
        command, share, how = COMMANDS[name]
        cold = name.endswith("cold")
        good, files, _ = self.first.run(self.ditcl, command, self.inputs_of(command), cold=cold)
        if good.returncode != 0:
            sys.exit(f"WRONG: {name} without a fault: {good.stderr.decode()}")
        self.free = [Place(os.path.join(self.top, f"{name}{i}"), self.first.cache)
                     for i in range(self.workers)]
        for kind in ("memory", "opencl"):
            ended, counted, _ = self.first.run(self.ditcl, command, self.inputs_of(command),
                                               f"{kind}:0", self.library, cold=cold)
            if (counted != files or ended.returncode != 0
                    or comparable(ended.stdout, how) != comparable(good.stdout, how)):
                sys.exit(f"WRONG: {name}: the output differs if faults.c only counts")
            with open(self.first.count, encoding="ascii") as file:
                n = int(file.read())
            if n == 0:
                continue
            ks = range(1, n + 1)
            if not self.all and n > share:
                first = self.random.random()
                ks = [1 + int((i + first) * n / share) for i in range(share)]
            with concurrent.futures.ThreadPoolExecutor(self.workers) as pool:
                results = list(pool.map(lambda k: self.try_one(name, kind, k, (good, files)), ks))
            wrong = sum(r[0] for r in results)
            self.wrong += wrong
            print(f"{name}, {kind}: {len(ks)} of {n} faults, {wrong} wrong, "
                  f"{sum(r[1] for r in results)} without effect", flush=True)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    ditcl, library = (os.path.abspath(path) for path in sys.argv[1:3])
    seed = test_seed()
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as top:
        sweep = Sweep(ditcl, library, top, seed)
        for name in sys.argv[3:] or COMMANDS:
            sweep.sweep(name)
    print(f"{sweep.wrong} wrong")
    sys.exit(sweep.wrong != 0)


if __name__ == "__main__":
    main()
