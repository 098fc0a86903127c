"""`./slipway status` reports a wildcard certificate of another stack that is served for our host."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest

from local.node.certificates import SERVER, CertificateFolder, Leaf
from tests.e2e.conftest import HOST, eventually, kubectl, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ELSEWHERE = "elsewhere"
# Its names sort after those of the local stack's certificate, so Traefik serves it for the hosts of both.
NAMES = ("*.slipway.localhost", "zzz.slipway.localhost")


@pytest.fixture
def wildcard_elsewhere(tmp_path: Path) -> Generator[None]:
    """Create an Ingress in another namespace, with a certificate of another CA that also matches our host."""
    folder = CertificateFolder(tmp_path)
    folder.authority("ca", "another team's CA")
    folder.issue(Leaf("tls", NAMES[1], (SERVER,), names=NAMES))
    kubectl("create", "namespace", ELSEWHERE)
    try:
        files = (f"--cert={folder.certificate('tls')}", f"--key={folder.key('tls')}")
        kubectl("create", "secret", "tls", "wildcard", *files, "-n", ELSEWHERE)
        rule = f"--rule={NAMES[1]}/*=nobody:80,tls=wildcard"
        kubectl("create", "ingress", "elsewhere", "--class=traefik", rule, "-n", ELSEWHERE)
        yield
    finally:
        kubectl("delete", "namespace", ELSEWHERE)


def notes() -> list[str]:
    """Return the notes of `./slipway status`."""
    done = run("./slipway", "status", "-s", "local", "--json", ok=False)
    return json.loads(done.stdout)["notes"]


def test_status_names_a_certificate_of_another_stack_that_answers_for_our_host(wildcard_elsewhere: None):
    prefix = f"https://{HOST} is answered with another certificate than that of Secret/"
    eventually(lambda: any(note.startswith(prefix) for note in notes()), 60, "status reports the other certificate")
    assert all("another team's CA" in note for note in notes())


def test_status_reports_no_certificate_once_the_other_one_is_deleted():
    eventually(lambda: notes() == [], 60, "our own certificate is served again")
    assert notes() == []
