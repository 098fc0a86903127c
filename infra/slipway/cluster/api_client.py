"""HTTP to the API server of a kubeconfig's context, with the TLS, proxy and credentials that kubectl would use.

`Transport` and `AsyncTransport` fit below any client of httpx2, and so below lightkube's.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import tempfile
import urllib.request
from typing import TYPE_CHECKING

import httpx2

from slipway.cluster.credentials import Credential, Credentials, pem
from slipway.cluster.kubeconfig import Access, KubeconfigError

if TYPE_CHECKING:
    from lightkube import Client

CONNECT_SECONDS = 3
ANSWER_SECONDS = 10
UNAUTHORIZED = 401
_PROXIES = ("http", "https", "socks5", "socks5h")


class Transport(httpx2.BaseTransport):
    """Sends requests with credentials. Its constructor raises KubeconfigError for unusable ones."""

    def __init__(self, access: Access) -> None:
        self._signer = _Signer(access)
        self._http = httpx2.HTTPTransport(verify=self._signer.tls, proxy=proxy_to(access), trust_env=False)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, and again if its credential has just expired."""
        used = self._signer.sign(request)
        answer = self._http.handle_request(request)
        if answer.status_code == UNAUTHORIZED and self._signer.renew(used, request):
            answer.close()
            self._signer.sign(request)
            answer = self._http.handle_request(request)
        return answer

    def close(self) -> None:
        self._http.close()


class AsyncTransport(httpx2.AsyncBaseTransport):
    """`Transport` for asyncio."""

    def __init__(self, access: Access) -> None:
        self._signer = _Signer(access)
        self._http = httpx2.AsyncHTTPTransport(verify=self._signer.tls, proxy=proxy_to(access), trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        # In a thread: an exec plugin may take seconds.
        used = await asyncio.to_thread(self._signer.sign, request)
        answer = await self._http.handle_async_request(request)
        if answer.status_code == UNAUTHORIZED and await asyncio.to_thread(self._signer.renew, used, request):
            await answer.aclose()
            await asyncio.to_thread(self._signer.sign, request)
            answer = await self._http.handle_async_request(request)
        return answer

    async def aclose(self) -> None:
        await self._http.aclose()


class _Signer:
    """Puts the credentials of a connection on each request and into its TLS context."""

    def __init__(self, access: Access) -> None:
        self._credentials = Credentials(access)
        self._presented = self._credentials.current()
        self.tls = tls_context(access)
        present_certificate(self.tls, self._presented, access.context)
        self._context = access.context

    def sign(self, request: httpx2.Request) -> Credential:
        """Add the current credential to a request, and return it."""
        try:
            credential = self._credentials.current()
            if credential.certificate != self._presented.certificate:
                present_certificate(self.tls, credential, self._context)
        except KubeconfigError as error:
            raise httpx2.ConnectError(str(error), request=request) from None
        self._presented = credential
        headers = self._credentials.headers(credential)
        replaced = {name.lower() for name, _ in headers}
        kept = [(name, value) for name, value in request.headers.multi_items() if name.lower() not in replaced]
        request.headers = httpx2.Headers([*kept, *headers])
        return credential

    def renew(self, refused: Credential, request: httpx2.Request) -> bool:
        """Return whether another credential replaces a refused one."""
        try:
            return self._credentials.renew(refused)
        except KubeconfigError as error:
            raise httpx2.ConnectError(str(error), request=request) from None


def client(access: Access, namespace: str, transport: httpx2.BaseTransport | None = None) -> Client:
    """Return a client for objects as models. Raises KubeconfigError for unusable credentials."""
    # Imported late, since most verbs and the offline plugin need no models.
    from lightkube import Client  # noqa: PLC0415
    from lightkube.config.kubeconfig import SingleConfig  # noqa: PLC0415
    from lightkube.config.models import Cluster, Context, User  # noqa: PLC0415

    # The transport does TLS and credentials, so lightkube gets none.
    plain = SingleConfig(access.context, Context(access.context), Cluster(access.server, insecure=True), User())
    timeout = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    return Client(plain, namespace=namespace, timeout=timeout, transport=transport or Transport(access))


def http(access: Access, transport: httpx2.BaseTransport | None = None) -> httpx2.Client:
    """Return a client for objects as the API server sends them. Raises KubeconfigError for unusable credentials."""
    timeout = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    return httpx2.Client(base_url=access.server, timeout=timeout, transport=transport or Transport(access))


class _TlsContext(ssl.SSLContext):
    """Verifies the certificate against `server_name` instead of the address, for `tls-server-name`."""

    server_name: str | None = None

    def wrap_socket(  # noqa: PLR0917 - the signature of the standard library
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        name = self.server_name or server_hostname
        return super().wrap_socket(sock, server_side, do_handshake_on_connect, suppress_ragged_eofs, name, session)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return super().wrap_bio(incoming, outgoing, server_side, self.server_name or server_hostname, session)


def tls_context(access: Access) -> ssl.SSLContext:
    """Return the TLS context that verifies the server.

    It is not create_default_context(): since Python 3.13 that refuses certificates without an authority key identifier,
    which many clusters have.
    """
    where = f"the cluster of context {access.context!r}"
    context = _TlsContext(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = access.cluster.get("tls-server-name") or None
    if access.cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authority := pem(access.cluster, "certificate-authority", where):
        try:
            context.load_verify_locations(cadata=authority)
        except (ssl.SSLError, ValueError) as error:
            raise KubeconfigError(f"{where} has a `certificate-authority` without a certificate ({error})") from None
    elif access.server.startswith("https:"):
        context.load_default_certs()
    return context


def present_certificate(context: ssl.SSLContext, credential: Credential, name: str) -> None:
    """Have a TLS context present the client certificate of a credential, if it has one."""
    if not credential.certificate:
        return
    # OpenSSL reads certificates from files only. This one is private, and deleted at once.
    with tempfile.NamedTemporaryFile(mode="w", prefix="slipway-", suffix=".pem") as file:
        file.write(f"{credential.certificate}\n{credential.key}\n")
        file.flush()
        try:
            context.load_cert_chain(file.name, password="")
        except (ssl.SSLError, ValueError, OSError) as error:
            raise KubeconfigError(
                f"the user of context {name!r} has a client certificate that cannot be used with its key "
                f"({getattr(error, 'reason', None) or type(error).__name__})"
            ) from None


def proxy_to(access: Access) -> str | None:
    """Return the proxy to the server: `proxy-url` of the kubeconfig, else that of the environment, as Go chooses it."""
    if proxy := access.cluster.get("proxy-url"):
        if httpx2.URL(str(proxy)).scheme not in _PROXIES:
            raise KubeconfigError(
                f"the cluster of context {access.context!r} has a `proxy-url` that begins with none of "
                f"{', '.join(f'{scheme}://' for scheme in _PROXIES)}"
            )
        return str(proxy)
    url = httpx2.URL(access.server)
    if url.host in ("localhost", "127.0.0.1", "::1") or _is_exempt(url.host, url.port):
        return None
    return urllib.request.getproxies_environment().get(url.scheme)


def _is_exempt(host: str, port: int | None) -> bool:
    """Return whether NO_PROXY names the host. As in Go, it may contain networks such as 10.0.0.0/8."""
    address = f"{host}:{port}" if port else host
    if urllib.request.proxy_bypass_environment(address):  # pyright: ignore[reportAttributeAccessIssue]
        return True
    for entry in urllib.request.getproxies_environment().get("no", "").split(","):
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False
