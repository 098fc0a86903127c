"""Runs named steps side by side, and tells what they are at, how long it took, and which log to read."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TextIO

from .problems import Problem, Problems

HEARTBEAT_SECONDS = 15
# A `pulumi up` that is told to stop first finishes what it is doing to the cluster, so that its state stays true.
PATIENCE_SECONDS = 40


class Cancelled(Exception):
    """Another step failed, or the user pressed Ctrl-C: this one ends without a word."""


@dataclass(frozen=True)
class Step:
    """One thing to do, and the steps it has to wait for.

    `do` returns what to tell the user, or nothing to stay silent when the step was quick.
    """

    name: str
    do: Callable[[Task], str | None]
    after: tuple[str, ...] = ()


class Screen:
    """Plain lines for everybody; on a terminal also one line at the bottom that shows what is running now."""

    def __init__(self, out: TextIO | None = None, started: float | None = None) -> None:
        self._out = out or sys.stdout
        self.started = time.time() if started is None else started
        self._live = self._out.isatty() and os.environ.get("TERM") != "dumb"
        self._lock = threading.Lock()

    @property
    def elapsed(self) -> float:
        return time.time() - self.started

    def line(self, text: str) -> None:
        with self._lock:
            self._out.write(f"{self._clear()}[{self.elapsed:6.1f} s] {text}\n")
            self._out.flush()

    def running(self, text: str) -> None:
        """What is going on at this moment; nothing when the output is a file or a CI log."""
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            with self._lock:
                self._out.write(self._clear() + f"[{self.elapsed:6.1f} s] {text}"[:width])
                self._out.flush()

    def done(self) -> None:
        with self._lock:
            self._out.write(self._clear())
            self._out.flush()

    def _clear(self) -> str:
        return "\r\x1b[2K" if self._live else ""


@dataclass
class Task:
    """What a running step may use: its log, and commands that end when the run ends."""

    name: str
    log: Path
    screen: Screen
    cancelled: threading.Event
    began: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)
    children: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def say(self, text: str) -> None:
        self.screen.line(f"{self.name}: {text}")

    def run(
        self,
        command: Sequence[str | Path],
        *,
        fix: str = "",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        show: Callable[[str], bool] | None = None,
    ) -> None:
        """Run it with its output in the step's log, and what `show` picks of it on the screen; Problem if it fails."""
        words = [str(word) for word in command]
        self.note(f"$ {' '.join(words)}")
        code = self._wait(words, cwd, env, show)
        if self.cancelled.is_set():
            raise Cancelled
        if code != 0:
            reason = last_line(self.log)
            raise Problem(
                f"{self.name}: `{Path(words[0]).name} {' '.join(words[1:3])}` ended with {code}: {reason}",
                fix or f"read {self.log}, then run `make up` again: it goes on where it stopped",
            )

    def read(
        self, command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> str:
        """What a short command prints; Problem when it fails."""
        words = [str(word) for word in command]
        try:
            done = subprocess.run(
                words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise Problem(f"{self.name}: {error}", f"read {self.log}") from error
        if done.returncode != 0:
            self.note(f"$ {' '.join(words)}\n{done.stdout}{done.stderr}")
            reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
            raise Problem(
                f"{self.name}: `{Path(words[0]).name} {' '.join(words[1:3])}`: {reason[0]}", f"read {self.log}"
            )
        return done.stdout

    def until(self, ready: Callable[[], bool], what: str, seconds: float, fix: str = "") -> None:
        """Wait for it, at most that long; Problem after that."""
        end = time.monotonic() + seconds
        while not ready():
            if self.cancelled.wait(0.25):
                raise Cancelled
            if time.monotonic() > end:
                raise Problem(
                    f"{self.name}: {what} within {seconds:.0f} s did not happen", fix or f"read {self.log.parent}"
                )

    def _wait(
        self, words: list[str], cwd: Path | None, env: Mapping[str, str] | None, show: Callable[[str], bool] | None
    ) -> int:
        if self.cancelled.is_set():
            raise Cancelled
        with self.log.open("ab") as log:
            try:
                # Its own process group: Ctrl-C in the terminal reaches us alone, and we pass it on exactly once.
                child = subprocess.Popen(
                    words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, process_group=0,
                    stdout=subprocess.PIPE if show else log, stderr=subprocess.STDOUT,
                )  # fmt: skip
            except OSError as error:
                raise Problem(
                    f"{self.name}: {words[0]} cannot be started: {error.strerror}", f"read {self.log}"
                ) from error
            self.children.append(child)
            if self.cancelled.is_set():  # just missed by who ends the children
                end([child], [(signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)])
            if child.stdout:
                with child.stdout as shown:
                    self._tell(shown, log, show or bool)
            return child.wait()

    def _tell(self, shown: IO[bytes], log: IO[bytes], worth_it: Callable[[str], bool]) -> None:
        for line in shown:
            log.write(line)
            log.flush()
            text = line.decode(errors="replace").rstrip()
            if text and worth_it(text):
                self.screen.line(f"  {text}")

    def note(self, text: str) -> None:
        with self.log.open("a") as log:
            log.write(text + "\n")


def last_line(log: Path, size: int = 4096) -> str:
    """The end of a log in one line: what a command is doing, or why it failed."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - size))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        if lines:
            return lines[-1][:200]
    return "no output"


class Runner:
    """Runs steps as soon as the ones before them are done; the first failure or Ctrl-C ends all of them."""

    def __init__(self, logs: Path, screen: Screen) -> None:
        self._logs = logs
        self._screen = screen
        self._changed = threading.Condition()
        self._cancelled = threading.Event()
        self._tasks: dict[str, Task] = {}
        self._done: set[str] = set()
        self._problems: list[Problem] = []
        self._crash: BaseException | None = None

    def run(self, steps: Sequence[Step]) -> None:
        """Problems, or the exception of a step that has a bug; KeyboardInterrupt once every child has ended."""
        threads: list[threading.Thread] = []
        try:
            waiting = list(steps)
            with self._changed:
                while len(self._done) < len(steps) and not self._failed():
                    for step in [step for step in waiting if self._done.issuperset(step.after)]:
                        waiting.remove(step)
                        threads.append(self._start(step))
                    self._changed.wait(1)
                    self._show()
        except KeyboardInterrupt:
            self._cancel(threads)
            raise
        finally:
            self._screen.done()
        self._cancel(threads)
        if self._crash:
            raise self._crash
        if self._problems:
            raise Problems(self._problems)

    def _failed(self) -> bool:
        return bool(self._problems) or self._crash is not None

    def _start(self, step: Step) -> threading.Thread:
        log = self._logs / f"{step.name.replace(' ', '-')}.log"
        log.write_text("")
        task = self._tasks[step.name] = Task(step.name, log, self._screen, self._cancelled)
        thread = threading.Thread(target=self._do, args=(step, task), daemon=True)
        thread.start()
        return thread

    def _do(self, step: Step, task: Task) -> None:
        problem: Problem | None = None
        crash: BaseException | None = None
        try:
            if told := step.do(task):
                self._screen.line(f"{step.name}: {told}" + (f" ({task.seconds:.0f} s)" if task.seconds >= 1 else ""))
        except Cancelled:
            return
        except Problem as error:
            problem = error
        except BaseException as error:  # a bug: told by the main thread, never lost in this one
            crash = error
        with self._changed:
            if not self._cancelled.is_set():
                self._problems += [problem] if problem else []
                self._crash = self._crash or crash
            del self._tasks[step.name]
            if not (problem or crash):
                self._done.add(step.name)
            self._changed.notify_all()

    def _show(self) -> None:
        now = time.monotonic()
        for task in list(self._tasks.values()):
            if now - task.told >= HEARTBEAT_SECONDS:
                task.told = now
                self._screen.line(f"{task.name} … {task.seconds:.0f} s: {last_line(task.log)}")
        self._screen.running(", ".join(f"{task.name} {task.seconds:.0f} s" for task in self._tasks.values()))

    def _cancel(self, threads: Sequence[threading.Thread]) -> None:
        """End what is still running; a second Ctrl-C shortens the wait."""
        self._cancelled.set()
        children = [child for task in self._tasks.values() for child in task.children]
        try:
            end(children, [(signal.SIGINT, PATIENCE_SECONDS), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)])
        except KeyboardInterrupt:
            end(children, [(signal.SIGKILL, 5.0)])
        for thread in threads:
            thread.join(5)


def end(children: Sequence[subprocess.Popen[bytes]], asked: Sequence[tuple[signal.Signals, float]]) -> None:
    """Tell what is still running to stop, with each signal in turn and the seconds it gets."""
    for number, patience in asked:
        alive = [child for child in children if child.poll() is None]
        for child in alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, number)
        deadline = time.monotonic() + patience
        for child in alive:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
