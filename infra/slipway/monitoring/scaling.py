"""The metrics by which services scale: recording rules of a stack, the rules of an adapter, and what KEDA asks for.

An HPA asks prometheus-adapter, KEDA asks Prometheus. Both read series that the stack records under names of its own, so
the adapter needs the same two rules for every stack, whatever an app calls its counter.

A metric that cannot be read must not look like a small one. The requests of a pod that Prometheus lost are unknown, not
zero: an HPA counts such a pod as one at its target while it would scale down, and `requests_query` does the same for
KEDA. Where nothing at all is known, the recorded series ends; neither HPA nor KEDA then takes a pod away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from slipway.monitoring.selectors import selector
from slipway.settings.sections.monitoring import PORTS, PROMETHEUS
from slipway.settings.settings import Settings

POD_METRIC, FORECAST_METRIC = "http_requests_per_second", "http_requests_per_second_forecast"
"""The names under which an adapter serves the metrics, and an HPA asks for them."""
POD_REQUESTS = "slipway:pod_http_requests_per_second"
REQUESTS = "slipway:http_requests_per_second"
EXPECTED = "slipway:http_requests_per_second_expected"
EXPECTED_ERROR = "slipway:http_requests_per_second_expected_error"
FORECAST = "slipway:http_requests_per_second_forecast"
"""The series that a stack records, with the labels `namespace` and `service`; POD_REQUESTS has `pod` as well."""

# The autoscaler compares every 15 s. A rate needs two scrapes: with one every 15 s, a single lost one is no gap.
INTERVAL, RATE_WINDOW = "15s", "1m"
# A pod that answered in this time and does not now still counts. One that never answered is starting, and does not:
# otherwise each new pod would call for the next one.
LOST_WINDOW = "1h"

WEEK_MINUTES = 7 * 24 * 60


@dataclass(frozen=True)
class ForecastModel:
    """How load is expected from that of last week, in minutes. ops/monitoring/backtest.py replays the same."""

    ahead: int
    smoothing: int = 10
    """Width of the averages of the load now and last week, around the time that is expected."""
    level: int = 60
    """Width of the averages whose ratio tells how this week differs from the last one."""
    lowest: float = 0.5
    highest: float = 2.0
    """Bounds of that ratio."""
    tolerance: float = 0.3
    """Mean error of the last hour, as a share of the load, from which on a forecast counts as wrong, and as zero."""

    @property
    def last_week(self) -> int:
        """How long ago the smoothed load ended that the forecast starts from."""
        return WEEK_MINUTES - self.ahead - self.smoothing // 2

    @property
    def checked_after(self) -> int:
        """How long after a forecast the smoothed load is known that it was about."""
        return self.ahead + self.smoothing // 2


def history_query(settings: Settings, service: str) -> str:
    """Return the requests per second of a service, also for times at which nothing was recorded yet.

    Raises ValueError for a service without metrics.
    """
    metrics = settings.services[service].metrics_in_force
    if metrics is None:
        raise ValueError(f"{service} has no metrics")
    return f"sum(rate({metrics.requests}{{{selector(settings, service)}}}[{RATE_WINDOW}]))"


def forecast_model(ahead: str) -> ForecastModel:
    """Return the model for a time such as `15m`."""
    return ForecastModel(ahead=int(ahead.removesuffix("m")))


def groups(settings: Settings) -> list[dict[str, Any]]:
    """Return the rule groups of a stack with the metrics by which its services scale; [] if there are none."""
    recorded = [rule for name in settings.services for rule in _rules(settings, name)]
    return [{"name": f"{settings.namespace}-scaling", "interval": INTERVAL, "rules": recorded}] if recorded else []


def _rules(settings: Settings, name: str) -> Iterator[dict[str, str]]:
    service = settings.services[name]
    metrics, bounds = service.metrics_in_force, service.autoscaling
    if not service.scales_by_requests or metrics is None:
        return
    own = selector(settings, name)
    rate = f"rate({metrics.requests}{{{own}}}[{RATE_WINDOW}])"
    # Only an HPA asks for single pods.
    if bounds.by == "hpa":
        yield {"record": POD_REQUESTS, "expr": f"sum by (namespace, service, pod) ({rate})"}
    yield {"record": REQUESTS, "expr": f"sum by (namespace, service) ({rate})"}
    if bounds.forecast:
        yield from _forecast_rules(own, forecast_model(bounds.forecast.ahead))


def _forecast_rules(own: str, model: ForecastModel) -> Iterator[dict[str, str]]:
    """Yield the forecast as such, its error, and the forecast that is used: zero while it is not to be trusted.

    Zero and not nothing: while a metric is missing, an autoscaler takes no pod away.
    """
    requests, expected, error = (f"{name}{{{own}}}" for name in (REQUESTS, EXPECTED, EXPECTED_ERROR))
    smoothed, level = f"{model.smoothing}m", f"{model.level}m"
    yield {
        "record": EXPECTED,
        "expr": (
            f"avg_over_time({requests}[{smoothed}] offset {model.last_week}m)\n"
            f"* clamp(\n"
            f"  avg_over_time({requests}[{level}]) / (avg_over_time({requests}[{level}] offset {WEEK_MINUTES}m) > 0),\n"
            f"  {model.lowest:g}, {model.highest:g}\n"
            f")"
        ),
    }
    yield {
        "record": EXPECTED_ERROR,
        "expr": (
            f"abs(avg_over_time({requests}[{smoothed}]) - {expected} offset {model.checked_after}m)\n"
            f"/ (avg_over_time({requests}[{smoothed}]) > 0)"
        ),
    }
    yield {
        "record": FORECAST,
        "expr": f"({expected} and avg_over_time({error}[{level}]) < {model.tolerance:g})\nor {requests} * 0",
    }


def requests_query(settings: Settings, service: str) -> str:
    """Return what KEDA asks for: requests per second of a service, with those of pods that Prometheus has lost.

    A pod counts as lost after two minutes, and then as one at its target: one that has ended stays among the targets
    for less than that. Without the requests of any pod the result is empty, for KEDA an error.
    """
    own = selector(settings, service)
    requests = f"{REQUESTS}{{{own}}}"
    lost = f"max_over_time(up{{{own}}}[2m]) == 0 and max_over_time(up{{{own}}}[{LOST_WINDOW}]) == 1"
    target = settings.services[service].autoscaling.rps
    return f"{requests} + ({target} * count by (namespace, service) ({lost}) or {requests} * 0)"


def forecast_query(settings: Settings, service: str) -> str:
    """Return what KEDA asks for to add pods ahead of load."""
    return f"{FORECAST}{{{selector(settings, service)}}}"


def server_address(settings: Settings, service: str) -> str:
    """Return the address of Prometheus for KEDA: the one of the stack file, or the Prometheus of the stack."""
    given = settings.services[service].autoscaling.prometheus
    return given or f"http://{PROMETHEUS}.{settings.namespace}.svc:{PORTS[PROMETHEUS]}"


_NAMESPACED = {"overrides": {"namespace": {"resource": "namespace"}}}

ADAPTER_CONFIG: dict[str, Any] = {
    "rules": [
        {
            "seriesQuery": f'{POD_REQUESTS}{{namespace!="",pod!=""}}',
            "resources": {"overrides": {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}},
            "name": {"matches": f"^{POD_REQUESTS}$", "as": POD_METRIC},
            "metricsQuery": "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
        }
    ],
    "externalRules": [
        {
            "seriesQuery": f'{FORECAST}{{namespace!=""}}',
            "resources": _NAMESPACED,
            "name": {"matches": f"^{FORECAST}$", "as": FORECAST_METRIC},
            "metricsQuery": "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
        }
    ],
}
"""The configuration of prometheus-adapter, the same for every stack."""
