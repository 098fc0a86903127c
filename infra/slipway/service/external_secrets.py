"""Secrets from an external store: each version of them is an ExternalSecret of its own, which is read once.

The operator reads the store when an ExternalSecret is new, and never again (`CreatedOnce`, immutable): running pods
keep the values they started with, and `kubectl rollout undo` finds the earlier ones. To rotate a secret, put the new
value into the store and change `versions` or `rotation` in the stack file: the new ExternalSecret rolls the pods.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from slipway.cluster.api_retry import FORBIDDEN, NOT_FOUND, code_of, refused
from slipway.cluster.kinds import resource
from slipway.naming import HASH_LENGTH, content_name
from slipway.scope import Scope
from slipway.settings.sections.stack import SecretStore

if TYPE_CHECKING:
    from lightkube import Client

GROUP, VERSION, KIND = "external-secrets.io", "v1", "ExternalSecret"
_NAMED_BY_CONTENT = re.compile(rf".+-secret-[0-9a-f]{{{HASH_LENGTH}}}")
# The operator is not installed, or this user may not list its objects: then the stack has none.
_NO_OBJECTS = (FORBIDDEN, NOT_FOUND)


def declare(  # noqa: PLR0917 - as in configuration.py, and one more
    scope: Scope,
    title: str,
    keys: Mapping[str, str],
    store: SecretStore,
    opts: pulumi.ResourceOptions,
    files: Mapping[str, str] | None = None,
) -> str:
    """Declare an ExternalSecret. Return the name of its Secret, which changes with the references, not the values.

    `files` are templates of the operator, by key, which the Secret has in place of the values.
    """
    references = {key: _reference(store, name) for key, name in keys.items()}
    flat = {f"{key}.{part}": value for key, reference in references.items() for part, value in reference.items()}
    name = content_name(title, {**flat, "rotation": store.rotation, **(files or {})})
    form: dict[str, Any] = {"type": "Opaque", **({"data": dict(files)} if files else {})}
    CustomResource(
        title,
        api_version=f"{GROUP}/{VERSION}",
        kind=KIND,
        metadata=scope.meta(name),
        spec={
            "secretStoreRef": {"kind": store.kind, "name": store.name},
            "refreshPolicy": "CreatedOnce",
            "target": {"name": name, "creationPolicy": "Owner", "immutable": True, "template": form},
            "data": [{"secretKey": key, "remoteRef": reference} for key, reference in references.items()],
        },
        opts=opts,
    )
    return name


def template(names: Sequence[str], text: Callable[[Mapping[str, str]], str]) -> str:
    """Return a YAML text with secrets as a template that the operator fills in.

    Each value has to be a whole scalar of the text. JSON stands in its place, which is YAML as well.
    """
    markers = {name: f"@{name}@" for name in names}
    # Braces of the text's own templates are for whoever reads it.
    filled = text(markers).replace("{{", "{{ `{{` }}")
    for name, marker in markers.items():
        filled = filled.replace(f"'{marker}'", f"{{{{ index . `{name}` | toJson }}}}")
    return filled


def _reference(store: SecretStore, name: str) -> dict[str, str]:
    """Return the place of a secret in the store."""
    place = {
        "values": {"key": f"{store.path}/{name}".lstrip("/")},
        "maps": {"key": f"{store.path}/{name}".lstrip("/"), "property": store.property},
        "one-map": {"key": store.path, "property": name},
    }[store.entries]
    return {**place, **({"version": store.versions[name]} if name in store.versions else {})}


def delete_superseded(api: Client, labels: dict[str, Any], referenced: set[str]) -> None:
    """Delete the ExternalSecrets with these labels whose Secret no workload refers to, and so their Secrets."""
    kind = resource(f"{GROUP}/{VERSION}", KIND)
    try:
        names = [str(secret.metadata.name) for secret in api.list(kind, labels=labels) if secret.metadata]
    except refused() as error:
        if code_of(error) in _NO_OBJECTS:
            return
        raise
    for name in names:
        if _NAMED_BY_CONTENT.fullmatch(name) and name not in referenced:
            api.delete(kind, name)
