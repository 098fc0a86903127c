"""Helpers of the tests of the kubernetes plugin: an API without a cluster, and the engine's side of the protocol."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

URN = "urn:pulumi:dev::p::slipway:index:WebService$kubernetes:{type}::{name}"


class EngineClient:
    """The engine's side of the plugin protocol."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.stub: Any = provider_pb2_grpc.ResourceProviderStub(channel)

    def configure(self, **options: Any) -> None:
        request = provider_pb2.ConfigureRequest(args=struct(options), acceptSecrets=True)
        self.stub.Configure(request)

    def check(self, token: str, new: Any, old: Any = None, name: str = "web", seed: bytes = b"seed") -> Any:
        urn = URN.format(type=token, name=name)
        request = provider_pb2.CheckRequest(urn=urn, olds=struct(old or {}), news=struct(new), randomSeed=seed)
        return self.stub.Check(request)

    def checked(self, token: str, new: Any, old: Any = None, **more: Any) -> dict[str, Any]:
        answer = self.check(token, new, old, **more)
        assert not answer.failures
        return json_format.MessageToDict(answer.inputs)

    def diff(self, token: str, old: Any, new: Any, ignore: tuple[str, ...] = ()) -> Any:
        urn = URN.format(type=token, name="web")
        request = provider_pb2.DiffRequest(
            urn=urn, id="x", olds=struct(old), old_inputs=struct(old), news=struct(new), ignoreChanges=ignore
        )
        return self.stub.Diff(request)


def struct(value: Any) -> struct_pb2.Struct:
    return json_format.ParseDict(value, struct_pb2.Struct())


def named(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", "namespace": "shop"}} | fields


class FakeApi:
    """Answers with one version of the object after the other, and with lists by the last word of their path."""

    def __init__(self, *versions: dict[str, Any] | None, **lists: list[dict[str, Any]]) -> None:
        self.versions = list(versions)
        self.lists = lists
        self.cancelled = False

    async def get(self, *_: Any) -> dict[str, Any] | None:
        return self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]

    async def items(self, path: str, **_: str) -> list[dict[str, Any]]:
        return self.lists.get(path.rpartition("/")[2], [])

    async def log_tail(self, *_: Any, **__: Any) -> str:
        return "starting\npanic: no database"

    async def pause(self, seconds: float) -> bool:
        return not self.cancelled
