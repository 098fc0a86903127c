"""NetworkPolicies: every connection is denied unless a stack file declares it.

A connection needs a policy on both sides: egress from the pods that open it, ingress to those that answer.
"""

from __future__ import annotations

import pulumi
from pulumi_kubernetes import meta, networking

from slipway.naming import ENVIRONMENT, SOLVER_PODS, labels, network_labels
from slipway.scope import Scope
from slipway.settings.names import JAEGER
from slipway.settings.sections.monitoring import ALERTMANAGER, PROMETHEUS
from slipway.settings.sections.network import OTLP_PORT, Dns, Egress, Tracing, metadata_in
from slipway.settings.sections.service import Service
from slipway.settings.sections.stack import Cluster
from slipway.settings.sections.stores import StoreSection
from slipway.settings.settings import Settings

Peer = networking.v1.NetworkPolicyPeerArgs
Port = networking.v1.NetworkPolicyPortArgs
SOLVERS = "acme-solvers"
# The port on which cert-manager's solver pods listen.
SOLVER_PORT = 8089
DNS_PORT = 53


def deny_by_default(namespace: pulumi.Input[str], dns: Dns, opts: pulumi.ResourceOptions) -> None:
    """Deny all connections to and from the pods of the namespace, except queries to the cluster's DNS."""
    pods = Peer(
        namespace_selector=_namespace(dns.namespace),
        pod_selector=meta.v1.LabelSelectorArgs(match_labels=dns.pod_labels),
    )
    queries = [_queries([pods], dns.port)]
    if dns.cidrs:
        queries.append(_queries([_addresses(cidr) for cidr in dns.cidrs], DNS_PORT))
    networking.v1.NetworkPolicy(
        "default-deny",
        metadata=meta.v1.ObjectMetaArgs(
            name="default-deny", namespace=namespace, labels=labels(ENVIRONMENT, "environment")
        ),
        spec=networking.v1.NetworkPolicySpecArgs(
            pod_selector=meta.v1.LabelSelectorArgs(),
            policy_types=["Ingress", "Egress"],
            egress=queries,
        ),
        opts=opts,
    )


def _queries(
    servers: list[networking.v1.NetworkPolicyPeerArgs], port: int
) -> networking.v1.NetworkPolicyEgressRuleArgs:
    ports = [_port(port, protocol) for protocol in ("UDP", "TCP")]
    return networking.v1.NetworkPolicyEgressRuleArgs(to=servers, ports=ports)


def allow_acme_challenges(namespace: pulumi.Input[str], cluster: Cluster, opts: pulumi.ResourceOptions) -> None:
    """Let the ingress controller reach the pods by which cert-manager answers HTTP-01 challenges."""
    challenges = networking.v1.NetworkPolicyIngressRuleArgs(from_=_controllers(cluster), ports=[_port(SOLVER_PORT)])
    networking.v1.NetworkPolicy(
        SOLVERS,
        metadata=meta.v1.ObjectMetaArgs(name=SOLVERS, namespace=namespace, labels=labels(ENVIRONMENT, "environment")),
        spec=networking.v1.NetworkPolicySpecArgs(
            pod_selector=meta.v1.LabelSelectorArgs(match_labels=SOLVER_PODS),
            policy_types=["Ingress", "Egress"],
            ingress=[challenges],
        ),
        opts=opts,
    )


def _controllers(cluster: Cluster) -> list[networking.v1.NetworkPolicyPeerArgs]:
    """Return the peers that forward requests from outside: pods of the ingress controller, or load balancers."""
    blocks = [Peer(ip_block=networking.v1.IPBlockArgs(cidr=cidr)) for cidr in cluster.ingress_cidrs]
    return [Peer(namespace_selector=_namespace(cluster.ingress_namespace)), *blocks]


def allow_declared(scope: Scope) -> None:
    """Allow what the stack file declares for a service and its jobs, in both directions."""
    _policy(scope, scope.name, _incoming(scope), _outgoing(scope))


