"""Nobody may talk to anybody, but for the edges a stack file declares."""

from __future__ import annotations

from typing import Any

import pytest

from ops.recorder import Program, stacks
from tests.conftest import WITHOUT_STORES, Changed, Declare


def policy(program: Program, name: str) -> dict[str, Any]:
    return program.manifests()["NetworkPolicy", name]["spec"]


def peers(rules: list[dict[str, Any]], side: str) -> list[dict[str, Any]]:
    return [peer for rule in rules for peer in rule[side]]


@pytest.mark.feature("E5", part="declared")
@pytest.mark.parametrize("stack", stacks())
def test_a_namespace_is_closed_but_for_questions_to_its_dns(program: Declare, stack: str):
    closed = policy(program(stack), "default-deny")
    assert closed["podSelector"] == {}
    assert closed["policyTypes"] == ["Ingress", "Egress"]
    assert not closed.get("ingress")
    [rule] = closed["egress"]
    assert {(port["port"], port["protocol"]) for port in rule["ports"]} == {(53, "UDP"), (53, "TCP")}
    [dns] = rule["to"]
    assert dns["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "kube-system"}
    assert dns["podSelector"]["matchLabels"] == {"k8s-app": "kube-dns"}


@pytest.mark.parametrize("stack", stacks())
def test_the_ingress_controller_reaches_the_public_port_and_nothing_else(program: Declare, stack: str):
    [rule] = policy(program(stack), "web")["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}]
    assert rule["ports"] == [{"port": 8080, "protocol": "TCP"}]


def test_what_a_service_needs_opens_both_ends_of_the_connection_and_no_other(changed: Changed):
    program = changed("dev", {**WITHOUT_STORES, "services.web": {"needs": ["api"]}, "services.other": {}})
    [out] = policy(program, "web")["egress"]
    assert out["to"] == [{"podSelector": {"matchLabels": {"slipway/service": "api"}}}]
    assert {"podSelector": {"matchLabels": {"slipway/service": "web"}}} in peers(
        policy(program, "api")["ingress"], "from"
    )
    for closed in ("other", "web"):
        assert not policy(program, closed).get("ingress")
    for silent in ("other", "api"):
        assert not policy(program, silent).get("egress")


def test_a_network_label_is_on_every_pod_it_selects(changed: Changed):
    program = changed("dev", {"services.api.migration": {"args": ["migrate"]}})
    templates = [
        program.manifests()[key]["spec"]["template"] for key in (("Deployment", "api"), ("Job", "api-migration"))
    ]
    assert [template["metadata"]["labels"]["slipway/service"] for template in templates] == ["api", "api"]


def test_addresses_outside_the_stack_are_opened_one_by_one(changed: Changed):
    outside = {"services.api.egress": [{"cidr": "10.20.0.0/16", "ports": [3306, 6379]}]}
    program = changed("dev", {**WITHOUT_STORES, **outside})
    [out] = policy(program, "api")["egress"]
    assert out["to"] == [{"ipBlock": {"cidr": "10.20.0.0/16"}}]
    assert [port["port"] for port in out["ports"]] == [3306, 6379]


def test_metrics_are_open_to_the_monitoring_namespace_only_where_there_is_one(changed: Changed):
    assert len(policy(changed("dev", {}), "api")["ingress"]) == 1
    program = changed("dev", {"cluster.monitoringNamespace": "monitoring"})
    scrape = policy(program, "api")["ingress"][1]
    assert peers([scrape], "from")[0]["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "monitoring"
    }
    assert scrape["ports"] == [{"port": 9090, "protocol": "TCP"}]
