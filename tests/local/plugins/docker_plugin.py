"""Helpers of the tests of the docker plugin: a fake daemon, and the plugin as a process that speaks gRPC."""

import http.server
import json
import os
import subprocess
import sys
import tarfile
import threading
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc

from local.plugins.provider import plain, wrap

ROOT = Path(__file__).resolve().parents[3]
URN = "urn:pulumi:local::slipway::slipway:AppImage$docker:index/image:Image::api"
PUSHED = "sha256:" + "ab" * 32
LOCAL_ID = "sha256:" + "cd" * 32


@dataclass
class FakeDaemon:
    """Answers the few calls a build and a push need, and remembers what it was sent."""

    port: int = 0
    build_answer: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    push_answer: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    requests: list[str] = field(default_factory=list[str])
    context: bytes = b""
    login: str = ""

    def reset(self) -> None:
        self.build_answer = [{"stream": "Step 1/1 : FROM scratch\n"}, {"stream": "Successfully built cd\n"}]
        self.push_answer = [{"status": "Pushed", "id": "layer"}, {"aux": {"Tag": "1", "Digest": PUSHED, "Size": 5}}]
        self.requests, self.context, self.login = [], b"", ""

    def files(self) -> dict[str, tarfile.TarInfo]:
        with tarfile.open(fileobj=BytesIO(self.context)) as archive:
            return {member.name: member for member in archive}


def serve_docker(daemon: FakeDaemon) -> http.server.ThreadingHTTPServer:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None: ...

        def do_GET(self) -> None:
            if self.path.endswith("/version"):
                self.answer([{"ApiVersion": "1.41", "Version": "20.10.24"}])
            else:
                self.answer([{"Id": LOCAL_ID}])

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            daemon.requests.append(self.path)
            if "/build" in self.path:
                daemon.context = body
                self.answer(daemon.build_answer)
            else:
                daemon.login = self.headers.get("X-Registry-Auth", "")
                self.answer(daemon.push_answer)

        def answer(self, lines: list[dict[str, Any]]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in [*(json.dumps(line).encode() + b"\r\n" for line in lines), b""]:
                self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class FakeEngineLog(engine_pb2_grpc.EngineServicer):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def Log(self, request: Any, context: Any) -> empty_pb2.Empty:
        self.messages.append(request.message)
        return empty_pb2.Empty()


@dataclass
class RunningPlugin:
    """The plugin as the engine sees it."""

    process: subprocess.Popen[bytes]
    stub: Any
    engine: FakeEngineLog
    folder: Path

    def check(self, inputs: dict[str, Any] | dict[str, PropertyValue], urn: str = URN) -> Any:
        news = PropertyValue.marshal_map(
            {key: v if isinstance(v, PropertyValue) else wrap(v) for key, v in inputs.items()}
        )
        return self.stub.Check(provider_pb2.CheckRequest(urn=urn, news=news))

    def diff(self, old: Any, new: Any) -> Any:
        return self.stub.Diff(provider_pb2.DiffRequest(urn=URN, id="x", old_inputs=old, olds=old, news=new))

    def create(self, inputs: Any, preview: bool = False) -> dict[str, Any]:
        answer = self.stub.Create(provider_pb2.CreateRequest(urn=URN, properties=inputs, preview=preview))
        return plain(PropertyValue.unmarshal_map(answer.properties))


def start_plugin(engine: str, folder: Path, docker_host: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "DOCKER_HOST": docker_host, "DOCKER_CONFIG": str(folder)}
    command = [sys.executable, "-P", "-m", "local.plugins.docker", engine]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=folder, env=environment)


def connect(process: subprocess.Popen[bytes]) -> Any:
    assert process.stdout is not None
    port = int(process.stdout.readline())
    return provider_pb2_grpc.ResourceProviderStub(grpc.insecure_channel(f"127.0.0.1:{port}"))


def image(app: Path, plugin: RunningPlugin, **more: Any) -> dict[str, Any]:
    build = {"context": str(app.relative_to(plugin.folder)), **more.pop("build", {})}
    return {"imageName": "localhost:5000/api:1", "build": build, **more}


def digest(plugin: RunningPlugin, inputs: dict[str, Any]) -> str:
    return plain(PropertyValue.unmarshal_map(plugin.check(inputs).inputs))["build"]["contextDigest"]


def reasons(answer: Any) -> list[str]:
    return [failure.reason for failure in answer.failures]


def refusal(call: Any, *arguments: Any, **keywords: Any) -> str:
    with pytest.raises(grpc.RpcError) as error:
        call(*arguments, **keywords)
    return str(error.value.details())  # pyright: ignore[reportAttributeAccessIssue]
