"""Who may talk to whom: nobody, but for the connections a stack file declares.

A connection needs both halves: the one who opens it may leave, the one who answers may be entered.
"""

from __future__ import annotations

import pod
import pulumi
from naming import PART_OF, SOLVER_PODS, labels, pods_of
from pulumi_kubernetes import meta, networking
from scope import Scope
from settings import Backing, Cluster, Egress, Service

Peer = networking.v1.NetworkPolicyPeerArgs
Port = networking.v1.NetworkPolicyPortArgs
SOLVERS = "acme-solvers"
# cert-manager's own port for them.
SOLVER_PORT = 8089
DNS_PORTS = [Port(port=53, protocol=protocol) for protocol in ("UDP", "TCP")]


def closed(namespace: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
    """Nothing comes into any pod of the namespace and nothing leaves, but questions to the cluster's DNS."""
    dns = Peer(
        namespace_selector=_name("kube-system"),
        pod_selector=meta.v1.LabelSelectorArgs(match_labels={"k8s-app": "kube-dns"}),
    )
    networking.v1.NetworkPolicy(
        "default-deny",
        metadata=meta.v1.ObjectMetaArgs(
            name="default-deny", namespace=namespace, labels=labels(PART_OF, "environment")
        ),
        spec=networking.v1.NetworkPolicySpecArgs(
            pod_selector=meta.v1.LabelSelectorArgs(),
            policy_types=["Ingress", "Egress"],
            egress=[networking.v1.NetworkPolicyEgressRuleArgs(to=[dns], ports=DNS_PORTS)],
        ),
        opts=opts,
    )


def open_for_challenges(namespace: pulumi.Input[str], cluster: Cluster, opts: pulumi.ResourceOptions) -> None:
    """Let the ingress controller reach the pods by which cert-manager answers HTTP-01 challenges."""
    entered = networking.v1.NetworkPolicyIngressRuleArgs(from_=_controllers(cluster), ports=[_port(SOLVER_PORT)])
    networking.v1.NetworkPolicy(
        SOLVERS,
        metadata=meta.v1.ObjectMetaArgs(name=SOLVERS, namespace=namespace, labels=labels(PART_OF, "environment")),
        spec=networking.v1.NetworkPolicySpecArgs(
            pod_selector=meta.v1.LabelSelectorArgs(match_labels=SOLVER_PODS),
            policy_types=["Ingress", "Egress"],
            ingress=[entered],
        ),
        opts=opts,
    )


def _controllers(cluster: Cluster) -> list[networking.v1.NetworkPolicyPeerArgs]:
    """Who brings requests from outside: pods of the ingress controller, or load balancers by their addresses."""
    blocks = [Peer(ip_block=networking.v1.IPBlockArgs(cidr=cidr)) for cidr in cluster.ingress_cidrs]
    return [Peer(namespace_selector=_name(cluster.ingress_namespace)), *blocks]


def declared_edges(scope: Scope) -> None:
    """The NetworkPolicy of a service and its jobs: who may come in, and where they may go."""
    _policy(scope, scope.name, _incoming(scope), _outgoing(scope))


def edges_of_canary(scope: Scope, before: Service) -> None:
    """What its pods may open beyond the release in force, whose policies hold for them too."""
    own = {**pods_of(scope.name), **scope.tracked}
    if outgoing := _outgoing(scope):
        _policy(scope, scope.title, [], outgoing, own)
    for need in scope.service.needs:
        inside = need in scope.settings.services or need in scope.settings.servers
        if inside and need not in before.needs:
            port = scope.settings.backing[need].port if need in scope.settings.backing else pod.HTTP_PORT
            peer = Peer(pod_selector=meta.v1.LabelSelectorArgs(match_labels=own))
            entered = networking.v1.NetworkPolicyIngressRuleArgs(from_=[peer], ports=[_port(port)])
            _policy(scope, f"{scope.title}-{need}", [entered], [], pods_of(need))


def edges_of_server(scope: Scope, port: int, helper: str | None) -> None:
    """Those of a backing service: who needs it comes in, and so does its own helper; it goes nowhere itself."""
    clients = [name for name in scope.settings.services if scope.name in scope.settings.services[name].needs]
    pods = [Peer(pod_selector=_pods(name)) for name in (*clients, *([helper] if helper else []))]
    entered = networking.v1.NetworkPolicyIngressRuleArgs(from_=pods, ports=[_port(port)])
    _policy(scope, scope.name, [entered] if pods else [], [])
    if helper:
        _policy(scope, helper, [], [_inside(scope.name, port)])


def _policy(
    scope: Scope,
    name: str,
    incoming: list[networking.v1.NetworkPolicyIngressRuleArgs],
    outgoing: list[networking.v1.NetworkPolicyEgressRuleArgs],
    pods: dict[str, str] | None = None,
) -> None:
    """It holds for these pods, by default for those of the service it is named after."""
    networking.v1.NetworkPolicy(
        name,
        metadata=scope.meta(name),
        spec=networking.v1.NetworkPolicySpecArgs(
            pod_selector=meta.v1.LabelSelectorArgs(match_labels=pods or pods_of(name)),
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
    if scope.service.ingress:
        clients += _controllers(scope.settings.cluster)
    rules: list[networking.v1.NetworkPolicyIngressRuleArgs] = []
    if clients:
        rules.append(networking.v1.NetworkPolicyIngressRuleArgs(from_=clients, ports=[_port(pod.HTTP_PORT)]))
    if monitoring := scope.settings.cluster.monitoring_namespace:
        scraper = Peer(namespace_selector=_name(monitoring))
        rules.append(networking.v1.NetworkPolicyIngressRuleArgs(from_=[scraper], ports=[_port(pod.ADMIN_PORT)]))
    return rules


def _outgoing(scope: Scope) -> list[networking.v1.NetworkPolicyEgressRuleArgs]:
    backing = scope.settings.backing
    services = [_inside(name, pod.HTTP_PORT) for name in scope.service.needs if name not in backing]
    stores = [_to_backing(name, backing[name]) for name in scope.service.needs if name in backing]
    return [*services, *stores, *(_outside(egress) for egress in scope.service.egress)]


def _to_backing(name: str, backing: Backing) -> networking.v1.NetworkPolicyEgressRuleArgs:
    if backing.cidr:
        return _outside(Egress(cidr=backing.cidr, ports=[backing.port]))
    return _inside(name, backing.port)


def _inside(name: str, port: int) -> networking.v1.NetworkPolicyEgressRuleArgs:
    return networking.v1.NetworkPolicyEgressRuleArgs(to=[Peer(pod_selector=_pods(name))], ports=[_port(port)])


def _outside(egress: Egress) -> networking.v1.NetworkPolicyEgressRuleArgs:
    block = networking.v1.IPBlockArgs(cidr=egress.cidr)
    return networking.v1.NetworkPolicyEgressRuleArgs(
        to=[Peer(ip_block=block)], ports=[_port(port, egress.protocol, egress.last_port) for port in egress.ports]
    )


def _port(port: int, protocol: str = "TCP", last: int | None = None) -> networking.v1.NetworkPolicyPortArgs:
    return Port(port=port, protocol=protocol, end_port=last)


def _pods(service: str) -> meta.v1.LabelSelectorArgs:
    return meta.v1.LabelSelectorArgs(match_labels=pods_of(service))


def _name(namespace: str) -> meta.v1.LabelSelectorArgs:
    """Namespaces carry their own name as a label; the API server sees to it."""
    return meta.v1.LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": namespace})
