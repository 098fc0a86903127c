"""Images of Go programs that the tests bring along: compiled on first use, and pushed to the local registry."""

from __future__ import annotations

import subprocess
from pathlib import Path

from slipway.image.oci import File, assemble
from slipway.image.registry import push
from tests.e2e.conftest import ROOT, environment

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def image_of(name: str, package: str, modules: Path, compile_seconds: int, program: str = "") -> str:
    """Compile a program if .slipway/bin does not have it, push an image with it, and return the image by digest.

    `program` is its name in the image, where manifests call it by another.
    """
    binary = ROOT / ".slipway" / "bin" / name
    if not binary.exists():
        subprocess.run(
            ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", str(binary), package],
            cwd=modules,
            env={**environment(), "CGO_ENABLED": "0"},
            check=True,
            timeout=compile_seconds,
        )
    files = [File("etc/ssl/certs/ca-certificates.crt", CERTIFICATES.read_bytes())] if CERTIFICATES.exists() else []
    file = program or name
    layers = [files, [File(file, binary.read_bytes(), mode=0o755)]]
    run = {"User": "65532:65532", "Entrypoint": [f"/{file}"]}
    image = assemble([layer for layer in layers if layer], run, "linux/amd64")
    repository = f"localhost:5000/{name}"
    push(image, repository, image.digest.removeprefix("sha256:")[:16])
    return f"{repository}@{image.digest}"
