"""AppImage: app/ -> an image reference that names its content.

The tag is the hash of what the image is made from (see source.py). So the reference is known before anything is built,
and a commit that only touches the README rolls nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pulumi
import pulumi_docker as docker
from build_context import prepared
from files import explained
from oci import File, OciImage, assemble
from settings import PROJECT, ROOT, Image
from source import APP, arguments, content_tag


class AppImage(pulumi.ComponentResource):
    """The image every service of a stack runs."""

    reference: pulumi.Output[str]
    """What a pod names: `repository:src-<hash>@sha256:<digest>`; in a preview of a build still without its digest."""
    version: pulumi.Output[str]
    """`src-<hash>`, or the start of the digest for an image without a tag. The app answers it on /version."""

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
        with explained():
            tag = content_tag(APP, arguments(image))
        context = prepared(image, tag)
        if image.builder == "daemonless":
            self.reference = pulumi.Output.from_input(built_here(context, image, tag))
        else:
            self.reference = self._built_by_docker(name, context, image, tag)
        self.version = pulumi.Output.from_input(tag)

    def _built_by_docker(self, name: str, context: Path, image: Image, tag: str) -> pulumi.Output[str]:
        built = docker.Image(
            name,
            image_name=f"{image.repository}:{tag}",
            build=docker.DockerBuildArgs(
                # Seen from infra/, where the engine runs the program: the same on every machine, unlike a full path.
                context=os.path.relpath(context, ROOT / "infra"),
                dockerfile=os.path.relpath(context / "Dockerfile", ROOT / "infra"),
                target=image.target,
                platform=image.platform,
                args={"VERSION": tag},
                builder_version=docker.BuilderVersion.BUILDER_BUILD_KIT,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        reference = pulumi.Output.all(built.image_name, built.repo_digest).apply(lambda both: pinned(*both))
        if not pulumi.runtime.is_dry_run():
            reference.apply(lambda reference: _tell(reference, "by Docker", context))
        return reference

    def _promote(self, stack: str) -> None:
        outputs = pulumi.StackReference(
            f"{pulumi.get_organization()}/{PROJECT}/{stack}", opts=pulumi.ResourceOptions(parent=self)
        )
        self.reference = outputs.outputs.apply(lambda values: _promotable(values.get("image"), stack))
        self.version = self.reference.apply(version_of)


def pinned(name: str, repo_digest: str) -> str:
    """`name@sha256:...` once pushed. Before that the provider gives a local image id, which no node could pull."""
    _, at, digest = repo_digest.partition("@")
    return f"{name}@{digest}" if at else name


def built_here(context: Path, image: Image, tag: str) -> str:
    """The full reference, in a preview too. After a real `up` the registry has the image; a preview asks nobody."""
    built = assembled(context, image, tag)
    reference = f"{image.repository}:{tag}@{built.digest}"
    if not pulumi.runtime.is_dry_run():
        from registry import push  # noqa: PLC0415 - takes half a second, which a preview need not wait for

        how = "pushed" if push(built, image.repository, tag) else "the registry had it already"
        _tell(reference, f"{how}, {_megabytes(built.size)} (layers are not compressed)", context)
    return reference


def assembled(context: Path, image: Image, tag: str) -> OciImage:
    """The image of app/Dockerfile, from a prepared folder and without a daemon."""
    files = [
        File("etc/ssl/certs/ca-certificates.crt", (context / "dist" / "ca-certificates.crt").read_bytes()),
        File("api", (context / "dist" / "api").read_bytes(), mode=0o755),
    ]
    return assemble(files, run_as(tag), image.platform)


def run_as(version: str) -> dict[str, Any]:
    """How a container runs the image. A test holds it to what app/Dockerfile says."""
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


def _tell(reference: str, how: str, context: Path) -> None:
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
    """Repository, tag and digest of `repository:tag@sha256:...`; the tag is empty where there is none."""
    name, _, digest = reference.partition("@")
    path, colon, tag = name.rpartition(":")
    # The colon of `localhost:5000/api` is a port's.
    return (path, tag, digest) if colon and "/" not in tag else (name, "", digest)


def version_of(reference: str) -> str:
    """The tag of an image, or its digest as a label value: `sha256-` and 16 digits."""
    _, tag, digest = parts(reference)
    return tag or digest.replace(":", "-")[:23]
