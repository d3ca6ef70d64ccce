#!/usr/bin/env python3
"""Runs a command on a terminal of its own.

    tests/terminal.py ROWS COLUMNS COMMAND...      prints what the command said there
"""
import fcntl
import os
import pty
import struct
import sys
import termios


def run(rows, columns, command):
    """(what the command said, in bytes; its exit code)"""
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.execvp(command[0], command)
    said = b""
    try:
        while got := os.read(terminal, 65536):
            said += got
    except OSError:
        pass  # the command has ended
    return said, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    text, code = run(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
    sys.stdout.buffer.write(text)
    sys.exit(code)
