"""Whether a Docker daemon answers on this machine. Standard library only: `make up` asks before packages are there."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


def docker_answers(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether a Docker daemon answers. An address of another kind (ssh://) is not checked."""
    address = environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    scheme, _, rest = address.partition("://")
    if scheme not in ("unix", "tcp"):
        return True
    try:
        if scheme == "unix":
            client, target = socket.socket(socket.AF_UNIX), rest
        else:
            host, _, port = rest.rstrip("/").rpartition(":")
            client, target = socket.socket(), (host, int(port))
        with client:
            client.settimeout(3)
            client.connect(target)
            client.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return client.recv(64).startswith(b"HTTP/1")
    except (OSError, ValueError):
        return False