def allow_canary(scope: Scope, in_force: Service) -> None:
    """Allow what a canary needs beyond the release in force, whose policies select its pods as well."""
    canary_labels = {**network_labels(scope.name), **scope.track_labels}
    if outgoing := _outgoing(scope):
        _policy(scope, scope.title, [], outgoing, canary_labels)
    for need in scope.service.needs:
        inside = need in scope.settings.services or need in scope.settings.servers
        if inside and need not in in_force.needs:
            canary = Peer(pod_selector=meta.v1.LabelSelectorArgs(match_labels=canary_labels))
            incoming = networking.v1.NetworkPolicyIngressRuleArgs(
                from_=[canary], ports=[_port(port) for port in _client_ports(scope.settings, need)]
            )
            _policy(scope, f"{scope.title}-{need}", [incoming], [], network_labels(need))


def allow_clients(scope: Scope, port: int, helper: str | None) -> None:
    """Allow connections to a store from the services that need it, and from its helper. It opens none itself."""
    clients = [name for name in scope.settings.services if scope.name in scope.settings.services[name].needs]
    peers = [Peer(pod_selector=_pods(name)) for name in (*clients, *([helper] if helper else []))]
    peers += keda(scope.settings, scope.name)
    incoming = networking.v1.NetworkPolicyIngressRuleArgs(from_=peers, ports=[_port(port)])
    _policy(scope, scope.name, [incoming] if peers else [], [])
    if helper:
        _policy(scope, helper, [], [_inside(scope.name, port)])


def keda(settings: Settings, server: str) -> list[networking.v1.NetworkPolicyPeerArgs]:
    """Return KEDA's pods as the peers of a server of this stack, if a service scales by what it answers."""
    is_read = any(server in service.read_by_keda for service in settings.services.values())
    return [Peer(namespace_selector=_namespace(settings.cluster.keda_namespace))] if is_read else []


def allow_prometheus(scope: Scope, port: int, alertmanager_port: int) -> None:
    """Let the stack's Prometheus reach the metrics of all services and Alertmanager; monitoring and KEDA may ask it."""
    readers = [*_monitoring(scope.settings), *keda(scope.settings, PROMETHEUS)]
    queries = [_from(readers, port)] if readers else []
    services = scope.settings.monitored_services
    scraped = [
        _inside(name, scope.settings.services[name].container_ports[str(services[name].port)]) for name in services
    ]
    alerts = [_inside(ALERTMANAGER, alertmanager_port)] if scope.settings.monitoring.receivers else []
    _policy(scope, scope.name, queries, [*scraped, *alerts])


def allow_alertmanager(scope: Scope, port: int) -> None:
    """Let Prometheus reach Alertmanager, and Alertmanager the receivers of alerts."""
    receivers = scope.settings.monitoring.receivers.values()
    outgoing = [_outside(egress) for receiver in receivers for egress in receiver.egress]
    _policy(scope, scope.name, [_from([Peer(pod_selector=_pods(PROMETHEUS))], port)], outgoing)


def allow_jaeger(scope: Scope) -> None:
    """Let the services that send traces reach the stack's Jaeger. It opens no connections itself."""
    senders = [Peer(pod_selector=_pods(name)) for name in scope.settings.services if scope.settings.tracing_of(name)]
    _policy(scope, scope.name, [_from(senders, OTLP_PORT)] if senders else [], [])


def _policy(
    scope: Scope,
    name: str,
    incoming: list[networking.v1.NetworkPolicyIngressRuleArgs],
    outgoing: list[networking.v1.NetworkPolicyEgressRuleArgs],
    pods: dict[str, str] | None = None,
) -> None:
    """Declare a policy for pods with these labels, by default for those of the service it is named after."""
    networking.v1.NetworkPolicy(
        name,
        metadata=scope.meta(name),
        spec=networking.v1.NetworkPolicySpecArgs(
            pod_selector=meta.v1.LabelSelectorArgs(match_labels=pods or network_labels(name)),
            policy_types=["Ingress", "Egress"],
            ingress=incoming or None,
            egress=outgoing or None,
        ),
        opts=scope.child(),
    )


def _incoming(scope: Scope) -> list[networking.v1.NetworkPolicyIngressRuleArgs]:
    clients = [
        Peer(pod_selector=_pods(name))
        for name, service in scope.settings.services.items()
        if scope.name in service.needs
    ]
    controllers = _controllers(scope.settings.cluster) if scope.service.ingress else []
    rules: list[networking.v1.NetworkPolicyIngressRuleArgs] = []
    # Controllers reach the port for requests only; where there is no other, one rule is enough.
    if scope.service.http_port and (callers := [*clients, *controllers]):
        rules.append(_from(callers, scope.service.http_port))
    if extra := [port for port in scope.service.client_ports if port != scope.service.http_port]:
        rules += [_from(clients, *extra)] if clients else []
    metrics = scope.service.metrics_in_force
    if metrics and (scrapers := _scrapers(scope.settings)):
        rules.append(_from(scrapers, scope.service.container_ports[str(metrics.port)]))
    return rules


