"""References of images: what a pod runs, and its parts."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi


@dataclass(frozen=True)
class ImageReference:
    """An image as pods name it, whoever built it."""

    reference: pulumi.Output[str]
    """`repository:tag@sha256:<digest>`; without the digest in a preview of a build by Docker."""
    version: pulumi.Output[str]
    """`src-<hash>`, or the start of the digest for an image without a tag. The app reports it on /version."""

    @classmethod
    def of(cls, reference: pulumi.Input[str]) -> ImageReference:
        """Return the image of a reference, named by its own tag or digest."""
        output = pulumi.Output.from_input(reference)
        return cls(output, output.apply(version_of))


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


def prebuilt(reference: str) -> dict[str, str]:
    """Return an image with a digest as the section of a stack file that names it."""
    repository, tag, digest = parts(reference)
    return {"source": "prebuilt", "repository": repository, "digest": digest} | ({"tag": tag} if tag else {})
