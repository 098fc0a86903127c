"""The classes of changes, which of them an environment forbids, and the verdict on one change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from slipway.ops.changes.comparison import Change
from slipway.settings.tiers import TIERS, TierName


class Class(Enum):
    """What a change does, the most dangerous first. The value is shown to people."""

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
        """The class as an argument of `--allow`: `loses-data`."""
        return self.name.lower().replace("_", "-")

    @property
    def rank(self) -> int:
        """0 is the most dangerous."""
        return list(Class).index(self)


# No option allows these: Kubernetes refuses the change.
_IMPOSSIBLE = frozenset({Class.REFUSED})


def forbidden_in(tier: TierName) -> frozenset[Class]:
    """Return the classes that a tier forbids unless they are allowed by name."""
    return _IMPOSSIBLE | {class_ for class_ in Class if class_.flag in TIERS[tier].forbidden_changes}


def barred_in(tier: TierName, allowed: frozenset[Class]) -> frozenset[Class]:
    """Return the classes that stay forbidden with `allowed`. What Kubernetes refuses cannot be allowed."""
    return forbidden_in(tier) - (allowed - _IMPOSSIBLE)


Reason: TypeAlias = tuple[Class, str]


@dataclass(frozen=True)
class Verdict:
    """A change, its classes and the reasons."""

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
