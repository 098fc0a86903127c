"""Faults that tests put into the objects of a stack with every kind of object."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from slipway.objects import Object
from tests.conftest import recorded

Fault = Callable[[list[Object]], None]

GONE = object()
"""A value that removes the key."""

EVERYTHING: dict[str, Any] = {
    "cluster.monitoringNamespace": "monitoring",
    "registry": {"username": "puller"},
    "services.api.migration": {"args": ["migrate"]},
    "services.api.schedules": {"report": {"args": ["report"], "cron": "30 3 * * *"}},
    "services.web": {
        "needs": ["api"],
        "secrets": ["session-key"],
        "egress": [{"cidr": "10.20.0.0/16", "ports": [3306]}],
        "ingress": {"host": "www.example.com", "gateway": {"name": "public", "namespace": "ingress"}},
    },
}
EXTERNAL: dict[str, Any] = {"secretStore": {"name": "vault", "entries": "maps", "path": "slipway/prod"}}
"""Settings for secrets from an external store."""


def objects(stack: str = "prod", *, external: bool = False) -> list[Object]:
    """Return a copy of the objects of a stack with jobs, an Ingress, an HTTPRoute and connections."""
    changes = EVERYTHING
    if external:
        changes = {key: value for key, value in (EVERYTHING | EXTERNAL).items() if key != "registry"}
    return copy.deepcopy(list(recorded(stack, changes).manifests().values()))


def named(objects: list[Object], name: str) -> Object:
    """Return an object such as `Deployment/api`. The start of a name is enough, because some end in a hash."""
    kind, _, start = name.partition("/")
    matches = [o for o in objects if o["kind"] == kind and o["metadata"]["name"].startswith(start)]
    return min(matches, key=lambda o: len(o["metadata"]["name"]))


def put(where: str, value: Any) -> Fault:
    """Return a fault that sets the value at `Deployment/api spec.replicas`. Keys with dots are quoted."""
    name, _, path = where.partition(" ")
    keys = re.findall(r"'([^']+)'|([^.\[\]]+)|\[(\d+)\]", path)
    *above, last = [int(index) if index else quoted or key for quoted, key, index in keys]

    def plant(objects: list[Object]) -> None:
        section: Any = named(objects, name)
        for key in above:
            section = section.setdefault(key, {}) if isinstance(section, dict) else section[key]
        if value is GONE:
            del section[last]
        elif isinstance(section, list) and last == len(section):
            section.append(value)
        else:
            section[last] = value

    return plant


def add(kind: str, name: str, **fields: Any) -> Fault:
    """Return a fault that adds an object, in the namespace and with the labels of the others."""

    def plant(objects: list[Object]) -> None:
        metadata = {**named(objects, "ServiceAccount/api")["metadata"], "name": name}
        objects.append({"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields})

    return plant


def drop(name: str) -> Fault:
    """Return a fault that removes an object."""
    return lambda objects: objects.remove(named(objects, name))


def both(*faults: Fault) -> Fault:
    """Return a fault that consists of several."""

    def plant(objects: list[Object]) -> None:
        for fault in faults:
            fault(objects)

    return plant
