"""What the API server would say about an object: its schemas, strictly (an unknown field is a mistake), offline.

Kubernetes' own come with kubernetes-validate. Those of custom resources lie here, taken from their official
definitions by `python -m tests.schemas`; each file says from which version.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from slipway.objects import Object

OLDEST, LOCAL, NEWEST = VERSIONS = ("1.34", "1.36", "1.37")
CUSTOM = Path(__file__).parent
KUBERNETES = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema"


def errors(manifest: Object, version: str) -> list[str]:
    """`spec.replicas: 'three' is not of type 'integer'` for each thing the API of that version would refuse."""
    return list(_errors(json.dumps(manifest), version))


@functools.cache
def _errors(text: str, version: str) -> tuple[str, ...]:
    """The same of an object's JSON: most objects are the same in many stacks and variants."""
    manifest = json.loads(text)
    parts = [manifest]
    if is_custom(manifest):
        # The API server itself checks the metadata of custom resources, as it does that of any object.
        parts.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": manifest["metadata"]})
    found = [
        error for part in parts for error in _validator(part["apiVersion"], part["kind"], version).iter_errors(part)
    ]
    return tuple(f"{'.'.join(map(str, error.path))}: {error.message}" for error in found)


def is_custom(manifest: Object) -> bool:
    """Whether the kind is defined by an operator, not by Kubernetes."""
    return custom_file(manifest["apiVersion"], manifest["kind"]).is_file()


def custom_file(api_version: str, kind: str) -> Path:
    """Where the schema of a custom resource lies, or would lie."""
    group, _, version = api_version.rpartition("/")
    return CUSTOM / f"{kind.lower()}-{group}-{version}.json"


def kubernetes_folder(version: str) -> Traversable:
    """The strict schemas of one version of Kubernetes."""
    return KUBERNETES / f"v{version}.0-local-strict"


def kubernetes_file(api_version: str, kind: str) -> str:
    """Name of the schema of one of Kubernetes' own kinds: `deployment-apps-v1.json`."""
    group, _, version = api_version.rpartition("/")
    return "-".join(filter(None, (kind.lower(), group.partition(".")[0], version))) + ".json"


@functools.cache
def _validator(api_version: str, kind: str, version: str) -> Draft202012Validator:
    custom = custom_file(api_version, kind)
    if custom.is_file():
        return Draft202012Validator(json.loads(custom.read_text()))
    file = kubernetes_folder(version) / kubernetes_file(api_version, kind)
    if not file.is_file():
        raise LookupError(f"{api_version} {kind} is neither known to Kubernetes {version} nor in {CUSTOM.name}/")
    return Draft202012Validator(json.loads(file.read_text()), registry=_definitions(version))


@functools.cache
def _definitions(version: str) -> Registry[Any]:
    content = (kubernetes_folder(version) / "_definitions.json").read_text()
    return (Resource.from_contents(json.loads(content)) @ Registry()).crawl()
