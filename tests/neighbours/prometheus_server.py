"""Prometheus on this machine, from Debian's package. That build has no Kubernetes discovery: targets are in a file."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
import yaml

from tests.e2e.conftest import eventually, provide


@dataclass
class PrometheusServer:
    """A Prometheus with its configuration, samples and log in one folder."""

    folder: Path
    address: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address for clients."""
        return f"http://{self.address}"

    def start(self) -> None:
        """Start it, and wait until it answers. Samples from before a stop are kept."""
        files = [f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data"]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                ["prometheus", *files, f"--web.listen-address={self.address}"],
                stdout=log,
                stderr=log,
                env=os.environ | {"PATH": f"{os.environ['PATH']}:/usr/bin"},
            )
        eventually(self._is_ready, 60, "Prometheus is ready")

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=60)
            self.process = None

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return the current samples of an expression."""
        answer = urllib3.request("GET", f"{self.url}/api/v1/query", fields={"query": expr}, retries=False)
        return answer.json()["data"]["result"]

    def _is_ready(self) -> bool:
        try:
            return urllib3.request("GET", f"{self.url}/-/ready", retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False


@contextmanager
def serving(folder: Path, config: dict[str, Any], host: str = "127.0.0.1") -> Generator[PrometheusServer]:
    """Run Prometheus at a free port of this machine during the block."""
    provide(folder, {"prometheus": "prometheus"})
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as free:
        free.bind((host, 0))
        server = PrometheusServer(folder, f"{host}:{free.getsockname()[1]}")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def updated_targets(file: Path, targets: Callable[[], list[dict[str, Any]]], seconds: float = 1) -> Generator[None]:
    """Keep the file of targets up to date during the block; Prometheus reads it again when it changes."""
    over = threading.Event()

    def write() -> None:
        while not over.wait(seconds):
            fresh = file.with_suffix(".new")
            fresh.write_text(json.dumps(targets()))
            fresh.replace(file)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()
