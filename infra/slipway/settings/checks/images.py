"""Rules of images: services name one that exists, folders and Dockerfiles are there, logins are unambiguous."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.project import ROOT
from slipway.settings.errors import InvalidSetting, Key
from slipway.settings.names import registry_password
from slipway.settings.sections.images import Image
from slipway.settings.settings import Settings
from slipway.settings.tiers import Tier
from slipway.settings.types.credentials import looks_secret
from slipway.suggestions import nearest

# Beside a canary, the images of the release in force are resources with this prefix.
IN_FORCE = "in-force"
# The cache of an image is a resource with this suffix, and a tag of this name.
CACHE = "cache"


def check(settings: Settings) -> Iterator[InvalidSetting]:
    """Report images that a service needs and the stack does not have, and those that cannot be built."""
    if settings.image and settings.named_images:
        yield InvalidSetting(
            ("images",), "slipway:image is set too; name that image here as well, or take one of the two out"
        )
    yield from _services(settings)
    for name, image in settings.images.items():
        key = key_of(settings, name)
        if name.startswith(IN_FORCE):
            yield InvalidSetting(key, f"names that begin with {IN_FORCE} are taken; call it something else")
        if image.cache and f"{name}-{CACHE}" in settings.images:
            yield InvalidSetting((*key, "cache"), f"would be the resource {name}-{CACHE}, as the image of that name is")
        if image.source == "build":
            yield from _sources(key, image)
        if image.load in ("kind", "k3d") and not settings.cluster.context.startswith(f"{image.load}-"):
            rule = (
                f"slipway:cluster.context is {settings.cluster.context}, and one of {image.load} is named {image.load}-"
            )
            yield InvalidSetting((*key, "load"), f"{rule}...", image.load)
        for argument, value in image.args.items():
            if looks_secret(argument, value):
                rule = "looks like a credential; build arguments are stored in the image and in the state"
                yield InvalidSetting((*key, "args", argument), f"{rule}. Use a secret mount of the Dockerfile")
    yield from _registries(settings)


def check_tier(settings: Settings, tier: Tier) -> Iterator[InvalidSetting]:
    """Report images that are built in a tier that never builds, or loaded where nodes have to pull them."""
    for name, image in settings.images.items():
        if image.source == "build" and not tier.allows_builds:
            example = "promote (with from: staging)"
            yield InvalidSetting((*key_of(settings, name), "source"), f"{tier.name} never builds", "build", example)
        if image.load and not tier.allows_load:
            rule = f"the nodes of tier {tier.name} pull from a registry; take it out"
            yield InvalidSetting((*key_of(settings, name), "load"), rule, image.load)


def key_of(settings: Settings, name: str) -> Key:
    """Return the key of an image in the stack file."""
    return ("image",) if settings.image else ("images", name)


def _services(settings: Settings) -> Iterator[InvalidSetting]:
    known = [] if settings.image else list(settings.images)
    used = {settings.image_of(name) for name in settings.services}
    for name, service in settings.services.items():
        at = ("services", name, "image")
        if service.image and settings.image and "@" not in service.image:
            rule = "names one of slipway:images, but the stack has slipway:image for all services; leave it out"
            yield InvalidSetting(at, rule, service.image)
        elif service.image and "@" not in service.image and service.image not in known:
            near = nearest(service.image, known)
            hint = f'did you mean "{near}"?' if near else f"images here: {', '.join(known) or 'none'}"
            yield InvalidSetting(at, f"no such image; {hint}", service.image)
        elif not settings.image_of(name) and not known:
            yield InvalidSetting(("image",), f"is required: service {name} names no image of its own")
        elif not settings.image_of(name):
            yield InvalidSetting(
                at, f"is required, since no image is named {name}; one of {', '.join(known)}", None, known[0]
            )
    for name in known:
        if name not in used:
            yield InvalidSetting(("images", name), "no service runs this image; take it out, or name it in a service")


def _sources(key: Key, image: Image) -> Iterator[InvalidSetting]:
    folder = ROOT / image.context
    if not folder.is_dir():
        yield InvalidSetting(
            (*key, "context"), "there is no such folder in this project", image.context, "services/shop"
        )
    elif image.builder == "docker" and not (folder / image.dockerfile).is_file():
        rule = f"there is no such file in {image.context}/; write one, or set builder: daemonless for a Go program"
        yield InvalidSetting((*key, "dockerfile"), rule, image.dockerfile)
    elif image.is_compiled_here and not (folder / "go.mod").is_file():
        rule = f"there is no go.mod in {image.context}/, which Go needs; leave package and target out for Docker alone"
        yield InvalidSetting((*key, "context"), rule, image.context)


def _registries(settings: Settings) -> Iterator[InvalidSetting]:
    if settings.registry and settings.registries:
        yield InvalidSetting(("registries",), "slipway:registry is set too; list that registry here, and take it out")
    hosts = sorted({image.host for image in settings.images.values()})
    if settings.registry and len(hosts) != 1:
        rule = (
            f"is the login of one registry, and the images are in {', '.join(hosts) or 'none'}; use slipway:registries"
        )
        yield InvalidSetting(("registry",), rule)
    secrets: dict[str, str] = {}
    for host in settings.registries:
        if (other := secrets.setdefault(registry_password(host), host)) != host:
            rule = f"its password would be the secret {registry_password(host)}, as that of {other} is"
            yield InvalidSetting(("registries", host), rule)
