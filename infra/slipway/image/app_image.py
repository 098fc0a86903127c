"""AppImage: the image of app/, under a reference that names its content.

The tag is the hash of the image's sources (source.py). So the reference is known before anything is built, and a commit
that only touches the README rolls nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pulumi
import pulumi_docker as docker

from slipway.files import file_errors
from slipway.image.build_context import prepared
from slipway.image.oci import File, OciImage, assemble
from slipway.image.source import APP, arguments, content_tag
from slipway.project import INFRA
from slipway.settings.sections.stack import Image


class AppImage(pulumi.ComponentResource):
    """The image every service of a stack runs."""

    reference: pulumi.Output[str]
    """`repository:src-<hash>@sha256:<digest>`; without the digest in a preview of a build by Docker."""
    version: pulumi.Output[str]
    """`src-<hash>`, or the start of the digest for an image without a tag. The app reports it on /version."""

    def __init__(self, name: str, image: Image, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:AppImage", name, None, opts)
        if image.source == "build":
            self._build(name, image)
        elif image.source == "prebuilt":
            tag = f":{image.tag}" if image.tag else ""
            self.reference = pulumi.Output.from_input(f"{image.repository}{tag}@{image.digest}")
            self.version = self.reference.apply(version_of)
        else:
            self._promote(str(image.from_))
        self.register_outputs({"reference": self.reference, "version": self.version})

    def _build(self, name: str, image: Image) -> None:
        with file_errors():
            tag = content_tag(APP, arguments(image))
        context = prepared(image, tag)
        if image.builder == "daemonless":
            self.reference = pulumi.Output.from_input(build_daemonless(context, image, tag))
        else:
            self.reference = self._built_by_docker(name, context, image, tag)
        self.version = pulumi.Output.from_input(tag)

    def _built_by_docker(self, name: str, context: Path, image: Image, tag: str) -> pulumi.Output[str]:
        built = docker.Image(
            name,
            image_name=f"{image.repository}:{tag}",
            build=docker.DockerBuildArgs(
                # Relative to infra/, where the engine runs the program: equal on every machine, unlike absolute paths.
                context=os.path.relpath(context, INFRA),
                dockerfile=os.path.relpath(context / "Dockerfile", INFRA),
                target=image.target,
                platform=image.platform,
                args={"VERSION": tag},
                builder_version=docker.BuilderVersion.BUILDER_BUILD_KIT,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        reference = pulumi.Output.all(built.image_name, built.repo_digest).apply(lambda outputs: pinned(*outputs))
        if not pulumi.runtime.is_dry_run():
            reference.apply(lambda reference: _log(reference, "by Docker", context))
        return reference

    def _promote(self, stack: str) -> None:
        outputs = pulumi.StackReference(
            f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}", opts=pulumi.ResourceOptions(parent=self)
        )
        self.reference = outputs.outputs.apply(lambda values: _promotable(values.get("image"), stack))
        self.version = self.reference.apply(version_of)


def pinned(name: str, repo_digest: str) -> str:
    """Return `name@sha256:...` of a pushed image; of others just the name, since nodes cannot pull a local image id."""
    _, at, digest = repo_digest.partition("@")
    return f"{name}@{digest}" if at else name


def build_daemonless(context: Path, image: Image, tag: str) -> str:
    """Return the full reference, in a preview too. An update pushes the image; a preview does not ask the registry."""
    built = assembled(context, image, tag)
    reference = f"{image.repository}:{tag}@{built.digest}"
    if not pulumi.runtime.is_dry_run():
        from slipway.image.registry import push  # noqa: PLC0415 - takes half a second, which a preview need not wait for

        how = "pushed" if push(built, image.repository, tag) else "the registry had it already"
        _log(reference, f"{how}, {_megabytes(built.size)} (layers are not compressed)", context)
    return reference


def assembled(context: Path, image: Image, tag: str) -> OciImage:
    """Return the image of app/Dockerfile, assembled from a prepared folder without a daemon."""
    files = [
        File("etc/ssl/certs/ca-certificates.crt", (context / "dist" / "ca-certificates.crt").read_bytes()),
        File("api", (context / "dist" / "api").read_bytes(), mode=0o755),
    ]
    return assemble(files, image_config(tag), image.platform)


def image_config(version: str) -> dict[str, Any]:
    """Return the image's configuration. A test compares it with app/Dockerfile."""
    labels = {
        "title": "slipway-api",
        "description": "Reviews API deployed by Slipway",
        "version": version,
        "revision": version,
        "licenses": "Apache-2.0",
    }
    return {
        "User": "65532:65532",
        "ExposedPorts": {"8080/tcp": {}, "9090/tcp": {}},
        "Healthcheck": {"Test": ["CMD", "/api", "check", "http://127.0.0.1:9090/livez"]},
        "Entrypoint": ["/api"],
        "Labels": {f"org.opencontainers.image.{name}": value for name, value in labels.items()},
    }


def _log(reference: str, how: str, context: Path) -> None:
    binary = context / "dist" / "api"
    size = f", binary {_megabytes(binary.stat().st_size)}" if binary.exists() else ""
    pulumi.log.info(f"image {reference}: {how}{size}")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _promotable(reference: str | None, stack: str) -> str:
    if reference and "@sha256:" in reference:
        return reference
    raise pulumi.RunError(
        f"slipway:image: stack {stack} runs {reference or 'nothing yet'}; only an image with a digest can be promoted. "
        f"Run `pulumi up -s {stack}` first, or set source: prebuilt and digest."
    )


def parts(reference: str) -> tuple[str, str, str]:
    """Return repository, tag and digest of `repository:tag@sha256:...`; the tag may be empty."""
    name, _, digest = reference.partition("@")
    path, colon, tag = name.rpartition(":")
    # The colon of `localhost:5000/api` separates the port.
    return (path, tag, digest) if colon and "/" not in tag else (name, "", digest)


def version_of(reference: str) -> str:
    """Return the tag of an image, or its digest as a label value: `sha256-` and 16 digits."""
    _, tag, digest = parts(reference)
    return tag or digest.replace(":", "-")[:23]
