"""The types of the values of an image: folders, stages, build arguments and references."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from slipway.settings.types.image_names import DOCKER_HUB, normalized
from slipway.settings.types.text_format import TextFormat


def _check_inside(path: str) -> None:
    """Refuse a path that leads out of its folder."""
    if ".." in path.split("/") or "//" in path:
        raise ValueError("should be a path without .. and //")


def _host(host: str) -> str:
    """Return the host under which images of a registry are known here."""
    return DOCKER_HUB if host == "index.docker.io" else host


def _reference(text: str) -> str:
    """Return a pinned image with its registry; the name of an image of the stack as it is."""
    return normalized(text) if "@" in text else text


_PATH = r"[\w@][\w.@-]*(/[\w.@-]+)*"
Folder = Annotated[
    str,
    TextFormat("a folder of this project such as services/shop, or `.` for its root", rf"\.|{_PATH}", _check_inside),
]
PathInFolder = Annotated[
    str, TextFormat("a path below the context such as deploy/Dockerfile", rf"\.?{_PATH}", _check_inside)
]
ImageFile = Annotated[
    str, TextFormat("a path in the image without the first slash, such as etc/motd", rf"\.?{_PATH}", _check_inside)
]
StageName = Annotated[
    str, TextFormat("the name of a stage such as release", r"[A-Za-z][A-Za-z0-9_.-]*|[0-9]{1,3}", max_length=63)
]
BuildArgument = Annotated[
    str, TextFormat("the name of a build argument such as NODE_ENV", r"[A-Za-z_][A-Za-z0-9_]*", max_length=63)
]
ImageLoad = Annotated[
    str,
    TextFormat(
        "kind, k3d, or the path of containerd's socket such as /run/slipway/containerd.sock", r"kind|k3d|(/[\w.@-]+)+"
    ),
]
GoPackage = Annotated[
    str,
    TextFormat(
        "a Go package: of the context such as ./cmd/shop or `.`, or of a module that go.mod requires, such as "
        "example.com/shop/cmd/shop",
        r"\.|\./[\w.-]+(/[\w.-]+)*|[a-z0-9-]+(\.[a-z0-9-]+)+(/[\w.~-]+)+",
        _check_inside,
    ),
]
RegistryHost = Annotated[
    str,
    TextFormat(
        "the host of a registry such as registry.example.com or docker.io",
        r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?(:[0-9]{1,5})?",
        max_length=45,
    ),
    AfterValidator(_host),
]
# A name under slipway:images, or an image by digest.
ServiceImage = Annotated[
    str,
    TextFormat(
        "the name of one of slipway:images, or an image by digest such as docker.io/acme/shop:1.2@sha256: and 64 "
        "hexadecimal digits",
        r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?"
        r"|[a-z0-9]([a-z0-9._-]*[a-z0-9])?(:[0-9]{1,5}(?=/))?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
        r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?@sha256:[0-9a-f]{64}",
        max_length=500,
    ),
    AfterValidator(_reference),
]
