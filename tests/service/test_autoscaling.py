"""The autoscaler of a service: by CPU, requests, the clock, a stream, and by whom."""

from __future__ import annotations

from typing import Any

import pytest

from slipway import schemas
from slipway.ops.program.recorder import Program
from slipway.rules.house_rules import check
from tests.conftest import API_ONLY, Changed

OPERATOR = {"monitoring": {"source": "operator"}, "cluster.monitoringNamespace": "monitoring"}
PROMETHEUS = "http://prometheus-operated.monitoring.svc:9090"
QUEUE = {"stream": "orders", "group": "workers", "perPod": 100}
REDIS = {"redis": {"source": "cluster", "image": f"registry.example.com/redis@sha256:{'0' * 64}"}}
SCHEDULE = {"cron": "0 8 * * 1-5", "until": "0 22 * * 1-5", "timeZone": "Europe/Berlin", "min": 8}


@pytest.fixture
def changed(changed: Changed) -> Changed:
    """Return the program of a stack with one service."""
    return lambda stack, changes: changed(stack, {**API_ONLY, **changes})


def scaled(changed: Changed, **autoscaling: Any) -> Program:
    return changed("staging", {**OPERATOR, "services.api.autoscaling": {"min": 2, "max": 10, **autoscaling}})


def worker(changed: Changed, changes: dict[str, Any] | None = None) -> Program:
    jobs = {
        "kind": "worker",
        "needs": ["redis"],
        "autoscaling": {"min": 2, "max": 20, "by": "keda", "backlog": QUEUE},
    }
    return changed("staging", {**REDIS, "services.jobs": jobs, **(changes or {})})


def spec(program: Program, kind: str, name: str = "api") -> dict[str, Any]:
    return program.manifests()[kind, name]["spec"]


def triggers(program: Program, name: str = "api") -> dict[str, dict[str, Any]]:
    return {t.get("name", t["type"]): t for t in spec(program, "ScaledObject", name)["triggers"]}


@pytest.mark.feature("F2", part="rendered")
def test_requests_per_second_are_a_metric_of_the_pods_beside_cpu(changed: Changed):
    cpu, requests = spec(scaled(changed, rps=50), "HorizontalPodAutoscaler")["metrics"]
    assert cpu["resource"]["target"] == {"type": "Utilization", "averageUtilization": 80}
    assert requests == {
        "type": "Pods",
        "pods": {
            "metric": {"name": "http_requests_per_second"},
            "target": {"type": "AverageValue", "averageValue": "50"},
        },
    }


def test_a_forecast_is_one_more_metric_of_which_the_autoscaler_takes_the_highest(changed: Changed):
    *_, forecast = spec(scaled(changed, rps=50, forecast={}), "HorizontalPodAutoscaler")["metrics"]
    assert forecast["external"]["metric"] == {
        "name": "http_requests_per_second_forecast",
        "selector": {"matchLabels": {"service": "api"}},
    }
    assert forecast["external"]["target"] == {"type": "AverageValue", "averageValue": "50"}


@pytest.mark.feature("F5", part="by KEDA as well")
def test_keda_makes_an_autoscaler_of_the_same_name_bounds_and_pace(changed: Changed):
    by_hpa, by_keda = scaled(changed, rps=50), scaled(changed, rps=50, by="keda", prometheus=PROMETHEUS)
    native, scaled_object = spec(by_hpa, "HorizontalPodAutoscaler"), spec(by_keda, "ScaledObject")
    assert ("HorizontalPodAutoscaler", "api") not in by_keda.manifests()
    assert (scaled_object["minReplicaCount"], scaled_object["maxReplicaCount"]) == (2, 10)
    config = scaled_object["advanced"]["horizontalPodAutoscalerConfig"]
    assert config == {"name": "api", "behavior": native["behavior"]}
    annotations = by_keda.manifests()["ScaledObject", "api"]["metadata"]["annotations"]
    assert annotations == {"scaledobject.keda.sh/transfer-hpa-ownership": "true"}
    assert "replicas" not in spec(by_keda, "Deployment")


def test_an_outage_of_metrics_keeps_the_pods_that_run(changed: Changed):
    program = scaled(changed, rps=50, by="keda", prometheus=PROMETHEUS)
    assert spec(program, "ScaledObject")["fallback"] == {
        "failureThreshold": 3,
        "replicas": 2,
        "behavior": "currentReplicasIfHigher",
    }
    # KEDA takes an empty answer of Prometheus for 0 by default.
    assert triggers(program)["requests"]["metadata"]["ignoreNullValues"] == "false"


def test_keda_asks_for_cpu_requests_and_a_forecast(changed: Changed):
    found = triggers(scaled(changed, rps=50, by="keda", prometheus=PROMETHEUS, forecast={"ahead": "30m"}))
    assert list(found) == ["cpu", "requests", "forecast"]
    assert found["cpu"] == {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "80"}}
    for name in ("requests", "forecast"):
        assert found[name]["metadata"]["serverAddress"] == PROMETHEUS
        assert found[name]["metadata"]["threshold"] == "50"


