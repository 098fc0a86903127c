"""An image for amd64 and arm64, compiled and pushed for real: each node gets its own, and every clone the same one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.delivery.go_project import IMPORTED, GoProject
from tests.delivery.oci_registry import Registry, serve

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

# The field e_machine of an ELF file.
MACHINES = {"amd64": 62, "arm64": 183}


def release(folder: Path, registry: Registry) -> str:
    """Push the image from a new clone, and return its reference."""
    project = GoProject(folder, registry.host)
    project.use(IMPORTED)
    repository = f"{registry.host}/slipway/api"
    project.set(image={"builder": "daemonless", "repository": repository, "platforms": ["linux/amd64", "linux/arm64"]})
    return project.release()


@pytest.mark.feature("A9")
@pytest.mark.feature("A6", part="for two platforms, from two clones")
def test_two_clean_builds_give_one_manifest_list_with_a_program_for_each_platform(tmp_path: Path):
    with serve(tmp_path / "blobs") as registry:
        reference = release(tmp_path / "here", registry)
        assert release(tmp_path / "there" / "deep" / "below", registry) == reference
        index = json.loads(registry.run("manifest", reference))
        platforms = [f"{entry['platform']['os']}/{entry['platform']['architecture']}" for entry in index["manifests"]]
        assert platforms == ["linux/amd64", "linux/arm64"]
        for architecture, machine in MACHINES.items():
            pulled = tmp_path / architecture
            registry.run("pull", "--platform", f"linux/{architecture}", "--format", "oci", reference, str(pulled))
            programs = [blob.read_bytes() for blob in (pulled / "blobs" / "sha256").iterdir()]
            # A layer is a tar archive: its first file begins after a header of 512 bytes.
            headers = [content[512:532] for content in programs if content[512:516] == b"\x7fELF"]
            assert [int.from_bytes(header[18:20], "little") for header in headers] == [machine]
