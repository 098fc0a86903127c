"""The data of an environment: a backup of its base, copied from volume to volume and restored there.

No volume is mounted in two namespaces. So kubectl reads the dump in a pod of one stack, and writes it in a pod of the
other; this machine does not store it. The restore proves it (ops/releases/backup.py).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager

import typer
from lightkube.resources.batch_v1 import Job
from lightkube.types import CascadeType

from slipway.ops.environments.errors import EnvError
from slipway.ops.releases import backup
from slipway.ops.releases.backup import Database
from slipway.stores.mysql import BACKUPS

NEWEST = "newest"


def check_name(dump: str) -> None:
    """Raise EnvError if no backup has this name, which becomes part of a path and of a command of a shell."""
    if not re.fullmatch("[A-Za-z0-9-]+", dump):
        raise EnvError(
            f"--data {dump}: that is not the name of a backup. See ./slipway backup --list, or give {NEWEST}"
        )


def restore(base: str, name: str, dump: str) -> None:
    """Copy a backup of the base and restore it. Raises EnvError if it is not copied, BackupError if not restored."""
    if not shutil.which("kubectl"):
        raise EnvError("kubectl is not on the PATH, and it copies the backup; `. ./activate` adds the local one")
    source, target = backup.database_of(base), backup.database_of(name)
    with _pod(source) as reading, _pod(target) as writing:
        dump = _newest(reading, base) if dump == NEWEST else dump
        typer.echo(f"{name}: copying backup {dump} of {base}", err=True)
        for file in (f"{dump}.sha256", f"{dump}.sql.gz"):
            _copy(
                [*reading, "cat", f"{BACKUPS}/{file}"], [*writing, "sh", "-c", f'cat >"{BACKUPS}/{file}"'], dump, base
            )
    backup.restore(target, dump)


@contextmanager
def _pod(database: Database) -> Generator[list[str]]:
    """Run a pod with the volume of backups; yield the command line that runs a command in it."""
    # It waits for nothing until it is deleted, or for the deadline of the backup's Job; not every image of MySQL has
    # `sleep`. The trap ends the pod at once, where a first process ignores SIGTERM otherwise.
    job = backup.start(database, ["sh", "-c", "trap exit TERM; tail -f /dev/null & wait"])
    try:
        pod = backup.started_pod(database, job)
        where = ["--context", database.settings.cluster.context, "--namespace", database.settings.namespace]
        yield ["kubectl", *where, "exec", "--stdin", "--quiet", pod, "--"]
    finally:
        database.client.delete(Job, job, cascade=CascadeType.BACKGROUND)


def _newest(pod: list[str], base: str) -> str:
    listed = subprocess.run(
        [*pod, "ls", BACKUPS], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    dumps = sorted(file.removesuffix(".sql.gz") for file in listed.stdout.split() if file.endswith(".sql.gz"))
    names = [dump for dump in dumps if not dump.endswith("before-restore")]
    if not names:
        why = f" ({listed.stderr.strip()})" if listed.stderr else ""
        raise EnvError(f"stack {base} has no backup to copy{why}. Make one: ./slipway backup -s {base}")
    return names[-1]


def _copy(read: list[str], write: list[str], dump: str, base: str) -> None:
    """Pipe what one command writes into the other. Raises EnvError unless both succeed."""
    with subprocess.Popen(read, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reader:
        written = subprocess.run(write, stdin=reader.stdout, capture_output=True, check=False)
        problem = reader.stderr.read() if reader.stderr else b""
    if reader.returncode or written.returncode:
        reason = (problem + written.stderr).decode(errors="replace").strip()
        raise EnvError(f"backup {dump} of {base} was not copied: {reason}. See ./slipway backup --list -s {base}")
