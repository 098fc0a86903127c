"""Who may talk to whom: everything is closed that is not declared."""

from __future__ import annotations

from slipway.rules.parts import Part
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import Stack, of
from slipway.settings.sections.network import METADATA, covers

RULES = Rules()


@RULES.together(
    "SW401",
    title="Nothing is open that is not declared",
    reason="one pod taken over would reach all the others",
    security=True,
)
def default_deny(stack: Stack) -> Violations:
    for namespace in stack.of("Namespace"):
        for_all_pods = [policy for policy in stack.of("NetworkPolicy") if policy.get("spec.podSelector") == {}]
        for side in ("Ingress", "Egress"):
            if not any(side in policy.items("spec.policyTypes") for policy in for_all_pods):
                yield namespace.violation(
                    "metadata.name", f"has no NetworkPolicy that closes {side} for all pods; add one"
                )


@RULES.each(
    of("NetworkPolicy"),
    "SW402",
    title="A connection has a peer and a port",
    reason="an empty list means everybody, or everything",
)
def no_open_rule(policy: Part) -> Violations:
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


@RULES.each(
    of("NetworkPolicy"),
    "SW403",
    title="A policy names the directions it closes",
    reason="egress stays open where it is not named",
    security=True,
)
def policy_types(policy: Part) -> Violations:
    for side in ("Ingress", "Egress"):
        if side.lower() in policy.mapping("spec") and side not in policy.items("spec.policyTypes"):
            yield policy.wrong("spec.policyTypes", f"add {side}: its rules have no effect")


@RULES.each(
    of("NetworkPolicy"),
    "SW409",
    title="The metadata of a cloud is closed",
    reason="a pod would get the credentials of its node",
    security=True,
)
def metadata(policy: Part) -> Violations:
    for block in [peer.part("ipBlock") for rule in policy.parts("spec.egress") for peer in rule.parts("to")]:
        for address in METADATA:
            closed = [str(cidr) for cidr in block.items("except")]
            if _covers(block.text("cidr"), address) and not any(_covers(cidr, address) for cidr in closed):
                yield block.wrong("cidr", f"holds {address}, where clouds hand out credentials; put it under except")


def _covers(cidr: str, address: str) -> bool:
    """Return whether a range holds an address; SA033 reports text that is no range."""
    try:
        return covers(cidr, address)
    except ValueError:
        return False
