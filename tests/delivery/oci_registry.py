"""A registry on this machine, by go-containerregistry: it keeps its blobs in files, where a test can change a byte."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from slipway.ops.supply_chain.tools import GoTool, compiled

# Apache-2.0, by Google: a registry, and a client for it.
CRANE = GoTool("github.com/google/go-containerregistry/cmd/crane", "v0.20.7")


class Registry:
    """The registry at `host`, and commands of its client."""

    def __init__(self, host: str, folder: Path) -> None:
        self.host, self.blobs = host, folder

    def run(self, *arguments: str) -> str:
        """Return what the client prints."""
        return subprocess.run([compiled(CRANE), *arguments], capture_output=True, text=True, check=True).stdout

    def attached(self, reference: str, suffix: str) -> str:
        """Return the tag of what cosign keeps of an image: `sig` or `att`."""
        repository, _, digest = reference.partition("@")
        return f"{repository.rpartition(':')[0]}:{digest.replace(':', '-')}.{suffix}"

    def flip(self, reference: str, suffix: str) -> None:
        """Change a byte in each blob of the attachments of an image."""
        for layer in json.loads(self.run("manifest", self.attached(reference, suffix)))["layers"]:
            (file,) = self.blobs.rglob(layer["digest"].removeprefix("sha256:"))
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 1
            file.write_bytes(content)


@contextmanager
def serve(folder: Path) -> Generator[Registry]:
    """Serve an empty registry."""
    folder.mkdir()
    command = [compiled(CRANE), "registry", "serve", "--address", "127.0.0.1:0", "--disk", folder]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    try:
        port = next(match[1] for line in process.stderr if (match := re.search(r"serving on port (\d+)", line)))
        yield Registry(f"127.0.0.1:{port}", folder)
    finally:
        process.terminate()
        process.wait()
