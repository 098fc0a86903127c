"""What a session follows: the images that Go on this machine can compile, each with the services that run it."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.image.daemonless import STAGE
from slipway.image.dockerfile import stages
from slipway.image.source import dockerfile_of, folder_of_context
from slipway.ops.development.errors import DevError
from slipway.settings.sections.images import Image
from slipway.settings.settings import Settings


@dataclass(frozen=True)
class Target:
    """An image, and the services that get a new version of it."""

    image_name: str
    """Its name in the settings, and in the record of a release."""
    image: Image
    services: tuple[str, ...]

    @property
    def title(self) -> str:
        """Return the services, for messages."""
        return ", ".join(self.services)


def targets(settings: Settings, wanted: str | None) -> tuple[list[Target], list[str]]:
    """Return what to follow, all that is possible or the wanted service, and why other services are left out.

    Raises `DevError` if nothing can be followed.
    """
    if wanted is not None and wanted not in settings.services:
        raise DevError(f"there is no service {wanted!r} here. Services: {', '.join(settings.services)}")
    followed: dict[str, list[str]] = {}
    refused: list[str] = []
    for service in [wanted] if wanted else settings.services:
        name = settings.image_of(service)
        if reason := _refusal(settings.images.get(name)):
            refused.append(f"{service} is not followed: {reason}")
        else:
            followed.setdefault(name, []).append(service)
    if not followed:
        raise DevError("; ".join(refused) + ". Nothing was changed")
    return [Target(name, settings.images[name], tuple(services)) for name, services in followed.items()], refused


def _refusal(image: Image | None) -> str:
    """Return why an image cannot be compiled on this machine; empty if it can."""
    if image is None or image.source != "build":
        return "its image is not built from sources of this project"
    if not (folder_of_context(image) / "go.mod").is_file():
        return f"{image.context}/ has no go.mod, and only Go programs are compiled on this machine"
    stage = next((stage for stage in stages(dockerfile_of(image)) if stage.name == STAGE), None)
    if image.builder == "docker" and stage is None:
        return (
            f"its program is compiled by steps of {image.context}/{image.dockerfile}, which take Docker; give that a "
            f"stage `{STAGE}` that copies the program into an empty image, or set builder: daemonless (docs/images.md)"
        )
    return ""
