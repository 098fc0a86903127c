"""House rules about who may talk to whom: everything is closed, and what is open is open at both ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from naming import SOLVER_PODS
from rules import Part, Pod, Problem, Rules, Stack, port_number, selects, told_ports

RULES = Rules()

Problems = Iterator[Problem]


def network_policies(stack: Stack) -> list[Part]:
    """Every NetworkPolicy."""
    return stack.of("NetworkPolicy")


# What may be open


@RULES.together("SW401")
def default_deny(stack: Stack) -> Problems:
    """Nothing is open that is not declared: one pod taken over would reach all the others."""
    for namespace in stack.of("Namespace"):
        closed = [found for found in network_policies(stack) if found.get("spec.podSelector") == {}]
        for side in ("Ingress", "Egress"):
            if not any(side in found.items("spec.policyTypes") for found in closed):
                yield namespace.says("metadata.name", f"has no NetworkPolicy that closes {side} for all pods; add one")


@RULES.each(network_policies, "SW402")
def no_open_rule(policy: Part) -> Problems:
    """A connection has a peer and a port: an empty list means everybody, or everything."""
    for side, peers in (("ingress", "from"), ("egress", "to")):
        for rule in policy.parts(f"spec.{side}"):
            if not rule.items(peers):
                yield rule.wrong(peers, "an empty list means everybody; name the peers")
            if not rule.items("ports") or any(port.get("port") is None for port in rule.parts("ports")):
                yield rule.wrong("ports", "means every port; name the ports")
            for peer in rule.parts(peers):
                chosen = peer.get("namespaceSelector")
                everywhere = chosen is not None and not any(peer.mapping("namespaceSelector").values())
                if everywhere or peer.fields == {}:
                    yield peer.wrong("namespaceSelector", "means every namespace; name one")
                if side == "ingress" and str(peer.get("ipBlock.cidr")).endswith("/0"):
                    yield peer.wrong("ipBlock.cidr", "means everybody; name a range")


@RULES.each(network_policies, "SW403")
def policy_types(policy: Part) -> Problems:
    """A policy says which ways it closes: egress stays open where it is not named."""
    for side in ("Ingress", "Egress"):
        if side.lower() in policy.mapping("spec") and side not in policy.items("spec.policyTypes"):
            yield policy.wrong("spec.policyTypes", f"add {side}: its rules do not count")


# Where it leads


@RULES.together("SR031")
def policy_pods(stack: Stack) -> Problems:
    """A NetworkPolicy's labels fit pods: the connection would be closed, or the pods open."""
    for policy in stack.of("NetworkPolicy"):
        if _is_foreign(policy):
            continue
        if not stack.selected(policy.get("spec.podSelector.matchLabels")):
            yield policy.wrong("spec.podSelector.matchLabels", "no pod has these labels")
        for rule, peers in _policy_rules(policy):
            for peer in rule.parts(peers):
                labels = peer.get("podSelector.matchLabels")
                if labels and peer.get("namespaceSelector") is None and not stack.selected(labels):
                    yield peer.wrong("podSelector.matchLabels", "no pod has these labels")
    own = [policy.get("spec.podSelector.matchLabels") for policy in stack.of("NetworkPolicy")]
    for pod in stack.pods if any(own) else ():
        if not any(labels and selects(labels, pod.labels) for labels in own):
            yield pod.says("containers", "are in pods that only the NetworkPolicy for all fits; label them")


@RULES.together("SR032")
def policy_ports(stack: Stack) -> Problems:
    """A NetworkPolicy opens ports that pods have: the connection would be closed."""
    for policy in stack.of("NetworkPolicy"):
        for rule, peers in _policy_rules(policy):
            answering = (
                stack.selected(policy.get("spec.podSelector.matchLabels"))
                if peers == "from"
                else _peers(stack, rule, peers)
            )
            for port in rule.parts("ports"):
                if answering and all(port_number(pod.ports, port.get("port")) is None for pod in answering):
                    yield port.wrong(
                        "port", f"{answering[0].owner} has {told_ports(answering[0].ports)}; use one of those"
                    )


