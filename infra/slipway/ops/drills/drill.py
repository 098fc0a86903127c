"""`./slipway drill`: put a fault into a running stack under traffic, take it out again, and write a report."""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType

import pulumi
import typer

from slipway import files
from slipway.files import FileError
from slipway.ops import signals
from slipway.ops.cluster import connection
from slipway.ops.cluster.connection import ClusterError, RefusedError, StackCluster
from slipway.ops.cluster.snapshot import take_snapshot
from slipway.ops.diagnosis import locks, status
from slipway.ops.drills import report
from slipway.ops.drills.catalogue import DRILLS, Drill
from slipway.ops.drills.context import DrillContext, ExpectationError, RestoreError, why_unsettled
from slipway.ops.drills.report import Report, markdown
from slipway.ops.drills.traffic import Target, Traffic
from slipway.ops.errors import UserError
from slipway.ops.program import config
from slipway.ops.program.engine_state import EngineError
from slipway.ops.program.recorder import stack_config
from slipway.project import ROOT
from slipway.settings.settings import Settings
from slipway.settings.tiers import TIERS

# Signs the certificate of the local stack.
AUTHORITY = ROOT / ".slipway" / "ca.crt"
EVERY = "all"
BEFORE_SECONDS, AFTER_SECONDS = 15, 3
SETTLE_SECONDS = 120


STOPPED_BY_HAND = "it was stopped by hand"
DRILL_ERRORS = (ExpectationError, RestoreError, ClusterError, RefusedError, EngineError, pulumi.RunError)
"""The errors that end a drill early, with a report."""


class DrillError(UserError):
    """Why there is no drill now, or not here."""


def command(name: str, stack: str, *, as_json: bool) -> int:
    """Run a drill, or all that are possible on the stack.

    Returns the exit code: 0 if all have passed, 1 if not. Raises `DrillError` if none may be run.
    """
    stack_config(stack)  # an unknown stack is refused before anything is done
    settings = config.settings(stack)
    if not TIERS[settings.tier].allows_drills:
        tiers = ", ".join(name for name, tier in TIERS.items() if tier.allows_drills)
        raise DrillError(
            f"stack {stack} is of tier {settings.tier}; drills break things, so only these tiers take them: {tiers}"
        )
    drills, service = select_drills(name), exposed_service(stack, settings)
    cluster = connection.connect(stack, settings)
    # However a drill is ended, things are put back; also by Ctrl-C where the shell had it ignored.
    with _exclusive(), signals.handled(signals.ENDS, _interrupt):
        reports = _run_all(drills, cluster, service, as_json=as_json)
    if as_json:
        data = {"drills": [report.data() for report in reports]}
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    return 0 if reports and all(report.passed for report in reports) else 1


def _run_all(drills: list[Drill], cluster: StackCluster, service: str, *, as_json: bool) -> list[Report]:
    reports: list[Report] = []
    for drill in drills:
        require_settled(cluster)
        if reason := unmet_requirement(drill, cluster, service):
            if len(drills) == 1:
                raise DrillError(f"{drill.name} cannot be done on stack {cluster.stack}: {reason}")
            typer.echo(f"{drill.name} is left out: {reason}", err=True)
            continue
        reports.append(run(drill, cluster, service))
        _save(reports[-1], as_json=as_json)
        if reports[-1].ended_by == STOPPED_BY_HAND:
            break
    return reports


def listing() -> str:
    """Return every drill, with what it does and what is expected."""
    width = max(len(drill.name) for drill in DRILLS)
    return "".join(f"{drill.name:{width}}  {drill.does}\n{'':{width}}  {drill.expects}\n" for drill in DRILLS)


def listing_json() -> str:
    """Return the same for programs."""
    drills = [{"drill": drill.name, "does": drill.does, "expects": drill.expects} for drill in DRILLS]
    return json.dumps(drills, indent=2, ensure_ascii=False) + "\n"


def select_drills(name: str) -> list[Drill]:
    """Return the drill of that name, or all. Raises `DrillError` if there is none of that name."""
    selected = [drill for drill in DRILLS if name in (drill.name, EVERY)]
    if not selected:
        raise DrillError(f"there is no drill {name!r}. Drills: {', '.join(drill.name for drill in DRILLS)}, or {EVERY}")
    return selected


def exposed_service(stack: str, settings: Settings) -> str:
    """Return the service that drills are done to: the first one with an ingress."""
    for name, service in settings.services.items():
        if service.ingress:
            return name
    raise DrillError(f"stack {stack} has no service with an ingress, so no user would notice anything")


