"""`./slipway history`: what was deployed when, by whom, and with what result.

Joins two sources by time: the releases that the cluster has records of (infra/slipway/releases.py), and the updates
that the engine remembers, failed ones too. Where one cannot be read, the other is shown, and what is missing.

`--json` prints, the newest first; keys are only ever added to it:

    {"stack": "prod", "missing": [], "history": [{
      "revision": "0a1b2c3d",         argument of `rollback`; "" for an update without a record
      "inForce": true,
      "result": "succeeded",          or as the engine calls it: failed, in-progress; withdrawn: a bad canary
      "at": "2026-11-21T08:35:23Z",   start of the update; of a release without one: when it was complete
      "by": "Jane Doe",
      "commit": "72015a6e",
      "image": "repository:tag@sha256:...",              "" for a stack with several
      "images": {"api": "repository:tag@sha256:..."},    all of them by name
      "config": "4e5f6a7b",           the same for two releases that differ in the image alone
      "message": "rollback to release 0a1b2c3d",
      "override": "",                 why it was deployed although an error budget was burnt
      "overrides": {"freeze": "..."}, the same for all that stood against it, by what it was
      "imageCommit": ""               the commit that promoted images were built from, where it is known
    }]}
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import typer

from slipway.image.reference import parts
from slipway.ops.program import engine_history, engine_state
from slipway.ops.program.engine_history import BUDGET, Update, moment, overridden
from slipway.ops.program.engine_state import EngineError
from slipway.ops.program.recorder import stack_config
from slipway.ops.releases.rollback import UnknownReleaseError, recorded
from slipway.ops.terminal.tables import table
from slipway.releases import Release

_DIGEST_SHOWN = 12


@dataclass(frozen=True)
class HistoryRow:
    """One line of the history."""

    at: datetime
    result: str = "succeeded"
    revision: str = ""
    in_force: bool = False
    by: str = ""
    commit: str = ""
    image: str = ""
    images: Mapping[str, str] = field(default_factory=dict[str, str])
    config: str = ""
    message: str = ""
    overrides: Mapping[str, str] = field(default_factory=dict[str, str])
    image_commit: str = ""

    @property
    def override(self) -> str:
        """Return why it was deployed although an error budget was burnt; empty if none was."""
        return self.overrides.get(BUDGET, "")

    def data(self) -> dict[str, Any]:
        """Return the row as `--json` prints it."""
        facts = ("revision", "result", "by", "commit", "image", "images", "config", "message", "override")
        return {
            "at": f"{self.at:%Y-%m-%dT%H:%M:%SZ}",
            "inForce": self.in_force,
            **{fact: getattr(self, fact) for fact in facts},
            "overrides": dict(self.overrides),
            "imageCommit": self.image_commit,
        }


def command(stack: str, *, as_json: bool) -> None:
    """Print the history; report on stderr what is missing."""
    stack_config(stack)  # an unknown stack is refused before anything is done
    missing: list[str] = []
    known, updates, present = _known(stack, missing), _updates(stack, missing), _in_force(stack, missing)
    rows = join([*known, *([present] if present else [])], updates, present.revision if present else "")
    if as_json:
        json.dump({"stack": stack, "missing": missing, "history": [row.data() for row in rows]}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _as_table(rows)
    for reason in missing:
        typer.echo(f"missing: {reason}", err=True)


def _known(stack: str, missing: list[str]) -> list[Release]:
    try:
        return recorded(stack)
    except UnknownReleaseError as error:
        missing.append(f"the records of releases: {error}")
        return []


def _updates(stack: str, missing: list[str]) -> list[Update]:
    try:
        return engine_history.updates(stack)
    except EngineError as error:
        missing.append(f"failed updates: {error}")
        return []


def _in_force(stack: str, missing: list[str]) -> Release | None:
    try:
        return engine_state.in_force(engine_state.export(stack))
    except EngineError as error:
        missing.append(f"which release is in force: {error}")
        return None


def join(known: Iterable[Release], updates: Sequence[Update], in_force: str) -> list[HistoryRow]:
    """Return the rows, the newest first. A release belongs to the update during which it was recorded.

    Leaves out an update that succeeded, changed nothing that is recorded and is no rollback.
    """
    by_revision = {release.revision: release for release in known}
    without_update = dict(by_revision)
    rows: list[HistoryRow] = []
    for update in _with_withdrawn(updates):
        release = next((kept for kept in without_update.values() if _is_of(kept, update)), None)
        if release:
            del without_update[release.revision]
        if release or update.revision or update.changed or update.result != "succeeded":
            rows.append(_row(update, release or by_revision.get(update.revision)))
    rows += [_of_record(release) for release in without_update.values() if release.at]
    rows.sort(key=lambda row: row.at, reverse=True)
    latest = next((row for row in rows if row.revision == in_force and row.result == "succeeded"), None)
    return [replace(row, in_force=bool(in_force) and row is latest) for row in rows]


def _is_of(release: Release, update: Update) -> bool:
    return bool(release.at) and update.begin <= moment(release.at) <= update.end


def _with_withdrawn(updates: Sequence[Update]) -> Iterator[Update]:
    """Give canaries that were followed by a rollback the result `withdrawn`: for the engine their update succeeded."""
    following: Update | None = None
    for update in updates:  # the newest first
        is_withdrawn = update.is_canary and update.result == "succeeded" and following and following.revision
        yield replace(update, result="withdrawn") if is_withdrawn else update
        following = update


def _row(update: Update, release: Release | None) -> HistoryRow:
    if release is None:
        return HistoryRow(
            update.begin,
            update.result,
            update.revision,
            by=update.by,
            commit=update.commit,
            message=update.message,
            overrides=update.overrides,
        )
    row = _of_record(release)
    overrides = {**row.overrides, **update.overrides}
    return replace(
        row, at=update.begin, result=update.result, by=row.by or update.by, message=update.message, overrides=overrides
    )


def _of_record(release: Release) -> HistoryRow:
    overrides = {**({BUDGET: release.override} if release.override else {}), **release.overrides}
    return HistoryRow(
        at=moment(release.at),
        revision=release.revision,
        by=release.by,
        commit=release.commit,
        image=release.image,
        images=release.images,
        config=release.config_hash,
        message=overridden(overrides),
        overrides=overrides,
        image_commit=release.image_commit,
    )


def _as_table(rows: Sequence[HistoryRow]) -> None:
    if not rows:
        sys.stdout.write("nothing is recorded\n")
        return
    head = ("", "revision", "when (UTC)", "who", "commit", "image", "config", "result", "message")
    styles = ["red" if row.result in ("failed", "withdrawn") else "bold" if row.in_force else "" for row in rows]
    sys.stdout.write(table(map(_cells, rows), head, styles))


def _cells(row: HistoryRow) -> tuple[str, ...]:
    image = _shown(row.image) or ", ".join(f"{name} {_shown(image)}" for name, image in row.images.items())
    mark, revision, at = "*" if row.in_force else "", row.revision or "-", f"{row.at:%Y-%m-%d %H:%M:%S}"
    return mark, revision, at, row.by, row.commit, image, row.config, row.result, row.message


def _shown(reference: str) -> str:
    """Return the tag and the start of the digest of an image."""
    _, tag, digest = parts(reference)
    return f"{tag} {digest.removeprefix('sha256:')[:_DIGEST_SHOWN]}".strip()
