"""Serves one HTTPS request with a given certificate."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

from slipway.ops.drills.traffic import Target, request


def answered_with(certificate: dict[str, str], folder: Path) -> str:
    """What comes of a request to a server with that certificate, verified with the authority in the folder."""
    for name, text in certificate.items():
        (folder / f"served-{name}").write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "served-tls.crt", folder / "served-tls.key")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve_one, args=(listening, context), daemon=True).start()
        url = f"https://api.slipway.localhost:{listening.getsockname()[1]}"
        with Target(url, folder / "ca.crt").pool(reused=False) as pool:
            return request(pool, "/")


def serve_one(listening: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listening.accept()
    try:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(1000)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    except ssl.SSLError:
        pass  # who does not trust it says so
