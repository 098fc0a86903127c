"""Starts daemons and stops them again, each known by its pid and the kernel's start time, never by its name."""

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

from .places import write

LOG_LIMIT_BYTES = 32 << 20


@dataclass(frozen=True)
class Process:
    """One process, told apart from any later one with the same pid."""

    pid: int
    start_ticks: int
    boot_id: str
    revision: str = ""
    """Changes with what it was started from."""

    @property
    def alive(self) -> bool:
        """Whether it still runs; a zombie that nobody has waited for yet does not."""
        state, start_ticks = stat(self.pid)
        return state not in ("", "Z", "X") and start_ticks == self.start_ticks and boot_id() == self.boot_id

    def kill(self, number: signal.Signals) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def stat(pid: int) -> tuple[str, int]:
    """State letter and start time in clock ticks since boot; ("", 0) for a pid that is not there."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "", 0
    fields = text[text.rindex(")") + 2 :].split()  # the program's name before it may hold spaces and brackets
    return fields[0], int(fields[19])


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def process(pid: int, revision: str = "") -> Process:
    """The process that has this pid now."""
    return Process(pid, stat(pid)[1], boot_id(), revision)


def revision_of(command: Sequence[str | Path], program: Path | None, reads: Sequence[Path]) -> str:
    """Changes with the command, the program, and the content of every file that is named in it or that it reads."""
    words = [str(word) for word in command]
    named = [Path(word.rpartition("=")[2]) for word in words]
    content = hashlib.sha256(repr((words, str(program))).encode())
    for file in [*named, *reads]:
        if file.is_absolute() and file.is_file():
            content.update(file.read_bytes())
    return content.hexdigest()[:16]


class Processes:
    """The daemons of the cluster: a record of each in one folder, a log of each in another."""

    def __init__(self, records: Path, logs: Path) -> None:
        self._records = records
        self._logs = logs
        self._started: list[subprocess.Popen[bytes]] = []  # kept: they outlive us, and nobody waits for them

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def names(self) -> list[str]:
        return sorted(path.stem for path in self._records.glob("*.json"))

    def get(self, name: str) -> Process | None:
        """The live process of that name, None if it has ended or was never started."""
        try:
            found = Process(**json.loads((self._records / f"{name}.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return found if found.alive else None

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        program: Path | None = None,
        reads: Sequence[Path] = (),
        env: Mapping[str, str],
    ) -> bool:
        """Start it, or start it again if it runs from another command, program or configuration; False if it was left.

        `program`: the file to run, where command[0] is only a name. `reads`: files that its configuration names.
        """
        revision = revision_of(command, program, reads)
        if running := self.get(name):
            if running.revision == revision:
                return False
            self.stop(name)
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self.log(name)
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as out:
            started = subprocess.Popen(
                [str(word) for word in command], executable=program, env=dict(env), cwd="/", umask=0o022,
                start_new_session=True, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._started.append(started)
        write(self._records / f"{name}.json", json.dumps(asdict(process(started.pid, revision))))
        return True

    def stop(self, *names: str, seconds: float = 20) -> list[str]:
        """End these and forget them; the names of those that had to be killed after that many seconds."""
        running = {name: found for name in names if (found := self.get(name))}
        for found in running.values():
            found.kill(signal.SIGTERM)
        stubborn = [name for name, found in running.items() if not ended(found, seconds)]
        for name in stubborn:
            running[name].kill(signal.SIGKILL)
            ended(running[name], 5)
        for child in self._started:
            child.poll()
        for name in names:
            (self._records / f"{name}.json").unlink(missing_ok=True)
        return stubborn


def ended(found: Process, seconds: float) -> bool:
    """Wait for its end."""
    deadline = time.monotonic() + seconds
    while found.alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
