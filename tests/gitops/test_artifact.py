"""The artifact is what Flux reads, and the same objects give the same bytes."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest

from slipway.ops.gitops import artifact
from slipway.ops.gitops.artifact import assemble, content_tag

FILES = {"services/b.yaml": b"kind: B\n", "environment/a.yaml": b"kind: A\n"}
LAYER = "application/vnd.cncf.flux.content.v1.tar+gzip"
ORIGIN = {"source": "https://example.com/shop.git", "revision": "0123abcd", "created": "2026-11-30T12:00:00Z"}


def test_it_has_the_media_types_and_annotations_of_flux_push_artifact():
    """github.com/fluxcd/pkg/oci v0.68.1: client.go and push.go."""
    manifest = json.loads(assemble(FILES, LAYER, ORIGIN).manifest.content)
    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.flux.config.v1+json"
    assert [layer["mediaType"] for layer in manifest["layers"]] == [LAYER]
    assert manifest["annotations"] == {f"org.opencontainers.image.{key}": value for key, value in ORIGIN.items()}


def test_any_gzip_and_tar_reads_its_files():
    [content, _] = assemble(FILES, LAYER, ORIGIN).blobs
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(content.content))) as archive:
        assert archive.getnames() == ["environment", "services", "environment/a.yaml", "services/b.yaml"]
        file = archive.extractfile("services/b.yaml")
        assert file is not None
        assert file.read() == b"kind: B\n"


@pytest.mark.parametrize("size", [0, 1, 0xFFFF, 0x10000, 300_000])
def test_content_of_every_size_comes_out_of_gzip_as_it_went_in(size: int):
    content = bytes(number % 251 for number in range(size))
    assert gzip.decompress(artifact.gzip(content)) == content


@pytest.mark.feature("P6", part="one digest for the same objects")
def test_the_same_objects_of_the_same_commit_have_one_digest():
    again = dict(reversed(FILES.items()))
    assert assemble(FILES, LAYER, ORIGIN).digest == assemble(again, LAYER, ORIGIN).digest
    assert assemble({**FILES, "c.yaml": b""}, LAYER, ORIGIN).digest != assemble(FILES, LAYER, ORIGIN).digest


def test_the_tag_of_the_content_does_not_change_with_the_commit():
    made, later = assemble(FILES, LAYER, ORIGIN), assemble(FILES, LAYER, {**ORIGIN, "revision": "4567cdef"})
    assert made.digest != later.digest
    assert content_tag("prod", made.manifest) == content_tag("prod", later.manifest)
