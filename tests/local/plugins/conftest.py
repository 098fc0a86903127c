"""Both plugins as running processes."""

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2

from tests.local.plugins.docker_plugin import (
    FakeDaemon,
    FakeEngineLog,
    RunningPlugin,
    connect,
    serve_docker,
    start_plugin,
)
from tests.local.plugins.kubernetes_plugin import EngineClient
from tests.plugins.watchdog import child

# --- docker


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningPlugin, FakeDaemon]]:
    daemon, engine, folder = FakeDaemon(), FakeEngineLog(), tmp_path_factory.mktemp("program")
    docker = serve_docker(daemon)
    engine_server = grpc.server(ThreadPoolExecutor(2))
    engine_pb2_grpc.add_EngineServicer_to_server(engine, engine_server)
    engine_port = engine_server.add_insecure_port("127.0.0.1:0")
    engine_server.start()
    process = start_plugin(f"127.0.0.1:{engine_port}", folder, f"tcp://127.0.0.1:{docker.server_port}")
    plugin = RunningPlugin(process, connect(process), engine, folder)
    plugin.stub.Configure(provider_pb2.ConfigureRequest())
    yield plugin, daemon
    process.kill()
    process.wait()
    docker.shutdown()
    engine_server.stop(None)


@pytest.fixture
def daemon(started: tuple[RunningPlugin, FakeDaemon]) -> FakeDaemon:
    started[1].reset()
    return started[1]


@pytest.fixture
def plugin(started: tuple[RunningPlugin, FakeDaemon], daemon: FakeDaemon) -> RunningPlugin:
    started[0].engine.messages.clear()
    return started[0]


@pytest.fixture
def app(plugin: RunningPlugin, request: pytest.FixtureRequest) -> Path:
    """A folder `app` with a Dockerfile and one source file, beneath the program's folder."""
    folder = plugin.folder / re.sub(r"\W", "_", request.node.name) / "app"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY main.go /\n")
    (folder / "main.go").write_text("package main\n")
    return folder


# --- kubernetes


@pytest.fixture(scope="module")
def plugin_process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-P", "-m", "local.plugins.kubernetes", "127.0.0.1:9"]
    pipe = subprocess.PIPE
    with child(command, text=True, stdin=pipe, stdout=pipe) as process:
        yield process
        assert process.stdin
        process.stdin.close()
        assert process.wait(timeout=10) == 0, "the plugin ends with its engine"


@pytest.fixture(scope="module")
def address(plugin_process: subprocess.Popen[str]) -> str:
    assert plugin_process.stdout
    return f"127.0.0.1:{plugin_process.stdout.readline().strip()}"


@pytest.fixture
def engine(address: str) -> Iterator[EngineClient]:
    with grpc.insecure_channel(address) as channel:
        engine = EngineClient(channel)
        engine.configure(context="none")
        yield engine
