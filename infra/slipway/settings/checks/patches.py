"""What a patch may change: fields that the API knows, of objects that the service declares, but no identity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slipway.settings.errors import InvalidSetting, Key
from slipway.settings.sections.customization import PatchKind
from slipway.settings.sections.service import Service

# Annotations and labels that the program, Pulumi and selectors go by.
OWN_PREFIXES = ("app.kubernetes.io/", "slipway/", "pulumi.com/", "pod-security.kubernetes.io/")
# Fields by which an object finds its pods or its target, beside its name and namespace.
IDENTITY = {
    "Deployment": "selector",
    "Job": "selector",
    "Service": "selector",
    "PodDisruptionBudget": "selector",
    "NetworkPolicy": "podSelector",
    "HorizontalPodAutoscaler": "scaleTargetRef",
    "ScaledObject": "scaleTargetRef",
}
METADATA = ("labels", "annotations")
# Lists whose items have names, and by which field; of several the first one that the patch's item has. Others are
# replaced, as in a strategic merge patch of `kubectl`.
NAMED = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "ports": ("name", "containerPort", "port"),
    "volumeMounts": ("mountPath",),
    "topologySpreadConstraints": ("topologyKey",),
    "hostAliases": ("ip",),
}


def check(at: Key, service: Service) -> Iterator[InvalidSetting]:
    """Report patches of objects that are not declared, of unknown fields, and of what identifies an object."""
    missing = dict(_undeclared(service))
    for kind, patch in service.patch.items():
        if kind in missing:
            yield InvalidSetting((*at, kind), f"changes nothing: {missing[kind]}")
        elif not patch:
            yield InvalidSetting((*at, kind), "changes nothing; name a field, or take it out")
        else:
            yield from _identity((*at, kind), kind, patch, service)
            # Imported late: the models of the API take half a second to load, and most stacks patch nothing.
            from slipway.settings.checks import api_fields  # noqa: PLC0415

            yield from api_fields.check((*at, kind), kind, patch)


def _undeclared(service: Service) -> Iterator[tuple[PatchKind, str]]:
    """Yield the kinds that a service does not declare, with the reason."""
    ingress = service.ingress
    if ingress is None or ingress.gateway:
        yield "Ingress", "its address is an HTTPRoute" if ingress else "the service has no `ingress`"
    if ingress is None or not ingress.gateway:
        yield "HTTPRoute", "its address is an Ingress" if ingress else "the service has no `ingress`"
    if service.is_worker:
        yield "Service", "a worker answers no requests"
    if service.replicas is not None:
        yield "HorizontalPodAutoscaler", "with `replicas` the service has no autoscaler"
    elif service.is_scaled_by_keda:
        yield "HorizontalPodAutoscaler", "with by: keda its autoscaler is a ScaledObject"
    if not service.is_scaled_by_keda:
        yield "ScaledObject", "the service has no autoscaling.by: keda"
    if service.migration is None:
        yield "Job", "the service has no `migration`"
    if not service.schedules:
        yield "CronJob", "the service has no `schedules`"


def _identity(at: Key, kind: str, patch: dict[str, Any], service: Service) -> Iterator[InvalidSetting]:
    """Report fields, labels and annotations by which objects are found."""
    rule = "identifies the object, which a patch cannot change; take it out"
    for key in ("apiVersion", "kind", "status"):
        if key in patch:
            yield InvalidSetting((*at, key), rule)
    spec = patch.get("spec")
    if isinstance(spec, dict) and IDENTITY.get(kind) in spec:
        yield InvalidSetting((*at, "spec", IDENTITY[kind]), rule)
    for path, metadata in _metadata((), patch):
        for key, value in metadata.items():
            if key not in METADATA:
                yield InvalidSetting((*at, *path, key), rule)
            for name in value if isinstance(value, dict) else ():
                if str(name).startswith(OWN_PREFIXES) or (key == "labels" and name in service.selector):
                    yield InvalidSetting(
                        (*at, *path, key, name), "is set by the program, which goes by it; take it out"
                    )


def _metadata(at: Key, value: dict[str, Any]) -> Iterator[tuple[Key, dict[str, Any]]]:
    """Yield the metadata of a patched object, and of the jobs and pods that it creates."""
    for key in ("metadata", "spec", "jobTemplate", "template"):
        inner = value.get(key)
        if isinstance(inner, dict) and key == "metadata":
            yield (*at, key), inner
        elif isinstance(inner, dict):
            yield from _metadata((*at, key), inner)
