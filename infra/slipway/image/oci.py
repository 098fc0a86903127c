"""An OCI image from a few files, assembled without a Docker daemon: the same files give the same bytes everywhere.

Layers are not compressed: gzip's output depends on the zlib that Python was built with, and a preview in CI must show
the digest that a laptop pushes. See github.com/opencontainers/image-spec.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Blob:
    """Bytes that a registry stores under their digest."""

    media_type: str
    content: bytes

    @cached_property
    def digest(self) -> str:
        """`sha256:` and 64 hex digits."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    def descriptor(self) -> dict[str, Any]:
        """Return the reference to it in a manifest."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content)}


@dataclass(frozen=True)
class OciImage:
    """Everything that a registry needs for nodes to pull the image."""

    manifest: Blob
    blobs: tuple[Blob, ...]
    """The configuration and the layers, to which the manifest refers."""
    manifests: tuple[Blob, ...] = ()
    """Those of the single platforms, where `manifest` is an index of several."""

    @property
    def digest(self) -> str:
        """The part of a pod's image reference after the @."""
        return self.manifest.digest

    @property
    def size(self) -> int:
        """Number of bytes that a node pulls."""
        return sum(len(blob.content) for blob in (self.manifest, *self.manifests, *self.blobs))


@dataclass(frozen=True)
class File:
    """A file of the image, at its full path. root owns it, and its folders can be entered by all."""

    path: str
    content: bytes
    mode: int = 0o644


def assemble(layers: Sequence[Sequence[File]], run: Mapping[str, Any], platform: str) -> OciImage:
    """Return an image with the given layers, each made of some files. Layers that seldom change should come first.

    `run` has the fields that a Dockerfile sets with USER, ENTRYPOINT, LABEL and so on, named as in the specification.
    """
    blobs = [archived(files) for files in layers]
    operating_system, architecture = platform.split("/")
    config = json_blob(
        CONFIG,
        {
            # Not the time of the build, which would give another digest each time.
            "created": "1970-01-01T00:00:00Z",
            "architecture": architecture,
            "os": operating_system,
            "config": run,
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in blobs]},
        },
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor(),
        "layers": [layer.descriptor() for layer in blobs],
    }
    return OciImage(json_blob(MANIFEST, manifest), (*blobs, config))


def join(images: Sequence[tuple[str, OciImage]]) -> OciImage:
    """Return one image of several platforms, of which each node pulls its own."""
    entries: list[dict[str, Any]] = []
    for platform, image in images:
        operating_system, architecture = platform.split("/")
        fields = {"os": operating_system, "architecture": architecture}
        entries.append({**image.manifest.descriptor(), "platform": fields})
    index = json_blob(INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    blobs = {blob.digest: blob for _, image in images for blob in image.blobs}
    return OciImage(index, tuple(blobs.values()), tuple(image.manifest for _, image in images))


def archived(files: Sequence[File]) -> Blob:
    """Return an archive of files and the folders above them."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        folders = dict.fromkeys(
            folder.as_posix() for file in files for folder in reversed(PurePosixPath(file.path).parents[:-1])
        )
        for folder in folders:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for file in files:
            entry = tarfile.TarInfo(file.path)
            entry.size, entry.mode = len(file.content), file.mode
            archive.addfile(entry, io.BytesIO(file.content))
    return Blob(LAYER, tar.getvalue())


def json_blob(media_type: str, document: Mapping[str, Any]) -> Blob:
    """Return a document in the one form that it has in JSON."""
    return Blob(media_type, json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
