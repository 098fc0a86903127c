"""Start and stop daemons, which are identified by pid and start time, never by name."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from local.paths import write

LOG_LIMIT_BYTES = 32 << 20


@dataclass(frozen=True)
class Process:
    """One process. The start time tells it apart from a later process with the same pid."""

    pid: int
    start_ticks: int
    boot_id: str
    revision: str = ""
    """A hash of the command, program and configuration that it was started with."""

    @property
    def alive(self) -> bool:
        """Whether the process still runs; a zombie does not."""
        state, start_ticks = process_stat(self.pid)
        return state not in ("", "Z", "X") and start_ticks == self.start_ticks and boot_id() == self.boot_id

    def kill(self, number: signal.Signals) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def process_stat(pid: int) -> tuple[str, int]:
    """Return state letter and start time in clock ticks since boot, or ("", 0) if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "", 0
    fields = text[text.rindex(")") + 2 :].split()  # the program's name before it may contain spaces and brackets
    return fields[0], int(fields[19])


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def current_process(pid: int, revision: str = "") -> Process:
    """Return the process that has this pid now."""
    return Process(pid, process_stat(pid)[1], boot_id(), revision)


def revision_of(command: Sequence[str | Path], program: Path | None, reads: Sequence[Path]) -> str:
    """Return a hash of the command, the program, and the content of every file that the command names or reads."""
    words = [str(word) for word in command]
    named = [Path(word.rpartition("=")[2]) for word in words]
    content = hashlib.sha256(repr((words, str(program))).encode())
    for file in [*named, *reads]:
        if file.is_absolute() and file.is_file():
            content.update(file.read_bytes())
    return content.hexdigest()[:16]


class Processes:
    """The daemons of the cluster, with a record of each in one folder and a log of each in another."""

    def __init__(self, records: Path, logs: Path) -> None:
        self._records = records
        self._logs = logs
        self._started: list[subprocess.Popen[bytes]] = []  # keeps Popen from warning that they still run

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def names(self) -> list[str]:
        return sorted(path.stem for path in self._records.glob("*.json"))

    def get(self, name: str) -> Process | None:
        """Return the live process of that name, or None if it has ended or was never started."""
        try:
            process = Process(**json.loads((self._records / f"{name}.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return process if process.alive else None

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        program: Path | None = None,
        reads: Sequence[Path] = (),
        env: Mapping[str, str],
    ) -> bool:
        """Start a daemon, or restart it if its command, program or configuration changed. Return False if unchanged.

        `program` is the file to run if command[0] is only a name. `reads` are files that its configuration names.
        """
        revision = revision_of(command, program, reads)
        if running := self.get(name):
            if running.revision == revision:
                return False
            self.stop(name)
        with self._open_log(name) as log:
            started = subprocess.Popen(
                [str(word) for word in command], executable=program, env=dict(env), cwd="/", umask=0o022,
                start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._started.append(started)
        write(self._records / f"{name}.json", json.dumps(asdict(current_process(started.pid, revision))))
        return True

    def _open_log(self, name: str) -> IO[bytes]:
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self.log(name)
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))
        return log.open("ab")

    def stop(self, *names: str, seconds: float = 20) -> list[str]:
        """Stop daemons and delete their records. Return the names of those that had to be killed after `seconds`."""
        running = {name: process for name in names if (process := self.get(name))}
        for process in running.values():
            process.kill(signal.SIGTERM)
        killed = [name for name, process in running.items() if not wait_for_end(process, seconds)]
        for name in killed:
            running[name].kill(signal.SIGKILL)
            wait_for_end(running[name], 5)
        for child in self._started:
            child.poll()
        for name in names:
            (self._records / f"{name}.json").unlink(missing_ok=True)
        return killed


def wait_for_end(process: Process, seconds: float) -> bool:
    """Wait until the process has ended. Return False after that many seconds."""
    deadline = time.monotonic() + seconds
    while process.alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
