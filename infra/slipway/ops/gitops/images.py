"""The images of a stack that no engine runs: as its stack file says, as given, or as another stack runs them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from slipway.image.app_image import promotable
from slipway.image.reference import parts, prebuilt
from slipway.ops.errors import UserError
from slipway.ops.program import engine_state
from slipway.ops.program.recorder import stack_config
from slipway.project import CONFIG
from slipway.settings.names import SHORT_FORM
from slipway.settings.settings import Settings

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ImageError(UserError):
    """An image is not known, or not by its digest."""


def given_images(settings: Settings, given: Sequence[str]) -> dict[str, str]:
    """Return images of the command line by name: `NAME=REFERENCE`, or the reference alone of a stack with one image.

    Raises ImageError.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, reference = text.partition("=")
        if not equals:
            name, reference = next(iter(settings.images)) if len(settings.images) == 1 else "", text
        if name not in settings.images:
            known = ", ".join(f"{known}=REFERENCE" for known in settings.images)
            raise ImageError(f"--image {text}: which one is it? This stack has: {known}")
        repository, _, digest = parts(reference)
        if not repository or not _DIGEST.fullmatch(digest):
            raise ImageError(f"--image {text}: has to be REPOSITORY:TAG@sha256:DIGEST; a tag alone can be moved")
        found[name] = reference
    return found


def promoted_images(settings: Settings, known: Mapping[str, str]) -> dict[str, str]:
    """Return the images that other stacks run, by name, without those that are known.

    Raises what the engine says if it does not know such a stack.
    """
    return {
        name: promotable(_outputs(str(image.from_)), name, str(image.from_))
        for name, image in settings.images.items()
        if image.source == "promote" and name not in known
    }


def unknown(settings: Settings, references: Mapping[str, str]) -> list[str]:
    """Return the names of images of which neither the stack file nor `references` has the digest."""
    return [name for name, image in settings.images.items() if name not in references and image.source != "prebuilt"]


def config_with(stack: str, settings: Settings, references: Mapping[str, str]) -> dict[str, Any]:
    """Return the `config:` mapping of a stack file with these images in place of its own."""
    config = copy.deepcopy(stack_config(stack))
    # `from` may be that of defaults.yaml.
    sections: dict[str, Any] = {name: {**prebuilt(image), "from": None} for name, image in references.items()}
    if settings.image and sections:
        config[f"{CONFIG}:image"] = sections[SHORT_FORM]
    elif sections:
        config[f"{CONFIG}:images"] = {**(config.get(f"{CONFIG}:images") or {}), **sections}
    return config


def _outputs(stack: str) -> dict[str, Any]:
    return json.loads(engine_state.pulumi("stack", "output", "--json", "-s", stack))
