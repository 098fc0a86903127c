"""An API server that holds what it is given, for everything that reads a cluster by ops/cluster.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
from engine_yaml import Node
from kubeconfig import Access
from settings import Settings
from stack_file import effective, judged, read_defaults

from ops.cluster import KINDS, Cluster, Object
from tests.conftest import API_ONLY, with_changes

URL = "https://10.0.0.1:6443"


@dataclass
class ApiServer:
    """Objects by the plural of their kind, and the log of each container by `pod/container`."""

    objects: Mapping[str, Sequence[Object]] = field(default_factory=dict[str, Sequence[Object]])
    logs: dict[str, str] = field(default_factory=dict[str, str])
    forbidden: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list[str])
    is_down: bool = False

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        self.asked.append(f"{path}?{request.url.query.decode()}")
        if self.is_down:
            raise httpx2.ConnectError("[Errno 111] Connection refused")
        kind = path.rpartition("/")[2]
        if kind in self.forbidden:
            return httpx2.Response(403, json={"kind": "Status", "message": f'{kind} is forbidden: User "dev"'})
        if kind == "log":
            return self._log(path.split("/")[-2], dict(request.url.params))
        if kind not in KINDS:
            return httpx2.Response(404, json={"code": 404, "message": f"{kind} not found"})
        return httpx2.Response(200, json={"items": list(self.objects.get(kind, ()))})

    def _log(self, pod: str, query: dict[str, str]) -> httpx2.Response:
        key = f"{pod}/{query['container']}{' previous' if query.get('previous') == 'true' else ''}"
        if key not in self.logs:
            return httpx2.Response(400, json={"message": f"container of {key} is waiting to start"})
        return httpx2.Response(200, text=self.logs[key])


def settings(stack: str = "dev", changes: dict[str, Any] | None = None) -> Settings:
    """Of a stack after these changes."""
    config = with_changes(stack, {**API_ONLY, **(changes or {})})
    own = Node.of({key.removeprefix("slipway:"): value for key, value in config.items()})
    return judged(stack, effective(own, read_defaults().settings), [])


def cluster(server: Callable[[httpx2.Request], httpx2.Response], changes: dict[str, Any] | None = None) -> Cluster:
    """That of the dev stack."""
    return Cluster("dev", settings("dev", changes), Access("dev", {"server": URL}), httpx2.MockTransport(server))
