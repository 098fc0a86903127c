"""Faults planted into the objects of a stack that has some of everything."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from tests.conftest import recorded

Object = dict[str, Any]
Fault = Callable[[list[Object]], None]

GONE = object()
"""The value of what is taken out."""

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
"""Secrets come from an external store."""


def objects(stack: str = "prod", *, external: bool = False) -> list[Object]:
    """The objects of a stack with jobs, an Ingress, an HTTPRoute, connections; for the caller to change."""
    changes = EVERYTHING
    if external:
        changes = {key: value for key, value in (EVERYTHING | EXTERNAL).items() if key != "registry"}
    return copy.deepcopy(list(recorded(stack, changes).manifests().values()))


def named(found: list[Object], name: str) -> Object:
    """The object `Deployment/api`; for what is named by its content, the start of the name is enough."""
    kind, _, start = name.partition("/")
    fits = [o for o in found if o["kind"] == kind and o["metadata"]["name"].startswith(start)]
    return min(fits, key=lambda o: len(o["metadata"]["name"]))


def put(where: str, value: Any) -> Fault:
    """Set the value at `Deployment/api spec.replicas`; GONE takes it out. Keys that hold dots stand in quotes."""
    name, _, path = where.partition(" ")
    keys = re.findall(r"'([^']+)'|([^.\[\]]+)|\[(\d+)\]", path)
    *above, last = [int(index) if index else quoted or key for quoted, key, index in keys]

    def plant(found: list[Object]) -> None:
        section: Any = named(found, name)
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
    """One more object, in the namespace and with the labels of the others."""

    def plant(found: list[Object]) -> None:
        metadata = {**named(found, "ServiceAccount/api")["metadata"], "name": name}
        found.append({"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields})

    return plant


def drop(name: str) -> Fault:
    """One object less."""
    return lambda found: found.remove(named(found, name))


def both(*faults: Fault) -> Fault:
    """Several changes that are one fault together."""

    def plant(found: list[Object]) -> None:
        for fault in faults:
            fault(found)

    return plant
