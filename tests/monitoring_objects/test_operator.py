"""Objects for the Prometheus Operator of the cluster."""

from __future__ import annotations

import json

import pytest

from slipway.rules import house_rules
from tests.conftest import Changed
from tests.monitoring_objects.declared import OPERATOR

SLO = {"services.api.slo": {"availability": 99.9}}


@pytest.mark.feature("H2", part="declared")
@pytest.mark.parametrize("service", ["api", "web"])
def test_a_pod_monitor_selects_the_pods_of_the_service_and_a_port_they_have(changed: Changed, service: str):
    manifests = changed("dev", OPERATOR).manifests()
    monitor = manifests["PodMonitor", service]["spec"]
    assert monitor["selector"]["matchLabels"] == manifests["Service", service]["spec"]["selector"]
    template = manifests["Deployment", service]["spec"]["template"]
    assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    [endpoint] = monitor["podMetricsEndpoints"]
    assert endpoint["port"] in [port["name"] for port in template["spec"]["containers"][0]["ports"]]


def test_series_are_labelled_with_the_service_whatever_the_operator_calls_the_job(changed: Changed):
    [endpoint] = changed("dev", OPERATOR).manifests()["PodMonitor", "api"]["spec"]["podMetricsEndpoints"]
    labels = {entry["targetLabel"]: entry["replacement"] for entry in endpoint["relabelings"]}
    assert labels == {"service": "api", "job": "api"}


def test_an_adopted_deployment_is_scraped_by_the_labels_it_has(changed: Changed):
    manifests = changed("dev", {**OPERATOR, "services.api.selector": {"app": "api"}}).manifests()
    assert manifests["PodMonitor", "api"]["spec"]["selector"] == {"matchLabels": {"app": "api"}}


def test_all_rules_of_the_stack_are_one_prometheus_rule(changed: Changed):
    rules = changed("dev", {**OPERATOR, **SLO}).manifests()["PrometheusRule", "rules"]
    names = [group["name"] for group in rules["spec"]["groups"]]
    assert "slo-api-availability-alerts" in names
    assert rules["metadata"]["name"] == "slipway"


def test_the_prometheus_of_the_operator_selects_the_objects_by_the_labels_of_the_stack_file(changed: Changed):
    manifests = changed("dev", {**OPERATOR, **SLO}).manifests()
    for key in (("PodMonitor", "api"), ("PodMonitor", "web"), ("PrometheusRule", "rules")):
        labels = manifests[key]["metadata"]["labels"]
        assert labels["release"] == "prometheus"
        assert labels["app.kubernetes.io/managed-by"] == "pulumi"


def test_the_dashboard_is_a_config_map_that_the_sidecar_of_grafana_finds(changed: Changed):
    manifest = changed("dev", {**OPERATOR, **SLO}).manifests()["ConfigMap", "dashboard"]
    assert manifest["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(manifest["data"]["slipway-dev.json"])["title"] == "slipway: slipway-dev"


def test_no_server_is_declared_and_the_rules_are_kept(changed: Changed):
    manifests = changed("prod", {**OPERATOR, **SLO}).manifests()
    assert ("StatefulSet", "prometheus") not in manifests
    assert ("Service", "api-metrics") not in manifests
    assert house_rules.check([*manifests.values()], "prod") == []
