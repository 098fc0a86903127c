"""Clean-up after `pulumi up`: superseded configuration is deleted once nothing in the namespace names it.

ConfigMaps and Secrets named by their content stay in the cluster when a new version supersedes them
(`retain_on_delete`), so that `kubectl rollout undo` finds what the ReplicaSets of former revisions read. After each
update those that no workload names any more are deleted, also those of a service that was taken out of the stack file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import external_secrets
import monitor
import pulumi
import releases
from connection import client
from kinds import resource
from lightkube import Client
from naming import HASH_LENGTH, INSTANCE, instance
from settings import Settings

REVISIONS = 5
"""Former ReplicaSets that are kept for `kubectl rollout undo`."""

Object: TypeAlias = Mapping[str, Any]

# API version by kind.
WORKLOADS = {
    **dict.fromkeys(("Deployment", "ReplicaSet", "StatefulSet"), "apps/v1"),
    **dict.fromkeys(("Job", "CronJob"), "batch/v1"),
    "Pod": "v1",
}
CONFIGURATION = {"ConfigMap": "v1", "Secret": "v1"}
_NAMED_BY_CONTENT = re.compile(rf".+-(env|secret|files|authorities)-[0-9a-f]{{{HASH_LENGTH}}}")
# Where a pod names a ConfigMap or a Secret: the field, and the key that holds the name.
_REFERENCES = (
    *((field, "name") for field in ("configMap", "configMapRef", "configMapKeyRef", "secretRef", "secretKeyRef")),
    *(("secret", key) for key in ("secretName", "name")),
)


def at_end(settings: Settings) -> None:
    """Clean up when an update is complete. A failure is a warning: the update itself has gone well."""
    if monitor.is_mocked() or pulumi.runtime.is_dry_run():
        return

    def clean_up() -> None:
        stack = pulumi.get_stack()
        try:
            collect(client(settings), stack)
        except Exception as error:  # whatever it is, the update itself has gone well
            pulumi.log.warn(
                f"clean-up of superseded configuration: {error or type(error).__name__}. The update is complete; the "
                "next one cleans up"
            )

    monitor.observe(ended=clean_up)


def collect(api: Client, stack: str) -> None:
    """Delete the stack's superseded configuration that no workload names, and its oldest records of releases."""
    labels: dict[str, Any] = {INSTANCE: instance(stack)}
    # First what could be deleted: a workload that is made meanwhile names nothing of it that it has not made itself.
    candidates = {kind: _objects(api, version, kind, labels) for kind, version in CONFIGURATION.items()}
    named = names_read(found for kind, version in WORKLOADS.items() for found in _objects(api, version, kind))
    for kind, objects in candidates.items():
        for name in superseded(objects, named):
            api.delete(resource(CONFIGURATION[kind], kind), name)
    external_secrets.delete_superseded(api, labels, named)
    releases.delete_old(api, stack)


def superseded(objects: Sequence[Object], named: set[str]) -> list[str]:
    """Return the names of the ConfigMaps or Secrets named by their content that are not in `named`."""
    names = [str(found["metadata"]["name"]) for found in objects if found.get("immutable")]
    return [name for name in names if _NAMED_BY_CONTENT.fullmatch(name) and name not in named]


def names_read(workloads: Iterable[Object]) -> set[str]:
    """Return the names of all ConfigMaps and Secrets that the pods of these workloads read."""
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
