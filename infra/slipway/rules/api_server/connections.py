"""Services, addresses and NetworkPolicies."""

from __future__ import annotations

import re

from slipway.rules.api_server.forms import SUBDOMAIN, duplicates, is_port, matches_form
from slipway.rules.parts import Part
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import of
from slipway.settings.sections.network import covers

RULES = Rules(always=True)


@RULES.each(of("Service"), "SA031", title="A Service's ports are distinct", reason="the API server refuses it")
def service_ports(service: Part) -> Violations:
    given = list(service.parts("spec.ports"))
    yield from duplicates([(port, "name", port.get("name")) for port in given])
    yield from duplicates([(port, "port", (port.get("port"), port.get("protocol") or "TCP")) for port in given])
    for port in given:
        if not is_port(port.get("port")):
            yield port.wrong("port", "give a number from 1 to 65535")


@RULES.each(of("Ingress"), "SA032", title="Hosts and paths of an Ingress are valid", reason="the API server refuses it")
def addresses(ingress: Part) -> Violations:
    for rule in ingress.parts("spec.rules"):
        if rule.get("host") and not re.fullmatch(rf"(\*\.)?{SUBDOMAIN}", rule.text("host")):
            yield rule.wrong("host", "give a full name in lower case, such as api.example.com")
        for path in rule.parts("http.paths"):
            # The controller reads a path of any other type.
            if path.get("pathType") in ("Prefix", "Exact"):
                yield from matches_form(path, "path", "path")
            elif path.get("path") and not path.text("path").startswith("/"):
                yield path.wrong("path", "give one that starts with /")


@RULES.each(
    of("NetworkPolicy"),
    "SA033",
    title="Ranges of addresses and of ports are valid",
    reason="the API server refuses the NetworkPolicy",
)
def connections(policy: Part) -> Violations:
    rules = [
        (rule, peers)
        for side, peers in (("ingress", "from"), ("egress", "to"))
        for rule in policy.parts(f"spec.{side}")
    ]
    for rule, peers in rules:
        for block in [peer.part("ipBlock") for peer in rule.parts(peers) if peer.get("ipBlock") is not None]:
            yield from matches_form(block, "cidr", "cidr")
            yield from _exceptions(block)
        for port in rule.parts("ports"):
            first, last = port.get("port"), port.get("endPort")
            if isinstance(first, int) and not is_port(first):
                yield port.wrong("port", "give a number from 1 to 65535")
            if last is not None and not (is_port(first) and is_port(last) and first <= last):
                yield port.wrong("endPort", f"give a number from port ({first}) to 65535")


def _exceptions(block: Part) -> Violations:
    """Yield exceptions that are no ranges of addresses, or no smaller part of the range they are taken from."""
    cidr = block.text("cidr")
    for index, inner in enumerate(block.items("except")):
        try:
            is_part = covers(cidr, inner) and not covers(inner, cidr)
        except ValueError:
            is_part = False
        if not is_part:
            yield block.wrong(f"except[{index}]", f"give a range of addresses inside of {cidr}, and smaller")


@RULES.each(
    of("HTTPRoute"),
    "SA034",
    title="A rule that replaces a prefix has one path prefix",
    reason="the API server refuses the HTTPRoute",
)
def replaced_prefixes(route: Part) -> Violations:
    for rule in route.parts("spec.rules"):
        types = [item.get("urlRewrite.path.type") for item in rule.parts("filters")]
        if "ReplacePrefixMatch" in types and [m.get("path.type") for m in rule.parts("matches")] != ["PathPrefix"]:
            yield rule.wrong("matches", "give just one, of type PathPrefix; each other one needs a rule of its own")
