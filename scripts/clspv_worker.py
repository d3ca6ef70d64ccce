#!/usr/bin/env python3
"""Compiles programs for Vulkan with clspv, as a child process of scripts/compile_gpu. Each line of its
input is a folder with a program k.cl. The worker writes k.spv there and answers with one line: ok, or the
error. clspv may crash, so each program is compiled in a fork.

    scripts/clspv_worker.py FOLDER_OF_PYCLSPV SECONDS
"""
import os
import signal
import sys

sys.path.insert(0, sys.argv[1])
import pyclspv  # noqa: E402


def compile_in_child(folder):
    log = os.open(os.path.join(folder, "k.log"), os.O_CREAT | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.alarm(int(sys.argv[2]))
    try:
        with open(os.path.join(folder, "k.cl"), encoding="utf-8") as file:
            module = pyclspv.compile(file.read(), False)
        with open(os.path.join(folder, "k.spv"), "wb") as file:
            file.write(module)
    except Exception as e:  # its bindings may raise anything
        os.write(2, ("error: %s" % e).encode())
        os._exit(1)
    os._exit(0)


for line in sys.stdin:
    folder = line.rstrip("\n")
    child = os.fork()
    if not child:
        compile_in_child(folder)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    answer = "ok"
    if code == -signal.SIGALRM:
        answer = "did not end within %s s" % sys.argv[2]
    elif code < 0:
        answer = "clspv crashes by signal %d" % -code
    elif code:
        with open(os.path.join(folder, "k.log"), errors="replace", encoding="utf-8") as file:
            lines = file.read().splitlines()
        answer = ([x for x in lines if "error:" in x] or lines or ["no message"])[0]
    print(answer.strip(), flush=True)
