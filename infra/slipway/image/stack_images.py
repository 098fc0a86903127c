"""The images of a stack: each is declared once, and each service finds its own."""

from __future__ import annotations

import pulumi
import pulumi_docker as docker

from slipway.image.app_image import AppImage
from slipway.image.reference import ImageReference
from slipway.settings.checks.images import IN_FORCE
from slipway.settings.names import SHORT_FORM, registry_password
from slipway.settings.sections.images import Image
from slipway.settings.settings import Settings


class StackImages:
    """All images of one version of the stack."""

    def __init__(self, settings: Settings, *, beside_candidate: bool = False) -> None:
        """Declare them. Beside a candidate, which has the usual names, they exist already."""
        self._settings = settings
        self._images = {
            name: AppImage(
                in_force(name) if beside_candidate else name,
                image,
                _login(settings, image),
                context=settings.cluster.context,
            )
            for name, image in settings.images.items()
        }

    def of(self, service: str) -> ImageReference:
        """Return what a service runs."""
        name = self._settings.image_of(service)
        if image := self._images.get(name):
            return ImageReference(image.reference, image.version)
        return ImageReference.of(name)

    @property
    def references(self) -> pulumi.Output[dict[str, str]]:
        """Return the references by name: images of others, which the settings name by digest, are not among them."""
        return pulumi.Output.all(**{name: image.reference for name, image in self._images.items()})


def in_force(name: str) -> str:
    """Return the logical name of an image beside a candidate."""
    return IN_FORCE if name == SHORT_FORM else f"{IN_FORCE}-{name}"


def _login(settings: Settings, image: Image) -> docker.RegistryArgs | None:
    """Return the account with which the Docker daemon pushes; None for that of the machine."""
    login = settings.registries.get(image.host)
    if image.source != "build" or login is None or not login.push:
        return None
    password = settings.secret(registry_password(image.host))
    return docker.RegistryArgs(server=image.host, username=login.username, password=password)
