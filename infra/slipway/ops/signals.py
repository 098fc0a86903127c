"""Signals: handles those to this process, such as Ctrl-C, during work that must not stop halfway; finds processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals by which people and the system end a process in good order."""


@contextmanager
def handled(numbers: tuple[signal.Signals, ...], handle: Callable[[int, FrameType | None], None]) -> Generator[None]:
    """Call `handle` for these signals until the block ends, then restore their former handlers."""
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_process(pid: int) -> bool:
    """Return whether there is such a process, of whatever user."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
