"""Promotion of images: what a stack takes over from another one, and how `./slipway promote` keeps it from changing.

A stack with `source: promote` runs what the other stack's outputs name when the program runs. `./slipway promote` has
examined certain digests before, so it hands them to the program, which refuses any other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import pulumi

from slipway.image.reference import parts
from slipway.settings.names import SHORT_FORM

VARIABLE = "SLIPWAY_PROMOTION"
"""Environment variable with the promotion that this run of the program makes; unset for any other run."""


@dataclass(frozen=True)
class Promotion:
    """The images that `./slipway promote` has examined."""

    source: str
    """The stack they come from."""
    images: Mapping[str, str] = field(default_factory=dict[str, str])
    """References with digests, by name."""
    commit: str = ""
    """The commit they were built from; empty if it is not known."""

    @classmethod
    def current(cls) -> Self | None:
        """Return the promotion that this run makes; None for any other run."""
        text = os.environ.get(VARIABLE)
        return cls(**json.loads(text)) if text else None

    @property
    def variables(self) -> dict[str, str]:
        """Return the environment variable by which the program gets it."""
        return {VARIABLE: json.dumps(asdict(self))}


def promotable(outputs: Mapping[str, Any], name: str, stack: str) -> str:
    """Return the image of a name among the outputs of another stack.

    Raises `pulumi.RunError` without a digest, and for one that is not what this run is to promote.
    """
    reference = outputs_images(outputs).get(name)
    key = key_of(name)
    if not reference or not parts(reference)[2].startswith("sha256:"):
        raise pulumi.RunError(
            f"{key}: stack {stack} runs {reference or 'nothing yet'}; only an image with a digest can be promoted. "
            f"Run `pulumi up -s {stack}` first, or set source: prebuilt and digest."
        )
    promotion = Promotion.current()
    if promotion and promotion.images.get(name) != reference:
        raise pulumi.RunError(
            f"{key}: stack {stack} has been updated since its images were examined: it runs {reference} now, and not "
            f"{promotion.images.get(name)}. Nothing was changed; run ./slipway promote again."
        )
    return reference


def outputs_images(outputs: Mapping[str, Any]) -> dict[str, str]:
    """Return the images among the outputs of a stack, by name."""
    # Stacks of before there were several images export `image` alone.
    single = {SHORT_FORM: outputs["image"]} if outputs.get("image") else {}
    return {**single, **(outputs.get("images") or {})}


def key_of(name: str) -> str:
    """Return the key of an image in the stack file."""
    return "slipway:image" if name == SHORT_FORM else f"slipway:images.{name}"
