"""A Go app in a folder, a `go` that is a script, and a cluster that runs the release of the app."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from slipway.image.source import tag_of
from slipway.ops.cluster.connection import StackCluster
from slipway.ops.development.session import Session
from slipway.ops.development.target import Target
from slipway.ops.diagnosis import locks
from slipway.settings.sections.images import Image
from tests import api_server
from tests.development.fake_cluster import FakeCluster, is_running

# The compiler of this app: the program is its source, and the word "broken" is an error.
GO = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
if grep -q broken main.go; then
    printf '# example.com/api\\n./main.go:3:1: undefined: broken\\n' >&2
    exit 1
fi
cp main.go "$2"
chmod +x "$2"
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the app."""
    programs, app = tmp_path / "bin", tmp_path / "app"
    programs.mkdir()
    (programs / "go").write_text(GO)
    (programs / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    app.mkdir()
    (app / "go.mod").write_text("module example.com/api\n\ngo 1.26\n")
    (app / "main.go").write_text("package main // 1\n")
    return app


@pytest.fixture
def image(app: Path) -> Image:
    """The image of the app. Its context is an absolute path, which a stack file may not name."""
    image = Image(repository="registry.example.com/slipway/api", builder="daemonless")
    return image.model_copy(update={"context": str(app)})


@pytest.fixture
def server(image: Image, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """The cluster, which runs the app as it is."""
    monkeypatch.setattr(locks, "state_locks", lambda _: [])
    return FakeCluster(is_running(tag_of(image)))


@pytest.fixture
def cluster(server: FakeCluster, image: Image) -> StackCluster:
    found = api_server.cluster(server)
    settings = found.settings.model_copy(update={"image": image})
    return StackCluster(found.stack, settings, found.access, found.transport)


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The versions that were pushed."""
    versions: list[str] = []

    def push(_: object, repository: str, tag: str) -> bool:
        versions.append(tag)
        return True

    monkeypatch.setattr("slipway.image.registry.push", push)
    return versions


@pytest.fixture
def session(cluster: StackCluster, image: Image, pushed: list[str]) -> Generator[Session]:
    """A session that has begun."""
    session = Session(cluster, [Target("api", image, ("api",))])
    session.begin()
    yield session
    session.end()


@pytest.fixture
def save(app: Path) -> Callable[[str], None]:
    """`save("package main")` writes the source of the app."""
    return (app / "main.go").write_text  # pyright: ignore[reportReturnType]
