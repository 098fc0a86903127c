"""Ends a test run that hangs, and prints the name of the test.

pytest-timeout interrupts a test once. If the test then waits again, as the end of `with subprocess.Popen(...)` does for
a process that is still running, nothing interrupts it. So the whole run ends after twice the timeout.
"""

from __future__ import annotations

import faulthandler
import os
import select
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# Running threads can block the exit of Python after the last test.
END_SECONDS = 60

_stderr = pytest.StashKey[int]()


@contextmanager
def child(command: Sequence[str | Path], **options: Any) -> Generator[subprocess.Popen[Any]]:
    """Start a process that is killed at the end of the block if it is still running."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def read_line(process: subprocess.Popen[bytes], seconds: float = 30) -> bytes:
    """Return the next line that a process prints. Fail with what it said on stderr if none comes in time."""
    assert process.stdout
    if not select.select([process.stdout], [], [], seconds)[0]:
        process.kill()
        said = process.stderr.read().decode() if process.stderr else ""
        pytest.fail(f"no line within {seconds:g} s from {process.args}; on stderr: {said or 'nothing'}")
    return process.stdout.readline()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_stderr] = os.dup(2)  # the real stderr, which pytest does not capture


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    stderr, seconds = item.config.stash[_stderr], _timeout(item)
    if seconds:
        faulthandler.dump_traceback_later(2 * seconds, exit=True, file=stderr)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_unconfigure(config: pytest.Config) -> None:
    faulthandler.dump_traceback_later(END_SECONDS, exit=True, file=config.stash[_stderr])


def _timeout(item: pytest.Item) -> float:
    """Return the seconds after which pytest-timeout fails a test; 0 for never."""
    marker = item.get_closest_marker("timeout")
    if marker and marker.args:
        return float(marker.args[0])
    return float(item.config.getoption("timeout") or item.config.getini("timeout") or 0)
