"""A terminal of 80 columns and 24 lines, as `./slipway` sees one."""

from __future__ import annotations

import fcntl
import functools
import os
import pty
import re
import struct
import subprocess
import termios
from contextlib import suppress

COLUMNS, LINES = 80, 24


@functools.cache
def output_on_terminal(*command: str, **environment: str) -> str:
    """Return what a command prints on a terminal, with its escape sequences."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    unset = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS")
    env = {name: value for name, value in os.environ.items() if name not in unset}
    env |= {"TERM": "xterm-256color", **environment}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, close_fds=True):
        os.close(theirs)
        read = bytearray()
        with suppress(OSError):  # the end, on Linux
            while data := os.read(ours, 65536):
                read += data
    os.close(ours)
    return read.decode().replace("\r\n", "\n")


def without_escapes(text: str) -> str:
    """Return a text as a reader of the terminal sees it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
