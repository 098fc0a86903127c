"""What `./slipway doctor` finds of this machine and of the registry."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Generator
from importlib import metadata
from pathlib import Path

import pytest

from slipway.ops.prerequisites import docker, machine
from slipway.settings.settings import Settings
from tests import api_server as fake
from tests.conftest import recorded
from tests.image.fake_registry import FakeRegistry, serve_registry
from tests.paths import REPOSITORY

SDK = metadata.version("pulumi")


@pytest.fixture
def registry() -> Generator[FakeRegistry]:
    yield from serve_registry()


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`cli("exit 1")`: `pulumi` on the PATH is this script, and there are no plugins yet."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))

    def write(script: str) -> None:
        (tmp_path / "pulumi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "pulumi").chmod(0o755)

    return write


def test_the_oldest_python_is_that_of_the_package(monkeypatch: pytest.MonkeyPatch):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={'.'.join(map(str, machine.OLDEST_PYTHON))}"
    assert machine.python().state == "ok"
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    assert machine.python().problems[0].cause == "this is Python 3.10.4; 3.11 is the oldest supported"


@pytest.mark.parametrize(
    ("script", "state"),
    [(f"echo v{SDK}", "ok"), ("echo v3.900.0", "ok"), ("echo v3.12.0", "failed"), ("exit 1", "failed")],
    ids=["the same", "newer", "older", "broken"],
)
def test_a_pulumi_that_is_older_than_its_sdk_is_refused(cli: Callable[[str], None], script: str, state: str):
    cli(script)
    assert machine.pulumi().state == state


def test_without_pulumi_the_fix_is_a_command_or_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    assert f"install Pulumi {SDK}" in machine.pulumi().problems[0].fix
    (tmp_path / ".slipway" / "bin").mkdir(parents=True)
    (tmp_path / ".slipway" / "bin" / "pulumi").touch()
    assert machine.pulumi().problems[0].fix == ". ./activate"


def test_plugins_have_to_be_there_in_the_versions_of_their_sdks(cli: Callable[[str], None], tmp_path: Path):
    cli("exit 0")
    version = metadata.version("pulumi-kubernetes")
    missing = machine.plugins(recorded("dev")).problems
    assert f"pulumi plugin install resource kubernetes {version}" in [problem.fix for problem in missing]
    for problem in missing:
        *_, name, wanted = problem.fix.split()
        (tmp_path / "plugins" / f"resource-{name}-v{wanted}").mkdir(parents=True)
    assert machine.plugins(recorded("dev")).state == "ok"


def pushing_to(repository: str) -> Settings:
    return fake.settings("local", {"image": {"repository": repository}})


def test_a_registry_that_takes_the_login_is_fine(registry: FakeRegistry):
    assert machine.registries("local", pushing_to(f"{registry.host}/team/api")).state == "ok"


def test_a_registry_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch):
    [problem] = machine.registries("local", pushing_to("localhost:9/team/api")).problems
    assert "image registry localhost:9 cannot be reached" in problem.cause
    monkeypatch.setattr(docker, "docker_answers", lambda: False)
    assert machine.docker("local", pushing_to("localhost:9/team/api")).state == "failed"


def test_a_registry_that_refuses_the_login_is_fixed_by_a_login(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch):
    import pulumi

    def refuse(*_: str) -> None:
        raise pulumi.RunError("image registry r.example.com refuses GET: 401")

    monkeypatch.setattr(machine.registry, "tagged_manifest", refuse)
    [problem] = machine.registries("local", pushing_to(f"{registry.host}/team/api")).problems
    assert problem.fix == f"docker login {registry.host}, as somebody who may push there"
