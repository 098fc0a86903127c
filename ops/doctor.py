"""`./slipway doctor`: what an update that was killed leaves behind, and the way out of it.

Three things only: a lock that nobody holds any more; operations of which the state does not know how they ended; and
Jobs made anew while the former ones are there. An object that an operation has made is taken into the state, one that
it has not made is forgotten. Of two Jobs the latter is taken away: an update back to the release in force would want to
make the former, and be told that it exists. An object that failed when it was made is reported: the next update tries
it again.
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
from naming import INSTANCE, instance

from ops import cluster, config, engine_state
from ops.cluster import Cluster, at
from ops.engine_state import NoState, State
from ops.recorder import stack_config

POLL_SECONDS = 5


class DamagedLockError(NoState):
    """A lock does not tell whose it is; the message says which, and the way out."""


@dataclass(frozen=True)
class Lock:
    """Who holds the state of a stack, as the engine writes it down."""

    user: str
    host: str
    pid: int
    since: str

    @property
    def is_left_behind(self) -> bool:
        """Whether the engine it was for is gone. Of another machine nobody can tell from here."""
        return self.host == gethostname() and not _is_engine(self.pid)

    @property
    def told(self) -> str:
        """By whom and since when."""
        is_what = "gone" if self.is_left_behind else "running"
        return f"by an update that is {is_what}: {self.user}@{self.host}, process {self.pid}, since {self.since}"


@dataclass(frozen=True)
class Pending:
    """An operation the state has no end of."""

    operation: str
    urn: str
    id: str | None
    """What the provider calls the object, if the operation was to make it and it is there."""

    @property
    def told(self) -> str:
        """Which object, and what becomes of it."""
        _, _, types, name = self.urn.split("::")
        what = f"{self.operation} {types.rpartition(':')[2]}/{name}"
        if self.operation != "creating":
            return f"{what}: to be read anew"
        return f"{what}: {'it is there, to be taken into the state' if self.id else 'not done, to be forgotten'}"


def command(stack: str, *, fix: bool) -> int:
    """Tell what is wrong with the state, and put it right if asked to. The exit code: 0 if nothing is wrong now."""
    stack_config(stack)  # an unknown stack is refused before anything is done
    locks = held(stack)
    if any(not lock.is_left_behind for lock in locks):
        for lock in locks:
            typer.echo(f"{stack}: locked {lock.told}. If it is not, `pulumi cancel -s {stack}`", err=True)
        return 1
    state = engine_state.export(stack)
    waiting = pending(state, _cluster(stack)) if _operations(state) else []
    settled = engine_state.settled(state, {one.urn: one.id for one in waiting if one.id})
    repaired, jobs = engine_state.with_former_jobs(settled)
    for lock in locks:
        typer.echo(f"{stack}: locked {lock.told}", err=True)
    for one in waiting:
        typer.echo(f"{stack}: {one.told}", err=True)
    for job in jobs:
        typer.echo(f"{stack}: {_told(job)}: to be taken away", err=True)
    if not locks and not waiting and not jobs:
        return _without_repairs(stack, state)
    if not fix:
        typer.echo(f"{stack}: to put it right: ./slipway doctor --fix -s {stack}", err=True)
        return 1
    if locks:
        engine_state.pulumi("cancel", "--yes", "-s", stack)
    if waiting or jobs:
        _restore(stack, repaired, jobs)
    if waiting:
        engine_state.pulumi("refresh", "--yes", "--skip-preview", "-s", stack)
    typer.echo(f"{stack}: the state is in order again. Next: ./slipway up -s {stack}", err=True)
    return 0


def _without_repairs(stack: str, state: State) -> int:
    """Report what failed when it was made; nothing in the state can be repaired. Return the exit code."""
    failed = engine_state.failed(state)
    for name, reasons in failed.items():
        typer.echo(f"{stack}: {name} has failed: {reasons[0].splitlines()[0]}", err=True)
    if failed:
        typer.echo(
            f"{stack}: the next ./slipway up -s {stack} tries that again; the cause is not in the state", err=True
        )
        return 1
    typer.echo(f"{stack}: the state is in order", err=True)
    return 0


def settle_jobs(stack: str, state: State) -> State:
    """A state from which an update can go to any release: of two Jobs the latter is taken away, and that is told."""
    repaired, jobs = engine_state.with_former_jobs(state)
    if jobs:
        for job in jobs:
            typer.echo(f"{stack}: {_told(job)}: it is taken away", err=True)
        _restore(stack, repaired, jobs)
    return repaired


def backend() -> str:
    """Where the engine keeps its states; `NoState` without an engine or a login."""
    return json.loads(engine_state.pulumi("whoami", "--json"))["url"]


def held(stack: str) -> list[Lock]:
    """Return the locks on a state in files, where `DamagedLockError` may come; other backends tell of theirs."""
    address = urlsplit(backend())
    if address.scheme != "file":
        return []
    found = Path(unquote(address.path), ".pulumi", "locks").glob(f"*/*/{stack}/*.json")
    return [_lock(stack, file) for file in sorted(found) if not file.is_dir()]  # for the engine a folder is no lock


def _lock(stack: str, file: Path) -> Lock:
    content = b""
    try:
        content = file.read_bytes()
        text = json.loads(content)
        return Lock(text["username"], text["hostname"], int(text["pid"]), text["timestamp"])
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


def pending(state: State, found: Cluster) -> list[Pending]:
    """The operations without an end, with what the cluster says of each."""
    return [
        Pending(
            one["type"], one["resource"]["urn"], _made(one["resource"], found) if one["type"] == "creating" else None
        )
        for one in _operations(state)
    ]


def _made(resource: dict[str, Any], found: Cluster) -> str | None:
    """The id of a Kubernetes object of this stack that is there. One with another owner was not made by us."""
    wanted: dict[str, Any] = resource.get("inputs") or {}
    name = at(wanted, "metadata", "name")
    if not resource["type"].startswith("kubernetes:") or not name:
        return None
    present = found.one(wanted["apiVersion"], wanted["kind"], name)
    if at(present, "metadata", "labels", INSTANCE) != instance(found.stack):
        return None
    namespace = at(present, "metadata", "namespace")
    return f"{namespace}/{name}" if namespace else name


def _restore(stack: str, repaired: State, jobs: Sequence[str]) -> None:
    """The state, and without these Jobs: once they have ended, by themselves or by their deadline."""
    found = _cluster(stack)
    engine_state.restore(stack, repaired)  # refused while an update runs; then nothing is taken away
    for job in jobs:
        while at(found.one("batch/v1", "Job", job), "status", "active"):
            typer.echo(f"{stack}: Job/{job} still runs, and is waited for", err=True)
            time.sleep(POLL_SECONDS)
        found.delete("batch/v1", "Job", job)


def _told(job: str) -> str:
    return f"Job/{job}, of an update without an end, while the one before is there"


def _cluster(stack: str) -> Cluster:
    return cluster.connect(stack, config.settings(stack))


def _operations(state: State) -> list[dict[str, Any]]:
    return state["deployment"].get("pending_operations") or []


def _is_engine(pid: int) -> bool:
    """Whether that process is still the engine, and no other that has got its number since."""
    command = ["ps", "-p", str(pid), "-o", "comm="]
    return "pulumi" in subprocess.run(command, capture_output=True, text=True, check=False).stdout
