"""The service level objectives of a service, and the alerts of its app."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field

from slipway.settings.sections.section import Section
from slipway.settings.types.scalars import Duration, LatencyQuantile, Percent
from slipway.settings.types.units import seconds

Window = Literal["7d", "28d", "30d"]
Severity = Literal["page", "ticket"]

WINDOW_DAYS: dict[Window, int] = {"7d": 7, "28d": 28, "30d": 30}
# Each alert watches a long window, and a short one by which it ends soon after the errors do.
_PAIRS: tuple[tuple[Severity, str, str, int], ...] = (
    ("page", "5m", "1h", 1),
    ("page", "30m", "6h", 6),
    ("ticket", "2h", "1d", 24),
    ("ticket", "6h", "3d", 72),
)
# How many percent of the error budget may be spent in each of these long windows. Those of 28 and 30 days are Google's
# (SRE workbook, Alerting on SLOs); those of 7 days are sloth's (examples/windows/7d.yaml).
_SPENT: dict[Window, tuple[float, float, float, float]] = {
    "7d": (8, 12.5, 20, 42),
    "28d": (2, 5, 10, 10),
    "30d": (2, 5, 10, 10),
}
# Above this share of errors, in percent, a canary is withdrawn whatever the objective, unless that allows more.
_CANARY_PERCENT = 1


class BurnWindows(NamedTuple):
    """A pair of windows, and the burn rate above which both of them raise an alert: 1 spends just the whole budget."""

    severity: Severity
    short: str
    long: str
    rate: float


class Slo(Section):
    """What users may rely on. Recording rules, alerts, the dashboard and the canary's limits follow from it."""

    availability: float = Field(ge=50, lt=100, examples=[99.95])
    """Share of the requests that are answered without an error (5xx), in percent."""
    latency: dict[LatencyQuantile, Duration] = Field(default={}, examples=[{"p99": "250ms"}])
    """Time within which a share of the requests is answered: `p99: 250ms` means 99 % of them within 250 ms. Keys: p50,
    p90, p95, p99, p99.9. Each time is one of `metrics.buckets`, since a histogram counts nothing in between."""
    window: Window = "30d"
    """Time over which both are judged, until now."""
    gate: bool = True
    """Whether `./slipway up` refuses to update the service while nothing is left of an error budget."""

    @property
    def error_budget(self) -> float:
        """Return the percentage of requests that may fail."""
        return round(100 - self.availability, 9)

    @property
    def burn_windows(self) -> list[BurnWindows]:
        """Return the windows and burn rates of the alerts, fastest first."""
        days = WINDOW_DAYS[self.window]
        return [
            BurnWindows(severity, short, long, round(percent / 100 * days * 24 / hours, 9))
            for (severity, short, long, hours), percent in zip(_PAIRS, _SPENT[self.window], strict=True)
        ]

    @property
    def canary_limits(self) -> dict[str, float]:
        """Return the limits of a canary by field: what would page is withdrawn, and so is what misses the p99."""
        page = self.error_budget * self.burn_windows[0].rate
        limits: dict[str, float] = {
            "error_percent": round(max(self.error_budget, min(_CANARY_PERCENT, page)), 9),
        }
        if p99 := self.latency.get("p99"):
            limits["p99_milliseconds"] = round(1000 * seconds(p99))
        return limits


class Alert(Section):
    """An alert on the app's own metrics."""

    expr: str = Field(min_length=1, max_length=2000, examples=["sum(increase(app_panics_total{$(selector)}[5m])) > 0"])
    """Condition in PromQL. `$(selector)` stands for the labels of this service's series: `namespace` and `service`."""
    thresholds: list[Percent] = Field(default=[], examples=[[70, 85, 95]])
    """Make one alert of each of these numbers, which stands in `expr` as `$(threshold)`, and in its label `threshold`.
    Default: one alert."""
    hold: Duration = Field(default="5m", alias="for", examples=["5m"])
    """How long it has to be true."""
    severity: Severity = "ticket"
    """Who is told: page: somebody is woken up · ticket: somebody looks at it in working hours."""
    summary: str = Field(min_length=1, max_length=200, examples=["A request ended in a panic."])
    """What has happened, in one sentence."""
    runbook: str | None = Field(default=None, min_length=1, max_length=253, examples=["https://wiki.example.com/cache"])
    """File or address that says what to do. Default: the page docs/runbooks/<name of the alert>.md."""
