"""`./slipway forecast`: what it reads of Prometheus, and what it says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from slipway.ops.monitoring import forecast
from slipway.ops.monitoring.forecast import LOSES, WINS, NoHistoryError
from tests.api_server import settings
from tests.monitoring.load import DAY, shop

NOW = 1_800_000_000.0
OPERATOR = {"monitoring": {"source": "operator"}, "cluster.monitoringNamespace": "monitoring"}


@dataclass
class Found:
    points: Sequence[tuple[float, float]]


@dataclass
class Prometheus:
    """Has stored load until NOW, and answers with 11,000 points at the most."""

    load: list[float]
    missing: tuple[int, int] = (0, 0)
    queries: list[str] = field(default_factory=list[str])

    def query_range(self, expr: str, start: float, end: float, step: float) -> list[Found]:
        self.queries.append(expr)
        assert (end - start) / step < 11_000
        first = NOW - (len(self.load) - 1) * 60
        points: list[tuple[float, float]] = []
        time = start
        while time <= end:
            minute = round((time - first) / 60)
            if 0 <= minute < len(self.load) and not self.missing[0] <= minute < self.missing[1]:
                points.append((time, self.load[minute]))
            time += step
        return [Found(points)] if points else []


def bounds(**more: Any) -> dict[str, Any]:
    return {**OPERATOR, "services.api.autoscaling": {"min": 2, "max": 12, "rps": 100, **more}}


@pytest.mark.feature("P4", part="switched on only if its backtest on the stored history wins")
def test_a_forecast_that_pays_is_recommended_with_its_figures():
    prometheus = Prometheus(shop(3))
    [report] = forecast.reports(settings("dev", bounds()), prometheus, NOW, 14)
    assert report.days == 14
    assert "api: 14 days replayed, pods 15m ahead" in report.text
    assert "it pays; set slipway:services.api.autoscaling.forecast: {ahead: 15m}" in report.text
    assert forecast.exit_code([report]) == WINS
    [data] = json.loads(forecast.as_json([report]))
    assert data["wins"] is True
    assert data["forecast"]["minutesBeyondTarget"] < data["reaction"]["minutesBeyondTarget"]


def test_a_forecast_that_does_not_pay_is_to_be_taken_out():
    flat = Prometheus([200.0] * 21 * DAY)
    [report] = forecast.reports(settings("dev", bounds(forecast={"ahead": "30m"})), flat, NOW, 14)
    assert "it does not pay" in report.text
    assert "take slipway:services.api.autoscaling.forecast out" in report.text
    assert forecast.exit_code([report]) == LOSES


def test_the_counter_itself_is_read_since_nothing_was_recorded_before_the_key_was_set():
    prometheus = Prometheus(shop(3))
    forecast.reports(settings("dev", bounds()), prometheus, NOW, 14)
    [query] = set(prometheus.queries)
    assert query.startswith("sum(rate(http_requests_total{")


def test_too_little_history_is_refused_with_what_there_is():
    with pytest.raises(NoHistoryError, match=r"stored 10\.0 days .* takes 14"):
        forecast.reports(settings("dev", bounds()), Prometheus(shop(3)[-10 * DAY :]), NOW, 14)


def test_a_stack_without_a_target_of_requests_has_nothing_to_forecast():
    with pytest.raises(NoHistoryError, match=r"Set autoscaling\.rps"):
        forecast.reports(settings("dev"), Prometheus([]), NOW, 14)


def test_a_gap_keeps_the_load_before_it():
    load = [float(minute) for minute in range(100)]
    assert forecast.read(Prometheus(load, missing=(40, 50)), "x", NOW, 100) == [*load[:40], *[39.0] * 10, *load[50:]]
