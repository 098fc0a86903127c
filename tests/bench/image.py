"""The size of the app's image, and the time from its start to its first answer, beside podinfo."""

from __future__ import annotations

import gzip
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from slipway.image.daemonless import CERTIFICATES
from slipway.image.oci import LAYER, File, assemble
from tests.bench import go_servers
from tests.bench.go_servers import Server
from tests.bench.measure import actions_in_turns
from tests.bench.page import Section, table

# Every image of a program that connects with TLS has them.
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def measured(runs: int) -> Section:
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        api, podinfo = go_servers.compiled(Path(folder))
        names = "the app", "podinfo"
        starts = actions_in_turns(
            {names[0]: lambda: _start(go_servers.app(api)), names[1]: lambda: _start(go_servers.podinfo(podinfo))}, runs
        )
        sizes = [sizes_of(program) for program in (api, podinfo)]
    rows = [
        [name, f"{size[0] / 1e6:.1f} MB", f"{size[1] / 1e6:.1f} MB", start.text(3), f"{start.ratio(starts[1]):.1f}"]
        for name, size, start in zip(names, sizes, starts, strict=True)
    ]
    heads = ["image", "unpacked", "compressed", "start to first connection, s", "start, times that of podinfo"]
    text = (
        "Both are static binaries without symbols in an empty image, with the public certificates. The start is "
        "that of the process on this machine, with its data in memory; a pod adds what the kubelet and the runtime "
        "take, which is not measured. Left out: an image on golang:alpine, as many tutorials make it, because base "
        "images cannot be pulled here."
    )
    return Section("Image and start of the app", text, table(heads, rows))


def sizes_of(program: Path) -> tuple[int, int]:
    """Return the bytes of the layers of an image with this program, as they are and compressed with gzip."""
    binary = File(program.name, program.read_bytes(), mode=0o755)
    image = assemble([[File(CERTIFICATES, SYSTEM_CERTIFICATES.read_bytes())], [binary]], {}, "linux/amd64")
    layers = [blob.content for blob in image.blobs if blob.media_type == LAYER]
    return sum(map(len, layers)), sum(len(gzip.compress(layer)) for layer in layers)


def _start(starting: AbstractContextManager[Server]) -> float:
    with starting as server:
        return server.seconds
