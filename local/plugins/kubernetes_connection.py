"""One signed-in HTTP connection to the API server of a kubeconfig's context.

lightkube reads the kubeconfig and signs in (certificates, tokens, exec plugins). Its resource classes are left aside:
they would turn objects into models and drop what they do not know.
"""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any, cast

import httpx2
import msgspec
import yaml
from lightkube.config.client_adapter import AsyncClient, ConnectionParams
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.config.models import NameValue, User
from lightkube.core.exceptions import ConfigError

from local.plugins.kubernetes_errors import Unreachable

_CONNECT_SECONDS = 3
_ANSWER_SECONDS = 30
_PROBE_SECONDS = 4


class Connection:
    """Sends requests; the kubeconfig is read when it is made. Every failure to get an answer is Unreachable."""

    def __init__(self, kubeconfig: str, context: str) -> None:
        config = _context_config(kubeconfig, context)
        _allow_exec_v1(config)
        self.server = f"{config.cluster.server} (context {config.context_name})"
        self.default_namespace = config.namespace
        # Like Go's HTTP client: proxies of the environment, but never for the machine itself.
        is_local = httpx2.URL(config.cluster.server).host in ("127.0.0.1", "::1", "localhost")
        timeout = httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
        try:
            self._http = AsyncClient(config, ConnectionParams(timeout=timeout, trust_env=not is_local))
        except (OSError, ValueError, ConfigError) as error:
            raise Unreachable(f"the credentials of context {config.context_name} cannot be used: {error}") from error

    async def send(self, method: str, path: str, **arguments: Any) -> httpx2.Response:
        try:
            return await self._http.request(method, path, **arguments)
        except (httpx2.TransportError, ConfigError, OSError) as error:  # the latter two: an exec plugin that fails
            cause = str(error) or type(error).__name__
            raise Unreachable(f"the Kubernetes API server {self.server} does not answer: {cause}") from error

    async def probe(self) -> None:
        """Returns once the server has answered; Unreachable after a few seconds without, or if it knows us not."""
        give_up = time.monotonic() + _PROBE_SECONDS
        while True:
            try:
                answer = await self.send("GET", "/version", timeout=_CONNECT_SECONDS)
                break
            except Unreachable:
                if time.monotonic() + 1 > give_up:
                    raise
            await asyncio.sleep(1)
        if answer.status_code == 401:
            raise Unreachable(f"the Kubernetes API server {self.server} does not accept the credentials (401)")


def _context_config(kubeconfig: str, context: str) -> SingleConfig:
    sources = [kubeconfig] if kubeconfig else os.environ.get("KUBECONFIG", "~/.kube/config").split(os.pathsep)
    known: set[str] = set()
    for source in sources:
        config = _read(source)
        known |= set(config.contexts)
        name = context or config.current_context or ""
        if name in config.contexts:
            try:
                single = cast("SingleConfig", config.get(name))
            except KeyError as error:
                raise Unreachable(f"context {name} names {error}, which the kubeconfig does not define") from error
            return single if single.user else single._replace(user=User())
    wanted = f"no context {context!r}" if context else "no current context"
    raise Unreachable(f"{wanted} in {_shown(sources)} (contexts there: {', '.join(sorted(known)) or 'none'})")


def _read(source: str) -> KubeConfig:
    """A kubeconfig from a path or from its text."""
    path = None if _is_text(source) else Path(source).expanduser()
    try:
        content: Any = yaml.safe_load(path.read_text() if path else source)
        settings: dict[str, Any] = {"clusters": [], "contexts": [], **cast("dict[str, Any]", content or {})}
        return KubeConfig.from_dict(settings, fname=path)  # pyright: ignore[reportUnknownMemberType]
    except FileNotFoundError:
        raise Unreachable(f"there is no kubeconfig {source}") from None
    except (OSError, yaml.YAMLError, msgspec.ValidationError, KeyError, TypeError) as error:
        # Only the type: the text of a YAML error quotes the file, which holds keys.
        raise Unreachable(f"{_shown([source])} is not a kubeconfig ({type(error).__name__})") from None


def _is_text(source: str) -> bool:
    return "\n" in source or source.lstrip().startswith("{")


def _shown(sources: list[str]) -> str:
    return ", ".join("the given kubeconfig" if _is_text(source) else source for source in sources)


def _allow_exec_v1(config: SingleConfig) -> None:
    """Lets lightkube run exec plugins of API version v1, which differs in nothing it uses, and tells them so."""
    plugin = config.user.exec if config.user else None
    if plugin is None:
        return
    info = {"apiVersion": plugin.apiVersion, "kind": "ExecCredential", "spec": {"interactive": False}}
    plugin.env = [*(plugin.env or []), NameValue("KUBERNETES_EXEC_INFO", json.dumps(info))]
    if plugin.apiVersion == "client.authentication.k8s.io/v1":
        plugin.apiVersion = "client.authentication.k8s.io/v1beta1"
