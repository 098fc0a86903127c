"""`./slipway forecast`: what it reads of Prometheus, and what it says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from slipway.ops.monitoring import forecast
from slipway.ops.monitoring.forecast import LOSES, WINS, NoHistoryError
from slipway.ops.monitoring.prometheus import Prometheus
from tests.api_server import settings
from tests.monitoring.load import DAY, shop

NOW = 1_800_000_000.0
OPERATOR = {"monitoring": {"source": "operator"}, "cluster.monitoringNamespace": "monitoring"}


@dataclass
class History:
    """A Prometheus that has stored load until NOW, and answers with 11,000 points at the most."""

    load: list[float]
    missing: tuple[int, int] = (0, 0)
    queries: list[str] = field(default_factory=list[str])

    @property
    def client(self) -> Prometheus:
        return Prometheus("Prometheus", self._get)

    def _get(self, path: str) -> str:
        query = {key: value for key, [value] in parse_qs(urlsplit(path).query).items()}
        self.queries.append(query["query"])
        time, end, step = (float(query[key]) for key in ("start", "end", "step"))
        assert (end - time) / step < 11_000
        first = NOW - (len(self.load) - 1) * 60
        points: list[tuple[float, str]] = []
        while time <= end:
            minute = round((time - first) / 60)
            if 0 <= minute < len(self.load) and not self.missing[0] <= minute < self.missing[1]:
                points.append((time, str(self.load[minute])))
            time += step
        series = [{"metric": {}, "values": points}] if points else []
        return json.dumps({"status": "success", "data": {"result": series}})


def bounds(**more: Any) -> dict[str, Any]:
    return {**OPERATOR, "services.api.autoscaling": {"min": 2, "max": 12, "rps": 100, **more}}


@pytest.mark.feature("P4", part="switched on only if its backtest on the stored history wins")
def test_a_forecast_that_pays_is_recommended_with_its_figures():
    prometheus = History(shop(3))
    [report] = forecast.reports(settings("dev", bounds()), prometheus.client, NOW, 14)
    assert report.days == 14
    assert "api: 14 days replayed, pods 15m ahead" in report.text
    assert "it pays; set slipway:services.api.autoscaling.forecast: {ahead: 15m}" in report.text
    assert forecast.exit_code([report]) == WINS
    [data] = json.loads(forecast.as_json([report]))
    assert data["wins"] is True
    assert data["forecast"]["minutesBeyondTarget"] < data["reaction"]["minutesBeyondTarget"]


def test_a_forecast_that_does_not_pay_is_to_be_taken_out():
    flat = History([200.0] * 21 * DAY)
    [report] = forecast.reports(settings("dev", bounds(forecast={"ahead": "30m"})), flat.client, NOW, 14)
    assert "it does not pay" in report.text
    assert "take slipway:services.api.autoscaling.forecast out" in report.text
    assert forecast.exit_code([report]) == LOSES


def test_the_counter_itself_is_read_since_nothing_was_recorded_before_the_key_was_set():
    prometheus = History(shop(3))
    forecast.reports(settings("dev", bounds()), prometheus.client, NOW, 14)
    [query] = set(prometheus.queries)
    assert query.startswith("sum(rate(http_requests_total{")


def test_too_little_history_is_refused_with_what_there_is():
    with pytest.raises(NoHistoryError, match=r"stored 10\.0 days .* takes 14"):
        forecast.reports(settings("dev", bounds()), History(shop(3)[-10 * DAY :]).client, NOW, 14)


def test_a_stack_without_a_target_of_requests_has_nothing_to_forecast():
    with pytest.raises(NoHistoryError, match=r"Set autoscaling\.rps"):
        forecast.reports(settings("dev"), History([]).client, NOW, 14)


def test_a_gap_keeps_the_load_before_it():
    load = [float(minute) for minute in range(100)]
    assert forecast.read(History(load, missing=(40, 50)).client, "x", NOW, 100) == [
        *load[:40],
        *[39.0] * 10,
        *load[50:],
    ]
