"""`./slipway slo`: what is left of the error budget of each objective, how fast it burns, and what spends it.

The figures come from the series that the stack's rules record. Where Prometheus has none yet, they are computed from
the requests themselves. Targets are those of the stack file, so a changed target counts from the next call on.

`--json` prints; keys are only ever added to it:

    {"stack": "prod", "burnt": false, "objectives": [{
      "service": "api", "slo": "availability", "target": 0.9995, "window": "30d",
      "errorRatio": 0.0002,                 share of bad requests in the window; null without a request
      "budgetLeft": 0.6,                    0 and less: burnt
      "burnRates": {"5m": 0, "1h": 0.4, "6h": 0.4, "3d": 0.4},
      "spentBy": [{"route": "/v1/shops", "code": "503", "share": 0.8}]
    }]}
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slipway.monitoring.burn_rate import error_ratio_metric
from slipway.monitoring.selectors import bucket, errors, selector
from slipway.monitoring.slo import Objective, objectives
from slipway.ops.errors import CANNOT_TELL
from slipway.ops.monitoring.prometheus import Prometheus
from slipway.ops.terminal.tables import table
from slipway.settings.settings import Settings
from slipway.settings.types.units import seconds

OK, BURNT = 0, 1
BURN_WINDOWS = ("5m", "1h", "6h", "3d")
MAX_SPENDERS = 3


@dataclass(frozen=True)
class Spender:
    """A route, with the status code of errors, and its share of the bad requests in the window."""

    route: str
    code: str
    """Empty for slow requests, of which the code does not matter."""
    share: float


@dataclass(frozen=True)
class ObjectiveState:
    """How an objective is met."""

    objective: Objective
    error_ratio: float | None
    """Share of bad requests in its window; None without a request."""
    burn_rates: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    """By window: 1 spends just the whole budget."""
    spenders: Sequence[Spender] = ()
    """What has spent most of the budget, the most first."""

    @property
    def budget_left(self) -> float | None:
        """The share of the budget that is left: 1 is all of it, 0 and less is burnt; None without a request."""
        return None if self.error_ratio is None else round(1 - self.error_ratio / self.objective.budget, 6)

    @property
    def is_burnt(self) -> bool:
        """Whether nothing is left of the budget."""
        return self.budget_left is not None and self.budget_left <= 0

    @property
    def text(self) -> str:
        """`availability: 99.95 % have to be answered without an error in 30d; 60 % of the budget is left`."""
        promise = f"{self.objective.name}: {percent(self.objective.target)} have to be {self.objective.meaning}"
        return f"{promise} in {self.objective.window}; {self.left_text}"

    @property
    def left_text(self) -> str:
        """`60 % of the budget is left`, or how often it is spent."""
        if self.error_ratio is None or self.budget_left is None:
            return "no request was measured"
        if not self.is_burnt:
            return f"{percent(self.budget_left)} of the budget is left"
        spent = f"{percent(self.error_ratio)} were not, {self.error_ratio / self.objective.budget:.3g} times the budget"
        return f"{spent}; {percent(self.budget_left)} of it is left"


def budget(prometheus: Prometheus, objective: Objective) -> ObjectiveState:
    """Return what is left of a budget, and nothing more. Raises PrometheusError."""
    return ObjectiveState(objective, _ratio(prometheus, objective, objective.window))


def states(prometheus: Prometheus, settings: Settings) -> list[ObjectiveState]:
    """Return the states of all objectives of a stack. Raises PrometheusError."""
    return [_state(prometheus, settings, objective) for objective in objectives(settings)]


def _state(prometheus: Prometheus, settings: Settings, objective: Objective) -> ObjectiveState:
    ratio = _ratio(prometheus, objective, objective.window)
    shares = {window: _ratio(prometheus, objective, window) for window in BURN_WINDOWS}
    rates = {window: None if share is None else share / objective.budget for window, share in shares.items()}
    spenders = _spenders(prometheus, settings, objective) if ratio else []
    return ObjectiveState(objective, ratio, rates, spenders)


def _ratio(prometheus: Prometheus, objective: Objective, window: str) -> float | None:
    """Return the share of bad requests over a window: as recorded, or computed where nothing is recorded yet."""
    recorded = prometheus.value(f"{error_ratio_metric(window)}{objective.selector}")
    return recorded if recorded is not None else prometheus.value(objective.error_ratio(window))


def _spenders(prometheus: Prometheus, settings: Settings, objective: Objective) -> list[Spender]:
    """Return the routes with most of the bad requests in the window, with their share of all bad requests."""
    metrics = settings.services[objective.service].metrics_in_force
    own = selector(settings, objective.service)
    assert metrics  # noqa: S101 - it has an objective
    route, code = metrics.route_label, metrics.code_label
    if objective.within:
        slow = (f"{metrics.durations}_count{{{own}}}", bucket(metrics, own, seconds(objective.within)))
        expr = " - ".join(f"sum by ({route}) (increase({series}[{objective.window}]))" for series in slow)
    else:
        expr = f"sum by ({route}, {code}) (increase({errors(metrics, own)}[{objective.window}]))"
    found = [series for series in prometheus.query(expr) if series.value > 0 and math.isfinite(series.value)]
    total = sum(series.value for series in found)
    found.sort(key=lambda series: series.value, reverse=True)
    return [
        Spender(series.labels.get(route, ""), series.labels.get(code, ""), series.value / total)
        for series in found[:MAX_SPENDERS]
    ]


def exit_code(found: Sequence[ObjectiveState]) -> int:
    """Return 1 if a budget is burnt; 2 if one cannot be told, or there is none; else 0."""
    if any(state.is_burnt for state in found):
        return BURNT
    return CANNOT_TELL if not found or any(state.error_ratio is None for state in found) else OK


def as_json(stack: str, found: Sequence[ObjectiveState]) -> str:
    """Return the states for programs."""
    data = {"stack": stack, "burnt": exit_code(found) == BURNT, "objectives": list(map(_data, found))}
    return json.dumps(data, indent=2) + "\n"


def _data(state: ObjectiveState) -> dict[str, Any]:
    objective = state.objective
    return {
        "service": objective.service,
        "slo": objective.name,
        "target": objective.target,
        "window": objective.window,
        "errorRatio": state.error_ratio,
        "budgetLeft": state.budget_left,
        "burnRates": dict(state.burn_rates),
        "spentBy": [{"route": item.route, "code": item.code, "share": item.share} for item in state.spenders],
    }


def screen(stack: str, found: Sequence[ObjectiveState]) -> str:
    """Return the states for people: what is burnt, a table, and what spends the budgets."""
    head = ("service", "objective", "target", "in", "budget left", *(f"burn {window}" for window in BURN_WINDOWS))
    return "\n".join([f"{stack}: {_headline(found)}\n", table(map(_cells, found), head), *_spent(found)])


def _headline(found: Sequence[ObjectiveState]) -> str:
    if burnt := [state.objective.title for state in found if state.is_burnt]:
        return f"BURNT: {', '.join(burnt)}"
    unknown = [state.objective.title for state in found if state.error_ratio is None]
    return f"no request measured: {', '.join(unknown)}" if unknown else "all error budgets have something left"


def _cells(state: ObjectiveState) -> list[str]:
    objective, left = state.objective, state.budget_left
    rates = [_rate(state.burn_rates.get(window)) for window in BURN_WINDOWS]
    return [
        *(objective.service, objective.name, percent(objective.target), objective.window),
        "-" if left is None else percent(left),
        *rates,
    ]


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.3g}"


def _spent(found: Sequence[ObjectiveState]) -> Iterator[str]:
    for state in found:
        if state.spenders:
            yield f"what spent {state.objective.title}:"
            yield from (f"  {percent(item.share):>7}  {item.route} {item.code}".rstrip() for item in state.spenders)
            yield ""


def percent(share: float) -> str:
    """Return a share as people read it: `99.95 %`, `-37 %`."""
    return f"{100 * share:.0f} %" if abs(share) > 1 else f"{100 * share:.4g} %"
