"""Write images of the cluster's own programs as archives, which containerd imports without a registry."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from local.bootstrap.downloads import architecture

# A fixed date, so that the same program always gives the same image.
CREATED = "2026-01-01T00:00:00Z"


def write_archive(archive: Path, reference: str, programs: Mapping[str, Path], entrypoint: list[str]) -> None:
    """Write a docker-archive with one layer that contains the programs at the given paths."""
    layer = archive.with_suffix(".layer")
    try:
        digest = _write_layer(layer, programs)
        config = _config(digest, entrypoint)
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        manifest = [{"Config": name, "RepoTags": [reference], "Layers": [f"{digest}/layer.tar"]}]
        with tarfile.open(archive, "w") as tar:
            add_bytes(tar, tarfile.TarInfo(name), config)
            add_bytes(tar, tarfile.TarInfo("manifest.json"), json.dumps(manifest).encode())
            _add_file(tar, f"{digest}/layer.tar", layer, 0o644)
    finally:
        layer.unlink(missing_ok=True)


def _write_layer(layer: Path, programs: Mapping[str, Path]) -> str:
    """Write the programs into a tar file, and return its SHA-256."""
    with tarfile.open(layer, "w") as tar:
        for path, program in programs.items():
            _add_file(tar, path.lstrip("/"), program, 0o755)
    with layer.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _config(layer_digest: str, entrypoint: list[str]) -> bytes:
    return json.dumps({
        "architecture": architecture(), "os": "linux", "created": CREATED,
        "config": {"Entrypoint": entrypoint, "Env": ["PATH=/"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        "history": [{"created": CREATED}],
    }).encode()  # fmt: skip


def _add_file(tar: tarfile.TarFile, name: str, file: Path, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = file.stat().st_size, mode
    with file.open("rb") as content:
        tar.addfile(entry, content)


def add_bytes(tar: tarfile.TarFile, entry: tarfile.TarInfo, content: bytes) -> None:
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
