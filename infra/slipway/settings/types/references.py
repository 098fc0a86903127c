"""References to variables in a value: Kubernetes fills in `$(NAME)`, and makes `$` of `$$`."""

from __future__ import annotations

import re
from collections.abc import Container

_PARTS = re.compile(r"\$\$|\$\(([-._A-Za-z][-._A-Za-z0-9]*)\)")


def references(value: str) -> list[str]:
    """Return the names of the variables that a value refers to: `redis://:$(PASSWORD)@redis` -> ["PASSWORD"]."""
    return [name for name in _PARTS.findall(value) if name]


def is_expanded(value: str) -> bool:
    """Return whether Kubernetes changes a value of a container's `env`."""
    return "$(" in value and _PARTS.search(value) is not None


def without(value: str, names: Container[str]) -> str:
    """Return the value without its references to these variables."""
    return _PARTS.sub(lambda match: "" if match[1] and match[1] in names else match[0], value)
