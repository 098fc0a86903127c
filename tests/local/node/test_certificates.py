"""The cluster's certificates: their names, their lifetime, and who may read their keys."""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local.node.certificates import DAYS, LEAVES, RENEW_DAYS, CertificateFolder, Leaf, issue_all
from local.node.names import NODE_ADDRESS
from local.paths import ClonePaths

SERVER = Leaf(
    "server", "slipway.localhost", (ExtendedKeyUsageOID.SERVER_AUTH,), names=("slipway.localhost", "127.0.0.1")
)


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> ClonePaths:
    clone = tmp_path_factory.mktemp("clone")
    paths = ClonePaths(clone, clone / "cache")
    paths.create()
    issue_all(paths)
    return paths


@pytest.fixture
def folder(tmp_path: Path) -> CertificateFolder:
    folder = CertificateFolder(tmp_path / "pki")
    folder.authority("ca", "test CA")
    folder.issue(SERVER)
    return folder


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def names_of(path: Path) -> list[str]:
    names = load(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def test_every_certificate_is_accepted_by_openssl(issued: ClonePaths) -> None:
    pki = issued.cluster / "pki"
    for leaf in LEAVES:
        purpose = "sslserver" if ExtendedKeyUsageOID.SERVER_AUTH in leaf.usages else "sslclient"
        command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", f"{pki / leaf.ca}.crt"]
        done = subprocess.run([*command, f"{pki / leaf.name}.crt"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_only_the_owner_can_read_keys(issued: ClonePaths) -> None:
    keys = [*issued.state.rglob("*.key"), issued.kubeconfig, *issued.cluster.rglob("*.kubeconfig")]
    assert len(keys) > len(LEAVES)
    assert {oct(key.stat().st_mode & 0o777) for key in keys} == {"0o600"}


def test_the_api_server_answers_to_its_addresses(issued: ClonePaths) -> None:
    names = names_of(issued.cluster / "pki" / "apiserver.crt")
    assert {"127.0.0.1", "10.96.0.1", NODE_ADDRESS, "kubernetes.default.svc"} <= set(names)


def test_the_kubelet_has_the_identity_that_the_node_authorizer_requires(issued: ClonePaths) -> None:
    subject = load(issued.cluster / "pki" / "kubelet.crt").subject
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["system:nodes"]
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["system:node:slipway"]


def test_the_ingress_certificate_of_the_local_ca_is_where_the_program_reads_it(issued: ClonePaths) -> None:
    certificate = load(issued.secrets / "tls.crt")
    certificate.verify_directly_issued_by(load(issued.ca_certificate))
    names = names_of(issued.secrets / "tls.crt")
    assert {"slipway.localhost", "*.slipway.localhost", "api.slipway.localhost"} <= set(names)


def test_the_kubeconfig_names_its_context(issued: ClonePaths) -> None:
    config = json.loads(issued.kubeconfig.read_text())
    assert config["current-context"] == "slipway-local"
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"


def test_a_second_run_issues_nothing(issued: ClonePaths) -> None:
    assert issue_all(issued) == []


def test_no_server_certificate_lasts_longer_than_browsers_accept(folder: CertificateFolder) -> None:
    certificate = load(folder.certificate("server"))
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc <= datetime.timedelta(days=826)


def test_a_certificate_is_renewed_before_it_expires(folder: CertificateFolder) -> None:
    just_before = CertificateFolder(folder.path, folder.now + datetime.timedelta(days=DAYS - RENEW_DAYS - 1))
    in_time = CertificateFolder(folder.path, folder.now + datetime.timedelta(days=DAYS - RENEW_DAYS + 1))
    assert not just_before.issue(SERVER)
    assert in_time.issue(SERVER)


def test_changed_names_reissue_the_certificate(folder: CertificateFolder) -> None:
    assert folder.issue(Leaf("server", "slipway.localhost", SERVER.usages, names=(*SERVER.names, "10.0.0.7")))


def test_a_new_ca_reissues_the_certificates(folder: CertificateFolder) -> None:
    folder.certificate("ca").unlink()
    folder.authority("ca", "test CA")
    assert folder.issue(SERVER)


def test_a_certificate_without_its_key_is_issued_again(folder: CertificateFolder) -> None:
    folder.key("server").unlink()
    assert folder.issue(SERVER)


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to look at the key")
def test_a_key_matches_its_certificate(folder: CertificateFolder) -> None:
    def public(*command: str | Path) -> bytes:
        return subprocess.run(["openssl", *command], capture_output=True, check=True).stdout

    of_key = public("pkey", "-in", folder.key("server"), "-pubout")
    assert of_key == public("x509", "-in", folder.certificate("server"), "-noout", "-pubkey")
