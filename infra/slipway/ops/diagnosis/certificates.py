"""Compares the certificate that a host serves with the one in the stack's Secret.

Ingress controllers choose certificates by host, across namespaces: of all certificates in the cluster that fit a host,
Traefik serves the one whose sorted names come last. So another stack's wildcard may be served for our host, with their
key. With access to our namespace only, nothing but a connection shows it.
"""

from __future__ import annotations

import base64
import socket
import ssl
import threading
import time
from contextlib import suppress

from slipway.objects import dig
from slipway.ops.cluster.connection import ClusterError, RefusedError, StackCluster
from slipway.settings.settings import Settings

PORT = 443
# Outside the cluster's network nothing answers; wait no longer than this.
ANSWER_SECONDS = 1


class ServedCertificates:
    """Connects to all hosts of a stack whose certificate is in its namespace, in the background."""

    def __init__(self, settings: Settings) -> None:
        self._secrets = {
            host: secret
            for name in settings.services
            for secret, hosts in settings.certificates(name).items()
            for host in hosts
        }
        self._served: dict[str, bytes] = {}
        self._end = time.monotonic() + ANSWER_SECONDS
        # Daemons, because a DNS lookup cannot be interrupted.
        self._threads = [threading.Thread(target=self._connect, args=(host,), daemon=True) for host in self._secrets]
        for thread in self._threads:
            thread.start()

    def notes(self, cluster: StackCluster) -> list[str]:
        """Return one line for each host that serves another certificate than its Secret holds."""
        for thread in self._threads:
            thread.join(max(0, self._end - time.monotonic()))
        return [
            f"https://{host} is answered with another certificate than that of Secret/{secret}: {_names(served)}. "
            f"Right behind a CDN; else a Secret of another namespace names the host, or its wildcard"
            for host, served in sorted(self._served.items())
            if (own := _own_certificate(cluster, secret := self._secrets[host])) and own != served
        ]

    def _connect(self, host: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is compared, and nothing is sent
        # RFC 6761 has every *.localhost lead to this machine; few resolvers know.
        address = "127.0.0.1" if host.endswith(".localhost") else host
        with (
            suppress(OSError),
            socket.create_connection((address, PORT), ANSWER_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host) as secured,
        ):
            self._served[host] = secured.getpeercert(binary_form=True) or b""


def _own_certificate(cluster: StackCluster, secret: str) -> bytes:
    """Return the certificate in a Secret; nothing if there is none, or if we may not read it."""
    with suppress(ClusterError, RefusedError, ValueError):
        encoded = dig(cluster.get("v1", "Secret", secret), "data", "tls.crt") or ""
        first, end, _ = base64.b64decode(encoded).decode().partition(ssl.PEM_FOOTER)
        return ssl.PEM_cert_to_DER_cert(first + end)
    return b""


def _names(certificate: bytes) -> str:
    # Takes long to load, and is needed only if something is wrong.
    from cryptography import x509  # noqa: PLC0415

    parsed = x509.load_der_x509_certificate(certificate)
    names: list[str] = []
    with suppress(x509.ExtensionNotFound):
        alternatives = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = alternatives.get_values_for_type(x509.DNSName)
    return f"{', '.join(names) or parsed.subject.rfc4514_string()}, of {parsed.issuer.rfc4514_string()}"
