"""`./slipway history --figures`: the four DORA figures of a stack, from the updates and releases that are recorded.

A deployment is an update that was to bring another release: no rollback, and no canary that was followed by its update.
It failed if its rollout failed, its canary was withdrawn, or a rollback is what followed it. It is restored when the
rollback, or the next deployment that succeeded, was complete. docs/promotion.md has the definitions.

`--json` prints, and keys are only ever added to it; null: nothing to count:

    {"stack": "prod", "days": 30, "deployments": 12, "deploymentsPerWeek": 2.8, "leadTimeHours": 5.25,
     "failedDeployments": 1, "changeFailureRate": 0.083, "restoreMinutes": 2.4, "withoutCommit": 0}
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import typer

from slipway.ops.program import engine_history
from slipway.ops.program.engine_history import Update, moment
from slipway.ops.program.recorder import stack_config
from slipway.ops.releases.rollback import UnknownReleaseError, recorded
from slipway.project import git
from slipway.releases import Release

CommitTime = Callable[[str], datetime | None]


@dataclass(frozen=True)
class Deployment:
    """One deployment of a stack."""

    begin: datetime
    end: datetime
    commit: str = ""
    """The commit of its images, where it is known."""
    failed: bool = False
    restored: datetime | None = None
    """When a failed one was made good; None if it was not yet."""


def command(stack: str, days: int, *, as_json: bool) -> None:
    """Print the figures of the last days."""
    stack_config(stack)  # an unknown stack is refused before anything is done
    try:
        known = recorded(stack)
    except UnknownReleaseError as error:
        known = []
        typer.echo(f"missing: the commits of promoted images: {error}", err=True)
    since = datetime.now(UTC) - timedelta(days=days)
    found = deployments(engine_history.updates(stack), known)
    data = figures([deployment for deployment in found if deployment.begin >= since], days, commit_time)
    if as_json:
        json.dump({"stack": stack, "days": days, **data}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(_text(stack, days, data))


def deployments(updates: Sequence[Update], known: Sequence[Release]) -> list[Deployment]:
    """Return the deployments, the oldest first. `updates` are those of the engine, the newest first."""
    found: list[Deployment] = []
    for update in _counted(updates):
        is_good = update.result == "succeeded"
        if update.revision:
            if found and is_good:
                found[-1] = replace(found[-1], failed=True, restored=found[-1].restored or update.end)
            continue
        if is_good:
            found = [_made_good(deployment, update.end) for deployment in found]
        found.append(Deployment(update.begin, update.end, _commit(update, known), failed=not is_good))
    return found


def _counted(updates: Sequence[Update]) -> Iterator[Update]:
    """Yield the updates that count, the oldest first: those that changed something, ended, and are no rehearsal.

    A canary counts if a rollback followed it, which withdrew it: as a deployment that failed.
    """
    following: Update | None = None
    chosen: list[Update] = []
    for update in updates:
        is_withdrawn = update.is_canary and following is not None and following.revision
        is_rehearsal = "rehearsal" in update.message and bool(update.revision)
        if is_withdrawn:
            chosen.append(replace(update, result="withdrawn"))
        elif not update.is_canary and not is_rehearsal and _has_ended(update):
            chosen.append(update)
        following = update
    yield from reversed(chosen)


def _has_ended(update: Update) -> bool:
    return update.result != "in-progress" and (update.changed or update.result != "succeeded")


def _made_good(deployment: Deployment, at: datetime) -> Deployment:
    """Return a deployment, restored at that time if it had failed and was not yet."""
    return replace(deployment, restored=at) if deployment.failed and not deployment.restored else deployment


def _commit(update: Update, known: Sequence[Release]) -> str:
    """Return the commit of the images that an update deployed: that of its record, else the one it was made from."""
    of_update = [release for release in known if release.at and update.begin <= moment(release.at) <= update.end]
    return (of_update[0].image_commit or of_update[0].commit) if of_update else update.commit


def figures(found: Sequence[Deployment], days: int, committed: CommitTime) -> dict[str, Any]:
    """Return the figures of the deployments of so many days; None where there is nothing to count."""
    failed = [deployment for deployment in found if deployment.failed]
    good = [deployment for deployment in found if not deployment.failed]
    times = {deployment: committed(deployment.commit) for deployment in good}
    leads = [(deployment.end - time) / timedelta(hours=1) for deployment, time in times.items() if time]
    restores = [(entry.restored - entry.begin) / timedelta(minutes=1) for entry in failed if entry.restored]
    return {
        "deployments": len(found),
        "deploymentsPerWeek": round(len(good) * 7 / days, 2),
        "leadTimeHours": round(median(leads), 2) if leads else None,
        "failedDeployments": len(failed),
        "changeFailureRate": round(len(failed) / len(found), 3) if found else None,
        "restoreMinutes": round(median(restores), 1) if restores else None,
        "withoutCommit": len(good) - len(leads),
    }


def commit_time(commit: str) -> datetime | None:
    """Return when a commit was made; None if it had uncommitted changes, or is not in this clone."""
    if not commit or commit.endswith("-dirty"):
        return None
    shown = ("--no-patch", "--no-show-signature", "--format=%cI", f"{commit}^{{commit}}")
    time = git("show", *shown)
    return datetime.fromisoformat(time) if time else None


def _text(stack: str, days: int, data: dict[str, Any]) -> str:
    lead = _of(data["leadTimeHours"], "h (median, from commit to complete rollout)")
    if data["withoutCommit"]:
        lead += f"; {data['withoutCommit']} without a known commit"
    rate = data["changeFailureRate"]
    share = "none" if rate is None else f"{100 * rate:.0f} % ({data['failedDeployments']} of {data['deployments']})"
    rows = {
        "deployment frequency": f"{data['deploymentsPerWeek']:g} a week",
        "lead time for changes": lead,
        "change failure rate": share,
        "time to restore": _of(data["restoreMinutes"], "min (median)"),
    }
    lines = [f"{stack}, the last {days} days", *(f"  {name:22} {text}" for name, text in rows.items())]
    return "\n".join([*lines, ""])


def _of(value: float | None, unit: str) -> str:
    return "none" if value is None else f"{value:g} {unit}"
