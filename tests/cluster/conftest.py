"""An API server on HTTPS that records its requests."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from local.node.certificates import CertificateFolder, Leaf
from slipway.cluster.api_client import http
from slipway.cluster.kubeconfig import Access

NAME = "api.internal.example"


@dataclass
class Server:
    """An API server on HTTPS whose certificate is for NAME only. It records its requests."""

    url: str
    pki: CertificateFolder
    requests: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    tokens: set[str] = field(default_factory=lambda: {"good", "renewed"})

    def access(self, user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None) -> Access:
        authority = str(self.pki.certificate("ca"))
        changed = {"server": self.url, "certificate-authority": authority, "tls-server-name": NAME, **(cluster or {})}
        return Access("dev", {key: value for key, value in changed.items() if value is not None}, user or {})

    def get(self, user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None) -> dict[str, str]:
        """Send a request, and return what the server has recorded of it."""
        with http(self.access(user, cluster)) as api:
            api.get("/version")
        return self.requests[-1]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> CertificateFolder:
    folder = CertificateFolder(tmp_path_factory.mktemp("pki"))
    folder.authority("ca", "test CA")
    folder.issue(Leaf("server", NAME, (ExtendedKeyUsageOID.SERVER_AUTH,), names=(NAME,)))
    folder.issue(Leaf("jane", "jane", (ExtendedKeyUsageOID.CLIENT_AUTH,)))
    return folder


@pytest.fixture
def server(pki: CertificateFolder) -> Generator[Server]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            certificate: Any = self.request.getpeercert() if isinstance(self.request, ssl.SSLSocket) else None
            subject = certificate["subject"][-1][0][1] if certificate else ""
            groups = ",".join(self.headers.get_all("Impersonate-Group") or [])
            server.requests.append({**dict(self.headers), "certificate": subject, "groups": groups})
            token = self.headers.get("Authorization", "Bearer good").removeprefix("Bearer ")
            body = json.dumps({"kind": "ConfigMap", "metadata": {"name": "c"}}).encode()
            self.send_response(200 if token in server.tokens or token.startswith("Basic") else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the output of the tests clean."""

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pki.certificate("server"), pki.key("server"))
    tls.load_verify_locations(pki.certificate("ca"))
    tls.verify_mode = ssl.CERT_OPTIONAL
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.socket = tls.wrap_socket(listening.socket, server_side=True)
    server = Server(f"https://127.0.0.1:{listening.server_port}", pki)
    threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    listening.shutdown()
    listening.server_close()
