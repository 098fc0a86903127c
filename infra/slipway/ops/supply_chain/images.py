"""The images that a stack runs and does not build."""

from __future__ import annotations

from slipway.settings.settings import Settings


def of_others(settings: Settings) -> dict[str, str]:
    """Return the images of others by what runs them: `service tool`, `server mysql`, `image api` (source: prebuilt).

    Those in the folder `slipway:imageFiles` are not among them: `make up` builds them on this machine.
    """
    prebuilt = {
        f"image {name}": f"{image.repository}@{image.digest}"
        for name, image in settings.images.items()
        if image.source == "prebuilt"
    }
    services = {
        f"service {name}": str(service.image)
        for name, service in settings.services.items()
        if service.image and "@" in service.image
    }
    servers = {f"server {name}": image for name, image in settings.server_images.items() if image}
    return {**prebuilt, **services, **servers}
