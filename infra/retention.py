"""How long superseded configuration stays: as long as a revision names it that one could go back to.

The ReplicaSets of the last revisions keep the names of the immutable ConfigMap and Secret their pods read. `pulumi up`
leaves those objects in the cluster (`retain_on_delete`), and after each rollout removes the ones no ReplicaSet names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pulumi
from connection import client
from lightkube.resources.apps_v1 import ReplicaSet
from lightkube.resources.core_v1 import ConfigMap, Secret
from naming import HASH_LENGTH, pods_of, selector
from scope import Scope

REVISIONS = 5
"""Former ReplicaSets that are kept for `kubectl rollout undo`."""


def after_update(scope: Scope) -> pulumi.ResourceHook:
    """Once the new pods serve, what no revision needs any more is forgotten."""
    service, settings = scope.name, scope.settings
    labels: dict[str, Any] = dict(selector(service))
    # Its pods may be selected by other labels than ours (`selector`); this one all of them have.
    of_pods: dict[str, Any] = dict(pods_of(service))

    def forget(_: pulumi.ResourceHookArgs) -> None:
        api = client(settings)
        named = set(_named(api.list(ReplicaSet, labels=of_pods)))
        for kind in (ConfigMap, Secret):
            present = [str(found.metadata.name) for found in api.list(kind, labels=labels) if found.metadata]
            for name in superseded(service, present, named):
                api.delete(kind, name)

    return pulumi.ResourceHook(f"{service}-forget", forget)


def superseded(service: str, names: Iterable[str], named: set[str]) -> list[str]:
    """Those of the objects that hold former variables or secrets of a service, and are not named any more."""
    former = re.compile(rf"{re.escape(service)}-(env|secret)-[0-9a-f]{{{HASH_LENGTH}}}")
    return [name for name in names if former.fullmatch(name) and name not in named]


def _named(replica_sets: Iterable[ReplicaSet]) -> Iterator[str]:
    """Every ConfigMap and Secret the pods of these ReplicaSets read."""
    for replica_set in replica_sets:
        pod: Any = replica_set.spec.template.spec  # pyright: ignore[reportOptionalMemberAccess]
        for volume in pod.volumes or []:
            yield from (volume.secret.secretName,) if volume.secret else ()
        for container in pod.containers:
            yield from (source.configMapRef.name for source in container.envFrom or [] if source.configMapRef)
