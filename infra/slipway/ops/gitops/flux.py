"""What Flux reads: an OCIRepository, and one Kustomization for each phase, which waits for the one before."""

from __future__ import annotations

from slipway.image.registry import is_local
from slipway.naming import instance
from slipway.objects import Object
from slipway.ops.gitops.objects import Applied, in_phases
from slipway.ops.gitops.order import ENVIRONMENT, MIGRATIONS
from slipway.ops.gitops.source import Source

NAMESPACE = "flux-system"
LAYER = "application/vnd.cncf.flux.content.v1.tar+gzip"
KEY_SECRET = "cosign-public-key"
"""The Secret with the public keys of those whose signatures count; each key of it ends in `.pub`."""

_PRUNE = "kustomize.toolkit.fluxcd.io/prune"
# Phases whose objects are all healthy in themselves. In the others, a claim waits for its first pod.
_WAITS_FOR_ALL = (ENVIRONMENT, MIGRATIONS)
_WORKLOADS = ("Deployment", "StatefulSet")
_MIN_SECONDS = 300


def annotations_of(obj: Applied) -> dict[str, str]:
    """Return the annotations of an object.

    Flux deletes what is superseded before it waits for a rollout, while pods of the release before still need it.
    """
    return {_PRUNE: "disabled"} if obj.has_data or obj.is_retained else {}


def beside(stack: str, objects: list[Applied], source: Source, *, verified: bool) -> list[Object]:
    """Return the objects that tell Flux what to apply. They change only when a phase or a workload is new or gone."""
    title = instance(stack)
    return [_repository(title, source, verified=verified), *_kustomizations(title, in_phases(objects))]


def _repository(title: str, source: Source, *, verified: bool) -> Object:
    signed: Object = {"verify": {"provider": "cosign", "secretRef": {"name": KEY_SECRET}}} if verified else {}
    # As with pushes: only a registry on this machine may do without TLS.
    plain: Object = {"insecure": True} if is_local(source.host) else {}
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "OCIRepository",
        "metadata": {"name": title, "namespace": NAMESPACE},
        "spec": {"interval": "1m", "url": source.url, "ref": {"tag": source.tag}, **signed, **plain},
    }


def _kustomizations(title: str, phases: dict[str, list[Applied]]) -> list[Object]:
    names = [f"{title}-{phase}" for phase in phases]
    before = [[], *([{"name": name}] for name in names[:-1])]
    return [
        {
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "kind": "Kustomization",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "interval": "10m",
                "retryInterval": "1m",
                "timeout": f"{max(_MIN_SECONDS, *(obj.rollout_seconds for obj in objects))}s",
                "sourceRef": {"kind": "OCIRepository", "name": title},
                "path": f"./{phase}",
                "prune": True,
                **({"dependsOn": after} if after else {}),
                **_health(phase, objects),
            },
        }
        for name, after, (phase, objects) in zip(names, before, phases.items(), strict=True)
    ]


def _health(phase: str, objects: list[Applied]) -> Object:
    if phase not in _WAITS_FOR_ALL:
        return {"healthChecks": [obj.reference() for obj in objects if obj.kind in _WORKLOADS]}
    external = [obj for obj in objects if obj.kind == "ExternalSecret"]
    return {"wait": True, **({"healthCheckExprs": [_readiness(external[0])]} if external else {})}


def _readiness(secret: Applied) -> Object:
    """Return when an ExternalSecret is healthy; a new one has no conditions yet, which counts as healthy otherwise."""
    return {
        "apiVersion": secret.manifest["apiVersion"],
        "kind": secret.kind,
        "current": "status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')",
    }
