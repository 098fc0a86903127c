"""The bill of materials of an image: the modules in the Go program that it starts, read from the image itself."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from slipway.image.reference import parts
from slipway.image.registry import blob, manifest
from slipway.ops.supply_chain.cosign import EvidenceError
from slipway.ops.supply_chain.tools import CYCLONEDX, compiled, run

# Stands in every program that Go has linked, before the list of its modules.
_BUILD_INFORMATION = b"\xff Go buildinf:"


def sbom(pinned: str, version: str) -> dict[str, Any]:
    """Return the modules of the program as CycloneDX. Raises EvidenceError if the image starts no Go program.

    `pinned`: `repository@sha256:...` of an image for one platform. The same program gives the same document.
    """
    content = program(pinned)
    if _BUILD_INFORMATION not in content:
        raise EvidenceError(
            f"{pinned} starts no Go program, so Slipway cannot list what is in it. Attach an SBOM of another tool "
            "(`cosign attest --type cyclonedx`), or add it to slipway:evidence.waivers"
        )
    with tempfile.TemporaryDirectory(prefix="slipway-") as folder:
        binary = Path(folder) / "program"
        binary.write_bytes(content)
        binary.chmod(0o700)
        # The long URLs of packages name the platform of this machine, whatever that of the program is.
        options = ["-json", "-std", "-noserial", "-notimestamp", "-short-purls", "-version", version]
        return json.loads(run(compiled(CYCLONEDX), "bin", *options, binary))


def program(pinned: str) -> bytes:
    """Return the file that an image starts. Raises EvidenceError if there is none."""
    repository, _, digest = parts(pinned)
    described = manifest(repository, digest)
    config = json.loads(blob(repository, described["config"]["digest"])).get("config", {})
    command: list[str] = [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]
    path = command[0].lstrip("/") if command else ""
    # The last layer that has the file decides.
    for layer in reversed(described["layers"]):
        if (content := _file(blob(repository, layer["digest"]), path)) is not None:
            return content
    raise EvidenceError(f"{pinned} has no file {path or '(it names no command)'}, which it would start")


def _file(layer: bytes, path: str) -> bytes | None:
    """Return a file of a layer; None if the layer does not have it. Links are followed within the layer."""
    try:
        with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
            names = set(archive.getnames()) & {path, f"./{path}", f"/{path}"}
            file = archive.extractfile(names.pop()) if names else None
            return file.read() if file else None
    except KeyError:  # a link to a file that this layer does not have
        return None
    except (tarfile.TarError, EOFError) as error:
        raise EvidenceError(f"a layer of the image cannot be read: {error}") from None
