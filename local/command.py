"""The command line behind `make up`, `make observability`, `make down`, `make clean` and `make venv`."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from local.down import clean, down, status
from local.errors import SetupError, SetupFailedError
from local.paths import ClonePaths, clone_paths
from local.progress import Screen
from local.up import fetch, fetch_python, finish

VERBS = ("up", "observability", "down", "clean", "status", "venv")
INTERRUPTED = 130
# Errors of the machine, not bugs of ours.
FIXES = {
    errno.ENOSPC: "free some disk space, or set XDG_CACHE_HOME to a larger disk, then run it again",
    errno.EDQUOT: "free some of your disk quota, then run it again",
    errno.EACCES: "change its owner to you (chown), or run this as its owner",
    errno.EPERM: "change its owner to you (chown), or run this as its owner",
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR, errno.EISDIR), "move that file or folder away, then run it again"),
    errno.EROFS: "move the clone, or XDG_CACHE_HOME, to a writable file system",
}


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code: 0 done, 1 error for the user, 2 wrong usage, 130 interrupted."""
    if not arguments or arguments[0] not in VERBS:
        sys.stderr.write(f"usage: python -m local {' | '.join(VERBS)}\n")
        return 2
    # Users of pods read files of the cluster; secret files are written with a mode of their own.
    os.umask(0o022)
    where = clone_paths(Path(__file__).resolve().parents[1])
    started = float(arguments[2]) if arguments[1:2] == ["--continued"] else time.time()
    screen = Screen(started=started)
    try:
        return run(arguments[0], where, screen, continued=len(arguments) > 1)
    except (SetupError, SetupFailedError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        if error.errno not in FIXES:
            raise
        sys.stderr.write(f"{SetupError(f'{error.filename or where.clone}: {error.strerror}', FIXES[error.errno])}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(
            f"interrupted after {screen.elapsed:.0f} s; `make {arguments[0]}` continues where it stopped\n"
        )
        return INTERRUPTED


def run(verb: str, where: ClonePaths, screen: Screen, *, continued: bool) -> int:
    if verb == "status":
        return 0 if status(screen) else 1
    if continued:
        message = finish(where, screen)
        screen.line(f"up after {screen.elapsed:.0f} s")
        sys.stdout.write(message)
        return 0
    lock = take_lock(where)
    if verb == "up":
        fetch(where, screen)
        continue_with_packages(where, screen, lock)
    if verb == "observability":
        # Imported late: it needs the packages of .venv, which other commands do without.
        from local.observability import start  # noqa: PLC0415

        sys.stdout.write(start.run(where, screen))
        return 0
    {"down": down, "clean": clean, "venv": fetch_python}[verb](where, screen)
    return 0


def continue_with_packages(where: ClonePaths, screen: Screen, lock: int) -> NoReturn:
    """Replace this process by the Python that has the packages, and pass the lock on to it."""
    os.set_inheritable(lock, True)
    os.chdir(where.clone)
    os.execv(where.python, [str(where.python), "-m", "local", "up", "--continued", str(screen.started)])  # noqa: S606


def take_lock(where: ClonePaths) -> int:
    """Lock the clone until this process ends, for whatever reason. Raise SetupError if another process has the lock."""
    where.state.mkdir(mode=0o700, exist_ok=True)
    where.state.chmod(0o700)  # the passphrase and keys are in it
    descriptor = os.open(where.state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode().strip() or "?"
        cause = f"another `make` is already running in this clone (pid {holder})"
        raise SetupError(cause, "wait until it ends, or stop it with Ctrl-C") from None
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
