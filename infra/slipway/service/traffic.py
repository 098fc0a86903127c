"""Addresses of a service: its name inside the cluster, and its Ingress or HTTPRoute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import apps, core, networking
from pulumi_kubernetes.apiextensions import CustomResource

from slipway.scope import Scope, timeouts
from slipway.settings.names import CERTIFICATE_FILES
from slipway.settings.sections.contract import HTTP
from slipway.settings.sections.network import Gateway, Ingress, Tls
from slipway.settings.sections.service import Service

PORT = 80


@dataclass(frozen=True)
class Share:
    """The percentage of a route's requests that go to a canary's Service."""

    name: str
    percent: int
    address: core.v1.Service


def cluster_address(scope: Scope, deployment: apps.v1.Deployment) -> core.v1.Service:
    """Declare the Service: `http://<name>` for every pod in the namespace that may connect to it."""
    return core.v1.Service(
        scope.title,
        metadata=scope.meta(scope.title, scope.selector_annotation),
        spec=core.v1.ServiceSpecArgs(
            type="ClusterIP",
            selector=scope.selector,
            ports=[*_service_ports(scope.service)],
        ),
        opts=scope.child(deployment),
    )


def _service_ports(service: Service) -> Iterator[core.v1.ServicePortArgs]:
    ports = service.ports
    yield core.v1.ServicePortArgs(name=HTTP, port=PORT, target_port=HTTP, app_protocol=ports.app_protocol)
    for name, extra in sorted(ports.extra.items()):
        yield core.v1.ServicePortArgs(name=name, port=extra.port, target_port=name, app_protocol=extra.app_protocol)


def public_address(scope: Scope, address: core.v1.Service, canary: Share | None = None) -> str | None:
    """Declare the Ingress or HTTPRoute. Return its URL; None for a service without one."""
    ingress = scope.service.ingress
    if ingress is None:
        return None
    if ingress.gateway:
        _http_route(scope, ingress, ingress.gateway, address, canary)
    else:
        _ingress(scope, ingress, address)
    return ingress.url


def _ingress(scope: Scope, ingress: Ingress, address: core.v1.Service) -> None:
    annotations = {"pulumi.com/skipAwait": "true"} if ingress.await_seconds == 0 else {}
    tls = ingress.tls
    if tls and tls.issuer:
        annotations["cert-manager.io/cluster-issuer"] = tls.issuer
    backend = networking.v1.IngressServiceBackendArgs(
        name=scope.name, port=networking.v1.ServiceBackendPortArgs(name="http")
    )
    path = networking.v1.HTTPIngressPathArgs(
        path=ingress.path, path_type="Prefix", backend=networking.v1.IngressBackendArgs(service=backend)
    )
    networking.v1.Ingress(
        scope.name,
        metadata=scope.meta(scope.name, annotations),
        spec=networking.v1.IngressSpecArgs(
            ingress_class_name=ingress.class_name,
            tls=[networking.v1.IngressTLSArgs(hosts=[ingress.host], secret_name=_certificate(scope, tls))]
            if tls
            else None,
            rules=[
                networking.v1.IngressRuleArgs(
                    host=ingress.host, http=networking.v1.HTTPIngressRuleValueArgs(paths=[path])
                )
            ],
        ),
        opts=pulumi.ResourceOptions(
            parent=scope.parent,
            depends_on=[address],
            # In a cluster that publishes no address Pulumi would wait for 10 minutes.
            custom_timeouts=timeouts(ingress.await_seconds),
        ),
    )


def _http_route(
    scope: Scope, ingress: Ingress, gateway: Gateway, address: core.v1.Service, canary: Share | None
) -> None:
    backends: list[dict[str, str | int]] = [{"name": scope.name, "port": PORT}]
    if canary:
        backends[0]["weight"] = 100 - canary.percent
        backends.append({"name": canary.name, "port": PORT, "weight": canary.percent})
    CustomResource(
        scope.name,
        api_version="gateway.networking.k8s.io/v1",
        kind="HTTPRoute",
        metadata=scope.meta(scope.name),
        spec={
            "parentRefs": [{"name": gateway.name, "namespace": gateway.namespace, "sectionName": gateway.listener}],
            "hostnames": [ingress.host],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": ingress.path}}],
                    "backendRefs": backends,
                }
            ],
        },
        opts=scope.child(address, *([canary.address] if canary else [])),
    )


def _certificate(scope: Scope, tls: Tls) -> pulumi.Input[str]:
    """Return the name of the Secret with the Ingress' certificate; declare it if the stack has its content."""
    if not tls.secret_files:
        return tls.secret_name or f"{scope.name}-tls"
    secret = core.v1.Secret(
        f"{scope.name}-tls",
        metadata=scope.meta(f"{scope.name}-tls"),
        type="kubernetes.io/tls",
        string_data={file: scope.settings.secret(file) for file in CERTIFICATE_FILES},
        opts=scope.child(),
    )
    return secret.metadata.name
