"""The checklist of a promotion: pieces of evidence, each of which passes or refuses the promotion with its reason.

Which ones are demanded depends on the tier of the stack to which the images move (infra/slipway/settings/tiers.py). All
but the first can be overridden with a reason, which `./slipway history` shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import httpx2
import pulumi

from slipway.ops.cluster import refusal
from slipway.ops.delivery.plan import PromotionPlan
from slipway.ops.errors import UserError
from slipway.settings.tiers import TIERS

State = Literal["passed", "refused", "overridden", "not demanded"]


@dataclass(frozen=True)
class Finding:
    """What a check has found."""

    passes: bool
    why: str


Check: TypeAlias = Callable[[PromotionPlan], Finding]


@dataclass(frozen=True)
class Item:
    """One piece of evidence."""

    name: str
    check: Check
    is_of_every_tier: bool = False
    can_be_overridden: bool = True


@dataclass(frozen=True)
class Evidence:
    """The result of one item."""

    item: str
    state: State
    why: str

    @property
    def passes(self) -> bool:
        """Return whether the promotion may go on for all of this item."""
        return self.state != "refused"


def evaluate(plan: PromotionPlan, items: Iterable[Item], overrides: Mapping[str, str]) -> list[Evidence]:
    """Return the evidence for each item. Raises UserError for an override of what cannot be overridden."""
    items = list(items)
    known = [item.name for item in items if item.can_be_overridden]
    if unknown := sorted(overrides.keys() - set(known)):
        raise UserError(f"--override {unknown[0]}: cannot be overridden. What can be: {', '.join(known)}")
    return list(_results(plan, items, overrides))


def _results(plan: PromotionPlan, items: Iterable[Item], overrides: Mapping[str, str]) -> Iterator[Evidence]:
    tier = TIERS[plan.target.settings.tier]
    for item in items:
        if not (item.is_of_every_tier or item.name in tier.promotion):
            yield Evidence(item.name, "not demanded", f"tier {tier.name} does not demand it")
            continue
        finding = _finding(plan, item)
        reason = overrides.get(item.name)
        if finding.passes or not reason:
            yield Evidence(item.name, "passed" if finding.passes else "refused", finding.why)
        else:
            yield Evidence(item.name, "overridden", f"{finding.why}; overridden: {reason}")


def _finding(plan: PromotionPlan, item: Item) -> Finding:
    """Return the finding of an item. What cannot be read is no evidence."""
    try:
        return item.check(plan)
    except httpx2.HTTPError as error:
        return Finding(False, f"cannot be read: {refusal.error_message(error)}")
    except (UserError, pulumi.RunError) as error:
        return Finding(False, f"cannot be read: {error}")
