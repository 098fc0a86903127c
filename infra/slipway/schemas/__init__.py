"""Offline validation of objects by the schemas of the API server; an unknown field is an error.

The schemas of Kubernetes come with kubernetes-validate. Those of custom resources are in custom/, generated from their
official definitions by `python -m tests.schemas` in Slipway's repository; each file names the version.
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

from slipway.cluster.versions import NEWEST as NEWEST
from slipway.cluster.versions import OLDEST as OLDEST
from slipway.cluster.versions import VERSIONS as VERSIONS
from slipway.objects import Object

CUSTOM = Path(__file__).parent / "custom"
KUBERNETES = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema"


def errors(manifest: Object, version: str) -> list[str]:
    """Return a message such as `spec.replicas: 'three' is not of type 'integer'` for each invalid field."""
    return list(_errors(json.dumps(manifest), version))


@functools.cache
def _errors(text: str, version: str) -> tuple[str, ...]:
    """Return the errors of an object as JSON. They are cached, because many stacks share the same objects."""
    manifest = json.loads(text)
    parts = [manifest]
    if is_custom(manifest):
        # The schemas of custom resources leave out metadata, which the API server checks for every object.
        parts.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": manifest["metadata"]})
    invalid = [
        error for part in parts for error in _validator(part["apiVersion"], part["kind"], version).iter_errors(part)
    ]
    return tuple(f"{'.'.join(map(str, error.path))}: {error.message}" for error in invalid)


def is_custom(manifest: Object) -> bool:
    """Return whether the kind is a custom resource."""
    return custom_file(manifest["apiVersion"], manifest["kind"]).is_file()


def custom_file(api_version: str, kind: str) -> Path:
    """Return the path of the schema of a custom resource, which need not exist."""
    group, _, version = api_version.rpartition("/")
    return CUSTOM / f"{kind.lower()}-{group}-{version}.json"


def kubernetes_folder(version: str) -> Traversable:
    """Return the folder of the strict schemas of one version of Kubernetes."""
    return KUBERNETES / f"v{version}.0-local-strict"


def kubernetes_file(api_version: str, kind: str) -> str:
    """Return the file name of the schema of a built-in kind: `deployment-apps-v1.json`."""
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
