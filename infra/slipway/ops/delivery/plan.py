"""The plan of a promotion: which digests move from one stack to another."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.image.promotion import Promotion, key_of
from slipway.ops.delivery import stack_state
from slipway.ops.delivery.stack_state import StackState
from slipway.ops.errors import UserError


class PromotionError(UserError):
    """There is nothing that could be promoted from one stack to the other."""


@dataclass(frozen=True)
class PromotionPlan:
    """Images of the release in force of one stack, and the stack they move to."""

    source: StackState
    target: StackState

    @property
    def images(self) -> dict[str, str]:
        """Return the images to promote, by name: those the target names, as the source's recorded release has them."""
        recorded = self.source.in_force.images if self.source.in_force else {}
        return {name: recorded[name] for name in self.target.settings.images}

    @property
    def replaced(self) -> dict[str, str]:
        """Return what the target runs today, by name; empty for what it does not run yet."""
        running = self.target.in_force.images if self.target.in_force else {}
        return {name: running.get(name, "") for name in self.images}

    @property
    def moves(self) -> bool:
        """Return whether an image of the target changes."""
        return self.images != self.replaced

    @property
    def promotion(self) -> Promotion:
        """Return the promotion as the program gets it."""
        return Promotion(self.source.stack, self.images, self.source.image_commit)


def plan(source: str, target: str) -> PromotionPlan:
    """Return the plan. Raises PromotionError if the target takes no images from the source, or the source has none."""
    found = PromotionPlan(stack_state.read(source), stack_state.read_if_any(target))
    here = f"stacks/Pulumi.{target}.yaml"
    if not found.target.settings.images:
        raise PromotionError(f"{here}: it has no image that could be promoted: all are named by digest there")
    for name, image in found.target.settings.images.items():
        if image.source != "promote" or image.from_ != source:
            given = f"from: {image.from_}" if image.from_ else f"source: {image.source}"
            raise PromotionError(
                f"{here}: {key_of(name)}: {target} does not take this image from {source} (found: {given}). "
                f"Example: {{source: promote, from: {source}}}"
            )
    if found.source.in_force is None:
        raise PromotionError(f"stack {source} has no recorded release; deploy it first: ./slipway up -s {source}")
    if missing := sorted(found.target.settings.images.keys() - found.source.in_force.images.keys()):
        names = ", ".join(missing)
        revision = found.source.in_force.revision
        raise PromotionError(f"release {revision} of stack {source} has no image {names}, which {here} names")
    return found
