"""What pods read: the ConfigMaps and Secrets they name, and the keys these have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slipway.naming import EXTERNAL
from slipway.objects import mapping
from slipway.rules.parts import Part, Pod
from slipway.rules.stack import Stack


def same_label(pod: Pod, other: Pod, label: str) -> bool:
    """Return whether two pods have the same value of a label."""
    return pod.labels.get(label) == other.labels.get(label)


def list_names(stack: Stack, kind: str) -> str:
    """Return the names of all objects of a kind as text."""
    return ", ".join(sorted(obj.name for obj in stack.of(kind))) or "none"


Source = tuple[Part, str, str, Any, list[tuple[str, Any]]]
"""Who names an object, at which path; the kind and name of the object; paths and values of the keys that are used."""


def sources(stack: Stack) -> Iterator[Source]:
    """Yield every ConfigMap and Secret that a pod reads, or KEDA for one."""
    for container in stack.containers:
        for source in container.parts("envFrom"):
            for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                if source.get(key) is not None:
                    yield source, f"{key}.name", kind, source.get(f"{key}.name"), []
        for variable in container.parts("env"):
            for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                named = variable.part(f"valueFrom.{key}")
                if named.fields:
                    yield named, "name", kind, named.get("name"), [("key", named.get("key"))]
    for pod in stack.pods:
        for volume in pod.parts("volumes"):
            for part in (volume, *volume.parts("projected.sources")):
                yield from _volume_sources(part)
    yield from _login_sources(stack)


def _login_sources(stack: Stack) -> Iterator[Source]:
    """Yield what KEDA reads to log in."""
    for login in stack.of("TriggerAuthentication"):
        for kind, key in (("Secret", "secretTargetRef"), ("ConfigMap", "configMapTargetRef")):
            for part in login.parts(f"spec.{key}"):
                yield part, "name", kind, part.get("name"), [("key", part.get("key"))]


def _volume_sources(volume: Part) -> Iterator[Source]:
    """Yield what a volume, or a source of a projected one, reads."""
    for kind, key in (("ConfigMap", "configMap"), ("Secret", "secret")):
        if volume.get(key) is not None:
            at = "secret.secretName" if volume.get("secret.secretName") else f"{key}.name"
            items = list(enumerate(volume.parts(f"{key}.items")))
            yield volume, at, kind, volume.get(at), [(f"{key}.items[{i}].key", item.get("key")) for i, item in items]


def target_of(external: Part) -> str:
    """Return the name of the Secret that an ExternalSecret creates."""
    return external.text("spec.target.name") or external.name


def exists(stack: Stack, kind: str, name: Any) -> bool:
    """Return whether a ConfigMap or Secret is declared, or created from an ExternalSecret."""
    created = [target_of(external) for external in stack.of("ExternalSecret")] if kind == "Secret" else []
    return name in created or stack.named(kind, name) is not None


def is_external(part: Part, kind: str, name: Any) -> bool:
    """Return whether the stack file says that others create an object, so that no stack declares it."""
    annotations = mapping(part.object, "metadata.annotations")
    return f"{kind}/{name}" in str(annotations.get(EXTERNAL)).split(",")


def keys_in(stack: Stack, kind: str, name: Any) -> set[str] | None:
    """Return the keys of a ConfigMap or Secret by name; None if they are not known."""
    if obj := stack.named(kind, name):
        return keys_of(obj)
    externals = [part for part in stack.of("ExternalSecret") if kind == "Secret" and target_of(part) == name]
    if externals and not externals[0].items("spec.dataFrom"):
        return {entry.text("secretKey") for entry in externals[0].parts("spec.data")}
    return None


def keys_of(obj: Part) -> set[str]:
    """Return the keys of a ConfigMap or Secret."""
    return {key for part in ("data", "stringData", "binaryData") for key in obj.mapping(part)}
