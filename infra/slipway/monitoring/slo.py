"""The objectives of a stack: which share of which requests has to be good, and how to measure it in PromQL.

Everything that speaks of an objective takes it from here: recording rules, alerts, the dashboard, the gate on releases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from slipway.monitoring.selectors import bucket, errors, selector
from slipway.settings.sections.service import Service
from slipway.settings.sections.slo import BurnWindows, Window
from slipway.settings.settings import Settings
from slipway.settings.types.units import seconds

AVAILABILITY, LATENCY = "availability", "latency"


@dataclass(frozen=True)
class Objective:
    """One objective of a service: a target share of good requests, over a window."""

    namespace: str
    service: str
    name: str
    """`availability`, or `latency-p99-250ms`: the value of the label `slo`."""
    target: float
    """Share of the requests that have to be good, from 0 to 1."""
    window: Window
    windows: tuple[BurnWindows, ...]
    """Windows and burn rates of its alerts."""
    meaning: str
    """What a good request is, for people: `answered without an error`, `answered within 250ms`."""
    symptom: str
    """What a bad request has done, for people: `failed`, `took longer than 250ms`."""
    bad: str
    """PromQL of the rate of bad requests, with RANGE in place of the range."""
    total: str
    """PromQL of the rate of all requests, with RANGE in place of the range."""
    within: str = ""
    """Time that a good request takes at the most, such as `250ms`; empty for `availability`."""

    @property
    def title(self) -> str:
        """`api availability`: service and name, for messages."""
        return f"{self.service} {self.name}"

    @property
    def budget(self) -> float:
        """The share of requests that may be bad, from 0 to 1."""
        return round(1 - self.target, 11)

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its recorded series."""
        return {"namespace": self.namespace, "service": self.service, "slo": self.name}

    @property
    def selector(self) -> str:
        """`{namespace="slipway-dev", service="api", slo="availability"}`: selects its recorded series."""
        pairs = (f'{name}="{value}"' for name, value in self.labels.items())
        return f"{{{', '.join(pairs)}}}"

    def bad_rate(self, time_range: str) -> str:
        """Return the PromQL of the bad requests per second over a range such as `5m`; 0 if none is recorded."""
        return self.bad.replace(RANGE, time_range)

    def total_rate(self, time_range: str) -> str:
        """Return the PromQL of all requests per second over a range. Without requests it has no result.

        A ratio of 0/0 would be recorded as NaN, and make the sum over the whole window NaN for its length.
        """
        return self.total.replace(RANGE, time_range)

    def error_ratio(self, time_range: str) -> str:
        """Return the PromQL of the share of bad requests over a range such as `5m`; no result without requests."""
        return f"({self.bad_rate(time_range)})\n/\n({self.total_rate(time_range)})"


# Stands for the range in an expression; PromQL has no such token.
RANGE = "RANGE"


def objectives(settings: Settings) -> list[Objective]:
    """Return the objectives of all services, in the order of the stack file."""
    return [found for name, service in settings.services.items() for found in _of_service(settings, name, service)]


def _of_service(settings: Settings, name: str, service: Service) -> Iterator[Objective]:
    slo, metrics = service.slo, service.metrics_in_force
    if slo is None or metrics is None:
        return
    own = selector(settings, name)

    def objective(
        kind: str, percent: float, words: tuple[str, str], bad: str, total: str, *, within: str = ""
    ) -> Objective:
        target = round(percent / 100, 11)
        windows = tuple(slo.burn_windows)
        return Objective(settings.namespace, name, kind, target, slo.window, windows, *words, bad, total, within)

    yield objective(
        AVAILABILITY,
        slo.availability,
        ("answered without an error", "failed"),
        f"sum(rate({errors(metrics, own)}[{RANGE}])) or vector(0)",
        f"sum(rate({metrics.requests}{{{own}}}[{RANGE}])) > 0",
    )
    for quantile, target in slo.latency.items():
        total = f"sum(rate({metrics.durations}_count{{{own}}}[{RANGE}]))"
        yield objective(
            # With the time: another one begins a record of its own, instead of going on with the figures of this one.
            f"{LATENCY}-{quantile}-{target}",
            float(quantile.removeprefix("p")),
            (f"answered within {target}", f"took longer than {target}"),
            f"{total} - sum(rate({bucket(metrics, own, seconds(target))}[{RANGE}]))",
            f"{total} > 0",
            within=target,
        )