def test_a_scheduled_minimum_is_a_trigger_by_the_clock(changed: Changed):
    cron = triggers(scaled(changed, by="keda", schedule=[SCHEDULE]))["cron"]
    assert cron["metadata"] == {
        "start": "0 8 * * 1-5",
        "end": "0 22 * * 1-5",
        "timezone": "Europe/Berlin",
        "desiredReplicas": "8",
    }


@pytest.mark.feature("P8", part="rendered")
def test_a_worker_scales_by_the_entries_that_wait_in_a_stream(changed: Changed):
    program = worker(changed)
    stream = triggers(program, "jobs")["redis-streams"]
    namespace = program.manifests()["ScaledObject", "jobs"]["metadata"]["namespace"]
    assert stream["metadata"] == {
        "address": f"redis.{namespace}.svc:6379",
        "stream": "orders",
        "consumerGroup": "workers",
        "lagCount": "100",
    }
    assert stream["authenticationRef"] == {"name": "jobs"}


def test_keda_logs_in_to_redis_with_the_secret_that_the_worker_reads(changed: Changed):
    program = worker(changed)
    [login] = spec(program, "TriggerAuthentication", "jobs")["secretTargetRef"]
    [secret] = [name for kind, name in program.manifests() if kind == "Secret" and name.startswith("jobs-secret")]
    name = program.manifests()["Secret", secret]["metadata"]["name"]
    assert login == {"parameter": "password", "name": name, "key": "redis-password"}


def test_keda_may_connect_to_redis_only_where_a_service_scales_by_it(changed: Changed):
    def namespaces(program: Program) -> list[str]:
        [rule] = spec(program, "NetworkPolicy", "redis")["ingress"]
        peers = [peer["namespaceSelector"]["matchLabels"] for peer in rule["from"] if "namespaceSelector" in peer]
        return [labels["kubernetes.io/metadata.name"] for labels in peers]

    assert namespaces(changed("staging", REDIS)) == []
    assert namespaces(worker(changed)) == ["keda"]
    assert namespaces(worker(changed, {"cluster.kedaNamespace": "autoscaling"})) == ["autoscaling"]


def test_keda_asks_the_prometheus_of_the_stack_where_it_runs_one_and_may_connect_to_it(changed: Changed):
    own = {"monitoring": {"source": "cluster", "image": f"registry.example.com/prometheus@sha256:{'0' * 64}"}}
    program = changed("staging", {**own, "services.api.autoscaling": {"by": "keda", "rps": 50}})
    namespace = program.manifests()["ScaledObject", "api"]["metadata"]["namespace"]
    assert triggers(program)["requests"]["metadata"]["serverAddress"] == f"http://prometheus.{namespace}.svc:9090"
    [rule] = spec(program, "NetworkPolicy", "prometheus")["ingress"]
    [peer] = rule["from"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "keda"}
    assert check(list(program.manifests().values()), "prod") == []


def test_keda_verifies_a_managed_redis_as_the_worker_does(changed: Changed):
    managed = {"source": "managed", "host": "redis.example.com", "cidr": "10.20.0.0/24", "user": "jobs"}

    def metadata(**more: Any) -> dict[str, Any]:
        return triggers(worker(changed, {"redis": {**managed, **more}}), "jobs")["redis-streams"]["metadata"]

    assert metadata()["address"] == "redis.example.com:6379"
    assert metadata()["username"] == "jobs"
    assert (metadata()["enableTLS"], metadata()["unsafeSsl"]) == ("true", "false")
    assert metadata(tls="unverified")["unsafeSsl"] == "true"
    assert "enableTLS" not in metadata(tls="disabled")


@pytest.mark.parametrize(
    "autoscaling",
    [
        {"rps": 50, "forecast": {}},
        {"rps": 50, "by": "keda", "prometheus": PROMETHEUS, "forecast": {}, "schedule": [SCHEDULE]},
    ],
    ids=["hpa", "keda"],
)
def test_every_autoscaler_keeps_the_house_rules_and_the_schema_of_its_kind(
    changed: Changed, autoscaling: dict[str, Any]
):
    manifests = [*scaled(changed, **autoscaling).manifests().values(), *worker(changed).manifests().values()]
    scalers = [
        m for m in manifests if m["kind"] in ("HorizontalPodAutoscaler", "ScaledObject", "TriggerAuthentication")
    ]
    assert {message for m in scalers for version in schemas.VERSIONS for message in schemas.errors(m, version)} == set()
    assert check(list(scaled(changed, **autoscaling).manifests().values()), "prod") == []
    assert check(list(worker(changed).manifests().values()), "prod") == []
