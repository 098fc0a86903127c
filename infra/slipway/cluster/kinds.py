"""Lightkube resources of any kind whose objects are plain mappings, with all fields that the server sends."""

from __future__ import annotations

import functools
from typing import Any


def resource(api_version: str, kind: str, *, is_namespaced: bool = True) -> Any:
    """Return the resource of a built-in or custom kind, for the methods of a lightkube client."""
    return _resource(api_version, kind, is_namespaced)


@functools.cache
def _resource(api_version: str, kind: str, is_namespaced: bool) -> Any:
    # Cached, since lightkube refuses to create the resource of a built-in kind twice.
    # Imported late, since most verbs of ./slipway need `plural` only.
    from lightkube.generic_resource import create_global_resource, create_namespaced_resource  # noqa: PLC0415

    group, _, version = api_version.rpartition("/")
    create = create_namespaced_resource if is_namespaced else create_global_resource
    return create(group, version, kind, plural(kind))


def plural(kind: str) -> str:
    """Return the name of a kind in the API's paths: `NetworkPolicy` -> `networkpolicies`."""
    name = kind.lower()
    if name.endswith("y"):
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith("s") else f"{name}s"
