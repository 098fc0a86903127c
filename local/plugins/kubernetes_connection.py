"""One signed-in HTTP connection to the API server of a kubeconfig's context.

Kubeconfig and credentials are read by the program's own modules, so that program, ./slipway and plugin reach the same
server in the same way. lightkube's resource classes are left aside: they would turn objects into models and drop what
they do not know.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

# The program's modules import each other by bare name. Last on the path, so that none of them hides a package.
sys.path.append(str(Path(__file__).resolve().parents[2] / "infra"))

from api_client import CONNECT_SECONDS, AsyncTransport
from kubeconfig import KubeconfigError, load

from local.plugins.kubernetes_errors import Unreachable

_ANSWER_SECONDS = 30
_PROBE_SECONDS = 4


class Connection:
    """Sends requests; the kubeconfig is read when it is made. Every failure to get an answer is Unreachable."""

    def __init__(self, kubeconfig: str, context: str) -> None:
        try:
            access = load(kubeconfig).access(context)
            transport = AsyncTransport(access)
        except KubeconfigError as error:
            raise Unreachable(str(error)) from None
        self.server = f"{access.server} (context {access.context})"
        self.default_namespace = access.namespace
        timeout = httpx2.Timeout(_ANSWER_SECONDS, connect=CONNECT_SECONDS)
        self._http = httpx2.AsyncClient(base_url=access.server, timeout=timeout, transport=transport)

    async def send(self, method: str, path: str, **arguments: Any) -> httpx2.Response:
        try:
            return await self._http.request(method, path, **arguments)
        except (httpx2.TransportError, OSError) as error:
            cause = str(error) or type(error).__name__
            raise Unreachable(f"the Kubernetes API server {self.server} does not answer: {cause}") from error

    async def probe(self) -> None:
        """Returns once the server has answered; Unreachable after a few seconds without, or if it knows us not."""
        give_up = time.monotonic() + _PROBE_SECONDS
        while True:
            try:
                answer = await self.send("GET", "/version", timeout=CONNECT_SECONDS)
                break
            except Unreachable:
                if time.monotonic() + 1 > give_up:
                    raise
                await asyncio.sleep(1)
        if answer.status_code == 401:
            raise Unreachable(f"the Kubernetes API server {self.server} does not accept the credentials (401)")
