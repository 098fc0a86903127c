"""`./slipway forecast`: whether a forecast of load would have paid in the last weeks, by what Prometheus stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from slipway.monitoring import scaling
from slipway.monitoring.scaling import WEEK_MINUTES
from slipway.ops.errors import UserError
from slipway.ops.monitoring import backtest
from slipway.ops.monitoring.backtest import Backtest, Scaler
from slipway.ops.monitoring.prometheus import Prometheus
from slipway.settings.sections.pods import Forecast
from slipway.settings.settings import Settings

WINS, LOSES = 0, 1
"""Exit codes."""
STEP_SECONDS = 60
DAY_MINUTES = 24 * 60
# Prometheus answers with 11,000 points of a series at the most.
POINTS = 7 * DAY_MINUTES
# A shorter replay would be decided by a single day.
MIN_DAYS = 7


class NoHistoryError(UserError):
    """Prometheus has not stored enough."""


@dataclass(frozen=True)
class Report:
    """What a service would have needed, and how long its pods would have had too many requests."""

    service: str
    days: float
    ahead: str
    is_on: bool
    """Whether the stack file has the forecast."""
    result: Backtest

    @property
    def text(self) -> str:
        """The figures, and what to do."""
        before, after = self.result.reaction, self.result.forecast
        more = 100 * (self.result.price - 1)
        return (
            f"{self.service}: {self.days:.0f} days replayed, pods {self.ahead} ahead\n"
            f"  minutes beyond the target: {before.short_minutes:.0f} -> {after.short_minutes:.0f} with the forecast\n"
            f"  pod-hours: {before.pod_hours:.0f} -> {after.pod_hours:.0f} with the forecast ({more:+.1f} %)\n"
            f"  {self._advice}"
        )

    @property
    def _advice(self) -> str:
        key = f"slipway:services.{self.service}.autoscaling.forecast"
        if self.result.wins:
            return "it pays" if self.is_on else f"it pays; set {key}: {{ahead: {self.ahead}}}"
        why = "it has to save a tenth of the minutes for at most a tenth more pod-hours"
        return f"it does not pay ({why}); take {key} out" if self.is_on else f"it does not pay ({why})"

    @property
    def data(self) -> dict[str, object]:
        """The same for programs."""
        outcomes = {"reaction": self.result.reaction, "forecast": self.result.forecast}
        figures = {
            name: {"minutesBeyondTarget": outcome.short_minutes, "podHours": round(outcome.pod_hours, 1)}
            for name, outcome in outcomes.items()
        }
        return {
            "service": self.service,
            "days": round(self.days, 1),
            "ahead": self.ahead,
            **figures,
            "wins": self.result.wins,
        }


def reports(settings: Settings, prometheus: Prometheus, now: float, days: int) -> list[Report]:
    """Return a report on each service that scales by requests. Raises UserError if there is none, or no history."""
    scaled = [name for name, service in settings.services.items() if service.scales_by_requests]
    if not scaled:
        raise NoHistoryError(
            "no service scales by requests. Set autoscaling.rps, the requests per second that one pod takes"
        )
    return [_report(settings, name, prometheus, now, days) for name in scaled]


def _report(settings: Settings, name: str, prometheus: Prometheus, now: float, days: int) -> Report:
    bounds = settings.services[name].autoscaling
    assert bounds.rps  # noqa: S101 - only services with it are asked about
    load = read(prometheus, scaling.history_query(settings, name), now, WEEK_MINUTES + days * DAY_MINUTES)
    replayed = (len(load) - WEEK_MINUTES) / DAY_MINUTES
    if replayed < MIN_DAYS:
        raise NoHistoryError(
            f"{name}: Prometheus has stored {len(load) / DAY_MINUTES:.1f} days of its requests, and a backtest takes "
            f"{MIN_DAYS + 7}: a week to learn from, and {MIN_DAYS} days to replay. Wait, or have Prometheus keep "
            "more"
        )
    ahead = (bounds.forecast or Forecast()).ahead
    scaler = Scaler(bounds.rps, bounds.min, bounds.max)
    result = backtest.run(load, scaler, scaling.forecast_model(ahead))
    return Report(name, replayed, ahead, bounds.forecast is not None, result)


def read(prometheus: Prometheus, query: str, now: float, minutes: int) -> list[float]:
    """Return the load of each minute until now, from the first one that is stored. A gap keeps the value before it."""
    end = int(now // STEP_SECONDS) * STEP_SECONDS
    begin = end - (minutes - 1) * STEP_SECONDS
    values: dict[int, float] = {}
    for start in range(begin, end + 1, POINTS * STEP_SECONDS):
        until = min(start + (POINTS - 1) * STEP_SECONDS, end)
        for series in prometheus.query_range(query, start, until, STEP_SECONDS):
            values |= {round(time): value for time, value in series.points if value == value}  # noqa: PLR0124 - NaN
    if not values:
        return []
    load: list[float] = []
    for time in range(min(values), end + 1, STEP_SECONDS):
        load.append(values.get(time, load[-1] if load else 0.0))
    return load


def as_json(found: Sequence[Report]) -> str:
    """Return the reports as JSON."""
    return json.dumps([report.data for report in found], indent=2) + "\n"


def exit_code(found: Sequence[Report]) -> int:
    """Return 0 if the forecast pays for every service."""
    return WINS if all(report.result.wins for report in found) else LOSES
