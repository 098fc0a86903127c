"""Run named steps in parallel, and report what they do, how long they take and which log to read."""

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

from local.errors import SetupError, SetupFailedError

HEARTBEAT_SECONDS = 15
# An interrupted `pulumi up` first finishes its running operations, so that its state stays correct.
INTERRUPT_SECONDS = 40


class CancelledError(Exception):
    """Another step failed, or the user pressed Ctrl-C: this step ends without a message."""


@dataclass(frozen=True)
class Step:
    """One step, and the names of the steps that have to be done before it.

    `action` returns a message for the user, or None if there is nothing to report.
    """

    name: str
    action: Callable[[Task], str | None]
    after: tuple[str, ...] = ()


class Screen:
    """Prints lines of text; on a terminal, a last line also shows what is running now."""

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
        """Show what is running now, unless the output is a file or a CI log."""
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
    """A running step, with its log. Its commands end when the run ends."""

    name: str
    log: Path
    screen: Screen
    cancelled: threading.Event
    started: float = field(default_factory=time.monotonic)
    last_reported: float = field(default_factory=time.monotonic)
    children: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def report(self, text: str) -> None:
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
        """Run a command with its output in the log, and the lines that `show` accepts on the screen."""
        words = [str(word) for word in command]
        self.write_log(f"$ {' '.join(words)}")
        code = self._wait(words, cwd, env, show)
        if self.cancelled.is_set():
            raise CancelledError
        if code != 0:
            fix = fix or f"read {self.log}, then run `make up` again: it continues where it stopped"
            raise self._failure(words, code, last_line(self.log), fix)

    def read(
        self, command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> str:
        """Return the output of a short command. Raise SetupError if it fails."""
        words = [str(word) for word in command]
        try:
            done = subprocess.run(
                words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise SetupError(f"{self.name}: {error}", f"read {self.log}") from error
        if done.returncode != 0:
            self.write_log(f"$ {' '.join(words)}\n{done.stdout}{done.stderr}")
            raise self._failure(words, done.returncode, last_line(self.log), f"read {self.log}")
        return done.stdout

    def _failure(self, words: list[str], code: int, reason: str, fix: str) -> SetupError:
        command = f"{Path(words[0]).name} {' '.join(words[1:3])}"
        return SetupError(f"{self.name}: `{command}` failed with exit code {code}: {reason}", fix)

    def wait_until(self, ready: Callable[[], bool], failure: str, seconds: float, fix: str = "") -> None:
        """Wait until `ready` returns true. Raise SetupError after that many seconds."""
        end = time.monotonic() + seconds
        while not ready():
            if self.cancelled.wait(0.25):
                raise CancelledError
            if time.monotonic() > end:
                raise SetupError(f"{self.name}: {failure} after {seconds:.0f} s", fix or f"read {self.log.parent}")

    def _wait(
        self, words: list[str], cwd: Path | None, env: Mapping[str, str] | None, show: Callable[[str], bool] | None
    ) -> int:
        if self.cancelled.is_set():
            raise CancelledError
        with self.log.open("ab") as log:
            try:
                # Its own process group: Ctrl-C in the terminal reaches only us, and we pass it on exactly once.
                child = subprocess.Popen(
                    words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, process_group=0,
                    stdout=subprocess.PIPE if show else log, stderr=subprocess.STDOUT,
                )  # fmt: skip
            except OSError as error:
                raise SetupError(
                    f"{self.name}: {words[0]} cannot be started: {error.strerror}", f"read {self.log}"
                ) from error
            self.children.append(child)
            if self.cancelled.is_set():  # after Runner._cancel collected the children to end
                end([child], [(signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)])
            if child.stdout:
                with child.stdout as output:
                    self._copy(output, log, show or bool)
            return child.wait()

    def _copy(self, output: IO[bytes], log: IO[bytes], show: Callable[[str], bool]) -> None:
        for line in output:
            log.write(line)
            log.flush()
            text = line.decode(errors="replace").rstrip()
            if text and show(text):
                self.screen.line(f"  {text}")

    def write_log(self, text: str) -> None:
        with self.log.open("a") as log:
            log.write(text + "\n")


def last_line(log: Path, size: int = 4096) -> str:
    """Return the last line of a log: what a command is doing, or why it failed."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - size))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        if lines:
            return lines[-1][:200]
    return "no output"


class Runner:
    """Runs each step as soon as those before it are done. The first failure, or Ctrl-C, ends all of them."""

    def __init__(self, logs: Path, screen: Screen) -> None:
        self._logs = logs
        self._screen = screen
        self._changed = threading.Condition()
        self._cancelled = threading.Event()
        self._tasks: dict[str, Task] = {}
        self._done: set[str] = set()
        self._errors: list[SetupError] = []
        self._crash: BaseException | None = None

    def run(self, steps: Sequence[Step]) -> None:
        """Run all steps. After a failure, end all children and raise SetupFailedError, or the exception of a bug."""
        threads: list[threading.Thread] = []
        try:
            waiting = list(steps)
            with self._changed:
                while len(self._done) < len(steps) and not self._failed():
                    for step in [step for step in waiting if self._done.issuperset(step.after)]:
                        waiting.remove(step)
                        threads.append(self._start(step))
                    self._changed.wait(1)
                    self._show_progress()
        except KeyboardInterrupt:
            self._cancel(threads)
            raise
        finally:
            self._screen.done()
        self._cancel(threads)
        if self._crash:
            raise self._crash
        if self._errors:
            raise SetupFailedError(self._errors)

    def _failed(self) -> bool:
        return bool(self._errors) or self._crash is not None

    def _start(self, step: Step) -> threading.Thread:
        log = self._logs / f"{step.name.replace(' ', '-')}.log"
        log.write_text("")
        task = self._tasks[step.name] = Task(step.name, log, self._screen, self._cancelled)
        thread = threading.Thread(target=self._run_step, args=(step, task), daemon=True)
        thread.start()
        return thread

    def _run_step(self, step: Step, task: Task) -> None:
        failure: BaseException | None = None
        try:
            if message := step.action(task):
                duration = f" ({task.seconds:.0f} s)" if task.seconds >= 1 else ""
                self._screen.line(f"{step.name}: {message}{duration}")
        except CancelledError:
            return
        except BaseException as error:  # the main thread raises it
            failure = error
        with self._changed:
            del self._tasks[step.name]
            self._record(step, failure)
            self._changed.notify_all()

    def _record(self, step: Step, failure: BaseException | None) -> None:
        if failure is None:
            self._done.add(step.name)
        elif self._cancelled.is_set():
            pass  # a consequence of the first failure, which is reported
        elif isinstance(failure, SetupError):
            self._errors.append(failure)
        elif isinstance(failure, SetupFailedError):
            self._errors += failure.errors
        else:
            self._crash = self._crash or failure

    def _show_progress(self) -> None:
        now = time.monotonic()
        for task in list(self._tasks.values()):
            if now - task.last_reported >= HEARTBEAT_SECONDS:
                task.last_reported = now
                self._screen.line(f"{task.name} … {task.seconds:.0f} s: {last_line(task.log)}")
        self._screen.running(", ".join(f"{task.name} {task.seconds:.0f} s" for task in self._tasks.values()))

    def _cancel(self, threads: Sequence[threading.Thread]) -> None:
        """End all running commands; a second Ctrl-C kills them at once."""
        self._cancelled.set()
        children = [child for task in self._tasks.values() for child in task.children]
        try:
            end(children, [(signal.SIGINT, INTERRUPT_SECONDS), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)])
        except KeyboardInterrupt:
            end(children, [(signal.SIGKILL, 5.0)])
        for thread in threads:
            thread.join(5)


def end(children: Sequence[subprocess.Popen[bytes]], signals: Sequence[tuple[signal.Signals, float]]) -> None:
    """Send each signal in turn to the children that still run, and wait that many seconds for their end."""
    for number, seconds in signals:
        alive = [child for child in children if child.poll() is None]
        for child in alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, number)
        deadline = time.monotonic() + seconds
        for child in alive:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