def _scrapers(settings: Settings) -> list[networking.v1.NetworkPolicyPeerArgs]:
    """Return the peers that read metrics: those of the cluster's monitoring, and the stack's own Prometheus."""
    own = [Peer(pod_selector=_pods(PROMETHEUS))] if settings.monitoring.source == "cluster" else []
    return [*_monitoring(settings), *own]


def _monitoring(settings: Settings) -> list[networking.v1.NetworkPolicyPeerArgs]:
    """Return the pods of the cluster's monitoring as peers, if the stack file names their namespace."""
    namespace = settings.cluster.monitoring_namespace
    return [Peer(namespace_selector=_namespace(namespace))] if namespace else []


def _from(peers: list[networking.v1.NetworkPolicyPeerArgs], *ports: int) -> networking.v1.NetworkPolicyIngressRuleArgs:
    return networking.v1.NetworkPolicyIngressRuleArgs(from_=peers, ports=[_port(port) for port in ports])


def _client_ports(settings: Settings, name: str) -> list[int]:
    """Return the ports of a service or store that those reach which need it."""
    return [settings.stores[name].port] if name in settings.stores else settings.services[name].client_ports


def _outgoing(scope: Scope) -> list[networking.v1.NetworkPolicyEgressRuleArgs]:
    stores = scope.settings.stores
    needed = [name for name in scope.service.needs if name not in stores]
    to_services = [_inside(name, *_client_ports(scope.settings, name)) for name in needed]
    to_stores = [_to_store(name, stores[name]) for name in scope.service.needs if name in stores]
    tracing = scope.settings.tracing_of(scope.name)
    to_collector = [_to_collector(tracing)] if tracing else []
    return [*to_services, *to_stores, *to_collector, *(_outside(egress) for egress in scope.service.egress)]


def _to_collector(tracing: Tracing) -> networking.v1.NetworkPolicyEgressRuleArgs:
    if tracing.source == "cluster":
        return _inside(JAEGER, OTLP_PORT)
    if tracing.cidr:
        return _outside(Egress(cidr=tracing.cidr, ports=[tracing.collector_port]))
    pods = meta.v1.LabelSelectorArgs(match_labels=tracing.pod_labels) if tracing.pod_labels else None
    peer = Peer(namespace_selector=_namespace(str(tracing.namespace)), pod_selector=pods)
    return networking.v1.NetworkPolicyEgressRuleArgs(to=[peer], ports=[_port(tracing.collector_port)])


def _to_store(name: str, store: StoreSection) -> networking.v1.NetworkPolicyEgressRuleArgs:
    if store.cidr:
        return _outside(Egress(cidr=store.cidr, ports=[store.port]))
    return _inside(name, store.port)


def _inside(name: str, *ports: int) -> networking.v1.NetworkPolicyEgressRuleArgs:
    peer = Peer(pod_selector=_pods(name))
    return networking.v1.NetworkPolicyEgressRuleArgs(to=[peer], ports=[_port(port) for port in ports])


def _outside(egress: Egress) -> networking.v1.NetworkPolicyEgressRuleArgs:
    ports = [_port(port, egress.protocol, egress.last_port) for port in egress.ports]
    return networking.v1.NetworkPolicyEgressRuleArgs(to=[_addresses(egress.cidr)], ports=ports)


def _addresses(cidr: str) -> networking.v1.NetworkPolicyPeerArgs:
    """Return a range of addresses to connect to, without those of a cloud's metadata."""
    return Peer(ip_block=networking.v1.IPBlockArgs(cidr=cidr, except_=metadata_in(cidr) or None))


def _port(port: int, protocol: str = "TCP", last: int | None = None) -> networking.v1.NetworkPolicyPortArgs:
    return Port(port=port, protocol=protocol, end_port=last)


def _pods(service: str) -> meta.v1.LabelSelectorArgs:
    return meta.v1.LabelSelectorArgs(match_labels=network_labels(service))


def _namespace(namespace: str) -> meta.v1.LabelSelectorArgs:
    """Select a namespace by its name, which the API server sets as a label."""
    return meta.v1.LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": namespace})
