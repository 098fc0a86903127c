"""`./slipway drill`: a game day as code. A fault is put into a running stack under traffic, and taken out again.

What came of it is a report: what was done, expected and seen, and what to do when it is no drill.
"""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import files
import pulumi
import typer
from files import FileError
from settings import Settings

from ops import cluster, config, doctor, held, signals, status
from ops.cluster import Cluster, NoCluster, Refused
from ops.drills import DRILLS, Drill
from ops.engine_state import NoState
from ops.recorder import ROOT, stack_config
from ops.stage import Check, NotPutBack, Stage, Unmet, unwell
from ops.traffic import RATE, Measured, Target, Traffic

STACKS = ("local", "dev")
"""Where faults may be put into. Nobody may ever do it to users."""
REPORTS = ROOT / ".slipway" / "drills"
# Who signs what the local stack serves.
AUTHORITY = ROOT / ".slipway" / "ca.crt"
EVERY = "all"
# What anybody may read, and what is read from MySQL each time.
PATH = "/v1/shops"
BEFORE_SECONDS, AFTER_SECONDS = 15, 3
WELL_SECONDS = 120


BY_HAND = "it was stopped by hand"
ENDS = (Unmet, NotPutBack, NoCluster, Refused, NoState, pulumi.RunError)
"""What a drill cannot go on after."""


class NoDrill(Exception):
    """Why there is no drill now, or not here."""


@dataclass(frozen=True)
class Report:
    """What came of a drill."""

    drill: Drill
    stack: str
    started: datetime
    seconds: float
    checks: Sequence[Check]
    timeline: Sequence[tuple[float, str]]
    measured: Measured
    ended_by: str = ""
    """What kept it from going on."""

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.ended_by and all(check.passed for check in self.checks)

    @property
    def verdict(self) -> str:
        """`passed` or `failed`."""
        return "passed" if self.passed else "failed"

    @property
    def runbook(self) -> list[str]:
        """For this stack."""
        return [line.replace("STACK", self.stack) for line in self.drill.runbook]

    @property
    def file(self) -> Path:
        """Where it is kept."""
        return REPORTS / f"{self.drill.name}-{self.started:%Y%m%dT%H%M%SZ}.md"

    @property
    def traffic(self) -> dict[str, Any]:
        """What users noticed."""
        found = self.measured
        return {
            "perSecond": RATE,
            "sent": found.sent,
            "lost": found.lost.total(),
            "lostBy": dict(found.lost),
            "p99Milliseconds": round(1000 * found.p99),
            "slowestMilliseconds": round(1000 * found.slowest),
            "longestOutageSeconds": round(found.outage, 1),
        }

    def data(self) -> dict[str, Any]:
        """What `--json` prints for it."""
        return {
            "drill": self.drill.name,
            "stack": self.stack,
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 1),
            "verdict": self.verdict,
            "endedBy": self.ended_by or None,
            "does": self.drill.does,
            "expects": self.drill.expects,
            "checks": [{"expected": one.expected, "seen": one.seen, "passed": one.passed} for one in self.checks],
            "timeline": [{"seconds": round(when, 1), "what": what} for when, what in self.timeline],
            "traffic": self.traffic,
            "runbook": self.runbook,
            "file": str(self.file.relative_to(ROOT)),
        }


def command(name: str, stack: str, *, as_json: bool) -> int:
    """Do a drill, or all that can be done here; 0 if all have passed, 1 if not. `NoDrill` if none may be done."""
    stack_config(stack)  # an unknown stack is refused before anything is done
    settings = config.settings(stack)
    if stack not in STACKS:
        raise NoDrill(f"a drill breaks what it is done to: {stack} is spared. Stacks for drills: {', '.join(STACKS)}")
    chosen, service = named(name), served(stack, settings)
    found = cluster.connect(stack, settings)
    reports: list[Report] = []
    # However it is ended, things are put back; also by Ctrl-C where that was ignored when it began.
    with _alone(), signals.handled(signals.ENDS, _stop):
        for drill in chosen:
            fit(found)
            if why := lacks(drill, found, service):
                if len(chosen) == 1:
                    raise NoDrill(f"{drill.name} cannot be done on stack {stack}: {why}")
                typer.echo(f"{drill.name} is left out: {why}", err=True)
                continue
            reports.append(do(drill, found, service))
            _keep(reports[-1], as_json=as_json)
            if reports[-1].ended_by == BY_HAND:
                break
    if as_json:
        sys.stdout.write(json.dumps({"drills": [one.data() for one in reports]}, indent=2, ensure_ascii=False) + "\n")
    return 0 if reports and all(one.passed for one in reports) else 1


def listing() -> str:
    """Every drill, with what it does and what is expected."""
    width = max(len(drill.name) for drill in DRILLS)
    return "".join(f"{drill.name:{width}}  {drill.does}\n{'':{width}}  {drill.expects}\n" for drill in DRILLS)


def named(name: str) -> list[Drill]:
    """One, or all; `NoDrill` if there is none of that name."""
    chosen = [drill for drill in DRILLS if name in (drill.name, EVERY)]
    if not chosen:
        raise NoDrill(f"there is no drill {name!r}. Drills: {', '.join(drill.name for drill in DRILLS)}, or {EVERY}")
    return chosen


def served(stack: str, settings: Settings) -> str:
    """The service the drills are done to: the first one that has an address."""
    for name, service in settings.services.items():
        if service.ingress:
            return name
    raise NoDrill(f"stack {stack} has no service with an ingress, so nobody would notice anything")


def target(settings: Settings, service: str) -> Target:
    """What users ask for."""
    ingress = settings.services[service].ingress
    assert ingress  # noqa: S101 - it is served
    url = f"{'https' if ingress.secure else 'http'}://{ingress.host}{PATH}"
    if not (ingress.tls and ingress.tls.secret_files):
        return Target(url)
    if not AUTHORITY.is_file():
        raise NoDrill(f"{AUTHORITY.relative_to(ROOT)}, by which {url} is verified, is not there; `make up` makes it")
    return Target(url, AUTHORITY)


def fit(found: Cluster) -> None:
    """`NoDrill` while somebody updates the stack, or if it is not well: then nothing could be told from a drill."""
    if locks := doctor.held(found.stack):
        told = f"it is locked {locks[0].told}"
        raise NoDrill(f"no drill on stack {found.stack} now: {told}; see ./slipway doctor -s {found.stack}")
    if why := unwell(status.read(found, held.look(found))):
        raise NoDrill(f"no drill on stack {found.stack} now: {why}; see ./slipway status -s {found.stack}")


def lacks(drill: Drill, found: Cluster, service: str) -> str:
    """What the stack does not have that the drill needs; nothing if it has it all."""
    return next((why for need in drill.needs if (why := need(found, service))), "")


def do(drill: Drill, found: Cluster, service: str) -> Report:
    """Do one, with everything put back after it; what it found out."""
    typer.echo(f"{drill.name}: {drill.does}\n{drill.expects}", err=True)
    started, traffic, ended_by = datetime.now(UTC), Traffic(target(found.settings, service), drill.fresh), ""
    stage = Stage(found, service, traffic)
    try:
        with traffic:
            stage.until(stage.serves(0), BEFORE_SECONDS, "at first everybody is answered with 200")
            ended_by = _acted(drill, stage)
            stage.until(stage.is_well, WELL_SECONDS, f"./slipway status -s {found.stack} is healthy again")
            stage.pause(AFTER_SECONDS)
    except ENDS as error:
        ended_by = ended_by or str(error)
    except KeyboardInterrupt:
        ended_by = BY_HAND
    _judge(drill, stage)
    came = (stage.checks, stage.timeline, traffic.measured())
    return Report(drill, found.stack, started, traffic.seconds, *came, ended_by)


def _acted(drill: Drill, stage: Stage) -> str:
    """Why the fault was taken out before its time; nothing if it was not."""
    try:
        drill.act(stage)
    except ENDS as error:
        stage.note(f"ended: {error}")
        return str(error)
    return ""


def _judge(drill: Drill, stage: Stage) -> None:
    """Whether users noticed more than they should."""
    found = stage.traffic.measured()
    wrong = {told: count for told, count in found.lost.items() if told not in drill.instead}
    right = f"; {', '.join(drill.instead)} is right meanwhile" if drill.instead else ""
    most = f"at most {drill.lost} requests are lost" if drill.lost else "no request is lost"
    seen = ", ".join(f"{count} {told}" for told, count in wrong.items()) or "none"
    stage.expect(f"{most}{right}", f"{seen}, of {found.sent}", passed=sum(wrong.values()) <= drill.lost)
    if drill.outage < float("inf"):
        within = found.outage <= drill.outage
        stage.expect(f"never {drill.outage:.0f} s without a 200", f"{found.outage:.1f} s at the most", passed=within)


def _keep(report: Report, *, as_json: bool) -> None:
    text = markdown(report)
    try:
        files.write({report.file: text})
    except FileError:
        typer.echo(text, err=True)  # the drill took minutes: do not lose what it has shown
        raise
    why = f" ({report.ended_by})" if report.ended_by else ""
    lost = f"{report.measured.lost.total()} of {report.measured.sent} requests not answered with 200"
    told = (
        f"{report.drill.name}: {report.verdict}{why} in {report.seconds:.0f} s, {lost}: {report.file.relative_to(ROOT)}"
    )
    typer.echo(told, err=as_json)


def markdown(report: Report) -> str:
    """The report for people."""
    why = f"It did not come to its end: {report.ended_by}.\n\n" if report.ended_by else ""
    checks = [_row(one.expected, one.seen, "yes" if one.passed else "**no**") for one in report.checks]
    timeline = [_row(f"{when:.1f}", what) for when, what in report.timeline]
    return f"""# {report.drill.name}: {report.verdict}

Stack {report.stack}, {report.started:%Y-%m-%d %H:%M:%S} UTC, {report.seconds:.0f} s.

{why}**Done.** {report.drill.does}

**Expected.** {report.drill.expects}

## Seen

| expected | seen | as expected |
|---|---|---|
{_lines(checks)}
## Traffic

{RATE} requests a second, sent whether or not earlier ones were answered.

{_table(report.traffic)}
## Timeline

| seconds | |
|---|---|
{_lines(timeline)}
## When it fails, or is no drill

{_lines([f"- {line}" for line in report.runbook])}"""


def _table(traffic: dict[str, Any]) -> str:
    by = ", ".join(f"{told} {count}" for told, count in traffic["lostBy"].items())
    return (
        "| sent | not answered with 200 | p99 | slowest | longest outage |\n|---|---|---|---|---|\n"
        f"| {traffic['sent']} | {traffic['lost']}{f' ({by})' if by else ''} | {traffic['p99Milliseconds']} ms "
        f"| {traffic['slowestMilliseconds']} ms | {traffic['longestOutageSeconds']} s |\n"
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


@contextmanager
def _alone() -> Generator[None]:
    """`NoDrill` while another drill runs from this folder."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    with (REPORTS / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NoDrill("another drill is running; let it end") from None
        yield


def _stop(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt
