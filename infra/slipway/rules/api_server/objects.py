"""Names, labels and sizes of all objects."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from slipway.rules.api_server.forms import DATA_KEY, LABEL_VALUE, QUALIFIED, SUBDOMAIN
from slipway.rules.parts import Part
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import Stack, every_object, labels_of, of
from slipway.settings.types.scalars import LABEL

RULES = Rules(always=True)

# Grammar and maximum length of the names of a kind. Any other kind is named like a host (OTHER_NAMES).
NAMES = {
    "Namespace": (LABEL, 63),
    # Kubernetes 1.34 wants a letter first, later versions also take a digit.
    "Service": (r"[a-z]([-a-z0-9]*[a-z0-9])?", 63),
    # Pods have the Job's name in a label. The Jobs of a CronJob and revisions of a StatefulSet have 11 characters more.
    "Job": (SUBDOMAIN, 63),
    "CronJob": (SUBDOMAIN, 52),
    "StatefulSet": (SUBDOMAIN, 52),
}
OTHER_NAMES = (SUBDOMAIN, 253)
# Kubernetes creates these itself, in each namespace or once.
TAKEN = {
    ("ServiceAccount", "default"),
    ("ConfigMap", "kube-root-ca.crt"),
    *(("Namespace", name) for name in ("default", "kube-system", "kube-public", "kube-node-lease")),
}
LARGEST = {"ConfigMap": 2**20, "Secret": 2**20}
LARGEST_ANNOTATIONS = 256 * 2**10


@RULES.each(
    every_object,
    "SA001",
    title="Names have the form and length of their kind",
    reason="the API server refuses the object",
)
def names(obj: Part) -> Violations:
    name, (form, max_length) = obj.text("metadata.name"), NAMES.get(obj.kind, OTHER_NAMES)
    if len(name) > max_length:
        yield obj.wrong("metadata.name", f"has {len(name)} characters; a {obj.kind} has at most {max_length}")
    elif not re.fullmatch(form, name):
        yield obj.wrong("metadata.name", "use lower-case letters, digits and `-`, and start with a letter")
    if (obj.kind, name) in TAKEN:
        yield obj.wrong("metadata.name", "Kubernetes creates one of this name itself; use another")


@RULES.together(
    "SA002",
    title="Every object has a name of its own",
    reason="the second one would be refused, or overwrite the first",
)
def names_once(stack: Stack) -> Violations:
    taken: set[tuple[str, str, str]] = set()
    for obj in stack.objects:
        key = (obj.kind, obj.text("metadata.namespace"), obj.text("metadata.name"))
        if key in taken:
            yield obj.wrong("metadata.name", "is taken already; give another")
        taken.add(key)


@RULES.each(
    every_object,
    "SA003",
    title="Labels and annotations are well-formed",
    reason="the API server refuses the object",
)
def labels(obj: Part) -> Violations:
    for at, given in _labels(obj):
        for key, value in given.items():
            if not QUALIFIED.fullmatch(str(key)):
                yield obj.violation(at, f"have the key {key}; use a name such as app.kubernetes.io/name")
            if not isinstance(value, str) or not LABEL_VALUE.fullmatch(value):
                rule = "use letters, digits, `-`, `_` and `.`, 63 at most"
                yield obj.violation(at, f"give {key} the value {str(value)[:80]}; {rule}")
    annotations = obj.mapping("metadata.annotations")
    for key in annotations:
        if not QUALIFIED.fullmatch(str(key)):
            yield obj.violation("metadata.annotations", f"have the key {key}; use a name such as example.com/note")
    if (size := sum(_size(key) + _size(value) for key, value in annotations.items())) > LARGEST_ANNOTATIONS:
        yield obj.violation("metadata.annotations", f"have {size} bytes; the maximum is {LARGEST_ANNOTATIONS}")


def _labels(obj: Part) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the labels of an object and of its pods, and those it selects by, with their path."""
    yield from labels_of(obj)
    for at in ("spec.selector.matchLabels", *(["spec.selector"] if obj.kind == "Service" else [])):
        yield at, obj.mapping(at)


@RULES.each(
    of("ConfigMap", "Secret"),
    "SA004",
    title="Files of ConfigMaps and Secrets have names, and fit",
    reason="the API server refuses the object",
)
def data(obj: Part) -> Violations:
    size = 0
    for at in ("data", "stringData", "binaryData"):
        for key, value in obj.mapping(at).items():
            size += _size(value)
            if not DATA_KEY.fullmatch(str(key)):
                yield obj.violation(at, f"holds the key {key}; use letters, digits, `-`, `_` and `.`, 253 at most")
    if size > LARGEST[obj.kind]:
        yield obj.violation("data", f"has {size} bytes; a {obj.kind} holds {LARGEST[obj.kind]}")


def _size(value: Any) -> int:
    return len(str(value).encode())
