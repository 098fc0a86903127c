"""Where the output of this process and of those that it starts goes."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def stdout_to_stderr() -> Generator[None]:
    """Send what this process and its children print to stderr: stdout is for the data of a verb, and nothing else."""
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)
