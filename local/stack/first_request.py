"""The first request to the stack, as a user sends it: through the ingress, with the certificate checked."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.parse
from collections.abc import Iterable, Sequence
from pathlib import Path

THIS_MACHINE = "127.0.0.1"
SECONDS = 5


def addresses(url: str, ingress: Iterable[str]) -> list[str]:
    """Return where to connect to for a URL: to the addresses of its Ingress, else to those that its host stands for.

    Not every resolver knows *.localhost, which is this machine.
    """
    host = urllib.parse.urlsplit(url).hostname or ""
    return list(dict.fromkeys([*ingress, THIS_MACHINE if host.endswith("localhost") else host]))


def get(url: str, path: str, ca: Path, addresses: Sequence[str]) -> tuple[int, str]:
    """Send a request to the first address that answers. Return its status and text, 0 if none does."""
    reasons: list[str] = []
    for address in addresses:
        try:
            status, body = _get(url, path, ca, address)
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"{address}: {error}")
        else:
            return status, str(status) if status == 200 else f"{status} {body}"
    return 0, "; ".join(reasons)


def _get(url: str, path: str, ca: Path, address: str) -> tuple[int, str]:
    parts = urllib.parse.urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    connection = http.client.HTTPConnection(host)
    with socket.create_connection((address, parts.port or (443 if secure else 80)), timeout=SECONDS) as plain:
        connection.sock = _trusting(ca).wrap_socket(plain, server_hostname=host) if secure else plain
        with connection.sock:
            connection.request("GET", path, headers={"Host": host})
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace").strip()


def _trusting(ca: Path) -> ssl.SSLContext:
    """Return a context that trusts the local CA beside those of the system."""
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=str(ca))
    return context


def unreached(answer: str, look: str, context: str, addresses: Sequence[str]) -> str:
    """Return the fix where the ingress of a cluster that is not ours does not serve the stack to this machine."""
    if "CERTIFICATE_VERIFY_FAILED" in answer:
        # Ingress controllers look for a certificate among those of all namespaces.
        return (
            "the stack is up, but the ingress controller has answered with a certificate of somebody else: its own "
            f"default, or that of another stack for the same hosts. Look at both: {look},secrets --context {context}; "
            "take hosts of your own with tls: {secretName: NAME} or an issuer"
        )
    return (
        f"{look} --context {context}; the stack is up, but this machine does not reach it at {', '.join(addresses)}: "
        "forward ports 80 and 443 of the ingress controller to this machine (kind: extraPortMappings, k3d: --port)"
    )
