"""Keep secrets secret in the recorded state and in messages."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, cast

from pulumi.provider.experimental.property_value import PropertyValue

from local.plugins.kubernetes.kinds import Kind
from local.plugins.provider import Properties, plain, wrap
from slipway.objects import UNKNOWN, Object

# Masking values such as "on" or "1234" would garble messages and protect nothing.
_SHORTEST_MASKED = 8


class Secrets:
    """The secret texts that this process has seen, to mask them in logs and errors."""

    def __init__(self) -> None:
        self._texts: set[str] = set()

    def learn(self, obj: Object, marked: Properties) -> None:
        """Remember the data of a Secret, and every value that is marked as secret."""
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
    """Return the object as properties that are secret where the inputs are. The data of a Secret is always secret.

    A secret inside a list makes the whole list secret, because the API server may order the elements differently.
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
    """Decode base64; return an empty string for anything that is not base64 of a text."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
