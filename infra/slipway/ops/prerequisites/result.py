"""What a check finds, and checks that run at the same time, each with a deadline."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from slipway.ops.errors import UserError

DEADLINE_SECONDS = 3.0
"""The longest that a check may take. All run at the same time, so `doctor` takes little more."""


@dataclass(frozen=True)
class Problem:
    """Something that is missing or wrong, and what to do about it."""

    cause: str
    fix: str


@dataclass(frozen=True)
class Finding:
    """What a check has found."""

    fact: str
    """What there is, such as `3.11.7`, if nothing is wrong."""
    problems: Sequence[Problem] = ()
    is_known: bool = True
    """False where it could not be checked, for lack of a right or of a setting."""

    @property
    def state(self) -> Literal["ok", "failed", "unknown"]:
        """Return the outcome as `--json` names it."""
        return "failed" if self.problems else "ok" if self.is_known else "unknown"


Check = Callable[[], Finding]


@dataclass
class _Run:
    """A check that runs in a thread."""

    name: str
    check: Check
    findings: queue.SimpleQueue[Finding] = field(default_factory=queue.SimpleQueue[Finding])

    def start(self) -> None:
        # A daemon: a check that never ends must not keep the process.
        threading.Thread(target=self._find, name=self.name, daemon=True).start()

    def _find(self) -> None:
        try:
            self.findings.put(self.check())
        except UserError as error:
            self.findings.put(failed(str(error), "see the message"))
        except Exception as error:
            self.findings.put(Finding(f"not checked: {type(error).__name__}: {error}", is_known=False))

    def result(self, seconds: float) -> Finding:
        try:
            return self.findings.get(timeout=max(0, seconds))
        except queue.Empty:
            return failed(f"no answer within {DEADLINE_SECONDS:g} s", "check the network, or try again later")


def run(checks: Mapping[str, Check], deadline: float = DEADLINE_SECONDS) -> dict[str, Finding]:
    """Return what the checks find, in their order. One that takes too long, or fails itself, spoils no other."""
    runs = [_Run(name, check) for name, check in checks.items()]
    for running in runs:
        running.start()
    end = time.monotonic() + deadline
    return {running.name: running.result(end - time.monotonic()) for running in runs}


def found(problems: Iterable[Problem], fact: str) -> Finding:
    """Return the finding of a check that has collected problems, or none."""
    return Finding(fact, tuple(problems))


def failed(cause: str, fix: str) -> Finding:
    """Return the finding of a check with one problem."""
    return Finding("", (Problem(cause, fix),))
