"""An authenticated HTTP connection to the API server of one kubeconfig context.

The program's own modules read the kubeconfig and the credentials, so that the program, ./slipway and this plugin reach
the same server in the same way. lightkube's resource classes are not used: they drop fields that they do not know.
"""

import asyncio
import time
from typing import Any

import httpx2

from local.plugins.kubernetes.objects import UnreachableError
from slipway.cluster.api_client import CONNECT_SECONDS, AsyncTransport
from slipway.cluster.kubeconfig import KubeconfigError, load

_RESPONSE_SECONDS = 30
_PROBE_SECONDS = 4


class ApiConnection:
    """Sends requests to one API server. Every failure to get an answer raises UnreachableError."""

    def __init__(self, kubeconfig: str, context: str) -> None:
        try:
            access = load(kubeconfig).access(context)
            transport = AsyncTransport(access)
        except KubeconfigError as error:
            raise UnreachableError(str(error)) from None
        self.server = f"{access.server} (context {access.context})"
        self.default_namespace = access.namespace
        timeout = httpx2.Timeout(_RESPONSE_SECONDS, connect=CONNECT_SECONDS)
        self._http = httpx2.AsyncClient(base_url=access.server, timeout=timeout, transport=transport)

    async def send(self, method: str, path: str, **arguments: Any) -> httpx2.Response:
        try:
            return await self._http.request(method, path, **arguments)
        except (httpx2.TransportError, OSError) as error:
            cause = str(error) or type(error).__name__
            raise UnreachableError(f"the Kubernetes API server {self.server} does not answer: {cause}") from error

    async def probe(self) -> None:
        """Wait for an answer. Raise UnreachableError after a few seconds, or if the server rejects the credentials."""
        deadline = time.monotonic() + _PROBE_SECONDS
        while True:
            try:
                answer = await self.send("GET", "/version", timeout=CONNECT_SECONDS)
                break
            except UnreachableError:
                if time.monotonic() + 1 > deadline:
                    raise
                await asyncio.sleep(1)
        if answer.status_code == 401:
            raise UnreachableError(f"the Kubernetes API server {self.server} does not accept the credentials (401)")
