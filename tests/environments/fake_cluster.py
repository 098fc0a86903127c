"""A cluster whose controllers act at once: a Deployment or StatefulSet has the pods that it asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

from slipway.naming import INSTANCE
from slipway.objects import Object, dig
from slipway.ops.cluster.sleep_mark import merged

Objects = dict[str, dict[str, Object]]
"""By the plural of their kind, and by name."""
WORKLOADS = {"deployments": "Deployment", "statefulsets": "StatefulSet"}


def named(name: str, stack: str = "dev", **fields: Any) -> Object:
    return {"metadata": {"name": name, "labels": {INSTANCE: f"slipway-{stack}"}}, **fields}


def owned(name: str, kind: str, owner: str, **fields: Any) -> Object:
    return {"metadata": {"name": name, "ownerReferences": [{"kind": kind, "name": owner}]}, **fields}


def stack_objects(stack: str = "dev") -> Objects:
    """Return a stack with two services, two stores, a backup schedule, and a Job that has ended."""
    required = {"selector": {}, "template": {}}
    return {
        "deployments": {
            "api": named("api", stack, spec={"replicas": 3, **required}, status={"readyReplicas": 3}),
            "web": named("web", stack, spec={"replicas": 1, **required}, status={"readyReplicas": 1}),
        },
        "statefulsets": {
            name: named(name, stack, spec={"replicas": 1}, status={"readyReplicas": 1}) for name in ("mysql", "redis")
        },
        "cronjobs": {"mysql-backup": named("mysql-backup", stack, spec={"suspend": False})},
        "jobs": {"api-migration-0a1b2c3d": named("api-migration-0a1b2c3d", stack, status={"succeeded": 1})},
        "persistentvolumeclaims": {"mysql-data": named("mysql-data", stack)},
        "namespaces": {},
    }


@dataclass
class FakeCluster:
    """Answers requests for objects, and notes each change as `Deployment/api 0 pods`."""

    objects: Objects = field(default_factory=stack_objects)
    changes: list[str] = field(default_factory=list[str])
    is_stuck: bool = False
    """Whether no pod starts or ends."""

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        *_, kind, name = request.url.path.split("/")
        if name in self.objects or name in ("pods", "replicasets", "scaledobjects"):
            return httpx2.Response(200, json={"items": list(self._listed(name, dict(request.url.params)))})
        if request.method == "PATCH":
            self._patch(kind, name, json.loads(request.content))
        found = self.objects.get(kind, {}).get(name)
        return httpx2.Response(200, json=found) if found else httpx2.Response(404, json={"message": "not found"})

    def _listed(self, kind: str, query: dict[str, str]) -> Iterator[Object]:
        made = {"pods": self._pods, "replicasets": self._replica_sets}
        objects = made[kind]() if kind in made else self.objects.get(kind, {}).values()
        key, _, value = query.get("labelSelector", "").partition("=")
        yield from (obj for obj in objects if not key or dig(obj, "metadata.labels", key) == value)

    def _pods(self) -> Iterator[Object]:
        yield owned("done", "Job", "api-migration-0a1b2c3d", status={"phase": "Succeeded"})
        for kind in WORKLOADS:
            for name, workload in self.objects[kind].items():
                owner = ("ReplicaSet", f"{name}-5d8f") if kind == "deployments" else ("StatefulSet", name)
                for number in range(dig(workload, "status.readyReplicas") or 0):
                    yield owned(f"{name}-{number}", *owner, status={"phase": "Running"})

    def _replica_sets(self) -> Iterator[Object]:
        yield from (owned(f"{name}-5d8f", "Deployment", name) for name in self.objects["deployments"])

    def _patch(self, kind: str, name: str, change: Object) -> None:
        changed = self.objects[kind][name] = merged(self.objects[kind][name], change)
        replicas = dig(change, "spec.replicas")
        self.changes.append(f"{name} {dig(change, 'spec.suspend') if replicas is None else replicas}")
        if kind in WORKLOADS and not self.is_stuck:
            changed["status"] = {"readyReplicas": replicas}