@RULES.together("SR033")
def both_ends(stack: Stack) -> Problems:
    """A connection is opened at both ends: it would time out."""
    out, into = _edges(stack, "to"), _edges(stack, "from")
    for missing, peers, end in (
        (out.keys() - into.keys(), out, "lets it in"),
        (into.keys() - out.keys(), into, "lets it out"),
    ):
        for edge in sorted(missing, key=str):
            source, target, port = edge
            yield peers[edge].says("ports", f"open {source} -> {target}:{port}, but no NetworkPolicy {end}; add one")


@RULES.together("SR034")
def public_services(stack: Stack) -> Problems:
    """The ingress controller reaches what it serves: every request would time out."""
    closed = any(policy.get("spec.podSelector") == {} for policy in stack.of("NetworkPolicy"))
    for service in stack.of("Service") if closed else ():
        if service.name not in _public(stack):
            continue
        for pod in stack.selected(service.get("spec.selector")):
            for port in service.parts("spec.ports"):
                target = port_number(pod.ports, port.get("targetPort") or port.get("port"))
                if not any(_admits(pod, policy, target) for policy in stack.of("NetworkPolicy")):
                    yield port.says("targetPort", f"no NetworkPolicy lets another namespace in to {pod.owner}:{target}")


def _admits(pod: Pod, policy: Part, port: Any) -> bool:
    """Whether some other namespace, or some address, may come in."""
    if not selects(policy.get("spec.podSelector.matchLabels"), pod.labels):
        return False
    rules = [
        rule
        for rule in policy.parts("spec.ingress")
        if port in [port_number(pod.ports, p.get("port")) for p in rule.parts("ports")]
    ]
    return any(peer.get("namespaceSelector") or peer.get("ipBlock") for rule in rules for peer in rule.parts("from"))


@RULES.together("SR035")
def dns(stack: Stack) -> Problems:
    """Pods may ask the cluster's DNS: no name would be found."""
    policies = stack.of("NetworkPolicy")
    for pod in stack.pods if policies else ():
        open_ports = {
            (port.text("port"), port.text("protocol"))
            for policy in policies
            if selects(policy.get("spec.podSelector.matchLabels"), pod.labels)
            for rule in policy.parts("spec.egress")
            for port in rule.parts("ports")
        }
        if not {("53", "UDP"), ("53", "TCP")} <= open_ports:
            yield pod.says("containers", "no NetworkPolicy opens port 53, UDP and TCP, for these pods; add one")


# What the rules above look up


def _is_foreign(policy: Part) -> bool:
    """Whether it is for pods that are not the stack's: cert-manager makes and removes its own."""
    return policy.get("spec.podSelector.matchLabels") == SOLVER_PODS


def _policy_rules(policy: Part) -> Iterator[tuple[Part, str]]:
    """Each rule of a NetworkPolicy, and under which key its peers stand."""
    for side, peers in (("ingress", "from"), ("egress", "to")):
        for rule in policy.parts(f"spec.{side}"):
            yield rule, peers


def _peers(stack: Stack, rule: Part, peers: str) -> list[Pod]:
    """The pods of this stack that a rule names."""
    inside = [
        peer
        for peer in rule.parts(peers)
        if peer.get("podSelector") is not None and peer.get("namespaceSelector") is None
    ]
    return [pod for peer in inside for pod in stack.selected(peer.get("podSelector.matchLabels"))]


def _edges(stack: Stack, peers: str) -> dict[tuple[str, str, Any], Part]:
    """Connections between pods that one end allows: from, to, port -> the rule that does."""
    edges: dict[tuple[str, str, Any], Part] = {}
    for policy in stack.of("NetworkPolicy"):
        own = stack.selected(policy.get("spec.podSelector.matchLabels"))
        for rule in [rule for rule, key in _policy_rules(policy) if key == peers]:
            others = _peers(stack, rule, peers)
            sources, targets = (own, others) if peers == "to" else (others, own)
            for port in rule.parts("ports"):
                edges |= {
                    (s.owner, t.owner, port_number(t.ports, port.get("port"))): rule for s in sources for t in targets
                }
    return edges


def _public(stack: Stack) -> set[str]:
    """Names of the Services with an address outside."""
    ingresses = [
        path.text("backend.service.name")
        for i in stack.of("Ingress")
        for r in i.parts("spec.rules")
        for path in r.parts("http.paths")
    ]
    routes = [
        backend.text("name")
        for i in stack.of("HTTPRoute")
        for r in i.parts("spec.rules")
        for backend in r.parts("backendRefs")
    ]
    return {*ingresses, *routes}
