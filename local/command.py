"""The command line behind `make up`, `make down`, `make clean` and `make venv`."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .down import clean, down, status
from .places import Places, places
from .problems import Problem, Problems
from .progress import Screen
from .up import fetch, fetch_python, finish

VERBS = ("up", "down", "clean", "status", "venv")
INTERRUPTED = 130
# What is the machine's doing, not a bug.
FIXES = {
    errno.ENOSPC: "free some disk space, or set XDG_CACHE_HOME to a larger disk, then run it again",
    errno.EDQUOT: "free some of your disk quota, then run it again",
    errno.EACCES: "make it yours (chown), or run this as its owner",
    errno.EPERM: "make it yours (chown), or run this as its owner",
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR, errno.EISDIR), "move away what stands there, then run it again"),
    errno.EROFS: "move the clone, or XDG_CACHE_HOME, to where one can write",
}


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0 done, 1 a problem that is told in two lines, 2 misused, 130 interrupted."""
    if not arguments or arguments[0] not in VERBS:
        sys.stderr.write(f"usage: python -m local {' | '.join(VERBS)}\n")
        return 2
    # Files of the cluster are read by other users (the pods'); what is secret gets its mode one by one.
    os.umask(0o022)
    where = places(Path(__file__).resolve().parents[1])
    started = float(arguments[2]) if arguments[1:2] == ["--continued"] else time.time()
    screen = Screen(started=started)
    try:
        return run(arguments[0], where, screen, continued=len(arguments) > 1)
    except (Problem, Problems) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    except OSError as error:
        if error.errno not in FIXES:
            raise
        sys.stderr.write(f"{Problem(f'{error.filename or where.clone}: {error.strerror}', FIXES[error.errno])}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"interrupted after {screen.elapsed:.0f} s; `make {arguments[0]}` goes on where it stopped\n")
        return INTERRUPTED


def run(verb: str, where: Places, screen: Screen, *, continued: bool) -> int:
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
        # The packages are there now: go on with the Python that sees them. The lock goes with us.
        os.set_inheritable(lock, True)
        os.chdir(where.clone)
        os.execv(where.python, [str(where.python), "-m", "local", "up", "--continued", str(screen.started)])  # noqa: S606
    {"down": down, "clean": clean, "venv": fetch_python}[verb](where, screen)
    return 0


def take_lock(where: Places) -> int:
    """Held until this process ends, however it ends; Problem if another one has it."""
    where.state.mkdir(mode=0o700, exist_ok=True)
    where.state.chmod(0o700)  # the passphrase and keys are in it
    descriptor = os.open(where.state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = "?"
        with contextlib.suppress(OSError):
            holder = os.pread(descriptor, 20, 0).decode().strip() or holder
        raise Problem(
            f"another `make` works on this clone already (pid {holder})", "wait for it to end, or press Ctrl-C there"
        ) from None
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
