"""Objectives: what is measured for a service, which rules follow, and what moves when one target changes."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from slipway.monitoring import burn_rate
from slipway.monitoring.groups import groups_of
from slipway.monitoring.slo import objectives
from slipway.settings.sections.slo import Slo
from tests.monitoring.conftest import SLO, settings_of

WITH_SLO = {"services.api.slo": SLO}
WITHOUT_METRICS = {"services.api.contract": "none", "services.api.probes": {"ready": {"tcp": True}}}


def refusal(changes: dict[str, Any]) -> str:
    with pytest.raises(pulumi.RunError) as refused:
        settings_of("dev", changes)
    return str(refused.value)


def rules(changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the rules of a stack with these objectives, by objective and name."""
    found = groups_of(settings_of("dev", changes), "cluster")
    return {
        f"{rule['labels']['slo']} {rule.get('record') or rule['alert']}": rule
        for group in found
        for rule in group["rules"]
        if "slo" in rule["labels"]
    }


def test_an_objective_is_made_of_each_target():
    found = objectives(settings_of("dev", WITH_SLO))
    assert [(item.name, item.target) for item in found] == [
        ("availability", 0.9995),
        ("latency-p99-250ms", 0.99),
        ("latency-p50-1s", 0.5),
    ]
    assert {(item.namespace, item.service, item.window) for item in found} == {("slipway-dev", "api", "30d")}


def test_errors_are_counted_by_the_names_of_the_contract():
    metrics = {"requests": "hits_total", "codeLabel": "status", "durations": "took_seconds", "buckets": [0.25, 1]}
    availability, p99, p50 = objectives(settings_of("dev", {**WITH_SLO, "services.api.metrics": metrics}))
    own = 'namespace="slipway-dev",service="api"'
    assert availability.error_ratio("5m") == (
        f'(sum(rate(hits_total{{{own},status=~"5.."}}[5m])) or vector(0))\n/\n(sum(rate(hits_total{{{own}}}[5m])) > 0)'
    )
    assert p99.bad_rate("1h") == (
        f'sum(rate(took_seconds_count{{{own}}}[1h])) - sum(rate(took_seconds_bucket{{{own},le="0.25"}}[1h]))'
    )
    assert 'le=~"1([.]0)?"' in p50.bad_rate("1h")


def test_a_stack_that_nothing_monitors_has_no_rules():
    assert groups_of(settings_of("dev", WITH_SLO), "none") == []


def test_a_latency_between_two_buckets_is_refused_with_the_nearest_ones():
    message = refusal({"services.api.slo": {**SLO, "latency": {"p99": "300ms"}}})
    assert "slipway:services.api.slo.latency.p99: is no bound of metrics.buckets" in message
    assert "nearest: 250ms, 500ms" in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"services.api.slo": {"availability": 100}}, "services.api.slo.availability: should be less than 100"),
        (
            {"services.api.slo": {"availability": "99.9"}},
            "services.api.slo.availability: should be a number, without quotes",
        ),
        ({"services.api.slo": {}}, "services.api.slo.availability: is required"),
        ({"services.api.slo": {**SLO, "latency": {"p42": "1s"}}}, "one of p50, p90, p95, p99, p99.9"),
        ({"services.api.slo": {**SLO, "latency": {"p99": "quick"}}}, "a duration such as 250ms, 1s or 5m"),
        ({"services.api.slo": {**SLO, "window": "14d"}}, "'7d', '28d' or '30d'"),
        ({"services.api.metrics": {"buckets": [1, 0.5]}}, "in ascending order"),
        ({**WITH_SLO, **WITHOUT_METRICS}, "services.api.slo: needs the app's metrics"),
        ({"services.web.alerts": {"A": {"expr": "up == 0", "summary": "x"}}}, "has no $(selector)"),
        (
            {"services.api.alerts": {"A": {"expr": "sum(rate(x{$(selector)}[5m]) > 0", "summary": "x"}}},
            "services.api.alerts.A.expr: is not PromQL: unclosed left parenthesis",
        ),
    ],
)
def test_an_objective_that_cannot_be_kept_track_of_is_refused(changes: dict[str, Any], message: str):
    assert message in refusal(changes)


def test_a_worker_has_no_objective():
    worker = {"kind": "worker", "check": None, "slo": SLO, "args": ["work"]}
    assert "slo: goes with kind: web" in refusal({"services.web": worker, "services.web.ingress": None})


@pytest.mark.parametrize(
    ("window", "rates"),
    [("30d", [14.4, 6, 3, 1]), ("28d", [13.44, 5.6, 2.8, 14 / 15]), ("7d", [13.44, 3.5, 1.4, 0.98])],
)
def test_burn_rates_follow_from_the_window(window: Any, rates: list[float]):
    slo = Slo(availability=99.9, window=window)
    assert [pair.rate for pair in slo.burn_windows] == pytest.approx(rates)


@pytest.mark.feature("H5")
def test_one_changed_target_moves_its_rules_its_alerts_and_the_canary():
    before, after = {**WITH_SLO}, {"services.api.slo": {**SLO, "availability": 99.99}}
    rules_before, rules_after = rules(before), rules(after)
    changed = {key for key in rules_before if rules_before[key] != rules_after[key]}
    assert {key.partition(" ")[0] for key in changed} == {"availability"}
    assert {f"availability {burn_rate.FAST}", f"availability {burn_rate.SLOW}"} <= changed
    assert "14.4 * 0.0001)" in rules_after[f"availability {burn_rate.FAST}"]["expr"]
    assert rules_after[f"availability {burn_rate.ERROR_BUDGET}"]["expr"] == "vector(1-0.9999)"
    canaries = [settings_of("dev", changes).services["api"].canary_in_force for changes in (before, after)]
    assert [canary.error_percent for canary in canaries] == [0.72, 0.144]


def test_one_changed_latency_begins_rules_of_its_own_and_moves_the_canary():
    before, after = {**WITH_SLO}, {"services.api.slo": {**SLO, "latency": {"p99": "500ms", "p50": "1s"}}}
    rules_before, rules_after = rules(before), rules(after)
    changed = {key.partition(" ")[0] for key in rules_before.keys() ^ rules_after.keys()}
    assert changed == {"latency-p99-250ms", "latency-p99-500ms"}
    assert {key: rule for key, rule in rules_before.items() if key in rules_after}.items() <= rules_after.items()
    assert 'le="0.5"' in rules_after["latency-p99-500ms slo:sli_error:ratio_rate5m"]["expr"]
    canaries = [settings_of("dev", changes).services["api"].canary_in_force for changes in (before, after)]
    assert [canary.p99_milliseconds for canary in canaries] == [250, 500]
