"""A fake API server, for code that reads the cluster through infra/slipway/ops/cluster/connection.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from slipway.cluster.kubeconfig import Access
from slipway.objects import Object
from slipway.ops.cluster.connection import KINDS, StackCluster
from slipway.settings.engine_yaml import Node
from slipway.settings.layers import effective
from slipway.settings.settings import Settings
from slipway.settings.source_files import read_defaults
from slipway.settings.stack_file import validated_settings
from tests.conftest import API_ONLY, with_changes

URL = "https://10.0.0.1:6443"


@dataclass
class ApiServer:
    """Holds objects by the plural of their kind, and the log of each container by `pod/container`."""

    objects: Mapping[str, Sequence[Object]] = field(default_factory=dict[str, Sequence[Object]])
    logs: dict[str, str] = field(default_factory=dict[str, str])
    forbidden: tuple[str, ...] = ()
    requests: list[str] = field(default_factory=list[str])
    is_down: bool = False

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        self.requests.append(f"{path}?{request.url.query.decode()}")
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
    """Return the settings of a stack with these changes."""
    config = with_changes(stack, {**API_ONLY, **(changes or {})})
    own = Node.of({key.removeprefix("slipway:"): value for key, value in config.items()})
    return validated_settings(stack, effective(own, read_defaults().settings), [])


def cluster(server: Callable[[httpx2.Request], httpx2.Response], changes: dict[str, Any] | None = None) -> StackCluster:
    """Return the cluster of the dev stack, behind this server."""
    return StackCluster("dev", settings("dev", changes), Access("dev", {"server": URL}), httpx2.MockTransport(server))
