"""`./slipway status` says when a host is answered with another certificate than the stack's own."""

from __future__ import annotations

import base64
import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from local.node.certificates import SERVER, CertificateFolder, Leaf
from slipway.ops.diagnosis import certificates
from slipway.ops.diagnosis.certificates import ServedCertificates
from tests.api_server import cluster, settings
from tests.drills.https_server import serve_one

OURS, WILDCARD = "api.slipway.localhost", "*.slipway.localhost"
INGRESS = {"services.api.ingress": {"host": OURS, "tls": {"issuer": "local-ca"}}}


@pytest.fixture
def folder(tmp_path: Path) -> CertificateFolder:
    """Our certificate, and the wildcard of another stack."""
    made = CertificateFolder(tmp_path)
    made.authority("ca", "a team's CA")
    made.issue(Leaf("ours", OURS, (SERVER,), names=(OURS,)))
    made.issue(Leaf("theirs", "their stack", (SERVER,), names=(WILDCARD,)))
    return made


@pytest.fixture
def notes_for(folder: CertificateFolder, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """`notes_for("theirs")`: the notes if an ingress controller serves that certificate and the Secret holds ours."""

    def notes(served: str, stored: str = "ours", ingress: dict[str, Any] = INGRESS) -> list[str]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder.certificate(served), folder.key(served))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            threading.Thread(target=serve, args=(listening, context), daemon=True).start()
            monkeypatch.setattr(certificates, "PORT", listening.getsockname()[1])
            return ServedCertificates(settings("dev", ingress)).notes(cluster(api_server(folder, stored), ingress))

    return notes


def serve(listening: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError):  # the socket is closed
        while True:
            serve_one(listening, context)


def api_server(folder: CertificateFolder, stored: str) -> Callable[[httpx2.Request], httpx2.Response]:
    """An API server with the Secret api-tls; none, and no right to look, if `stored` is empty."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        if not stored:
            return httpx2.Response(403, json={"message": "secrets is forbidden"})
        assert "/secrets/api-tls" in request.url.path
        chain = folder.certificate(stored).read_bytes() + folder.certificate("ca").read_bytes()
        return httpx2.Response(200, json={"data": {"tls.crt": base64.b64encode(chain).decode()}})

    return answer


@pytest.mark.feature("L3", part="another certificate than the stack's own is named")
def test_another_stack_s_wildcard_that_answers_for_our_host_is_named(notes_for: Callable[..., list[str]]):
    assert notes_for("theirs") == [
        f"https://{OURS} is answered with another certificate than that of Secret/api-tls: {WILDCARD}, "
        "of CN=a team's CA. Right behind a CDN; else a Secret of another namespace names the host, or its wildcard"
    ]


def test_our_own_certificate_causes_no_note(notes_for: Callable[..., list[str]]):
    assert notes_for("ours") == []


def test_a_secret_that_we_may_not_read_causes_no_note(notes_for: Callable[..., list[str]]):
    assert notes_for("theirs", stored="") == []


def test_a_host_behind_a_gateway_is_not_checked(notes_for: Callable[..., list[str]]):
    routed = {"services.api.ingress": {"host": OURS, "gateway": {"name": "public", "namespace": "ingress"}}}
    assert notes_for("theirs", ingress=routed) == []


def test_a_host_that_does_not_answer_delays_nothing(folder: CertificateFolder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(certificates, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(certificates, "PORT", silent.getsockname()[1])
        assert ServedCertificates(settings("dev", INGRESS)).notes(cluster(api_server(folder, "ours"), INGRESS)) == []


def test_each_host_is_compared_with_the_secret_of_its_own_certificate(notes_for: Callable[..., list[str]]):
    ingress = {"services.api.ingress": {"hosts": [OURS, "www.slipway.localhost"], "tls": {"issuer": "local-ca"}}}
    notes = notes_for("theirs", ingress=ingress)
    secrets = [re.findall(r"https://(\S+) .* of Secret/([a-z0-9-]+):", note) for note in notes]
    [[(first, of_first)], [(second, of_second)]] = secrets
    assert (first, of_first) == (OURS, "api-tls")
    assert second == "www.slipway.localhost"
    assert of_second.startswith("api-tls-")
