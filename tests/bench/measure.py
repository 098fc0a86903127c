"""Runs commands in turns, and measures the time, CPU time and memory of each."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from tests.paths import REPOSITORY

Result = TypeVar("Result")


@dataclass(frozen=True)
class Command:
    """What is measured, and the name it has on the page."""

    name: str
    words: Sequence[str | Path]
    folder: Path = REPOSITORY
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Run:
    """One run of a command."""

    seconds: float
    first_output: float
    """Seconds to the first byte on stdout; all of them if there is none."""
    cpu_seconds: float
    """Of the process and its children, user and system. It changes least while something else uses the machine."""
    mebibytes: float
    """Maximum of the largest process, and at least what the benchmark itself has: Linux counts that of a parent."""


@dataclass(frozen=True)
class Figures:
    """What an action returned in each turn, or one figure of all runs of a command."""

    name: str
    values: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def text(self, digits: int = 2) -> str:
        """Return the median with the lowest and the highest value: `1.23 (1.20-1.31)`."""
        return f"{self.median:.{digits}f} ({min(self.values):.{digits}f}–{max(self.values):.{digits}f})"

    def ratio(self, other: Figures) -> float:
        """Return the median of the ratios to the figure of the other action in the same turn."""
        return statistics.median(own / base for own, base in zip(self.values, other.values, strict=True))


@dataclass(frozen=True)
class Series:
    """All runs of a command."""

    command: Command
    runs: list[Run]

    def figures(self, figure: str) -> Figures:
        """Return one figure of all runs: the name of a field of `Run`."""
        return Figures(self.command.name, [getattr(run, figure) for run in self.runs])

    def median(self, figure: str) -> float:
        return self.figures(figure).median

    def text(self, figure: str) -> str:
        return self.figures(figure).text()

    def ratio(self, other: Series, figure: str) -> float:
        return self.figures(figure).ratio(other.figures(figure))


def in_turns(commands: Sequence[Command], runs: int) -> list[Series]:
    """Run all commands, one after the other, as often as asked. The first turn fills caches and does not count."""
    results = _in_turns([(command.name, partial(_run, command)) for command in commands], runs)
    return [Series(command, measured) for command, measured in zip(commands, results, strict=True)]


def actions_in_turns(actions: Mapping[str, Callable[[], float]], runs: int) -> list[Figures]:
    """Call all actions, one after the other, as often as asked. The first turn does not count."""
    return [Figures(name, values) for name, values in zip(actions, _in_turns(actions.items(), runs), strict=True)]


def _in_turns(actions: Collection[tuple[str, Callable[[], Result]]], runs: int) -> list[list[Result]]:
    """Return the results of each action, without that of the first turn."""
    results: list[list[Result]] = [[] for _ in actions]
    for turn in range(runs + 1):
        for (name, action), measured in zip(actions, results, strict=True):
            sys.stderr.write(f"{turn}/{runs} {name}\n")
            result = action()
            if turn:
                measured.append(result)
    return results


def _run(command: Command) -> Run:
    """Run a command. Its memory and CPU time are those of a child, in which it is the only one."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        status = 1
        try:
            status = _child(command, write)
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as answer:
        words = answer.read().split()
    if os.waitpid(child, 0)[1] or not words:
        raise SystemExit(f"make bench: {command.name} fails: {' '.join(map(str, command.words))}")
    return Run(*map(float, words))


def _child(command: Command, write: int) -> int:
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command.words],
        cwd=command.folder,
        # `tests` sets the fixture project for what it starts.
        env={**os.environ, "SLIPWAY_PROJECT": str(command.folder), **command.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    has_output = process.stdout.read(1)
    first_output = time.perf_counter() - started
    process.stdout.read()
    status = process.wait()
    seconds = time.perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = (
        seconds,
        first_output if has_output else seconds,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / 1024,
    )
    os.write(write, " ".join(map(str, figures)).encode())
    return status
