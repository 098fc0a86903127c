"""The artifact of a registry that holds a stack's objects, as `flux push artifact` makes one.

The same objects give the same layer on every machine: an archive in gzip's format that is not compressed, because
gzip's output depends on the zlib that Python was built with.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping

from slipway.image.oci import MANIFEST, Blob, File, OciImage, archived, json_blob

CONFIG = "application/vnd.cncf.flux.config.v1+json"
_ANNOTATION = "org.opencontainers.image"
# No name, time or system, and no compression: RFC 1952.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_MAX_BLOCK = 0xFFFF


def assemble(files: Mapping[str, bytes], media_type: str, origin: Mapping[str, str]) -> OciImage:
    """Return the artifact of these files. `origin` has the source and the revision, where known, and the time."""
    tar = archived([File(path, content) for path, content in sorted(files.items())])
    content = Blob(media_type, gzip(tar.content))
    # What `flux push artifact` puts there: an image's configuration of no platform.
    config = json_blob(
        CONFIG,
        {
            "created": origin["created"],
            "architecture": "",
            "os": "",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [tar.digest]},
        },
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor(),
        "layers": [content.descriptor()],
        "annotations": {f"{_ANNOTATION}.{key}": value for key, value in origin.items() if value},
    }
    return OciImage(json_blob(MANIFEST, manifest), (content, config))


def content_tag(stack: str, manifest: Blob) -> str:
    """Return the tag that names the objects of an artifact, whatever commit they come from: `prod-1f2e3d4c5b6a`."""
    return f"{stack}-{''.join(layers_of(manifest)).removeprefix('sha256:')[:12]}"


def layers_of(manifest: Blob) -> list[str]:
    """Return the digests of an artifact's layers: of its one layer, if it is one of ours."""
    return [layer["digest"] for layer in json.loads(manifest.content).get("layers", [])]


def revision_of(manifest: Blob) -> str:
    """Return the revision in the annotations of an artifact's manifest."""
    return json.loads(manifest.content).get("annotations", {}).get(f"{_ANNOTATION}.revision", "")


def gzip(content: bytes) -> bytes:
    """Return the content in gzip's format, not compressed."""
    starts = range(0, len(content), _MAX_BLOCK) or [0]
    blocks = [content[start : start + _MAX_BLOCK] for start in starts]
    # RFC 1951, 3.2.4: whether it is the last block, its length, and the complement of that.
    stored = [
        struct.pack("<BHH", number == len(blocks) - 1, len(block), len(block) ^ 0xFFFF) + block
        for number, block in enumerate(blocks)
    ]
    return b"".join([_GZIP_HEADER, *stored, struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)])
