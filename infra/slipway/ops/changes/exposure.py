"""What is exposed: addresses and connections that were not open before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from slipway.naming import REGEX_BELOW
from slipway.objects import Object, mapping
from slipway.ops.changes.comparison import Change
from slipway.settings.sections.network import METADATA, covers

EVERYBODY = "everybody"
ANY_PORT = "any port"
_EXACT = " and nothing below it"
_EXCEPT = " except "


def opened(change: Change) -> list[str]:
    """Return what a change opens, a sentence each."""
    if change.after is None:
        return ["is deleted: connections that it did not allow are open"] if change.kind == "NetworkPolicy" else []
    if change.kind == "NetworkPolicy":
        return [text for side in ("ingress", "egress") for text in _connections(change, side)]
    closed = lost(change)
    also = f"; {', '.join(closed)} is no longer answered" if closed else ""
    return [f"{address} is open to the outside{also}" for address in _beyond(change.after, change.before)]


def lost(change: Change) -> list[str]:
    """Return the addresses that an object no longer answers although it stays."""
    return _beyond(change.before, change.after) if change.after else []


def _beyond(obj: Object | None, other: Object | None) -> list[str]:
    """Return the addresses of one side that the other does not answer, not even by a shorter path."""
    others = addresses(other)
    shorter = tuple(f"{address.rstrip('/')}/" for address in others if not address.endswith(_EXACT))
    return [
        address
        for address in sorted(addresses(obj) - others)
        if address.removesuffix(_EXACT) not in others and not address.startswith(shorter)
    ]


def addresses(obj: Object | None) -> set[str]:
    """Return all addresses at which an object is reached from outside the cluster."""
    kind, spec = (obj or {}).get("kind"), mapping(obj, "spec")
    if kind == "Ingress":
        return {*_of_rules(spec), *(["every host without a rule"] if spec.get("defaultBackend") else [])}
    if kind == "HTTPRoute":
        matches = [match for rule in spec.get("rules") or [] for match in rule.get("matches") or [{}]]
        paths = [
            _path(mapping(match, "path").get("value", "/"), mapping(match, "path").get("type")) for match in matches
        ]
        return {f"{host}{path}" for host in spec.get("hostnames") or ["*"] for path in paths}
    if kind == "Service":
        return set(_of_service(spec))
    return set()


def _of_rules(spec: dict[str, Any]) -> Iterator[str]:
    for rule in spec.get("rules") or []:
        for path in mapping(rule, "http").get("paths") or []:
            yield rule.get("host", "*") + _path(path.get("path", "/"), path.get("pathType"))


def _path(path: str, type_: str | None) -> str:
    """Return a path as text; one of type Exact does not include the paths below it."""
    if path.endswith(REGEX_BELOW):
        return path.removesuffix(REGEX_BELOW).replace(r"\.", ".")
    return f"{path}{_EXACT}" if type_ == "Exact" else path


def _of_service(spec: dict[str, Any]) -> Iterator[str]:
    type_, ports = spec.get("type", "ClusterIP"), [port.get("port") for port in spec.get("ports") or []]
    if type_ in ("NodePort", "LoadBalancer"):
        sources = spec.get("loadBalancerSourceRanges") or [EVERYBODY] if type_ == "LoadBalancer" else ["the nodes"]
        yield from (f"port {port} ({type_}, for {source})" for port in ports or ["any"] for source in sources)
    yield from (f"port {port} of {address}" for port in ports or ["any"] for address in spec.get("externalIPs") or [])


class Connection(NamedTuple):
    """A peer, and the port that it may reach."""

    peer: str
    port: str

    def covers(self, other: Connection) -> bool:
        """Return whether this connection includes the other."""
        port = self.port in (ANY_PORT, other.port)
        return port and (self.peer in (EVERYBODY, other.peer) or _contains(self.peer, other.peer))


def _contains(network: str, other: str) -> bool:
    """Return whether a range of addresses, as _peer writes it, includes another one."""
    (outer, holes), (inner, closed) = _range(network), _range(other)
    try:
        return covers(outer, inner) and not any(
            (covers(inner, hole) or covers(hole, inner)) and not any(covers(cidr, hole) for cidr in closed)
            for hole in holes
        )
    except ValueError:
        return False


def _range(peer: str) -> tuple[str, list[str]]:
    """Return a range of addresses, and what is taken out of it."""
    cidr, _, without = peer.partition(_EXCEPT)
    return cidr, without.split(", ") if without else []


def _connections(change: Change, side: str) -> Iterator[str]:
    """Yield connections that no rule allowed before. A new policy closes, unless it lets everybody in."""
    before = _allowed(change.before or {}, side)
    for connection in sorted(_allowed(change.after or {}, side)):
        if change.before is None and connection.peer != EVERYBODY:
            continue
        if not any(earlier.covers(connection) for earlier in before):
            yield f"{side} is opened for {connection.peer}, {connection.port}"


def _allowed(policy: Object, side: str) -> set[Connection]:
    key = "from" if side == "ingress" else "to"
    return {
        Connection(_peer(peer), _port(port))
        for rule in mapping(policy, "spec").get(side) or []
        for peer in rule.get(key) or [{}]
        for port in rule.get("ports") or [{}]
    }


def _port(port: dict[str, Any]) -> str:
    last = f"-{port['endPort']}" if "endPort" in port else ""
    if "port" in port:
        return f"{port.get('protocol', 'TCP')} {port['port']}{last}"
    return f"any {port['protocol']} port" if "protocol" in port else ANY_PORT


def _peer(peer: dict[str, Any]) -> str:
    if not peer:
        return EVERYBODY
    if block := mapping(peer, "ipBlock"):
        cidr, closed = block.get("cidr"), block.get("except") or []
        if cidr in ("0.0.0.0/0", "::/0") and not {*closed} - {*METADATA}:
            return EVERYBODY
        return f"{cidr}{_EXCEPT}{', '.join(closed)}" if closed else str(cidr)
    return ", ".join(f"{kind.removesuffix('Selector')} {_chosen(selector)}" for kind, selector in sorted(peer.items()))


def _chosen(selector: dict[str, Any] | None) -> str:
    labels = [f"{key}={value}" for key, value in sorted(mapping(selector, "matchLabels").items())]
    expressions = [
        f"{rule.get('key')} {rule.get('operator')} {','.join(rule.get('values') or [])}".strip()
        for rule in mapping(selector).get("matchExpressions") or []
    ]
    return " and ".join([*labels, *expressions]) or "any"
