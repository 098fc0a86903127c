"""AppImage: one image of the stack, under a reference that names its content.

The tag is the hash of the image's sources (source.py). So the reference is known before anything is built, and a commit
that only touches the README rolls nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

import pulumi
import pulumi_docker as docker

from slipway.files import file_errors
from slipway.image.build_context import prepared
from slipway.image.daemonless import assembled
from slipway.image.dockerfile import declared_arguments
from slipway.image.load import load
from slipway.image.promotion import promotable
from slipway.image.reference import ImageReference
from slipway.image.source import dockerfile_of, tag_of, target_of
from slipway.project import INFRA
from slipway.settings.checks.images import CACHE
from slipway.settings.names import SHORT_FORM
from slipway.settings.sections.images import Image


class AppImage(pulumi.ComponentResource):
    """An image that services of the stack run: built, prebuilt, or promoted from another stack."""

    reference: pulumi.Output[str]
    """`repository:src-<hash>@sha256:<digest>`; without the digest in a preview of a build by Docker."""
    version: pulumi.Output[str]
    """`src-<hash>`, or the start of the digest for an image without a tag. The app reports it on /version."""

    def __init__(
        self,
        name: str,
        image: Image,
        login: docker.RegistryArgs | None = None,
        opts: pulumi.ResourceOptions | None = None,
        *,
        context: str = "",
    ) -> None:
        """Declare the image. `context` is that of the cluster, where the image is loaded without a registry."""
        super().__init__("slipway:index:AppImage", name, None, opts)
        if image.source == "build":
            used = self._build(name, image, login, context)
        elif image.source == "prebuilt":
            tag = f":{image.tag}" if image.tag else ""
            used = ImageReference.of(f"{image.repository}{tag}@{image.digest}")
        else:
            used = self._promote(name, str(image.from_))
        self.reference, self.version = used.reference, used.version
        self.register_outputs({"reference": self.reference, "version": self.version})

    def _build(self, name: str, image: Image, login: docker.RegistryArgs | None, context: str) -> ImageReference:
        with file_errors():
            tag = tag_of(image)
        if image.builder == "daemonless":
            reference = pulumi.Output.from_input(build_daemonless(image, tag, context))
        else:
            reference = self._built_by_docker(name, prepared(image, tag), image, tag, login)
        return ImageReference(reference, pulumi.Output.from_input(tag))

    def _built_by_docker(
        self, name: str, context: Path, image: Image, tag: str, login: docker.RegistryArgs | None
    ) -> pulumi.Output[str]:
        build = docker.DockerBuildArgs(
            # Relative to infra/, where the engine runs the program: equal on every machine, unlike absolute paths.
            context=os.path.relpath(context, INFRA),
            dockerfile=os.path.relpath(context / image.dockerfile, INFRA),
            target=target_of(image),
            platform=image.platform,
            args=build_arguments(image, tag),
            builder_version=docker.BuilderVersion.BUILDER_BUILD_KIT,
            cache_from=docker.CacheFromArgs(images=[f"{image.cache}:{CACHE}"]) if image.cache else None,
        )
        opts = pulumi.ResourceOptions(parent=self)
        built = docker.Image(name, image_name=f"{image.repository}:{tag}", build=build, registry=login, opts=opts)
        reference = pulumi.Output.all(built.image_name, built.repo_digest).apply(lambda outputs: pinned(*outputs))
        if image.cache:
            # The same build once more, which takes no time, under the name where other machines look for it.
            after = pulumi.ResourceOptions(parent=self, depends_on=[built])
            docker.Image(
                f"{name}-{CACHE}",
                image_name=f"{image.cache}:{CACHE}",
                build=build,
                registry=login,
                opts=after,
            )
        if not pulumi.runtime.is_dry_run():
            reference.apply(lambda reference: pulumi.log.info(f"image {reference}: by Docker{binary_size(context)}"))
        return reference

    def _promote(self, name: str, stack: str) -> ImageReference:
        full_name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}"
        outputs = pulumi.StackReference(
            # Each image reads the outputs by itself: the name of a resource is unique.
            full_name if name == SHORT_FORM else f"{full_name}/{name}",
            stack_name=full_name,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return ImageReference.of(outputs.outputs.apply(lambda values: promotable(values, name, stack)))


def build_arguments(image: Image, tag: str) -> dict[str, pulumi.Input[str]]:
    """Return the build arguments: those of the stack file, and VERSION and GOPROXY where the Dockerfile declares them.

    A module proxy with a password is a secret.
    """
    declared = declared_arguments(dockerfile_of(image))
    proxy = os.environ.get("GOPROXY", "")
    offered: dict[str, pulumi.Input[str]] = {"VERSION": tag}
    if proxy:
        offered["GOPROXY"] = pulumi.Output.secret(proxy) if "@" in proxy else proxy
    # Lets other machines take layers from this image.
    inline: dict[str, pulumi.Input[str]] = {"BUILDKIT_INLINE_CACHE": "1"} if image.cache else {}
    return {**{key: value for key, value in offered.items() if key in declared}, **inline, **image.args}


def pinned(name: str, repo_digest: str) -> str:
    """Return `name@sha256:...` of a pushed image; of others just the name, since nodes cannot pull a local image id."""
    _, at, digest = repo_digest.partition("@")
    return f"{name}@{digest}" if at else name


def build_daemonless(image: Image, tag: str, context: str = "") -> str:
    """Return the full reference, in a preview too. An update pushes or loads the image; a preview asks nobody."""
    built = assembled(image, tag)
    reference = f"{image.repository}:{tag}@{built.digest}"
    if not pulumi.runtime.is_dry_run():
        if image.load:
            is_new = load(built, image.load, context, image.repository, tag)
            how = f"loaded ({image.load})" if is_new else "the node had it already"
        else:
            from slipway.image.registry import push  # noqa: PLC0415 - takes half a second, which a preview need not wait for

            how = "pushed" if push(built, image.repository, tag) else "the registry had it already"
        pulumi.log.info(f"image {reference}: {how}, {megabytes(built.size)} (layers are not compressed)")
    return reference


def binary_size(context: Path) -> str:
    """Return `, binary 9.1 MB` for an image whose program was compiled here; else nothing."""
    binaries = [file for file in (context / "dist").glob("*") if file.stat().st_mode & 0o100]
    return "".join(f", binary {megabytes(file.stat().st_size)}" for file in binaries)


def megabytes(size: int) -> str:
    """Return a number of bytes as text."""
    return f"{size / 1e6:.1f} MB"
