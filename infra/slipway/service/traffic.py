"""Addresses of a service: its name inside the cluster, and its Ingress or HTTPRoute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import apps, core, networking
from pulumi_kubernetes.apiextensions import CustomResource

from slipway.scope import Scope, timeouts
from slipway.service import strip_prefix
from slipway.settings.names import CERTIFICATE_FILES
from slipway.settings.sections.addresses import Gateway, Ingress, Tls
from slipway.settings.sections.contract import HTTP
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
        metadata=scope.meta(scope.title, {**scope.service.service_annotations, **scope.selector_annotation}),
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
    strip = strip_prefix.declare(scope, ingress) if ingress.strip_prefix else strip_prefix.NONE
    annotations = {**ingress.annotations, **strip.annotations}
    if ingress.await_seconds == 0:
        annotations["pulumi.com/skipAwait"] = "true"
    if ingress.tls and ingress.tls.issuer:
        annotations["cert-manager.io/cluster-issuer"] = ingress.tls.issuer
    backend = networking.v1.IngressServiceBackendArgs(
        name=scope.name, port=networking.v1.ServiceBackendPortArgs(name="http")
    )
    paths = [
        networking.v1.HTTPIngressPathArgs(
            path=strip.path(path), path_type=strip.path_type, backend=networking.v1.IngressBackendArgs(service=backend)
        )
        for path in ingress.all_paths
    ]
    networking.v1.Ingress(
        scope.name,
        metadata=scope.meta(scope.name, annotations),
        spec=networking.v1.IngressSpecArgs(
            ingress_class_name=ingress.class_name,
            tls=_certificates(scope, ingress.tls) if ingress.tls else None,
            rules=[
                networking.v1.IngressRuleArgs(host=host, http=networking.v1.HTTPIngressRuleValueArgs(paths=paths))
                for host in ingress.all_hosts
            ],
        ),
        opts=pulumi.ResourceOptions(
            parent=scope.parent,
            depends_on=[address, *strip.objects],
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
    matches = [{"path": {"type": "PathPrefix", "value": path}} for path in ingress.all_paths]
    if ingress.strip_prefix:
        # The Gateway API allows one match in a rule that replaces the prefix.
        rules = [{"matches": [match], "filters": [strip_prefix.FILTER], "backendRefs": backends} for match in matches]
    else:
        rules = [{"matches": matches, "backendRefs": backends}]
    CustomResource(
        scope.name,
        api_version="gateway.networking.k8s.io/v1",
        kind="HTTPRoute",
        metadata=scope.meta(scope.name, ingress.annotations),
        spec={
            "parentRefs": [{"name": gateway.name, "namespace": gateway.namespace, "sectionName": gateway.listener}],
            "hostnames": ingress.all_hosts,
            "rules": rules,
        },
        opts=scope.child(address, *([canary.address] if canary else [])),
    )


def _certificates(scope: Scope, tls: Tls) -> list[networking.v1.IngressTLSArgs]:
    """Return the Secrets with the Ingress' certificates; declare the one whose content the stack has."""
    certificates = scope.settings.certificates(scope.name)
    if not tls.secret_files:
        return [networking.v1.IngressTLSArgs(hosts=hosts, secret_name=secret) for secret, hosts in certificates.items()]
    [(name, hosts)] = certificates.items()
    secret = core.v1.Secret(
        name,
        metadata=scope.meta(name),
        type="kubernetes.io/tls",
        string_data={file: scope.settings.secret(file) for file in CERTIFICATE_FILES},
        opts=scope.child(),
    )
    return [networking.v1.IngressTLSArgs(hosts=hosts, secret_name=secret.metadata.name)]
