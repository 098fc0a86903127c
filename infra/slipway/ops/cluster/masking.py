"""Masks secrets in lines that people read."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any

from slipway.objects import SECRET, Object, mapping

# Shorter values may be ordinary words, which would be masked everywhere.
MIN_LENGTH = 6
_LOOKS_SECRET = [
    # A JWT: header and claims are JSON, so both begin with `{"`.
    (re.compile(r"(?<![\w-])(?=[\w-]*+\.eyJ[\w-]++\.)([\w-]*?)\beyJ[\w-]{6,}\.eyJ[\w-]+\.[\w-]*"), rf"\1{SECRET}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/-]{8,}=*"), rf"\1 {SECRET}"),
    # postgres://user:password@host, user:password@tcp(host)
    (re.compile(r"(?<=:)[^\s:/@]+(?=@(?:[\w.-]+|tcp\())"), SECRET),
    (
        # An error of the operating system about a file of such a name holds no secret.
        re.compile(
            r"""(?ix) ((?:password|passwd|pwd|secret|token|api[-_]?key|signing[-_]?key|credentials?)
            \\?["']? \s*[=:]\s*) (?!(?:open|stat|read)\ /|no\ such\ file|not\ (?:set|found)|is\ )
            (?: \\?"(?:[^"\\]|\\.)*?\\?" | '[^']*' | [^\s,;&}\]]+ )"""
        ),
        rf"\1{SECRET}",
    ),
]


class Mask:
    """Masks known values, and what looks like a secret."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        lines = {line.strip() for value in values for line in value.splitlines()}
        known = sorted((line for line in lines if len(line) >= MIN_LENGTH), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def values(self, text: str) -> str:
        """Mask the known values only: for messages of the cluster, where `secret "x" not found` holds no secret."""
        return self._known.sub(SECRET, text) if self._known else text

    def line(self, text: str) -> str:
        """Mask the known values and what looks like a secret: for what programs write."""
        text = self.values(text)
        for pattern, replacement in _LOOKS_SECRET:
            text = pattern.sub(replacement, text)
        return text


def secret_values(secrets: Iterable[Object]) -> list[str]:
    """Return the values in Secret objects, as text and in base64, and the passwords in logins of registries."""
    values: list[str] = []
    for secret in secrets:
        for encoded in mapping(secret, "data").values():
            text = base64.b64decode(encoded).decode(errors="replace")
            values += [text, encoded, *_json_texts(text)]
    return values


def _json_texts(text: str) -> list[str]:
    """Return all texts in JSON, such as the login of a registry, but user names."""
    try:
        return list(_leaves(json.loads(text)))
    except ValueError:
        return []


def _leaves(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        for key, item in value.items():  # pyright: ignore[reportUnknownVariableType]
            yield from _leaves(item) if key != "username" else ()
    elif isinstance(value, str):
        yield value
