"""Takes secrets out of lines that people are going to read."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any

from ops.cluster import Object, at
from ops.recorder import SECRET

# Shorter ones would black out words that are none.
LEAST = 6
_LOOKS_SECRET = [
    # A JWT: header and claims are JSON, so both begin with `{"`.
    (re.compile(r"(?<![\w-])(?=[\w-]*+\.eyJ[\w-]++\.)([\w-]*?)\beyJ[\w-]{6,}\.eyJ[\w-]+\.[\w-]*"), rf"\1{SECRET}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/-]{8,}=*"), rf"\1 {SECRET}"),
    # postgres://user:password@host, user:password@tcp(host)
    (re.compile(r"(?<=:)[^\s:/@]+(?=@(?:[\w.-]+|tcp\())"), SECRET),
    (
        # What an error of the operating system says of a file of such a name is no secret.
        re.compile(
            r"""(?ix) ((?:password|passwd|pwd|secret|token|api[-_]?key|signing[-_]?key|credentials?)
            \\?["']? \s*[=:]\s*) (?!(?:open|stat|read)\ /|no\ such\ file|not\ (?:set|found)|is\ )
            (?: \\?"(?:[^"\\]|\\.)*?\\?" | '[^']*' | [^\s,;&}\]]+ )"""
        ),
        rf"\1{SECRET}",
    ),
]


class Mask:
    """Replaces the given values, and whatever looks like a secret."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        lines = {line.strip() for value in values for line in value.splitlines()}
        known = sorted((line for line in lines if len(line) >= LEAST), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def values(self, text: str) -> str:
        """Without the given values: for what the cluster itself says, where `secret "x" not found` tells no secret."""
        return self._known.sub(SECRET, text) if self._known else text

    def line(self, text: str) -> str:
        """Without anything that looks like a secret: for what programs write."""
        text = self.values(text)
        for pattern, replacement in _LOOKS_SECRET:
            text = pattern.sub(replacement, text)
        return text


def secret_values(secrets: Iterable[Object]) -> list[str]:
    """What Secret objects hold, as text and as it is passed on."""
    found: list[str] = []
    for secret in secrets:
        for encoded in (at(secret, "data") or {}).values():
            text = base64.b64decode(encoded).decode(errors="replace")
            found += [text, encoded, *_texts(text)]
    return found


def _texts(text: str) -> list[str]:
    """The passwords in a login of a registry, which is JSON."""
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
