"""How a service is reached from outside: over TLS, by a full host name of its own."""

from __future__ import annotations

import re

from slipway.rules.parts import Part
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import Stack, of

RULES = Rules()

HOST = re.compile(r"(?=.{4,253}$)([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])?")

# Annotations that take back what the spec says, with the values that do.
LOOSENING = {
    r"nginx\.ingress\.kubernetes\.io/(force-)?ssl-redirect": r"(?i)false",
    r"nginx\.ingress\.kubernetes\.io/.*-snippet": r"(?s).+",
    r"traefik\.ingress\.kubernetes\.io/router\.tls": r"(?i)false",
    r"traefik\.ingress\.kubernetes\.io/router\.entrypoints": r"(.*,)?\s*(web|http)\s*(,.*)?",
}


@RULES.each(
    of("Service"),
    "SW404",
    title="The only way in is the Ingress",
    reason="a node port has no TLS and no host",
)
def cluster_ip(service: Part) -> Violations:
    if service.get("spec.type") not in (None, "ClusterIP"):
        yield service.wrong("spec.type", "set it to ClusterIP")
    if service.items("spec.externalIPs"):
        yield service.wrong("spec.externalIPs", "take them out")


@RULES.each(
    of("Ingress"),
    "SW405",
    title="Addresses are served over TLS",
    reason="passwords and tokens would travel in clear",
    security=True,
)
def tls(ingress: Part) -> Violations:
    covered = {str(h) for entry in ingress.parts("spec.tls") if entry.get("secretName") for h in entry.items("hosts")}
    for rule in ingress.parts("spec.rules"):
        if rule.text("host") not in covered:
            yield rule.wrong("host", "no entry of spec.tls has a certificate for it; add one")


@RULES.each(
    of("HTTPRoute"),
    "SW406",
    title="Routes hang on the Gateway's TLS listener",
    reason="plain HTTP would be served too",
    security=True,
)
def tls_listener(route: Part) -> Violations:
    parents = list(route.parts("spec.parentRefs"))
    if not parents:
        yield route.wrong("spec.parentRefs", "name the Gateway")
    for parent in parents:
        if parent.get("sectionName") != "https":
            yield parent.wrong("sectionName", "set it to https")


@RULES.each(
    of("Ingress", "HTTPRoute"),
    "SW407",
    title="Hosts are full names in lower case",
    reason="an empty host takes everybody's requests",
)
def hosts(address: Part) -> Violations:
    named = [(rule, "host", rule.get("host")) for rule in address.parts("spec.rules") if address.kind == "Ingress"]
    for index, host in enumerate(address.items("spec.hostnames")):
        named.append((address, f"spec.hostnames[{index}]", host))
    if not named:
        yield address.wrong("spec.hostnames" if address.kind == "HTTPRoute" else "spec.rules", "name a host")
    for part, at, host in named:
        if not HOST.fullmatch(str(host)):
            yield part.violation(at, f"is {host}; give a full name in lower case, such as api.example.com")


@RULES.each(
    of("Ingress", "HTTPRoute", "Service"),
    "SW410",
    title="Annotations leave TLS and the controller's configuration alone",
    reason="plain HTTP would be served, or anything at all",
    security=True,
)
def loosening_annotations(address: Part) -> Violations:
    for name, value in address.mapping("metadata.annotations").items():
        for pattern, values in LOOSENING.items():
            if re.fullmatch(pattern, str(name)) and re.fullmatch(values, str(value)):
                yield address.violation("metadata.annotations", f"hold {name}: {str(value)[:80]}; take it out")


@RULES.together(
    "SW408", title="An address leads to one service", reason="which of the two answers would depend on the controller"
)
def addresses_once(stack: Stack) -> Violations:
    taken: dict[tuple[str, str], str] = {}
    for ingress in stack.of("Ingress"):
        for rule in ingress.parts("spec.rules"):
            for path in rule.parts("http.paths"):
                other = taken.setdefault((rule.text("host"), path.text("path")), ingress.name)
                if other != ingress.name:
                    yield path.wrong("path", f"{rule.text('host')} has it already, for {other}; give another")
