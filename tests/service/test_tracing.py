"""Traces: a service that sends them gets OpenTelemetry's variables, and may connect to the collector."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from slipway.ops.program.recorder import Program, declare
from slipway.rules.house_rules import check
from tests.conftest import API_ONLY, Changed, with_changes

JAEGER = {
    "endpoint": "http://jaeger.observability:4318",
    "namespace": "observability",
    "podLabels": {"app.kubernetes.io/name": "jaeger"},
}


def variables(program: Program, service: str) -> dict[str, str]:
    """Return the variables of OpenTelemetry that a service gets."""
    data = program.manifests()["ConfigMap", f"{service}-env"]["data"]
    return {name: value for name, value in data.items() if name.startswith("OTEL_")}


def way_out(program: Program, service: str) -> list[dict[str, Any]]:
    return program.manifests()["NetworkPolicy", service]["spec"].get("egress") or []


def refusal(changes: dict[str, Any]) -> str:
    with pytest.raises(pulumi.RunError) as refused:
        declare("dev", with_changes("dev", changes))
    return str(refused.value)


@pytest.mark.feature("H6", part="variables of OpenTelemetry")
def test_every_service_that_reads_the_contract_learns_where_to_send_traces(changed: Changed):
    program = changed("dev", {"tracing": {**JAEGER, "ratio": 0.25}})
    for service in ("api", "web"):
        assert variables(program, service) == {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://jaeger.observability:4318",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_SERVICE_NAME": service,
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=dev",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.25",
        }
    assert check(list(program.manifests().values()), "dev") == []


def test_without_a_collector_no_service_gets_these_variables(changed: Changed):
    program = changed("dev", {})
    assert variables(program, "api") == variables(program, "web") == {}


def test_variables_of_the_service_itself_win(changed: Changed):
    changes = {"tracing": JAEGER, "services.api.env": {"OTEL_TRACES_SAMPLER_ARG": "1", "OTEL_SERVICE_NAME": "reviews"}}
    own = variables(changed("dev", {**API_ONLY, **changes}), "api")
    assert (own["OTEL_TRACES_SAMPLER_ARG"], own["OTEL_SERVICE_NAME"]) == ("1", "reviews")
    assert own["OTEL_EXPORTER_OTLP_ENDPOINT"] == JAEGER["endpoint"]


@pytest.mark.parametrize(("asks", "gets"), [({}, False), ({"tracing": True}, True)], ids=["silent", "asks"])
def test_an_app_of_anyone_gets_them_only_if_it_asks(changed: Changed, asks: dict[str, Any], gets: bool):
    shop = {"contract": "none", "probes": {"ready": {"path": "/health"}}, "env": {"A": "b"}, **asks}
    program = changed("dev", {**API_ONLY, "tracing": JAEGER, "services.shop": shop})
    assert bool(variables(program, "shop")) is gets
    assert len(way_out(program, "shop")) == gets


def test_a_service_may_send_no_traces(changed: Changed):
    program = changed("dev", {**API_ONLY, "tracing": JAEGER, "services.api.tracing": False})
    assert variables(program, "api") == {}
    before = changed("dev", API_ONLY)
    assert way_out(program, "api") == way_out(before, "api")


@pytest.mark.feature("E5", part="the way to a collector of traces")
def test_a_service_that_sends_traces_may_connect_to_the_collector_in_its_namespace(changed: Changed):
    [*others, rule] = way_out(changed("dev", {**API_ONLY, "tracing": JAEGER}), "api")
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": "observability"}}
    pods = {"matchLabels": {"app.kubernetes.io/name": "jaeger"}}
    assert rule["to"] == [{"namespaceSelector": namespace, "podSelector": pods}]
    assert rule["ports"] == [{"port": 4318, "protocol": "TCP"}]
    assert others == way_out(changed("dev", API_ONLY), "api")


PORTS = [
    ({"endpoint": "http://collector.example.com:4318"}, 4318),
    ({"endpoint": "https://collector.example.com"}, 443),
    ({"endpoint": "http://collector.example.com/otlp"}, 80),
    ({"endpoint": "http://collector.example.com", "port": 14318}, 14318),
]


@pytest.mark.parametrize(("tracing", "port"), PORTS)
def test_a_collector_outside_the_cluster_is_reached_at_its_addresses(
    changed: Changed, tracing: dict[str, Any], port: int
):
    program = changed("dev", {**API_ONLY, "tracing": {**tracing, "cidr": "10.20.0.7/32"}})
    rule = way_out(program, "api")[-1]
    assert rule["to"] == [{"ipBlock": {"cidr": "10.20.0.7/32"}}]
    assert rule["ports"] == [{"port": port, "protocol": "TCP"}]


ENDPOINT = {"endpoint": "http://jaeger.observability:4318"}
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"tracing": {}}, "tracing", "endpoint is required with source: external"),
    ({"tracing": ENDPOINT}, "tracing", "give either cidr or namespace"),
    ({"tracing": {**JAEGER, "cidr": "10.20.0.7/32"}}, "tracing", "give either cidr or namespace"),
    (
        {"tracing": {**ENDPOINT, "cidr": "10.20.0.7/32", "podLabels": {"app": "jaeger"}}},
        "tracing",
        "podLabels goes with namespace",
    ),
    ({"tracing": {**ENDPOINT, "cidr": "0.0.0.0/0"}}, "tracing", "is everybody"),
    ({"tracing": {**JAEGER, "endpoint": "jaeger:4318"}}, "tracing.endpoint", "an address such as"),
    ({"tracing": {**JAEGER, "ratio": 2}}, "tracing.ratio", "less than or equal to 1"),
    ({"tracing": {**JAEGER, "ratio": "0.1"}}, "tracing.ratio", "should be a number, without quotes"),
    ({"services.api.tracing": True}, "services.api.tracing", "there is no collector to send traces to"),
]


@pytest.mark.parametrize(("changes", "key", "words"), WRONG)
def test_what_is_wrong_about_traces_is_named(changes: dict[str, Any], key: str, words: str):
    message = refusal({**API_ONLY, **changes})
    assert f"slipway:{key}: " in message
    assert words in message
