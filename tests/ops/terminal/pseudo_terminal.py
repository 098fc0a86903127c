"""A terminal as commands see one, by default of 80 columns and 24 lines."""

from __future__ import annotations

import fcntl
import functools
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

COLUMNS, LINES = 80, 24
ENDS_WITHIN_SECONDS = 60
"""How long a command that is stopped may take to end in good order."""


@functools.cache
def output_on_terminal(*command: str, **environment: str) -> str:
    """Return what a command prints on a terminal, with its escape sequences."""
    _, output = run_on_terminal(command, {**of_a_user(os.environ), **environment}, COLUMNS, LINES)
    return output.replace("\r\n", "\n")


def of_a_user(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what a test run or CI sets in it about terminals."""
    unset = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS")
    return {**{name: value for name, value in environment.items() if name not in unset}, "TERM": "xterm-256color"}


def run_on_terminal(
    command: Sequence[str],
    environment: Mapping[str, str],
    columns: int,
    lines: int,
    *,
    seconds: float = 600,
    folder: Path | None = None,
) -> tuple[int, str]:
    """Run a command on a terminal of this size; return its exit code, and all that it sent to the terminal.

    A command that takes longer gets Ctrl-C, and TimeoutError is raised once it has ended. When this process is
    interrupted, it gets Ctrl-C as well.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    # A session of its own: Ctrl-C in the terminal of this process reaches the command once, from here.
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=folder, start_new_session=True
    )
    os.close(theirs)
    output = bytearray()
    try:
        _read(ours, process, output, seconds)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        _read(ours, process, output, ENDS_WITHIN_SECONDS)
        process.wait()
        raise
    finally:
        os.close(ours)
    return process.wait(), output.decode(errors="replace")


def _read(terminal: int, process: subprocess.Popen[bytes], output: bytearray, seconds: float) -> None:
    """Read until the command has ended, even if something that it has started keeps the terminal. Or TimeoutError."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        has_ended = process.poll() is not None
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                output += os.read(terminal, 65536)
            except OSError:  # the end, on Linux
                return
        elif has_ended:
            return
    raise TimeoutError(f"not done within {seconds:.0f} s")


def without_escapes(text: str) -> str:
    """Return a text as a reader of the terminal sees it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
