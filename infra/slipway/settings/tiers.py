"""Tiers: the classes of environments, and what each of them demands and forbids.

Everything that depends on the class of an environment stands in the table below. No other code asks for a stack's
name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TierName = Literal["local", "dev", "staging", "prod"]

_DATA_LOSS = frozenset({"loses-data"})
_RAN_BEFORE = frozenset({"first-request", "supply-chain", "migration"})
_ALL_HARM = _DATA_LOSS | {"replaces", "weakens-security", "exposes"}


@dataclass(frozen=True, kw_only=True)
class Tier:
    """What holds for the environments of one tier."""

    name: TierName
    rules: Literal["advisory", "mandatory"]
    """Whether a broken house rule ends the run."""
    allows_weak_secrets: bool = False
    """Whether a placeholder or a short text will do for a secret."""
    allows_drills: bool = False
    """Whether `./slipway drill` may break something here."""
    allows_dev: bool = False
    """Whether `./slipway dev` may run what nobody has reviewed."""
    allows_env: bool = True
    """Whether `./slipway env` may copy an environment of this tier, and put it to sleep."""
    allows_builds: bool = True
    """Whether `source: build` is allowed: the image need not have been tested elsewhere."""
    allows_load: bool = False
    """Whether an image may reach the nodes without a registry (`load` of an image)."""
    protects_data: bool = False
    """Whether the engine refuses to delete the namespace and the volumes."""
    requires_tls: bool = False
    """Whether every address has to be HTTPS."""
    min_replicas: int = 1
    """How many pods each service has at least."""
    forbidden_changes: frozenset[str] = frozenset()
    """Classes of changes that `./slipway preview` lets pass by `--allow` only (ops/changes/verdict.py)."""
    promotion: frozenset[str] = frozenset()
    """Evidence that `./slipway promote` demands before images move here (ops/delivery/promote.py), beside that of all
    tiers."""


# In the order of promotion.
TIERS: dict[str, Tier] = {
    tier.name: tier
    for tier in (
        Tier(
            name="local",
            rules="advisory",
            allows_weak_secrets=True,
            allows_drills=True,
            allows_dev=True,
            allows_load=True,
        ),
        Tier(name="dev", rules="advisory", allows_weak_secrets=True, allows_drills=True, allows_dev=True),
        Tier(name="staging", rules="mandatory", forbidden_changes=_DATA_LOSS, promotion=_RAN_BEFORE),
        Tier(
            name="prod",
            rules="mandatory",
            allows_env=False,
            allows_builds=False,
            protects_data=True,
            requires_tls=True,
            min_replicas=2,
            forbidden_changes=_ALL_HARM,
            promotion=_RAN_BEFORE | {"backup", "rehearsal", "contract-tests"},
        ),
    )
}
STRICTEST: TierName = "prod"


def tier_of(stack: str, given: object = None) -> Tier:
    """Return the tier of a stack, given its `slipway:tier`.

    A stack named like a tier is of that tier, whatever its file says. Without a valid tier it is the strictest one: an
    error in a stack file must not lower what is demanded.
    """
    return TIERS.get(stack) or TIERS.get(str(given)) or TIERS[STRICTEST]


def document() -> str:
    """Return the table of all tiers as Markdown, for docs/reference/config.md."""
    rows: dict[str, list[str]] = {
        "a broken house rule": [
            "ends the run" if tier.rules == "mandatory" else "is advice" for tier in TIERS.values()
        ],
        "replicas of a service": [f"at least {tier.min_replicas}" for tier in TIERS.values()],
        "HTTPS": ["required" if tier.requires_tls else "optional" for tier in TIERS.values()],
        "`source: build`": ["allowed" if tier.allows_builds else "refused" for tier in TIERS.values()],
        "`load` of an image": ["allowed" if tier.allows_load else "refused" for tier in TIERS.values()],
        "weak secrets": ["allowed" if tier.allows_weak_secrets else "refused" for tier in TIERS.values()],
        "namespace and volumes": ["protected" if tier.protects_data else "-" for tier in TIERS.values()],
        "`./slipway drill`": ["allowed" if tier.allows_drills else "refused" for tier in TIERS.values()],
        "`./slipway dev`": ["allowed" if tier.allows_dev else "refused" for tier in TIERS.values()],
        "`./slipway env`": ["allowed" if tier.allows_env else "refused" for tier in TIERS.values()],
        "`./slipway preview` forbids": [", ".join(sorted(tier.forbidden_changes)) or "-" for tier in TIERS.values()],
        "`./slipway promote` also demands": [", ".join(sorted(tier.promotion)) or "-" for tier in TIERS.values()],
    }
    head = f"| | {' | '.join(TIERS)} |\n|{'---|' * (len(TIERS) + 1)}\n"
    return head + "".join(f"| {name} | {' | '.join(cells)} |\n" for name, cells in rows.items())
