"""Keeps secrets secret: in what the engine records, and in what users read."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, cast

from pulumi.provider.experimental.property_value import PropertyValue

from local.plugins.kubernetes_kinds import Kind
from local.plugins.kubernetes_object import Object
from local.plugins.provider import UNKNOWN, Properties, plain, wrap

# Masking "on" or "1234" would garble every message and hide nothing.
_SHORTEST_MASKED = 8


class Secrets:
    """The secret texts this process has seen, so that logs and errors can be shown without them."""

    def __init__(self) -> None:
        self._texts: set[str] = set()

    def learn(self, obj: Object, marked: Properties) -> None:
        """Remembers the data of a Secret, and whatever is marked as secret."""
        if obj.get("kind") == "Secret":
            self._add(obj.get("stringData"))
            self._add(obj.get("data"))
        for value in marked.values():
            self._learn_marked(value)

    def mask(self, text: str) -> str:
        for secret in sorted(self._texts, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def _learn_marked(self, value: PropertyValue) -> None:
        if value.is_secret:
            self._add(plain(value))
            return
        inner: Any = value.value
        if isinstance(inner, Mapping):
            inner = tuple(cast("Mapping[str, PropertyValue]", inner).values())
        if isinstance(inner, tuple):
            for item in cast("tuple[PropertyValue, ...]", inner):
                self._learn_marked(item)

    def _add(self, value: Any) -> None:
        match value:
            case dict():
                for item in cast("Object", value).values():
                    self._add(item)
            case list():
                for item in cast("list[Any]", value):
                    self._add(item)
            case str() if value != UNKNOWN:
                texts = {value, from_base64(value)}
                lines = {line for text in texts for line in text.splitlines()}
                forms = texts | lines | {to_base64(value)}
                self._texts |= {form for form in forms if len(form) >= _SHORTEST_MASKED}
            case _:
                pass


def is_secret(kind: Kind) -> bool:
    return (kind.api_version, kind.name) == ("v1", "Secret")


def mark(kind: Kind, obj: Object, inputs: Properties) -> Properties:
    """The object as properties, secret where the inputs are. The data of a Secret is always secret.

    A secret inside a list makes the whole list secret: the API server may order its elements differently.
    """
    marked = {key: wrap(value, _widen(inputs[key]) if key in inputs else None) for key, value in obj.items()}
    if is_secret(kind):
        marked |= {key: marked[key].with_secret(True) for key in ("data", "stringData") if key in marked}
    return marked


def _widen(value: PropertyValue) -> PropertyValue:
    inner: Any = value.value
    if isinstance(inner, tuple):
        return value.with_secret(value.contains_secret())
    if isinstance(inner, Mapping):
        fields = cast("Mapping[str, PropertyValue]", inner)
        return value.with_value({key: _widen(item) for key, item in fields.items()})
    return value


def to_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def from_base64(text: str) -> str:
    """The text behind base64; empty for anything that is not base64 of a text."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
