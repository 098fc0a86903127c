"""An OCI image from a few files, assembled without a Docker daemon: the same files give the same bytes everywhere.

Layers are not compressed: what gzip makes of them depends on the zlib Python was built with, and a preview in CI must
name the digest that a laptop pushes. See github.com/opencontainers/image-spec.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Blob:
    """Bytes a registry keeps under their digest."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> str:
        """`sha256:` and 64 hex digits."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    def descriptor(self) -> dict[str, Any]:
        """How a manifest points to it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content)}


@dataclass(frozen=True)
class OciImage:
    """Everything a registry has to have for nodes to pull the image."""

    manifest: Blob
    blobs: tuple[Blob, ...]
    """What the manifest points to: the configuration and the layers."""

    @property
    def digest(self) -> str:
        """What a pod names behind the @."""
        return self.manifest.digest

    @property
    def size(self) -> int:
        """Bytes a node pulls."""
        return sum(len(blob.content) for blob in (self.manifest, *self.blobs))


@dataclass(frozen=True)
class File:
    """A file of the image, at its full path. It is root's, in folders that all may enter."""

    path: str
    content: bytes
    mode: int = 0o644


def assemble(files: Sequence[File], run: Mapping[str, Any], platform: str) -> OciImage:
    """The image with one layer per file, in the order given: what seldom changes comes first and is pushed seldom.

    `run` is what a Dockerfile says with USER, ENTRYPOINT, LABEL and so on, under the names of the image specification.
    """
    layers = [_layer(file) for file in files]
    operating_system, architecture = platform.split("/")
    config = _json(
        CONFIG,
        {
            # Not when it was built: that would be another digest each time.
            "created": "1970-01-01T00:00:00Z",
            "architecture": architecture,
            "os": operating_system,
            "config": run,
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        },
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor(),
        "layers": [layer.descriptor() for layer in layers],
    }
    return OciImage(_json(MANIFEST, manifest), (*layers, config))


def _layer(file: File) -> Blob:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for folder in reversed(PurePosixPath(file.path).parents[:-1]):
            entry = tarfile.TarInfo(folder.as_posix())
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        entry = tarfile.TarInfo(file.path)
        entry.size, entry.mode = len(file.content), file.mode
        archive.addfile(entry, io.BytesIO(file.content))
    return Blob(LAYER, tar.getvalue())


def _json(media_type: str, document: Mapping[str, Any]) -> Blob:
    return Blob(media_type, json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
