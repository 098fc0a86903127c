"""`./slipway doctor`: find and repair what a killed update leaves behind in the engine's state.

It repairs three things. A lock whose update no longer runs is removed. An operation without a known end is settled: an
object that it has created is added to the state, one that it has not is dropped. Of two Jobs, where an update was
killed between creating one and deleting its predecessor, the newer one is deleted: otherwise an update back to the
release in force would create the older one again, and fail because it exists. An object that failed when it was created
is only reported: the next update tries it again.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from typing import Any
from urllib.parse import unquote, urlsplit

import typer

from slipway.naming import INSTANCE, instance
from slipway.objects import dig
from slipway.ops.cluster import connection
from slipway.ops.cluster.connection import StackCluster
from slipway.ops.program import config, engine_state
from slipway.ops.program.engine_state import EngineError, State
from slipway.ops.program.recorder import stack_config
from slipway.project import PROJECT

POLL_SECONDS = 5


class DamagedLockError(EngineError):
    """A lock does not say whose it is; the message names its file and the way out."""


@dataclass(frozen=True)
class Lock:
    """A lock on the state of a stack, as the engine writes it."""

    user: str
    host: str
    pid: int
    since: str

    @property
    def is_stale(self) -> bool:
        """Whether the update it was for is gone. A lock of another machine is never stale: we cannot look there."""
        return self.host == gethostname() and not _is_engine(self.pid)

    @property
    def text(self) -> str:
        """Return by whom and since when the state is locked."""
        condition = "gone" if self.is_stale else "running"
        return f"by an update that is {condition}: {self.user}@{self.host}, process {self.pid}, since {self.since}"


@dataclass(frozen=True)
class PendingOperation:
    """An operation of which the state does not know the end."""

    operation: str
    urn: str
    id: str | None
    """The provider's id of the object, if the operation was to create it and it exists."""

    @property
    def text(self) -> str:
        """Return the object, and what becomes of it."""
        _, _, types, name = self.urn.split("::")
        operation = f"{self.operation} {types.rpartition(':')[2]}/{name}"
        if self.operation != "creating":
            return f"{operation}: to be read again"
        return f"{operation}: {'it exists, to be added to the state' if self.id else 'not done, to be dropped'}"


def command(stack: str, *, fix: bool) -> int:
    """Report what is wrong with the state, and repair it if asked to. Returns the exit code: 0 if nothing is wrong."""
    stack_config(stack)  # an unknown stack is refused before anything is done
    locks = state_locks(stack)
    if any(not lock.is_stale for lock in locks):
        _print(stack, [f"locked {lock.text}. If it is not, `pulumi cancel -s {stack}`" for lock in locks])
        return 1
    state = engine_state.export(stack)
    operations = pending(state, _cluster(stack)) if engine_state.pending_operations(state) else []
    created = {operation.urn: operation.id for operation in operations if operation.id}
    repaired, jobs = engine_state.undo_job_replacements(engine_state.resolve_pending(state, created))
    _print(stack, [f"locked {lock.text}" for lock in locks])
    _print(stack, [operation.text for operation in operations])
    _print(stack, [f"{_describe_job(job)}: to be deleted" for job in jobs])
    if not locks and not operations and not jobs:
        return _report_failed_objects(stack, state)
    if not fix:
        _print(stack, [f"to put it right: ./slipway doctor --fix -s {stack}"])
        return 1
    if locks:
        engine_state.pulumi("cancel", "--yes", "-s", stack)
    if operations or jobs:
        _restore(stack, repaired, jobs)
    if operations:
        engine_state.pulumi("refresh", "--yes", "--skip-preview", "-s", stack)
    _print(stack, [f"the state is in order again. Next: ./slipway up -s {stack}"])
    return 0


def _report_failed_objects(stack: str, state: State) -> int:
    """Report the objects that failed when they were created; no repair helps them. Returns the exit code."""
    failed = engine_state.failed(state)
    _print(stack, [f"{name} has failed: {reasons[0].splitlines()[0]}" for name, reasons in failed.items()])
    if failed:
        _print(stack, [f"the next ./slipway up -s {stack} tries that again; the cause is not in the state"])
        return 1
    _print(stack, ["the state is in order"])
    return 0


def settle_jobs(stack: str, state: State) -> State:
    """Delete the newer of two Jobs, so that an update can go to any release. Returns the repaired state."""
    repaired, jobs = engine_state.undo_job_replacements(state)
    if jobs:
        _print(stack, [f"{_describe_job(job)}: it is deleted" for job in jobs])
        _restore(stack, repaired, jobs)
    return repaired


def backend() -> str:
    """Return the URL under which the engine keeps its states. Raises `EngineError` without an engine or a login."""
    return json.loads(engine_state.pulumi("whoami", "--json"))["url"]


def state_locks(stack: str) -> list[Lock]:
    """Return the locks on a state in files; other backends report theirs when they are asked for an update.

    Raises `DamagedLockError` if one cannot be read.
    """
    address = urlsplit(backend())
    if address.scheme != "file":
        return []
    files = Path(unquote(address.path), ".pulumi", "locks").glob(f"*/{PROJECT}/{stack}/*.json")
    return [_read_lock(stack, file) for file in sorted(files) if not file.is_dir()]  # the engine ignores folders, too


def _read_lock(stack: str, file: Path) -> Lock:
    content = b""
    try:
        content = file.read_bytes()
        data = json.loads(content)
        return Lock(data["username"], data["hostname"], int(data["pid"]), data["timestamp"])
    except OSError as error:
        damage = error.strerror or type(error).__name__
    except KeyError as error:
        damage = f"no {error} in it"
    except (ValueError, TypeError, RecursionError):
        damage = "no lock that the engine writes" if content else "it is empty"
    raise DamagedLockError(
        f"the lock {file} of stack {stack} cannot be read: {damage}. It does not tell whose it is, and the engine "
        f"starts no update until it is gone. If no update of {stack} runs, on this machine or another: "
        f"`pulumi cancel -s {stack}`, then ./slipway doctor -s {stack}"
    )


def pending(state: State, cluster: StackCluster) -> list[PendingOperation]:
    """Return the operations without a known end; those that were to create an object, with its id if it exists."""
    return [
        PendingOperation(
            operation["type"],
            operation["resource"]["urn"],
            _created_id(operation["resource"], cluster) if operation["type"] == "creating" else None,
        )
        for operation in engine_state.pending_operations(state)
    ]


def _created_id(resource: dict[str, Any], cluster: StackCluster) -> str | None:
    """Return the id of a Kubernetes object if it exists and belongs to this stack: then the operation created it."""
    manifest: dict[str, Any] = resource.get("inputs") or {}
    name = dig(manifest, "metadata.name")
    if not resource["type"].startswith("kubernetes:") or not name:
        return None
    present = cluster.get(manifest["apiVersion"], manifest["kind"], name)
    if dig(present, "metadata.labels", INSTANCE) != instance(cluster.stack):
        return None
    namespace = dig(present, "metadata.namespace")
    return f"{namespace}/{name}" if namespace else name


def _restore(stack: str, repaired: State, jobs: Sequence[str]) -> None:
    """Import the repaired state, and delete these Jobs once they have ended, by themselves or by their deadline."""
    cluster = _cluster(stack)
    engine_state.restore(stack, repaired)  # refused while an update runs; then no Job is deleted
    for job in jobs:
        while dig(cluster.get("batch/v1", "Job", job), "status.active"):
            _print(stack, [f"Job/{job} still runs; waiting for it"])
            time.sleep(POLL_SECONDS)
        cluster.delete("batch/v1", "Job", job)


def _print(stack: str, messages: Sequence[str]) -> None:
    for message in messages:
        typer.echo(f"{stack}: {message}", err=True)


def _describe_job(job: str) -> str:
    return f"Job/{job} is left from an update that did not finish, beside its predecessor"


def _cluster(stack: str) -> StackCluster:
    return connection.connect(stack, config.settings(stack))


def _is_engine(pid: int) -> bool:
    """Whether that process is still the engine: another program may have got its number since."""
    command = ["ps", "-p", str(pid), "-o", "comm="]
    return "pulumi" in subprocess.run(command, capture_output=True, text=True, check=False).stdout
