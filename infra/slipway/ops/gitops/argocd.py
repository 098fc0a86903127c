"""What Argo CD reads: an Application, and a sync wave at each object."""

from __future__ import annotations

from slipway.naming import instance
from slipway.objects import Object
from slipway.ops.gitops.objects import Applied
from slipway.ops.gitops.order import PHASES
from slipway.ops.gitops.source import Source

NAMESPACE = "argocd"
# One of those that Argo CD takes without configuration.
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

_PREFIX = "argocd.argoproj.io"


def annotations_of(obj: Applied) -> dict[str, str]:
    """Return the annotations of an object: its wave, and how it is deleted.

    A Job is a hook, so that the next sync runs one again that failed. It is deleted when it has succeeded: the Job of
    the next version has another name.
    """
    found = {f"{_PREFIX}/sync-wave": str(PHASES.index(obj.phase))}
    if obj.kind == "Job":
        found |= {f"{_PREFIX}/hook": "Sync", f"{_PREFIX}/hook-delete-policy": "BeforeHookCreation,HookSucceeded"}
    if obj.has_data:
        found |= {f"{_PREFIX}/sync-options": "Prune=false,Delete=false"}
    return found


def beside(stack: str, objects: list[Applied], source: Source, *, verified: bool) -> list[Object]:  # noqa: ARG001
    """Return the object that tells Argo CD what to apply. Argo CD verifies no signatures of artifacts."""
    [namespace] = [obj.manifest["metadata"]["name"] for obj in objects if obj.kind == "Namespace"]
    application = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": instance(stack), "namespace": NAMESPACE},
        "spec": {
            "project": "default",
            "source": {
                "repoURL": source.url,
                "targetRevision": source.tag,
                "path": ".",
                "directory": {"recurse": True},
            },
            "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
            "syncPolicy": {
                "automated": {"prune": True, "selfHeal": True},
                # Server-side, a field that an autoscaler sets stays. What is superseded goes when the new pods serve.
                "syncOptions": ["ServerSideApply=true", "PruneLast=true"],
                "retry": {"limit": 3, "backoff": {"duration": "30s", "factor": 2, "maxDuration": "5m"}},
            },
        },
    }
    return [application]
