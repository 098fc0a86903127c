"""Assembles the image of a Go program without a Docker daemon: the compiled binary in an empty image.

A stage `prebuilt` of the Dockerfile says what else is in it (scratch.py). Without one it is the binary, the public
certificates and the user 65532.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from slipway.image.build_context import prepared
from slipway.image.compiler import OUTPUT, binary_name, main_package
from slipway.image.oci import File, OciImage, assemble, join
from slipway.image.scratch import Contents, contents, files_of
from slipway.settings.sections.images import Image

STAGE = "prebuilt"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"


def assembled(image: Image, tag: str, prepared: Callable[[Image, str, str], Path] = prepared) -> OciImage:
    """Return the image, for one platform or for several. Raises `pulumi.RunError` if it does not compile.

    `prepared` returns the build context of an image, a tag and a part of the tag.
    """
    if not image.platforms:
        return from_context(prepared(image, tag, ""), image, tag)
    parts: list[tuple[str, OciImage]] = []
    for platform in image.platforms:
        part = image.model_copy(update={"platform": platform, "platforms": []})
        context = prepared(part, tag, f"-{platform.partition('/')[2]}")
        parts.append((platform, from_context(context, part, tag)))
    return join(parts)


def from_context(context: Path, image: Image, tag: str) -> OciImage:
    """Return the image that a prepared build context gives."""
    file = context / image.dockerfile
    dockerfile = file.read_text() if file.is_file() else ""
    found = contents(dockerfile, STAGE, context, {"VERSION": tag, **image.args}) or _program_alone(context, image, tag)
    given = [files_of(context / source, path) for path, source in sorted(image.files.items())]
    return assemble([*found.layers, *given], found.config, image.platform)


def _program_alone(context: Path, image: Image, tag: str) -> Contents:
    """Return an image with nothing but the program and what a connection by TLS needs."""
    name = binary_name(context, main_package(context, image))
    certificates = File(CERTIFICATES, (context / OUTPUT / "ca-certificates.crt").read_bytes())
    binary = File(name, (context / OUTPUT / name).read_bytes(), mode=0o755)
    labels = {"title": name, "version": tag, "revision": tag}
    config: dict[str, Any] = {
        # A number: Kubernetes cannot check a name against runAsNonRoot.
        "User": "65532:65532",
        "Entrypoint": [f"/{name}"],
        "Labels": {f"org.opencontainers.image.{key}": value for key, value in labels.items()},
    }
    return Contents([[certificates], [binary]], config)
