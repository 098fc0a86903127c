"""Which certificate a host is answered with, compared with the one in the stack's own Secret.

Ingress controllers know certificates by their names, not by namespaces: of all certificates in the cluster that fit a
host, Traefik serves the one whose sorted names come last. So a wildcard of another stack may answer for our host, with
a key of theirs. No right of ours shows it; a connection does.
"""

from __future__ import annotations

import base64
import socket
import ssl
import threading
import time
from contextlib import suppress

from settings import Settings

from ops.cluster import Cluster, NoCluster, Refused, at

PORT = 443
# Who is not on the cluster's network gets no answer, and waits no longer than this for it.
ANSWER_SECONDS = 1


class Served:
    """Connections to all hosts of a stack that have a certificate in it, made while something else is looked at."""

    def __init__(self, settings: Settings) -> None:
        routed = {name: service.ingress for name, service in settings.services.items()}
        self._secrets = {
            ingress.host: ingress.tls.secret_name or f"{name}-tls"
            for name, ingress in routed.items()
            if ingress and ingress.tls
        }
        self._found: dict[str, bytes] = {}
        self._end = time.monotonic() + ANSWER_SECONDS
        # Nobody can interrupt a look-up of a name, so it may go on after the end of the process.
        self._threads = [threading.Thread(target=self._ask, args=(host,), daemon=True) for host in self._secrets]
        for thread in self._threads:
            thread.start()

    def notes(self, cluster: Cluster) -> list[str]:
        """Return one line for each host that is answered with another certificate than its Secret holds."""
        for thread in self._threads:
            thread.join(max(0, self._end - time.monotonic()))
        found = [(host, self._secrets[host], served) for host, served in sorted(self._found.items())]
        return [
            f"https://{host} is answered with another certificate than that of Secret/{secret}: {_names(served)}. "
            f"Right behind a CDN; else a Secret of another namespace names the host, or its wildcard"
            for host, secret, served in found
            if (own := _own(cluster, secret)) and own != served
        ]

    def _ask(self, host: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is looked at, and nothing is sent
        # RFC 6761 has every *.localhost lead to this machine; few resolvers know.
        address = "127.0.0.1" if host.endswith(".localhost") else host
        with (
            suppress(OSError),
            socket.create_connection((address, PORT), ANSWER_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host) as secured,
        ):
            self._found[host] = secured.getpeercert(binary_form=True) or b""


def _own(cluster: Cluster, secret: str) -> bytes:
    """Return the certificate in a Secret; nothing where there is none, or where it may not be read."""
    with suppress(NoCluster, Refused, ValueError):
        encoded = at(cluster.one("v1", "Secret", secret), "data", "tls.crt") or ""
        first, end, _ = base64.b64decode(encoded).decode().partition(ssl.PEM_FOOTER)
        return ssl.PEM_cert_to_DER_cert(first + end)
    return b""


def _names(certificate: bytes) -> str:
    # Only where something is wrong: it takes long to load.
    from cryptography import x509  # noqa: PLC0415

    found = x509.load_der_x509_certificate(certificate)
    names: list[str] = []
    with suppress(x509.ExtensionNotFound):
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        )
    return f"{', '.join(names) or found.subject.rfc4514_string()}, of {found.issuer.rfc4514_string()}"
