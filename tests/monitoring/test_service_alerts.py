"""Alerts of services: their limits follow from the settings, and what could tell nothing is left out."""

from __future__ import annotations

from typing import Any

import pytest

from slipway import releases
from slipway.monitoring.groups import groups, groups_of
from slipway.settings.sections.service import Service
from slipway.settings.sections.slo import Slo
from tests.monitoring.conftest import SLO, settings_of

OWN = {"expr": "rate(x{$(selector)}[5m]) > 1", "summary": "Too many."}
WORKER = {
    "kind": "worker",
    "args": ["work"],
    "check": None,
    "ingress": None,
    "metrics": {"port": "admin"},
    "ports": {"admin": 9090},
}


def alerts(changes: dict[str, Any], service: str = "api") -> list[dict[str, Any]]:
    """Return the alerts of a service of prod."""
    found = groups_of(settings_of("prod", changes), "operator")
    rules = [rule for group in found for rule in group["rules"] if "alert" in rule]
    return [rule for rule in rules if rule["labels"]["service"] == service]


def expr_of(changes: dict[str, Any], name: str) -> str:
    [rule] = [rule for rule in alerts(changes) if rule["alert"] == name]
    return rule["expr"]


def thresholds(changes: dict[str, Any], name: str = "ReplicasNearMaximum") -> list[str]:
    return [rule["labels"]["threshold"] for rule in alerts(changes) if rule["alert"] == name]


def test_a_p99_is_slow_beyond_the_target_or_beyond_half_a_second():
    assert expr_of({}, "HighP99Latency").endswith("> 0.5")
    assert expr_of({"services.api.slo": SLO}, "HighP99Latency").endswith("> 0.25")


def test_fast_requests_are_counted_at_the_first_bound_from_the_limit_on():
    name = "HighLatencyWithIncreasingErrors"
    assert 'le="0.25"' in expr_of({"services.api.slo": SLO}, name)
    assert 'le="0.7"' in expr_of({"services.api.metrics": {"buckets": [0.1, 0.7, 3]}}, name)
    assert 'le="0.2"' in expr_of({"services.api.metrics": {"buckets": [0.1, 0.2]}}, name)


def test_cpu_is_high_only_where_the_autoscaler_should_have_reacted():
    fixed = {"services.api.autoscaling": None, "services.api.replicas": 3}
    scaling = {"services.api.autoscaling": {"min": 2, "max": 10, "cpuPercent": 50}}
    assert expr_of({}, "HighCpu").endswith("/ 0.25 > 0.88")
    assert expr_of(scaling, "HighCpu").endswith("/ 0.25 > 0.8")
    assert expr_of(fixed, "HighCpu").endswith("/ 0.25 > 0.8")


def test_memory_is_measured_against_the_limit():
    assert f"/ {512 * 2**20} >" in expr_of({"services.api.resources.memory": "512Mi"}, "HighMemory")


def test_a_threshold_that_the_minimum_reaches_is_left_out():
    assert thresholds({}) == ["70", "85", "95"]
    assert thresholds({"services.api.autoscaling": {"min": 8, "max": 10}}) == ["85", "95"]
    assert thresholds({"services.api.autoscaling": {"min": 4, "max": 4}}) == []
    assert thresholds({"services.api.autoscaling": None, "services.api.replicas": 3}) == []


def test_a_worker_has_no_alerts_on_requests():
    found = {rule["alert"] for rule in alerts({"services.web": WORKER}, "web")}
    assert {"InstanceDown", "HighMemory"} <= found
    assert not {"HighP99Latency", "HighLatencyWithIncreasingErrors"} & found


def test_a_service_without_metrics_has_the_alerts_of_the_cluster_alone():
    changes = {"services.web.contract": "none", "services.web.probes": {"ready": {"tcp": True}}}
    assert {rule["alert"] for rule in alerts(changes, "web")} == {
        "AutoscalerAtMaximum",
        "CertificateExpiresSoon",
        "ContainerOutOfMemory",
        "ContainerRestarts",
    }


def test_only_certificates_of_an_issuer_are_watched():
    own = {"services.api.ingress": {"host": "api.example.com", "tls": {"secretName": "bought"}}}
    assert "CertificateExpiresSoon" in {rule["alert"] for rule in alerts({})}
    assert "CertificateExpiresSoon" not in {rule["alert"] for rule in alerts(own)}


def test_an_alert_of_ones_own_sees_its_service_alone():
    changes = {"services.api.alerts": {"Busy": OWN | {"for": "1m", "severity": "page"}}}
    [rule] = [rule for rule in alerts(changes) if rule["alert"] == "Busy"]
    assert rule["expr"] == 'rate(x{namespace="slipway-prod",service="api"}[5m]) > 1'
    assert rule["for"] == "1m"
    assert rule["labels"] == {"namespace": "slipway-prod", "service": "api", "severity": "page"}
    assert rule["annotations"]["runbook_url"] == "docs/runbooks/Busy.md"


def test_thresholds_make_an_alert_of_each():
    several = OWN | {
        "expr": "x{$(selector)} > $(threshold)",
        "thresholds": [70, 99.5],
        "runbook": "https://example.com",
    }
    found = [rule for rule in alerts({"services.api.alerts": {"Full": several}}) if rule["alert"] == "Full"]
    assert [rule["expr"].rpartition(" ")[2] for rule in found] == ["70", "99.5"]
    assert [rule["labels"]["threshold"] for rule in found] == ["70", "99.5"]
    assert {rule["annotations"]["runbook_url"] for rule in found} == {"https://example.com"}


def test_a_release_records_neither_objectives_nor_alerts():
    """After a rollback those of today's stack file apply."""
    settings = settings_of("prod", {"services.api.alerts": {"Busy": OWN}, "services.api.slo": SLO})
    assert not {"alerts", "slo"} & releases.content(settings)["services"]["api"].keys()


def test_nothing_is_evaluated_unless_monitoring_names_a_source():
    operator = {"monitoring": {"source": "operator"}, "cluster.monitoringNamespace": "monitoring"}
    assert groups(settings_of("prod", {})) == []
    assert groups(settings_of("prod", operator)) == groups_of(settings_of("prod", {}), "operator")


@pytest.mark.parametrize(("availability", "percent"), [(99.99, 0.144), (99.95, 0.72), (99.9, 1), (99, 1), (95, 5)])
def test_a_canary_may_fail_as_often_as_would_page_but_not_above_1_percent(availability: float, percent: float):
    service = Service(slo=Slo(availability=availability))
    assert service.canary_in_force.error_percent == percent
    assert service.canary_in_force.p99_milliseconds == 1000


def test_limits_of_the_canary_that_are_given_stay():
    given = {"rollout": "canary", "canary": {"errorPercent": 2, "p99Milliseconds": 900}, "slo": SLO}
    canary = Service.model_validate(given).canary_in_force
    assert (canary.error_percent, canary.p99_milliseconds) == (2, 900)


def test_without_objectives_a_canary_is_as_it_was():
    assert Service().canary_in_force == Service().canary