def target(settings: Settings, service: str) -> Target:
    """Return the address that the traffic goes to."""
    ingress = settings.services[service].ingress
    assert ingress  # noqa: S101 - it is the exposed service
    url = ingress.url_of(settings.services[service].check_path)
    if not (ingress.tls and ingress.tls.secret_files):
        return Target(url)
    if not AUTHORITY.is_file():
        raise DrillError(f"{AUTHORITY.relative_to(ROOT)}, by which {url} is verified, is not there; `make up` makes it")
    return Target(url, AUTHORITY)


def require_settled(cluster: StackCluster) -> None:
    """Raise `DrillError` while the stack is updated or not healthy: a drill would prove nothing then."""
    refused = f"no drill on stack {cluster.stack} now"
    if current_locks := locks.state_locks(cluster.stack):
        raise DrillError(f"{refused}: it is locked {current_locks[0].text}; see ./slipway doctor -s {cluster.stack}")
    if reason := why_unsettled(status.read(cluster, take_snapshot(cluster))):
        raise DrillError(f"{refused}: {reason}; see ./slipway status -s {cluster.stack}")


def unmet_requirement(drill: Drill, cluster: StackCluster, service: str) -> str:
    """Return what the stack lacks for a drill; nothing if it has everything."""
    reasons = (requirement(cluster, service) for requirement in drill.requirements)
    return next(filter(None, reasons), "")


def run(drill: Drill, cluster: StackCluster, service: str) -> Report:
    """Run a drill, put everything back, and return its report."""
    typer.echo(f"{drill.name}: {drill.does}\n{drill.expects}", err=True)
    started, ended_by = datetime.now(UTC), ""
    traffic = Traffic(target(cluster.settings, service), drill.fresh_connections)
    context = DrillContext(cluster, service, traffic)
    try:
        with traffic:
            context.wait_until(context.all_answered(0), BEFORE_SECONDS, "at first all requests are answered with 200")
            ended_by = _act(drill, context)
            healthy = f"./slipway status -s {cluster.stack} is healthy again"
            context.wait_until(context.is_settled, SETTLE_SECONDS, healthy)
            context.pause(AFTER_SECONDS)
    except DRILL_ERRORS as error:
        ended_by = ended_by or str(error)
    except KeyboardInterrupt:
        ended_by = STOPPED_BY_HAND
    _check_traffic(drill, context)
    outcome = (context.checks, context.timeline, traffic.measured())
    return Report(drill, cluster.stack, started, traffic.seconds, *outcome, ended_by)


def _act(drill: Drill, context: DrillContext) -> str:
    """Put the fault in and out; return why that ended early, or nothing."""
    try:
        drill.act(context)
    except DRILL_ERRORS as error:
        context.note(f"ended: {error}")
        return str(error)
    return ""


def _check_traffic(drill: Drill, context: DrillContext) -> None:
    """Check whether users noticed more than they may."""
    measured, accepted = context.traffic.measured(), drill.accepted_answers
    lost = {outcome: count for outcome, count in measured.lost.items() if outcome not in accepted}
    also_right = f"; {', '.join(accepted)} is right meanwhile" if accepted else ""
    limit = f"at most {drill.max_lost} requests are lost" if drill.max_lost else "no request is lost"
    seen = ", ".join(f"{count} {outcome}" for outcome, count in lost.items()) or "none"
    context.check(f"{limit}{also_right}", f"{seen}, of {measured.sent}", passed=sum(lost.values()) <= drill.max_lost)
    if drill.max_outage < float("inf"):
        expected, seen = f"never {drill.max_outage:.0f} s without a 200", f"{measured.outage:.1f} s at the most"
        context.check(expected, seen, passed=measured.outage <= drill.max_outage)


def _save(report: Report, *, as_json: bool) -> None:
    text = markdown(report)
    try:
        files.write({report.file: text})
    except FileError:
        typer.echo(text, err=True)  # the drill took minutes: do not lose its result
        raise
    typer.echo(report.summary(), err=as_json)


@contextmanager
def _exclusive() -> Generator[None]:
    """Raise `DrillError` while another drill runs in this checkout."""
    report.REPORTS.mkdir(parents=True, exist_ok=True)
    with (report.REPORTS / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DrillError("another drill is running; let it end") from None
        yield


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt
