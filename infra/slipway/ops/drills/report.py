"""The report of a drill: as data for `--json`, and as Markdown for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from slipway.ops.drills.catalogue import Drill
from slipway.ops.drills.context import Check
from slipway.ops.drills.traffic import RATE, Measurement
from slipway.project import ROOT

REPORTS = ROOT / ".slipway" / "drills"


@dataclass(frozen=True)
class Report:
    """The outcome of a drill."""

    drill: Drill
    stack: str
    started: datetime
    seconds: float
    checks: Sequence[Check]
    timeline: Sequence[tuple[float, str]]
    measured: Measurement
    ended_by: str = ""
    """Why the drill ended early; empty if it did not."""

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.ended_by and all(check.passed for check in self.checks)

    @property
    def verdict(self) -> str:
        """Return `passed` or `failed`."""
        return "passed" if self.passed else "failed"

    @property
    def runbook(self) -> list[str]:
        """Return the steps of the runbook, for this stack."""
        return [line.replace("STACK", self.stack) for line in self.drill.runbook]

    @property
    def file(self) -> Path:
        """Return the file that the report is written to."""
        return REPORTS / f"{self.drill.name}-{self.started:%Y%m%dT%H%M%SZ}.md"

    @property
    def traffic(self) -> dict[str, Any]:
        """Return what users noticed."""
        measured = self.measured
        return {
            "perSecond": RATE,
            "sent": measured.sent,
            "lost": measured.lost.total(),
            "lostBy": dict(measured.lost),
            "p99Milliseconds": round(1000 * measured.p99),
            "slowestMilliseconds": round(1000 * measured.slowest),
            "longestOutageSeconds": round(measured.outage, 1),
        }

    def summary(self) -> str:
        """Return the report in one line."""
        reason = f" ({self.ended_by})" if self.ended_by else ""
        lost = f"{self.measured.lost.total()} of {self.measured.sent} requests not answered with 200"
        file = self.file.relative_to(ROOT)
        return f"{self.drill.name}: {self.verdict}{reason} in {self.seconds:.0f} s, {lost}: {file}"

    def data(self) -> dict[str, Any]:
        """Return the report for `--json`."""
        return {
            "drill": self.drill.name,
            "stack": self.stack,
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 1),
            "verdict": self.verdict,
            "endedBy": self.ended_by or None,
            "does": self.drill.does,
            "expects": self.drill.expects,
            "checks": [asdict(check) for check in self.checks],
            "timeline": [{"seconds": round(seconds, 1), "what": event} for seconds, event in self.timeline],
            "traffic": self.traffic,
            "runbook": self.runbook,
            "file": str(self.file.relative_to(ROOT)),
        }


def markdown(report: Report) -> str:
    """Return the report for people."""
    early_end = f"The drill ended early: {report.ended_by}.\n\n" if report.ended_by else ""
    checks = [_row(check.expected, check.seen, "yes" if check.passed else "**no**") for check in report.checks]
    timeline = [_row(f"{seconds:.1f}", event) for seconds, event in report.timeline]
    return f"""# {report.drill.name}: {report.verdict}

Stack {report.stack}, {report.started:%Y-%m-%d %H:%M:%S} UTC, {report.seconds:.0f} s.

{early_end}**Done.** {report.drill.does}

**Expected.** {report.drill.expects}

## Checks

| expected | seen | as expected |
|---|---|---|
{_lines(checks)}
## Traffic

{RATE} requests a second, sent whether or not earlier ones were answered.

{_traffic_table(report.traffic)}
## Timeline

| seconds | |
|---|---|
{_lines(timeline)}
## When it fails, or is no drill

{_lines([f"- {line}" for line in report.runbook])}"""


def _traffic_table(traffic: dict[str, Any]) -> str:
    by = ", ".join(f"{outcome} {count}" for outcome, count in traffic["lostBy"].items())
    return (
        "| sent | not answered with 200 | p99 | slowest | longest outage |\n|---|---|---|---|---|\n"
        f"| {traffic['sent']} | {traffic['lost']}{f' ({by})' if by else ''} | {traffic['p99Milliseconds']} ms "
        f"| {traffic['slowestMilliseconds']} ms | {traffic['longestOutageSeconds']} s |\n"
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
