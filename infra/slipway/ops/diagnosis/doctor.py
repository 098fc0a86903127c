"""`./slipway doctor`: find and repair what a killed update leaves behind in the engine's state.

It repairs three things. A lock whose update no longer runs is removed. An operation without a known end is settled: an
object that it has created is added to the state, one that it has not is dropped. Of two Jobs, where an update was
killed between creating one and deleting its predecessor, the newer one is deleted: otherwise an update back to the
release in force would create the older one again, and fail because it exists. An object that failed when it was created
is only reported: the next update tries it again. So is a build of `./slipway dev`, which the next update ends.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import typer

from slipway.naming import INSTANCE, instance
from slipway.objects import dig
from slipway.ops.cluster import connection, dev_build
from slipway.ops.cluster.connection import StackCluster
from slipway.ops.diagnosis import locks
from slipway.ops.program import config, engine_state
from slipway.ops.program.engine_state import State
from slipway.ops.program.recorder import stack_config

POLL_SECONDS = 5


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
    current_locks = locks.state_locks(stack)
    if any(not lock.is_stale for lock in current_locks):
        _print(stack, [f"locked {lock.text}. If it is not, `pulumi cancel -s {stack}`" for lock in current_locks])
        return 1
    state = engine_state.export(stack)
    operations = pending(state, _cluster(stack)) if engine_state.pending_operations(state) else []
    created = {operation.urn: operation.id for operation in operations if operation.id}
    repaired, jobs = engine_state.undo_job_replacements(engine_state.resolve_pending(state, created))
    _print(stack, [f"locked {lock.text}" for lock in current_locks])
    _print(stack, [operation.text for operation in operations])
    _print(stack, [f"{_describe_job(job)}: to be deleted" for job in jobs])
    if not current_locks and not operations and not jobs:
        return _report_failed_objects(stack, state)
    _print(stack, _dev_builds(stack))
    if not fix:
        _print(stack, [f"to put it right: ./slipway doctor --fix -s {stack}"])
        return 1
    if current_locks:
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
    builds = _dev_builds(stack)
    _print(stack, builds or ([] if failed else ["the state is in order"]))
    return 1 if failed or builds else 0


def _dev_builds(stack: str) -> list[str]:
    """Return the Deployments that run a build of `./slipway dev`; none where the cluster cannot be read."""
    try:
        return dev_build.notes(_cluster(stack).items("deployments"), stack)
    except (connection.ClusterError, connection.RefusedError, pulumi.RunError):
        return []


def settle_jobs(stack: str, state: State) -> State:
    """Delete the newer of two Jobs, so that an update can go to any release. Returns the repaired state."""
    repaired, jobs = engine_state.undo_job_replacements(state)
    if jobs:
        _print(stack, [f"{_describe_job(job)}: it is deleted" for job in jobs])
        _restore(stack, repaired, jobs)
    return repaired


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
