"""A fake API server behind a lightkube client, for code of the program that reads the cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx2
from lightkube import Client
from lightkube.config import models
from lightkube.config.kubeconfig import KubeConfig

from slipway.objects import Object

NAMESPACE = "slipway-dev"


@dataclass
class LightkubeServer:
    """Holds objects by plural and name, such as `services/api`, and can fail.

    The first `refused` requests fail to connect, and the first `plain` ones get 503 with plain text. The server does
    not know the kinds in `unknown`, and answers 403 for names in `forbidden`.
    """

    objects: dict[str, Object] = field(default_factory=dict[str, Object])
    refused: int = 0
    plain: int = 0
    forbidden: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    requests: list[str] = field(default_factory=list[str])

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(f"{request.method} {request.url.path}")
        return self._fault(request.url.path) or self._answer(request)

    def _fault(self, path: str) -> httpx2.Response | None:
        *_, parent, last = path.split("/")
        if self.refused:
            self.refused -= 1
            raise httpx2.ConnectError("[Errno 111] Connection refused")
        if self.plain:
            self.plain -= 1
            return httpx2.Response(503, text="no server is available")
        if last in self.unknown or parent in self.unknown:
            return httpx2.Response(404, text="404 page not found")
        if last in self.forbidden:
            return httpx2.Response(403, json={"code": 403, "message": f"{last} is forbidden"})
        return None

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        *_, parent, last = request.url.path.split("/")
        if request.method == "POST":
            created = json.loads(request.content)
            self.objects[f"{last}/{created['metadata']['name']}"] = created
            return httpx2.Response(201, json=created)
        name = f"{parent}/{last}"
        if last.endswith("s") and name not in self.objects:
            return httpx2.Response(200, json={"items": self._listed(last, request)})
        if name not in self.objects:
            return httpx2.Response(404, json={"code": 404, "message": f"{name} not found"})
        return httpx2.Response(200, json=self.objects.pop(name) if request.method == "DELETE" else self.objects[name])

    def _listed(self, plural: str, request: httpx2.Request) -> list[Object]:
        selector: str = request.url.params.get("labelSelector") or ""
        wanted = {key: value for key, _, value in (pair.partition("=") for pair in selector.split(",") if pair)}
        items = [item for name, item in self.objects.items() if name.startswith(f"{plural}/")]
        return [item for item in items if wanted.items() <= item["metadata"].get("labels", {}).items()]

    def client(self) -> Client:
        """Return a client in the namespace of stack dev."""
        server = models.Cluster(server="https://10.0.0.1:6443", insecure=True)
        config = KubeConfig.from_one(cluster=server, user=models.User())
        return Client(config.get(), namespace=NAMESPACE, transport=httpx2.MockTransport(self), trust_env=False)


def named(name: str, **fields: Any) -> Object:
    """Return an object of stack dev, with the labels the program gives."""
    labels = {"app.kubernetes.io/instance": "slipway-dev", "app.kubernetes.io/managed-by": "pulumi"}
    return {"metadata": {"name": name, "namespace": NAMESPACE, "labels": labels}, **fields}
