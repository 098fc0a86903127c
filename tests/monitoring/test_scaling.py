"""From samples of an app's counter to a number of pods: recording rules, the adapter's rules, KEDA's query, the HPA."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import promql_parser
import pytest
import yaml

from slipway.monitoring import scaling
from slipway.monitoring.scaling import ADAPTER_CONFIG, ForecastModel
from slipway.ops.monitoring import backtest
from slipway.settings.settings import Settings
from tests.api_server import settings
from tests.docs.pages import Page
from tests.monitoring.load import WEEK, shop
from tests.monitoring.promql import Store
from tests.paths import REPOSITORY

SCRAPE = 15
KEDA = {"by": "keda"}
OPERATOR = {"monitoring": {"source": "operator"}, "cluster.monitoringNamespace": "monitoring"}
OWN = {"monitoring": {"source": "cluster", "image": f"registry.example.com/prometheus@sha256:{'0' * 64}"}}


def stack(**autoscaling: Any) -> Settings:
    bounds = {"min": 2, "max": 10, "rps": 50, **autoscaling}
    return settings(
        "dev", {**(OWN if autoscaling.get("by") == "keda" else OPERATOR), "services.api.autoscaling": bounds}
    )


def rules(found: Settings) -> dict[str, str]:
    [group] = scaling.groups(found)
    return {rule["record"]: rule["expr"] for rule in group["rules"]}


def hpa(values: Iterable[float], target: float, pods: int) -> int:
    """Return the pods that the HPA wants by an average value (pkg/controller/podautoscaler/replica_calculator.go)."""
    ratio = sum(values) / (target * pods)
    return pods if abs(ratio - 1) <= 0.1 else math.ceil(ratio * pods)


class Pods:
    """Pods of a service that are scraped every 15 s, each with a rate of requests."""

    def __init__(self, found: Settings, rates: dict[str, float], minutes: int = 5) -> None:
        self.settings, self.store, self.now = found, Store(), 0.0
        self.totals = dict.fromkeys(rates, 0.0)
        for _ in range(minutes * 60 // SCRAPE):
            self.scrape(rates)

    def scrape(self, rates: Mapping[str, float | None]) -> None:
        """Scrape each pod once and evaluate the rules; None is a pod that cannot be reached."""
        self.now += SCRAPE
        for pod, rate in rates.items():
            labels = {"namespace": self.settings.namespace, "service": "api", "pod": pod}
            self.store.add("up", labels, [(self.now, 0.0 if rate is None else 1.0)])
            if rate is not None:
                self.totals[pod] = self.totals.get(pod, 0.0) + rate * SCRAPE
                for code, share in (("200", 0.9), ("500", 0.1)):
                    sample = (self.now, self.totals[pod] * share)
                    self.store.add("http_requests_total", {**labels, "code": code}, [sample])
        for record, expr in rules(self.settings).items():
            self.store.record(record, self.store.query(expr, self.now), self.now)

    def keda(self) -> float | None:
        """Return what KEDA gets from Prometheus; None for no result, an error with ignoreNullValues: false."""
        result = self.store.query(scaling.requests_query(self.settings, "api"), self.now)
        assert len(result) <= 1, "KEDA refuses more than one"
        return next(iter(result.values()), None)

    def adapter(self, rule: dict[str, Any], pods: Iterable[str]) -> dict[str, float]:
        """Return what prometheus-adapter answers for these pods by a rule of its configuration."""
        series = re.match(r"[\w:]+", rule["seriesQuery"])
        assert series
        matchers = f'namespace="{self.settings.namespace}",pod=~"{"|".join(pods)}"'
        query = rule["metricsQuery"].replace("<<.Series>>", series.group()).replace("<<.LabelMatchers>>", matchers)
        result = self.store.query(query.replace("<<.GroupBy>>", "pod"), self.now)
        return {dict(labels)["pod"]: value for labels, value in result.items()}


@pytest.mark.feature("F3")
@pytest.mark.parametrize(
    ("rates", "pods"),
    [
        ({"a": 50, "b": 50}, 2),
        ({"a": 54, "b": 54}, 2),  # within the tolerance of 10 %
        ({"a": 90, "b": 60}, 3),
        ({"a": 200, "b": 210}, 9),
        ({"a": 10, "b": 12, "c": 11, "d": 9}, 1),
    ],
)
def test_the_rules_of_the_adapter_turn_a_counter_into_a_number_of_pods(rates: dict[str, float], pods: int):
    running = Pods(stack(), rates)
    values = running.adapter(ADAPTER_CONFIG["rules"][0], rates)
    assert values == pytest.approx(rates)
    assert hpa(values.values(), 50, len(rates)) == pods
    # KEDA hands over the sum, which comes to the same.
    assert hpa([Pods(stack(**KEDA), rates).keda() or 0], 50, len(rates)) == pods


def test_the_adapter_serves_each_metric_under_the_name_that_the_autoscaler_asks_for():
    served = {}
    for rule in (*ADAPTER_CONFIG["rules"], *ADAPTER_CONFIG["externalRules"]):
        series = re.match(r"[\w:]+", rule["seriesQuery"])
        assert series
        assert re.match(rule["name"]["matches"], series.group())
        served[series.group()] = rule["name"]["as"]
    assert served == {
        "slipway:pod_http_requests_per_second": scaling.POD_METRIC,
        "slipway:http_requests_per_second_forecast": scaling.FORECAST_METRIC,
    }
    assert set(served) <= set(rules(stack(forecast={})))


def test_the_page_about_scaling_has_the_rules_of_the_adapter():
    [block] = [yaml.safe_load(text) for text in Page(REPOSITORY / "docs/scaling.md").blocks("yaml") if "rules:" in text]
    assert block == ADAPTER_CONFIG


def test_only_series_of_pods_and_namespaces_are_served():
    [rule] = ADAPTER_CONFIG["rules"]
    assert rule["resources"]["overrides"] == {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}


def test_a_pod_that_prometheus_lost_counts_as_one_at_its_target():
    found: dict[str, float | None] = {"a": 100, "b": 100, "c": 100, "d": 100}
    running = Pods(stack(**KEDA), {pod: rate or 0 for pod, rate in found.items()})
    assert running.keda() == pytest.approx(400)
    for _ in range(8):
        running.scrape({**found, "c": None, "d": None})
    assert running.keda() == pytest.approx(200 + 2 * 50)


def test_a_pod_that_never_answered_does_not_count_since_it_is_only_starting():
    running = Pods(stack(**KEDA), {"a": 60, "b": 60})
    for _ in range(4):
        running.scrape({"a": 60, "b": 60, "new": None})
    assert running.keda() == pytest.approx(120)


def test_without_any_pod_kedas_query_has_no_result_instead_of_zero():
    running = Pods(stack(**KEDA), {"a": 60, "b": 60})
    for _ in range(40):
        running.scrape({"a": None, "b": None})
    assert running.keda() is None


def test_a_restarted_pod_does_not_look_like_fewer_requests():
    running = Pods(stack(**KEDA), {"a": 60, "b": 60})
    running.totals["a"] = 0.0
    for _ in range(4):
        running.scrape({"a": 60, "b": 60})
    assert running.keda() == pytest.approx(120)


def test_the_counter_is_the_one_that_the_stack_file_names():
    changes = {
        **OPERATOR,
        "services.api.autoscaling": {"rps": 50},
        "services.api.metrics": {"requests": "requests_served"},
    }
    assert "rate(requests_served{" in rules(settings("dev", changes))[scaling.REQUESTS]


@pytest.mark.parametrize("keda", [{}, KEDA], ids=["hpa", "keda"])
def test_every_expression_parses(keda: dict[str, Any]):
    found = stack(forecast={}, **keda)
    queries = (scaling.requests_query(found, "api"), scaling.forecast_query(found, "api"))
    assert all(promql_parser.parse(expr) for expr in (*rules(found).values(), *queries))


def test_a_stack_that_scales_by_cpu_alone_records_nothing():
    assert scaling.groups(settings("dev")) == []


@pytest.mark.parametrize(("ahead", "level"), [("5m", 1.0), ("15m", 1.0), ("15m", 0.45), ("15m", 2.2)])
def test_the_recorded_forecast_is_the_one_that_the_backtest_replays(ahead: str, level: float):
    """Both are evaluated minute by minute over some hours of a second week, with noise and a mailing.

    Load beyond the bounds of what a forecast expects is within them here.
    """
    load = shop(2, noise=0.02, bad=lambda minute, value: value * level if minute >= WEEK else value)
    found = stack(forecast={"ahead": ahead}, **KEDA)
    recorded, model = rules(found), scaling.forecast_model(ahead)
    begin, end = WEEK + 7 * 60, WEEK + 9 * 60
    labels = {"namespace": found.namespace, "service": "api"}
    store = Store()
    store.add(scaling.REQUESTS, labels, [(minute * 60, load[minute]) for minute in range(end)])
    forecasts: list[float] = []
    for minute in range(begin, end):
        for name in (scaling.EXPECTED, scaling.EXPECTED_ERROR, scaling.FORECAST):
            store.record(name, store.query(recorded[name], minute * 60), minute * 60)
        [forecast] = store.query(scaling.forecast_query(found, "api"), minute * 60).values()
        forecasts.append(forecast)
    # The recorded errors begin with the first forecast, those of the backtest a week earlier.
    settled = model.checked_after + model.level
    assert forecasts[settled:] == pytest.approx(backtest.expected(load, model)[begin + settled : end])
    assert min(forecasts[settled:]) > 0


def test_without_a_week_of_history_the_forecast_is_zero_and_not_missing():
    found = stack(forecast={}, **KEDA)
    running = Pods(found, {"a": 60, "b": 60})
    [forecast] = running.store.query(scaling.forecast_query(found, "api"), running.now).values()
    assert forecast == 0


def test_the_model_ends_its_averages_around_the_time_that_is_expected():
    model = ForecastModel(ahead=15)
    assert (model.last_week, model.checked_after) == (7 * 24 * 60 - 20, 20)
    assert rules(stack(forecast={}))[scaling.EXPECTED_ERROR].count(" offset 20m") == 1
