"""Connections are denied unless a stack file declares them."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.ops.program.recorder import Program, stacks
from slipway.rules.house_rules import check
from tests.conftest import API_ONLY, WITHOUT_STORES, Changed, Declare


def policy(program: Program, name: str) -> dict[str, Any]:
    return program.manifests()["NetworkPolicy", name]["spec"]


def peers(rules: list[dict[str, Any]], side: str) -> list[dict[str, Any]]:
    return [peer for rule in rules for peer in rule[side]]


@pytest.mark.feature("E5", part="declared")
@pytest.mark.parametrize("stack", stacks())
def test_a_namespace_denies_all_connections_except_dns_queries(program: Declare, stack: str):
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


def test_a_need_opens_both_sides_of_the_connection_and_no_other(changed: Changed):
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


def test_egress_may_use_another_protocol_and_a_range_of_ports(changed: Changed):
    rtp = {"cidr": "10.0.0.0/8", "ports": [30000], "lastPort": 32000, "protocol": "UDP"}
    plain = {"cidr": "10.1.0.0/16", "ports": [443, 8443]}
    rules = policy(changed("dev", {"services.api.egress": [rtp, plain]}), "api")["egress"][-2:]
    assert [rule["ports"] for rule in rules] == [
        [{"port": 30000, "endPort": 32000, "protocol": "UDP"}],
        [{"port": 443, "protocol": "TCP"}, {"port": 8443, "protocol": "TCP"}],
    ]


def test_load_balancers_may_connect_by_their_addresses_to_services_with_an_ingress_only(changed: Changed):
    changes = {"cluster.ingressCidrs": ["10.30.0.0/16"], "services.inner": {"resources": {"memory": "64Mi"}}}
    program = changed("dev", changes)
    assert {"ipBlock": {"cidr": "10.30.0.0/16"}} in peers(policy(program, "web")["ingress"], "from")
    assert not policy(program, "inner").get("ingress")


DNS_PORTS = {("UDP", 53), ("TCP", 53)}


def queries(program: Program) -> list[tuple[list[dict[str, Any]], set[tuple[str, int]]]]:
    """Return the servers that every pod may ask for names, with protocols and ports."""
    rules = policy(program, "default-deny")["egress"]
    return [(rule["to"], {(port["protocol"], port["port"]) for port in rule["ports"]}) for rule in rules]


@pytest.mark.feature("E5", part="DNS by namespace, labels and port")
def test_dns_may_have_another_namespace_labels_and_port(changed: Changed):
    labels = {"dns.operator.openshift.io/daemonset-dns": "default"}
    program = changed(
        "dev", {"cluster.dns": {"namespace": "openshift-dns", "podLabels": labels, "port": 5353}, **API_ONLY}
    )
    [(servers, ports)] = queries(program)
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}}
    assert servers == [{"namespaceSelector": namespace, "podSelector": {"matchLabels": labels}}]
    assert ports == {("UDP", 5353), ("TCP", 5353)}
    assert check(list(program.manifests().values()), "dev") == []


@pytest.mark.feature("E5", part="DNS by address")
def test_dns_may_also_answer_on_an_address_of_each_node(changed: Changed):
    """NodeLocal DNSCache runs in the network of its node, where no label selects it."""
    program = changed("dev", {"cluster.dns.cidrs": ["169.254.20.10/32"], **API_ONLY})
    (_, pods), (addresses, ports) = queries(program)
    assert addresses == [{"ipBlock": {"cidr": "169.254.20.10/32"}}]
    assert pods == ports == DNS_PORTS
    assert check(list(program.manifests().values()), "dev") == []


@pytest.mark.feature("E5", part="cloud metadata stays closed")
@pytest.mark.parametrize(
    ("cidr", "closed"),
    [
        ("0.0.0.0/0", ["169.254.169.254/32", "169.254.170.2/32"]),
        ("169.254.0.0/16", ["169.254.169.254/32", "169.254.170.2/32"]),
        ("169.254.169.0/24", ["169.254.169.254/32"]),
        ("::/0", ["fd00:ec2::254/128"]),
        ("10.0.0.0/8", None),
        ("169.254.20.10/32", None),
    ],
)
def test_a_range_that_holds_a_cloud_s_metadata_is_opened_without_it(
    changed: Changed, cidr: str, closed: list[str] | None
):
    program = changed("dev", {"services.api.egress": [{"cidr": cidr, "ports": [443]}], **API_ONLY})
    [block] = [peer["ipBlock"] for peer in peers(policy(program, "api")["egress"], "to") if "ipBlock" in peer]
    assert (block["cidr"], block.get("except")) == (cidr, closed)
    assert check(list(program.manifests().values()), "dev") == []


def test_the_range_of_a_managed_store_is_opened_without_metadata_too(changed: Changed):
    store = {"source": "managed", "host": "db.example.com", "database": "shop", "user": "shop", "cidr": "0.0.0.0/0"}
    program = changed("dev", {**API_ONLY, **WITHOUT_STORES, "postgres": store, "services.api.needs": ["postgres"]})
    [rule] = policy(program, "api")["egress"]
    assert rule["to"][0]["ipBlock"]["except"] == ["169.254.169.254/32", "169.254.170.2/32"]


def test_metadata_that_a_stack_file_names_itself_breaks_a_house_rule(changed: Changed):
    """GKE hands out the identity of a workload there: who needs that, waives the rule with a reason and a day."""
    program = changed("dev", {"services.api.egress": [{"cidr": "169.254.169.254/32", "ports": [80]}], **API_ONLY})
    assert [finding.rule for finding in check(list(program.manifests().values()), "prod")].count("SW409") == 1


ISSUED = {"services.api.ingress": {"host": "api.example.com", "tls": {"issuer": "letsencrypt"}}}
GIVEN = {f"services.{name}.ingress.tls": {"secretName": "tls"} for name in ("api", "web")}


def test_only_the_ingress_controller_may_connect_to_the_solver_pods_of_cert_manager(changed: Changed):
    opened = policy(changed("dev", {**ISSUED, "cluster.ingressCidrs": ["10.30.0.0/16"]}), "acme-solvers")
    assert opened["podSelector"]["matchLabels"] == {"acme.cert-manager.io/http01-solver": "true"}
    [rule] = opened["ingress"]
    assert rule["ports"] == [{"port": 8089, "protocol": "TCP"}]
    assert rule["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}},
        {"ipBlock": {"cidr": "10.30.0.0/16"}},
    ]
    assert not opened.get("egress")


def test_the_quota_has_room_for_a_solver_of_each_host_and_its_node_port(changed: Changed):
    """By default cert-manager creates a pod of 10m and 64Mi and a Service of type NodePort for each challenge."""
    issued, given = (
        changed("dev", changes).manifests()["ResourceQuota", "quota"]["spec"]["hard"] for changes in ({}, GIVEN)
    )
    assert (issued["services.nodeports"], given["services.nodeports"]) == ("2", "0")
    assert int(issued["pods"]) - int(given["pods"]) == 2
    assert int(issued["requests.memory"].removesuffix("Mi")) - int(given["requests.memory"].removesuffix("Mi")) == 128


def test_without_an_issuer_no_connection_for_challenges_is_allowed(changed: Changed):
    assert ("NetworkPolicy", "acme-solvers") not in changed("dev", GIVEN).manifests()
