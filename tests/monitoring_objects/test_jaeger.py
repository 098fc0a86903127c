"""Jaeger in the stack's namespace: its pod, its connections, and what the services learn of it."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pulumi
import pytest
import yaml

from slipway.ops.cluster.port_forward import PortForwardError, command_line
from slipway.ops.program.recorder import declare
from slipway.rules import house_rules
from tests import api_server
from tests.conftest import API_ONLY, Changed, with_changes
from tests.monitoring_objects.declared import CLUSTER, IMAGE, pod
from tests.program.test_network import policy
from tests.service.test_tracing import refusal, variables, way_out

JAEGER: dict[str, Any] = {"tracing": {"source": "cluster", "image": IMAGE}}
PODS = {"podSelector": {"matchLabels": {"slipway/service": "jaeger"}}}


def config(changes: dict[str, Any], changed: Changed) -> dict[str, Any]:
    """Return the configuration as Jaeger reads it."""
    manifests = changed("dev", changes).manifests()
    return yaml.safe_load(manifests["ConfigMap", "jaeger-files"]["data"]["jaeger.yaml"])


@pytest.mark.parametrize("version", ["1.34", "1.37"])
def test_every_object_is_valid_for_the_oldest_and_newest_kubernetes(changed: Changed, version: str):
    manifests = changed("dev", JAEGER).manifests().values()
    assert "jaeger" in [manifest["metadata"]["name"] for manifest in manifests if manifest["kind"] == "StatefulSet"]
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_jaeger_keeps_every_house_rule(changed: Changed, stack: Any):
    before = house_rules.check([*changed(stack, {}).manifests().values()], stack)
    assert house_rules.check([*changed(stack, JAEGER).manifests().values()], stack) == before


def test_jaeger_is_restricted_sized_and_probed(changed: Changed):
    spec = pod(changed("dev", JAEGER), "jaeger")
    [container] = spec["containers"]
    assert container["image"] == IMAGE
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec["securityContext"]["runAsUser"] == 65532
    assert spec["automountServiceAccountToken"] is False
    assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"] == "512Mi"
    assert {"name": "GOMEMLIMIT", "value": "460MiB"} in container["env"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert container["readinessProbe"]["httpGet"] == {"path": "/status", "port": "health"}
    assert ports["health"] == 13133
    for probe in ("startup", "liveness"):
        assert container[f"{probe}Probe"]["tcpSocket"] == {"port": "jaeger"}


def test_jaeger_keeps_as_many_traces_as_the_stack_file_says_and_takes_them_on_the_port_of_otlp(changed: Changed):
    tracing = {**JAEGER["tracing"], "maxTraces": 500, "resources": {"memory": "256Mi"}}
    read = config({"tracing": tracing}, changed)
    assert read["extensions"]["jaeger_storage"]["backends"] == {"memory": {"memory": {"max_traces": 500}}}
    assert read["receivers"]["otlp"]["protocols"] == {"http": {"endpoint": "0.0.0.0:4318"}}
    assert pod(changed("dev", {"tracing": tracing}), "jaeger")["containers"][0]["resources"]["limits"]["memory"] == (
        "256Mi"
    )
    # Every part that the pipeline names is configured.
    pipeline = read["service"]["pipelines"]["traces"]
    assert all(pipeline[kind] == list(read[kind]) for kind in ("receivers", "processors", "exporters"))
    assert read["service"]["extensions"] == list(read["extensions"])


@pytest.mark.feature("H6", part="Jaeger of the stack itself")
def test_services_learn_the_address_of_the_stack_s_jaeger_by_themselves(changed: Changed):
    program = changed("dev", JAEGER)
    service = program.manifests()["Service", "jaeger"]["spec"]
    [port] = service["ports"]
    for name in ("api", "web"):
        assert variables(program, name)["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://jaeger:{port['port']}"
    assert port["targetPort"] == "jaeger"
    [container] = pod(program, "jaeger")["containers"]
    assert {"name": "jaeger", "containerPort": 4318} in container["ports"]


@pytest.mark.feature("E5", part="the way to the stack's Jaeger")
def test_services_that_send_traces_reach_jaeger_which_opens_no_connection(changed: Changed):
    program = changed("dev", {**JAEGER, "services.web.tracing": False})
    own = policy(program, "jaeger")
    assert own.get("egress") is None
    [rule] = own["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"slipway/service": "api"}}}]
    assert rule["ports"] == [{"port": 4318, "protocol": "TCP"}]
    way = {"to": [PODS], "ports": [{"port": 4318, "protocol": "TCP"}]}
    assert (way in way_out(program, "api"), way in way_out(program, "web")) == (True, False)


def test_the_quota_has_room_for_jaeger(changed: Changed):
    def hard(changes: dict[str, Any]) -> dict[str, str]:
        return changed("dev", changes).manifests()["ResourceQuota", "quota"]["spec"]["hard"]

    without, with_jaeger = hard(CLUSTER), hard({**CLUSTER, **JAEGER})
    assert int(with_jaeger["pods"]) - int(without["pods"]) == 1
    assert int(with_jaeger["limits.memory"][:-2]) - int(without["limits.memory"][:-2]) == 512


def test_an_update_does_not_fail_because_jaeger_does_not_start(changed: Changed):
    metadata = changed("dev", JAEGER).manifests()["StatefulSet", "jaeger"]["metadata"]
    assert metadata["annotations"]["pulumi.com/skipAwait"] == "true"


def test_port_forward_leads_to_the_pages_of_jaeger():
    cluster = api_server.cluster(api_server.ApiServer(), JAEGER)
    assert command_line(cluster, "jaeger")[-2:] == ["statefulset/jaeger", "16686:16686"]
    with pytest.raises(PortForwardError, match="one port only"):
        command_line(cluster, "jaeger", port_name="otlp")


def test_a_release_records_jaeger_as_the_address_is_among_the_variables_of_its_pods(changed: Changed):
    record = changed("dev", JAEGER).manifests()["ConfigMap", "release"]["data"]["settings.yaml"]
    assert yaml.safe_load(record)["tracing"] == JAEGER["tracing"]


def test_a_collector_that_is_there_needs_no_server(changed: Changed):
    elsewhere = {"endpoint": "http://jaeger.observability:4318", "namespace": "observability"}
    assert ("StatefulSet", "jaeger") not in changed("dev", {"tracing": elsewhere}).manifests()


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"tracing": {"source": "cluster"}}, "tracing", "image is required with source: cluster"),
    ({"tracing": {"source": "cluster", "image": "jaeger:2"}}, "tracing.image", "digest"),
    ({"tracing": {**JAEGER["tracing"], "cidr": "10.20.0.7/32"}}, "tracing", "cidr: only with source: external"),
    (
        {"tracing": {"endpoint": "http://a.b:4318", "namespace": "b", "maxTraces": 500}},
        "tracing",
        "maxTraces: only with source: cluster; this is source: external",
    ),
    ({"tracing": {**JAEGER["tracing"], "maxTraces": 5}}, "tracing.maxTraces", "greater than or equal to 100"),
    ({**JAEGER, "services.api.tracing": False}, "tracing.source", "receives nothing: no service sends traces"),
    ({**JAEGER, "services.jaeger": {}}, "services.jaeger", "is the name of the server of tracing.source: cluster"),
]


@pytest.mark.parametrize(("changes", "key", "words"), WRONG)
def test_what_is_wrong_about_jaeger_is_named(changes: dict[str, Any], key: str, words: str):
    message = refusal({**API_ONLY, **changes})
    assert f"slipway:{key}: " in message
    assert words in message


def test_a_stack_without_services_that_send_traces_may_name_a_collector():
    silent = {"endpoint": "http://a.b:4318", "namespace": "b"}
    assert declare("dev", with_changes("dev", {**API_ONLY, "tracing": silent, "services.api.tracing": False}))
    with pytest.raises(pulumi.RunError):
        declare("dev", with_changes("dev", {**API_ONLY, **JAEGER, "services.api.tracing": False}))
