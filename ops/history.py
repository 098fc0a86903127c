"""`./slipway history`: what was deployed when, by whom, and what came of it.

Two sources are joined by time: the releases the cluster keeps records of (infra/releases.py), and the updates the
engine remembers, failed ones too. Where one of them cannot be asked, the other is told, and what is missing.

`--json` prints, the newest first, and keys are only ever added to it:

    {"stack": "prod", "missing": [], "history": [{
      "revision": "0a1b2c3d",         what `rollback` takes; "" for an update that left no record, or none any more
      "inForce": true,
      "result": "succeeded",          or what the engine calls it: failed, in-progress; withdrawn: a bad canary
      "at": "2026-11-21T08:35:23Z",   when it began; of a release the engine knows nothing of: when it was complete
      "by": "Jane Doe",
      "commit": "72015a6e",
      "image": "repository:tag@sha256:...",
      "config": "4e5f6a7b",           the same for two releases that differ in the image alone
      "message": "back to release 0a1b2c3d"
    }]}
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import typer
from image import parts
from releases import Release
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from settings import PROJECT
from stack_file import CANDIDATE, RELEASE

from ops import engine_state
from ops.engine_state import NoState
from ops.recorder import stack_config
from ops.rollback import NoRelease, recorded

_DIGEST_SHOWN = 12


@dataclass(frozen=True)
class Update:
    """One `pulumi up` that the engine remembers."""

    begin: datetime
    end: datetime
    result: str
    message: str
    by: str
    commit: str
    revision: str
    """Which release it went back to; empty for an update that was none."""
    changed: bool
    is_canary: bool = False
    """Whether it only tried something beside the release in force."""


@dataclass(frozen=True)
class Row:
    """One line of the history."""

    at: datetime
    result: str = "succeeded"
    revision: str = ""
    in_force: bool = False
    by: str = ""
    commit: str = ""
    image: str = ""
    config: str = ""
    message: str = ""

    def data(self) -> dict[str, Any]:
        """What `--json` prints for it."""
        facts = ("revision", "result", "by", "commit", "image", "config", "message")
        return {"at": f"{self.at:%Y-%m-%dT%H:%M:%SZ}", "inForce": self.in_force, **{f: getattr(self, f) for f in facts}}


def command(stack: str, *, as_json: bool) -> None:
    """Print it; what cannot be had is told on stderr."""
    stack_config(stack)  # an unknown stack is refused before anything is done
    missing: list[str] = []
    known, updates, present = _known(stack, missing), _updates(stack, missing), _present(stack, missing)
    rows = joined([*known, *([present] if present else [])], updates, present.revision if present else "")
    if as_json:
        told = {"stack": stack, "missing": missing, "history": [row.data() for row in rows]}
        json.dump(told, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _as_table(rows)
    for why in missing:
        typer.echo(f"missing: {why}", err=True)


def _known(stack: str, missing: list[str]) -> list[Release]:
    try:
        return recorded(stack)
    except NoRelease as error:
        missing.append(f"the records of releases: {error}")
        return []


def _updates(stack: str, missing: list[str]) -> list[Update]:
    try:
        return updates_in(json.loads(engine_state.pulumi("stack", "history", "--json", "-s", stack)))
    except NoState as error:
        missing.append(f"failed updates: {error}")
        return []


def _present(stack: str, missing: list[str]) -> Release | None:
    try:
        return engine_state.in_force(engine_state.export(stack))
    except NoState as error:
        missing.append(f"which release is in force: {error}")
        return None


def updates_in(history: Iterable[dict[str, Any]]) -> list[Update]:
    """The updates in what `pulumi stack history --json` prints."""
    return [_update(entry) for entry in history if entry["kind"] == "update"]


def _update(entry: dict[str, Any]) -> Update:
    environment = entry.get("environment") or {}
    given = entry.get("config") or {}
    is_canary = f"{PROJECT}:{CANDIDATE}" in given
    # What a canary stands beside is no release gone back to.
    went_back = {} if is_canary else given.get(f"{PROJECT}:{RELEASE}") or {}
    named: Any = went_back.get("objectValue") or json.loads(went_back.get("value") or "{}")
    head = str(environment.get("git.head", ""))[:8]
    begin = _moment(entry["startTime"])
    return Update(
        begin=begin,
        end=_moment(entry["endTime"]) if entry.get("endTime") else begin,
        result=str(entry.get("result", "")),
        # Without one of its own, the engine takes the subject of the commit.
        message=str(entry.get("message", "")),
        by=str(environment.get("git.author", "")),
        commit=f"{head}-dirty" if environment.get("git.dirty") == "true" else head,
        revision=str(named.get("revision", "")),
        changed=bool((entry.get("resourceChanges") or {}).keys() - {"same"}),
        is_canary=is_canary,
    )


def _moment(text: str) -> datetime:
    """The engine writes `2026-11-21T08:35:23.000Z`."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def joined(known: Iterable[Release], updates: Sequence[Update], in_force: str) -> list[Row]:
    """The newest first. A release belongs to the update during which it was recorded.

    An update that went well, changed nothing that is recorded and is no way back is left out.
    """
    by_revision = {release.revision: release for release in known}
    left = dict(by_revision)
    rows: list[Row] = []
    for update in _with_outcome(updates):
        made = next((one for one in left.values() if one.at and update.begin <= _moment(one.at) <= update.end), None)
        if made:
            del left[made.revision]
        if made or update.revision or update.changed or update.result != "succeeded":
            rows.append(_row(update, made or by_revision.get(update.revision)))
    rows += [_of_record(release) for release in left.values() if release.at]
    rows.sort(key=lambda row: row.at, reverse=True)
    latest = next((row for row in rows if row.revision == in_force and row.result == "succeeded"), None)
    return [replace(row, in_force=bool(in_force) and row is latest) for row in rows]


def _with_outcome(updates: Sequence[Update]) -> Iterator[Update]:
    """The canaries that were followed by the way back are withdrawn, whatever the engine says of the update itself."""
    after: Update | None = None
    for update in updates:
        withdrawn = update.is_canary and update.result == "succeeded" and after and after.revision
        yield replace(update, result="withdrawn") if withdrawn else update
        after = update


def _row(update: Update, release: Release | None) -> Row:
    row = Row(update.begin, update.result, update.revision, False, update.by, update.commit, message=update.message)
    if release is None:
        return row
    found = _of_record(release)
    return replace(found, at=update.begin, result=update.result, by=found.by or update.by, message=update.message)


def _of_record(release: Release) -> Row:
    return Row(
        at=_moment(release.at),
        revision=release.revision,
        by=release.by,
        commit=release.commit,
        image=release.image,
        config=release.config_hash,
    )


def _as_table(rows: Sequence[Row]) -> None:
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 1000)
    if not rows:
        console.print("nothing is recorded")
        return
    table = Table("", "revision", "when (UTC)", "who", "commit", "image", "config", "result", "message", box=None)
    for row in rows:
        style = "red" if row.result in ("failed", "withdrawn") else "bold" if row.in_force else ""
        _, tag, digest = parts(row.image)
        image = f"{tag} {digest.removeprefix('sha256:')[:_DIGEST_SHOWN]}".strip()
        cells = (
            "*" if row.in_force else "",
            row.revision or "-",
            f"{row.at:%Y-%m-%d %H:%M:%S}",
            row.by,
            row.commit,
            image,
            row.config,
            row.result,
            row.message,
        )
        table.add_row(*map(escape, cells), style=style)
    console.print(table)
