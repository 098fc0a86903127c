"""No test hangs for ever: what it started ends with it, and a run that is stuck even so ends with the name of the test.

pytest-timeout interrupts a test once. If what follows waits again, as the end of a `with subprocess.Popen(...)` does
for a process that nobody stops, nothing interrupts that: so twice that time ends the whole run.
"""

from __future__ import annotations

import faulthandler
import os
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# Threads that nobody has stopped may keep Python from ending after the last test.
END_SECONDS = 60

_stderr = pytest.StashKey[int]()


@contextmanager
def child(command: Sequence[str | Path], **options: Any) -> Generator[subprocess.Popen[Any]]:
    """A process that is killed at the end of the block, if it has not ended by then."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_stderr] = os.dup(2)  # the one that no test captures


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
    """Return after how many seconds pytest-timeout fails a test; 0 for never."""
    marker = item.get_closest_marker("timeout")
    if marker and marker.args:
        return float(marker.args[0])
    return float(item.config.getoption("timeout") or item.config.getini("timeout") or 0)
