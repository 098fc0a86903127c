"""Secrets from an external store: each version of them is an ExternalSecret of its own, and is read once.

The operator reads the store when an ExternalSecret is new, and never again (`CreatedOnce`, immutable): pods that run
keep what they started with, and `kubectl rollout undo` finds what it goes back to. A secret is rotated by a new value
in the store and a new `versions` or `rotation` in the stack file: a new ExternalSecret, which rolls the pods.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx2
import pulumi
from api_retry import code_of
from kinds import resource
from lightkube import Client
from naming import HASH_LENGTH, content_name
from pulumi_kubernetes.apiextensions import CustomResource
from scope import Scope
from settings import SecretStore

GROUP, VERSION, KIND = "external-secrets.io", "v1", "ExternalSecret"
_NAMED_BY_CONTENT = re.compile(rf".+-secret-[0-9a-f]{{{HASH_LENGTH}}}")
# The operator is not installed, or this user may not see its objects: then there are none of ours.
_NONE_THERE = (403, 404)


def declare(scope: Scope, title: str, keys: Mapping[str, str], store: SecretStore, opts: pulumi.ResourceOptions) -> str:
    """Return the name of the Secret that the operator makes, after what is ordered: its content is not known here."""
    wanted = {key: _reference(store, name) for key, name in keys.items()}
    flat = {f"{key}.{part}": value for key, reference in wanted.items() for part, value in reference.items()}
    name = content_name(title, {**flat, "rotation": store.rotation})
    CustomResource(
        title,
        api_version=f"{GROUP}/{VERSION}",
        kind=KIND,
        metadata=scope.meta(name),
        spec={
            "secretStoreRef": {"kind": store.kind, "name": store.name},
            "refreshPolicy": "CreatedOnce",
            "target": {"name": name, "creationPolicy": "Owner", "immutable": True, "template": {"type": "Opaque"}},
            "data": [{"secretKey": key, "remoteRef": reference} for key, reference in wanted.items()],
        },
        opts=opts,
    )
    return name


def _reference(store: SecretStore, name: str) -> dict[str, str]:
    """Where in the store a secret lies."""
    whole = {
        "values": {"key": f"{store.path}/{name}".lstrip("/")},
        "maps": {"key": f"{store.path}/{name}".lstrip("/"), "property": store.property},
        "one-map": {"key": store.path, "property": name},
    }[store.entries]
    return {**whole, **({"version": store.versions[name]} if name in store.versions else {})}


def delete_superseded(api: Client, labels: dict[str, Any], named: set[str]) -> None:
    """Delete the ExternalSecrets with these labels whose Secret no pod template names; the Secrets go with them."""
    kind = resource(f"{GROUP}/{VERSION}", KIND)
    try:
        present = [str(found.metadata.name) for found in api.list(kind, labels=labels) if found.metadata]
    except httpx2.HTTPStatusError as error:
        if code_of(error) in _NONE_THERE:
            return
        raise
    for name in present:
        if _NAMED_BY_CONTENT.fullmatch(name) and name not in named:
            api.delete(kind, name)
