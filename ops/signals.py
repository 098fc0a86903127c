"""Signals to this process, such as Ctrl-C, while something is done that must not be left half done."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those by which people and the system end a process in good order."""


@contextmanager
def handled(numbers: tuple[signal.Signals, ...], handle: Callable[[int, FrameType | None], None]) -> Generator[None]:
    """Have `handle` called for these signals until the block ends; then they do what they did before."""
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
