"""NetworkPolicies lead to pods and ports, and a connection is open at both ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slipway.naming import SOLVER_PODS
from slipway.rules.parts import Part, Pod
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import Stack, list_ports, port_number

RULES = Rules()

POLICY, LABELS = "NetworkPolicy", "spec.podSelector.matchLabels"


@RULES.together(
    "SR031", title="A NetworkPolicy's labels match pods", reason="the connection would be closed, or the pods open"
)
def policy_pods(stack: Stack) -> Violations:
    for policy in stack.of(POLICY):
        if _is_foreign(policy):
            continue
        if not stack.selected(policy.get(LABELS)):
            yield policy.wrong(LABELS, "no pod has these labels")
        for rule, peers in _policy_rules(policy):
            for peer in rule.parts(peers):
                labels = peer.get("podSelector.matchLabels")
                if labels and peer.get("namespaceSelector") is None and not stack.selected(labels):
                    yield peer.wrong("podSelector.matchLabels", "no pod has these labels")
    for pod in stack.pods if any(policy.get(LABELS) for policy in stack.of(POLICY)) else ():
        if not any(policy.get(LABELS) for policy in stack.selecting(pod, POLICY, LABELS)):
            yield pod.violation("containers", "are in pods that no NetworkPolicy selects by label; label them")


@RULES.together("SR032", title="A NetworkPolicy opens ports that pods have", reason="the connection would be closed")
def policy_ports(stack: Stack) -> Violations:
    for policy in stack.of(POLICY):
        for rule, peers in _policy_rules(policy):
            targets = stack.selected(policy.get(LABELS)) if peers == "from" else _peers(stack, rule, peers)
            for port in rule.parts("ports"):
                if targets and all(port_number(pod.ports, port.get("port")) is None for pod in targets):
                    yield port.wrong("port", f"{targets[0].owner} has {list_ports(targets[0].ports)}; use one of those")


@RULES.together("SR033", title="A connection is opened at both ends", reason="it would time out")
def both_ends(stack: Stack) -> Violations:
    outgoing, incoming = _edges(stack, "to"), _edges(stack, "from")
    for missing, peers, end in (
        (outgoing.keys() - incoming.keys(), outgoing, "lets it in"),
        (incoming.keys() - outgoing.keys(), incoming, "lets it out"),
    ):
        for edge in sorted(missing, key=str):
            source, target, port = edge
            yield peers[edge].violation(
                "ports", f"open {source} -> {target}:{port}, but no NetworkPolicy {end}; add one"
            )


@RULES.together("SR034", title="The ingress controller reaches what it serves", reason="every request would time out")
def public_services(stack: Stack) -> Violations:
    closed = any(policy.get("spec.podSelector") == {} for policy in stack.of(POLICY))
    public = _public(stack) if closed else set[tuple[str, Any]]()
    for service in stack.of("Service"):
        named = {port for name, port in public if name == service.name}
        ports = [port for port in service.parts("spec.ports") if named & {port.get("name"), port.get("port")}]
        for pod in stack.selected(service.get("spec.selector")) if ports else ():
            for port in ports:
                target = port_number(pod.ports, port.get("targetPort") or port.get("port"))
                if not any(_admits(pod, policy, target) for policy in stack.selecting(pod, POLICY, LABELS)):
                    yield port.violation(
                        "targetPort", f"no NetworkPolicy lets another namespace in to {pod.owner}:{target}"
                    )


def _admits(pod: Pod, policy: Part, port: Any) -> bool:
    """Return whether a policy for a pod lets in another namespace, or an address."""
    rules = [
        rule
        for rule in policy.parts("spec.ingress")
        if port in [port_number(pod.ports, p.get("port")) for p in rule.parts("ports")]
    ]
    return any(peer.get("namespaceSelector") or peer.get("ipBlock") for rule in rules for peer in rule.parts("from"))


@RULES.together("SR035", title="Pods may query the cluster's DNS", reason="no name would be resolved")
def dns(stack: Stack) -> Violations:
    for pod in stack.pods if stack.of(POLICY) else ():
        rules = [rule for policy in stack.selecting(pod, POLICY, LABELS) for rule in policy.parts("spec.egress")]
        if not any(map(_opens_dns, rules)):
            problem = "no NetworkPolicy opens the port of the cluster's DNS, UDP and TCP, for these pods"
            yield pod.violation("containers", f"{problem}; add one")


# Lookups.


def _opens_dns(rule: Part) -> bool:
    """Return whether a rule opens one port by UDP and TCP to servers outside the stack.

    DNS pods listen on port 53 in most clusters, on 5353 in OpenShift, and elsewhere on others.
    """
    protocols: dict[str, set[str]] = {}
    for port in rule.parts("ports"):
        protocols.setdefault(port.text("port"), set()).add(port.text("protocol"))
    outside = any(peer.get("namespaceSelector") or peer.get("ipBlock") for peer in rule.parts("to"))
    return outside and {"UDP", "TCP"} in protocols.values()


def _is_foreign(policy: Part) -> bool:
    """Return whether a policy is for pods that the stack does not declare: cert-manager creates its own."""
    return policy.get(LABELS) == SOLVER_PODS


def _policy_rules(policy: Part) -> Iterator[tuple[Part, str]]:
    """Yield each rule of a NetworkPolicy with the key of its peers."""
    for side, peers in (("ingress", "from"), ("egress", "to")):
        for rule in policy.parts(f"spec.{side}"):
            yield rule, peers


def _peers(stack: Stack, rule: Part, peers: str) -> list[Pod]:
    """Return the pods of this stack that a rule names."""
    inside = [
        peer
        for peer in rule.parts(peers)
        if peer.get("podSelector") is not None and peer.get("namespaceSelector") is None
    ]
    return [pod for peer in inside for pod in stack.selected(peer.get("podSelector.matchLabels"))]


def _edges(stack: Stack, peers: str) -> dict[tuple[str, str, Any], Part]:
    """Return the connections that one end allows, with the rule that does: (from, to, port) -> rule."""
    edges: dict[tuple[str, str, Any], Part] = {}
    for policy in stack.of(POLICY):
        own = stack.selected(policy.get(LABELS))
        for rule in [rule for rule, key in _policy_rules(policy) if key == peers]:
            others = _peers(stack, rule, peers)
            sources, targets = (own, others) if peers == "to" else (others, own)
            for port in rule.parts("ports"):
                edges |= {
                    (s.owner, t.owner, port_number(t.ports, port.get("port"))): rule for s in sources for t in targets
                }
    return edges


def _public(stack: Stack) -> set[tuple[str, Any]]:
    """Return the Services with an address outside, each with the name or number of the port."""
    ingresses = [
        (
            path.text("backend.service.name"),
            path.get("backend.service.port.name") or path.get("backend.service.port.number"),
        )
        for i in stack.of("Ingress")
        for r in i.parts("spec.rules")
        for path in r.parts("http.paths")
    ]
    routes = [
        (backend.text("name"), backend.get("port"))
        for i in stack.of("HTTPRoute")
        for r in i.parts("spec.rules")
        for backend in r.parts("backendRefs")
    ]
    return {*ingresses, *routes}
