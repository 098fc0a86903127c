"""Issue the cluster's certificates and kubeconfigs, and the certificate of the ingress from a local CA."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local.node.names import CONTEXT, FIRST_SERVICE_ADDRESS, NODE, NODE_ADDRESS
from local.paths import ClonePaths, write

CA_DAYS = 3650
# Browsers refuse server certificates that are valid for longer than 825 days.
DAYS = 825
RENEW_DAYS = 30

HOSTS = ("slipway.localhost", "*.slipway.localhost", "api.slipway.localhost", "web.slipway.localhost")

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Leaf:
    """One certificate to issue: its subject, its usages and the names of a server."""

    name: str
    common_name: str
    usages: tuple[x509.ObjectIdentifier, ...]
    organization: str = ""
    names: tuple[str, ...] = ()
    ca: str = "ca"


APISERVER_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
)
LEAVES = (
    Leaf(
        "apiserver",
        "kube-apiserver",
        (SERVER,),
        names=(*APISERVER_NAMES, "127.0.0.1", FIRST_SERVICE_ADDRESS, NODE_ADDRESS),
    ),
    Leaf("apiserver-kubelet-client", "kube-apiserver-kubelet-client", (CLIENT,), "system:masters"),
    Leaf("front-proxy-client", "front-proxy-client", (CLIENT,), ca="front-proxy-ca"),
    # Any user of the machine can connect to etcd's port, so etcd accepts only certificates of this CA.
    Leaf("etcd", "etcd", (SERVER, CLIENT), names=("localhost", "127.0.0.1"), ca="etcd-ca"),
    Leaf("apiserver-etcd-client", "kube-apiserver", (CLIENT,), ca="etcd-ca"),
    Leaf("kubelet-server", f"system:node:{NODE}", (SERVER,), "system:nodes", names=(NODE, NODE_ADDRESS)),
    Leaf("kubelet", f"system:node:{NODE}", (CLIENT,), "system:nodes"),
    Leaf("kube-controller-manager", "system:kube-controller-manager", (CLIENT,)),
    Leaf("kube-scheduler", "system:kube-scheduler", (CLIENT,)),
    Leaf("kube-proxy", "system:kube-proxy", (CLIENT,)),
    Leaf("netpol", "slipway:netpol", (CLIENT,)),
    Leaf("admin", "admin", (CLIENT,), "system:masters"),
)
KUBECONFIGS = ("kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy", "netpol")
AUTHORITIES = {
    "ca": "slipway local cluster",
    "front-proxy-ca": "slipway local front proxy",
    "etcd-ca": "slipway local etcd",
}


def issue_all(paths: ClonePaths) -> list[str]:
    """Issue the certificates that are missing or about to expire, and return the names of the new ones."""
    pki = CertificateFolder(paths.cluster / "pki")
    issued = [name for name, subject in AUTHORITIES.items() if pki.authority(name, subject)]
    issued += [leaf.name for leaf in LEAVES if pki.issue(leaf)]
    issued += ["service-account"] if pki.service_account_keys() else []
    for name in KUBECONFIGS:
        write(paths.cluster / "etc" / f"{name}.kubeconfig", pki.kubeconfig(name), 0o600)
    write(paths.kubeconfig, pki.kubeconfig("admin"), 0o600)
    return issued + issue_ingress(paths)


def issue_ingress(paths: ClonePaths) -> list[str]:
    """Issue the local CA, and the server certificate that the program gives to the ingress as a Secret."""
    folder = CertificateFolder(paths.state / "tls")
    issued = ["local CA"] if folder.authority("ca", "slipway local CA") else []
    leaf = Leaf("tls", HOSTS[0], (SERVER,), names=HOSTS)
    issued += [leaf.name] if folder.issue(leaf) else []
    write(paths.ca_certificate, folder.certificate("ca").read_bytes())
    for name in ("tls.crt", "tls.key"):
        write(paths.secrets / name, (folder.path / name).read_bytes(), 0o600)
    return issued


@dataclass
class CertificateFolder:
    """A folder of keys and certificates, NAME.key and NAME.crt."""

    path: Path
    now: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))

    def certificate(self, name: str) -> Path:
        return self.path / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.path / f"{name}.key"

    def authority(self, name: str, subject: str) -> bool:
        """Create this CA unless it exists and lasts. Return True if it is new."""
        if not self._expiring(name):
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        name_of_ca = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        usage = _key_usage(signs_certificates=True)
        builder = self._builder(name_of_ca, name_of_ca, key.public_key(), CA_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).add_extension(
            usage, critical=True
        )
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        self._write(name, key, builder.sign(key, hashes.SHA256()))
        return True

    def issue(self, leaf: Leaf) -> bool:
        """Issue this certificate unless there is one that matches and lasts. Return True if it is new."""
        if not self._expiring(leaf.name) and self._matches(leaf):
            return False
        ca = self._load(leaf.ca)
        ca_key = cast(
            "ec.EllipticCurvePrivateKey", serialization.load_pem_private_key(self.key(leaf.ca).read_bytes(), None)
        )
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, leaf.organization)] if leaf.organization else []
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name))
        builder = self._builder(x509.Name(subject), ca.subject, key.public_key(), DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(leaf.usages), critical=False)
        builder = builder.add_extension(_authority_key(ca), critical=False)
        if leaf.names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in leaf.names]), critical=False
            )
        self._write(leaf.name, key, builder.sign(ca_key, hashes.SHA256()))
        return True

    def service_account_keys(self) -> bool:
        """Create the key that signs the tokens of pods, once: a new key would invalidate every token."""
        if self.key("sa").exists() and (self.path / "sa.pub").exists():
            return False
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        write(self.path / "sa.pub", public)
        write(self.key("sa"), _pem(key), 0o600)
        return True

    def kubeconfig(self, name: str) -> str:
        """Return a kubeconfig with the keys of this client inside, as JSON, which is also YAML."""
        authority = _base64(self.certificate("ca"))
        cluster = {"server": "https://127.0.0.1:6443", "certificate-authority-data": authority}
        user = {"client-certificate-data": _base64(self.certificate(name)), "client-key-data": _base64(self.key(name))}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": CONTEXT,
            "clusters": [{"name": CONTEXT, "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": name}}],
        }
        return json.dumps(config, indent=2) + "\n"

    def _load(self, name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate(name).read_bytes())

    def _expiring(self, name: str) -> bool:
        if not (self.certificate(name).exists() and self.key(name).exists()):
            return True
        return self._load(name).not_valid_after_utc < self.now + datetime.timedelta(days=RENEW_DAYS)

    def _matches(self, leaf: Leaf) -> bool:
        """Return whether the certificate has the right names and is signed by the current CA."""
        certificate, ca = self._load(leaf.name), self._load(leaf.ca)
        try:
            certificate.verify_directly_issued_by(ca)
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return not leaf.names
        except Exception:  # signed by another CA: cryptography raises ValueError, TypeError or InvalidSignature
            return False
        return list(names) == [_general_name(name) for name in leaf.names]

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
    ) -> x509.CertificateBuilder:
        # Valid since an hour ago, because the clocks of virtual machines jump back.
        start, end = self.now - datetime.timedelta(hours=1), self.now + datetime.timedelta(days=days)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
        return builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)

    def _write(self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        write(self.key(name), _pem(key), 0o600)
        write(self.certificate(name), certificate.public_bytes(serialization.Encoding.PEM))


def _base64(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    # The traditional format, which etcd and all parts of Kubernetes can read.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _authority_key(ca: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs_certificates, crl_sign=signs_certificates, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
