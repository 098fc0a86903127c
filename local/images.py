"""Images of the cluster's own programs: written as archives by hand, imported into containerd without a registry."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from .downloads import architecture

# The same program gives the same image, whenever it is written.
CREATED = "2026-01-01T00:00:00Z"


def write_archive(archive: Path, reference: str, programs: Mapping[str, Path], entrypoint: list[str]) -> None:
    """A docker-archive with one layer that holds the programs at their paths in the image."""
    layer = archive.with_suffix(".layer")
    try:
        with tarfile.open(layer, "w") as tar:
            for path, program in programs.items():
                entry = tarfile.TarInfo(path.lstrip("/"))
                entry.size, entry.mode = program.stat().st_size, 0o755
                with program.open("rb") as content:
                    tar.addfile(entry, content)
        digest = _sha256(layer)
        config = json.dumps({
            "architecture": architecture(), "os": "linux", "created": CREATED,
            "config": {"Entrypoint": entrypoint, "Env": ["PATH=/"], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created": CREATED}],
        }).encode()  # fmt: skip
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
        manifest = json.dumps(
            [{"Config": config_name, "RepoTags": [reference], "Layers": [f"{digest}/layer.tar"]}]
        ).encode()
        with tarfile.open(archive, "w") as tar:
            for name, content in ((config_name, config), ("manifest.json", manifest)):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
            entry = tarfile.TarInfo(f"{digest}/layer.tar")
            entry.size = layer.stat().st_size
            with layer.open("rb") as content:
                tar.addfile(entry, content)
    finally:
        layer.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
