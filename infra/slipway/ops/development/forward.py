"""A port of this machine that leads to the debugger in a pod, as long as the session lasts."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess

from slipway.ops.cluster.connection import StackCluster
from slipway.ops.development.delve import PORT
from slipway.ops.development.errors import DevError

ADDRESS = "127.0.0.1"


class Forward:
    """`kubectl port-forward` to one pod at a time. The local port stays the same."""

    def __init__(self, cluster: StackCluster) -> None:
        if not shutil.which("kubectl"):
            raise DevError("kubectl is not on the PATH, and it forwards the debugger's port; `. ./activate` adds it")
        self.port = _free_port()
        self._cluster = cluster
        self._process: subprocess.Popen[str] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it still leads somewhere: kubectl ends when its pod does."""
        return self._process is not None and self._process.poll() is None

    def open(self, pod: str) -> None:
        """Lead to a pod, and no longer to the one before. Raises `DevError` with kubectl's message."""
        self.close()
        where = ["--context", self._cluster.context, "--namespace", self._cluster.namespace]
        command = ["kubectl", *where, "port-forward", "--address", ADDRESS, f"pod/{pod}", f"{self.port}:{PORT}"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout  # noqa: S101 - a pipe, as asked for
        first = self._process.stdout.readline().strip()
        if not re.match("Forwarding from ", first):
            self.close()
            raise DevError(f"the debugger's port cannot be forwarded: {first or 'kubectl has ended'}")

    def close(self) -> None:
        """End kubectl."""
        if self._process:
            self._process.terminate()
            self._process.communicate()
            self._process = None


def _free_port() -> int:
    """Return the usual port of Delve, another one where something listens there."""
    for port in (PORT, 0):
        with socket.socket() as probe:
            try:
                probe.bind((ADDRESS, port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise DevError(f"no port of {ADDRESS} is free")
