"""The classes of changes, which of them an environment forbids, and what is said of one change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from ops.changes import Change


class Class(Enum):
    """What a change does, the most dangerous first. The value is what one types and reads."""

    REFUSED = "is refused"
    LOSES_DATA = "loses data"
    REPLACES = "replaces (downtime)"
    WEAKENS_SECURITY = "weakens security"
    EXPOSES = "exposes"
    SCALES_DOWN = "scales down"
    ROLLS_PODS = "rolls pods"
    REMOVES = "removes"
    CONFIG_ONLY = "config only"
    ADDS = "adds"
    NO_OP = "no-op"

    @property
    def flag(self) -> str:
        """As an argument: `loses-data`."""
        return self.name.lower().replace("_", "-")

    @property
    def rank(self) -> int:
        """0 is the most dangerous."""
        return list(Class).index(self)


# Nobody can let it pass: Kubernetes does not take the change.
_IMPOSSIBLE = frozenset({Class.REFUSED})
_ALL_HARM = _IMPOSSIBLE | {Class.LOSES_DATA, Class.REPLACES, Class.WEAKENS_SECURITY, Class.EXPOSES}
FORBIDDEN = {
    "local": _IMPOSSIBLE,
    "dev": _IMPOSSIBLE,
    "staging": _IMPOSSIBLE | {Class.LOSES_DATA},
    "prod": _ALL_HARM,
}


def forbidden_in(stack: str) -> frozenset[Class]:
    """What an environment does not let pass unless it is allowed by name; one of any other name is held to prod's."""
    return FORBIDDEN.get(stack, _ALL_HARM)


def barred_in(stack: str, allowed: frozenset[Class]) -> frozenset[Class]:
    """Return the classes that may not pass with these allowed. What Kubernetes refuses cannot be allowed."""
    return forbidden_in(stack) - (allowed - _IMPOSSIBLE)


Reason: TypeAlias = tuple[Class, str]


@dataclass(frozen=True)
class Verdict:
    """A change, its classes and why."""

    change: Change
    reasons: tuple[Reason, ...]

    @property
    def primary(self) -> Class:
        """The most dangerous class."""
        return self.classes[0]

    @property
    def classes(self) -> list[Class]:
        """All classes, the most dangerous first."""
        return sorted({class_ for class_, _ in self.reasons}, key=lambda class_: class_.rank)
