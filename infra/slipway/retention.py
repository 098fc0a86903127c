"""Deletes superseded configuration after an update, once no workload in the namespace refers to it.

ConfigMaps and Secrets named by their content stay in the cluster when a new version supersedes them
(`retain_on_delete`), so that `kubectl rollout undo` finds what the ReplicaSets of earlier revisions read. After each
update those are deleted that neither the program declares nor a workload refers to, also those of a service that was
removed from the stack file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import pulumi

from slipway import engine, releases
from slipway.cluster.connection import client
from slipway.cluster.kinds import resource
from slipway.naming import HASH_LENGTH, INSTANCE, instance
from slipway.objects import Object
from slipway.service import external_secrets
from slipway.settings.settings import Settings

if TYPE_CHECKING:
    from lightkube import Client

# API version by kind.
WORKLOADS = {
    **dict.fromkeys(("Deployment", "ReplicaSet", "StatefulSet"), "apps/v1"),
    **dict.fromkeys(("Job", "CronJob"), "batch/v1"),
    "Pod": "v1",
}
CONFIGURATION = {"ConfigMap": "v1", "Secret": "v1"}
_NAMED_BY_CONTENT = re.compile(rf".+-(env|secret|files|authorities)-[0-9a-f]{{{HASH_LENGTH}}}")
# Where a pod refers to a ConfigMap or a Secret: the field, and the key with the name.
_REFERENCES = (
    *((field, "name") for field in ("configMap", "configMapRef", "configMapKeyRef", "secretRef", "secretKeyRef")),
    *(("secret", key) for key in ("secretName", "name")),
)


def at_end(settings: Settings) -> None:
    """Clean up at the end of a successful update. A failure of the clean-up is a warning."""
    if not engine.is_updating():
        return
    declared: set[str] = set()

    def registered(type_: str, id_: str) -> None:
        if type_.startswith("kubernetes:"):
            declared.add(id_.rpartition("/")[2])

    def clean_up() -> None:
        stack = pulumi.get_stack()
        try:
            collect(client(settings), stack, declared)
        except Exception as error:  # the update itself has succeeded, whatever this is
            pulumi.log.warn(
                f"clean-up of superseded configuration: {error or type(error).__name__}. The update is complete; the "
                "next one cleans up"
            )

    engine.observe(registered=registered, ended=clean_up)


def collect(api: Client, stack: str, declared: Set[str]) -> None:
    """Delete configuration that is neither declared nor referred to by a workload, and the oldest records of releases.

    `declared` has the names of all objects of the program: the Job that a migration's variables are for may be gone.
    """
    labels: dict[str, Any] = {INSTANCE: instance(stack)}
    # Candidates are listed before workloads: a workload created in between brings its own configuration.
    candidates = {kind: _objects(api, version, kind, labels) for kind, version in CONFIGURATION.items()}
    workloads = (workload for kind, version in WORKLOADS.items() for workload in _objects(api, version, kind))
    referenced = referenced_names(workloads) | declared
    for kind, objects in candidates.items():
        for name in superseded(objects, referenced):
            api.delete(resource(CONFIGURATION[kind], kind), name)
    external_secrets.delete_superseded(api, labels, referenced)
    releases.delete_old(api, stack)


def superseded(objects: Sequence[Object], referenced: set[str]) -> list[str]:
    """Return the names of the ConfigMaps or Secrets named by their content that are not referenced."""
    names = [str(candidate["metadata"]["name"]) for candidate in objects if candidate.get("immutable")]
    return [name for name in names if _NAMED_BY_CONTENT.fullmatch(name) and name not in referenced]


def referenced_names(workloads: Iterable[Object]) -> set[str]:
    """Return the names of all ConfigMaps and Secrets that the pods of these workloads refer to."""
    return {name for workload in workloads for name in _names(workload.get("spec"))}


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _names(item)
    elif isinstance(value, Mapping):
        for field, key in _REFERENCES:
            reference = value.get(field)
            if isinstance(reference, Mapping) and isinstance(reference.get(key), str):
                yield reference[key]
        for item in value.values():
            yield from _names(item)


def _objects(api: Client, api_version: str, kind: str, labels: dict[str, Any] | None = None) -> list[Object]:
    return list(api.list(resource(api_version, kind), labels=labels))
