"""A project of its own for each test, with an engine and a cluster that are not there."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from slipway.cluster.kubeconfig import Access
from slipway.ops.cluster import connection
from slipway.ops.cluster.connection import StackCluster
from slipway.ops.environments import create, delete, secrets
from slipway.ops.program import engine_state, recorder
from slipway.ops.program.engine_state import EngineError
from slipway.ops.releases import destroy
from slipway.settings import source_files
from slipway.settings.settings import Settings
from tests.api_server import URL
from tests.environments.fake_cluster import FakeCluster, named, stack_objects
from tests.paths import PROJECT

SALT = "v1:AAAAAAAAAAA=:v1:BBBBBBBBBBBB:CCCC=="


@dataclass
class FakeEngine:
    """Answers as pulumi 3.259.0 does; the state of its backend is the two mappings."""

    stacks: Path
    known: dict[str, dict[str, Any]] = field(default_factory=lambda: {"dev": {"name": "dev", "current": True}})
    tags: dict[str, str] = field(default_factory=dict[str, str])
    last_update: dict[str, str] = field(default_factory=dict[str, str])
    """The stack file of each stack as its last update has seen it."""
    calls: list[str] = field(default_factory=list[str])
    given: dict[str, str] = field(default_factory=dict[str, str])
    """Secrets by key."""
    handed_on: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    """Secrets by stack and key, as the backend holds them encrypted."""

    def __call__(self, *arguments: str, given: str | None = None) -> str:
        self.calls.append(" ".join(arguments))
        match arguments:
            case ("stack", "ls", "--json", *options):
                listed = [stack for name, stack in self.known.items() if not options or name in self.tags]
                return json.dumps(listed)
            case ("stack", "init", name, *_):
                self.known[name] = {"name": name, "current": False, "resourceCount": 0}
                (self.stacks / f"Pulumi.{name}.yaml").write_text(f"encryptionsalt: {SALT}\n")
            case ("stack", "tag", "set", _, value, "-s", name):
                self.tags[name] = value
                self._select(name)
            case ("stack", "tag", "get", _, "-s", name):
                return f"{self.tags[name]}\n"
            case ("stack", "select", name):
                self._select(name)
            case ("stack", "unselect"):
                self._select("")
            case ("stack", "rm", name, *_):
                del self.known[name]
                self.tags.pop(name, None)
                self._select("")
                (self.stacks / f"Pulumi.{name}.yaml").unlink(missing_ok=True)
            case ("config", *_):
                return self._config(*arguments[1:], given=given)
            case _:
                raise AssertionError(arguments)
        return ""

    def _config(self, *arguments: str, given: str | None) -> str:
        match arguments:
            case ("set", "--secret", key, "-s", name):
                self._set_secret(name, key, str(given).removesuffix("\n"))
            case ("get", key, "-s", name):
                return f"{key} of {name}\n"
            case ("--json", "--show-secrets", "-s", name):
                settings = yaml.safe_load((self.stacks / f"Pulumi.{name}.yaml").read_text())["config"]
                encrypted = [key for key, value in settings.items() if isinstance(value, dict) and "secure" in value]
                shown = {key: {"value": self.handed_on[name, key], "secret": True} for key in encrypted}
                return json.dumps({"slipway:services": {"value": "{}", "objectValue": {}, "secret": False}, **shown})
            case ("refresh", "--force", "-s", name):
                if name not in self.last_update:
                    raise EngineError("`pulumi config refresh`: getting latest configuration: no previous deployment")
                (self.stacks / f"Pulumi.{name}.yaml").write_text(self.last_update[name])
            case _:
                raise AssertionError(arguments)
        return ""

    def _select(self, name: str) -> None:
        for stack in self.known.values():
            stack["current"] = stack["name"] == name

    def _set_secret(self, name: str, key: str, value: str) -> None:
        self.given[key] = self.handed_on[name, f"slipway:{key}"] = value
        file = self.stacks / f"Pulumi.{name}.yaml"
        document = yaml.safe_load(file.read_text())
        document["config"][f"slipway:{key}"] = {"secure": "v1:encrypted"}
        head = file.read_text().partition("\n")[0]
        file.write_text(f"{head}\n{yaml.safe_dump(document, sort_keys=False)}")

    def made(self, name: str, value: str, changed: str = "") -> None:
        """Let there be an environment that another clone has made."""
        self.known[name] = {"name": name, "current": False, "resourceCount": 31}
        self.known[name] |= {"lastUpdate": changed} if changed else {}
        self.tags[name] = value


@dataclass
class World:
    """Everything that `./slipway env` works on. `commands` are the verbs that it runs."""

    root: Path
    engine: FakeEngine
    cluster: FakeCluster
    commands: list[str] = field(default_factory=list[str])

    def file(self, name: str) -> dict[str, Any]:
        return yaml.safe_load((self.root / "stacks" / f"Pulumi.{name}.yaml").read_text())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    shutil.copytree(PROJECT / "stacks", tmp_path / "stacks")
    monkeypatch.setattr(source_files, "STACKS", tmp_path / "stacks")
    for module in (recorder, secrets, delete):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(delete, "GOLDEN", tmp_path / "stacks" / "golden")
    made = World(tmp_path, FakeEngine(tmp_path / "stacks"), FakeCluster(stack_objects("pr-123")))
    monkeypatch.setattr(engine_state, "pulumi", made.engine)

    def connect(stack: str, settings: Settings) -> StackCluster:
        return StackCluster(stack, settings, Access("dev", {"server": URL}), httpx2.MockTransport(made.cluster))

    def up(stack: str, **_: Any) -> int:
        made.commands.append(f"up {stack}")
        made.engine.known[stack]["resourceCount"] = 31
        namespace = made.file(stack)["config"]["slipway:namespace"]
        made.cluster.objects["namespaces"][namespace] = named(namespace, stack)
        return 0

    def destroyed(_: str, stack: str, **__: Any) -> int:
        made.commands.append(f"destroy {stack}")
        made.cluster.objects["namespaces"].clear()
        return 0

    monkeypatch.setattr(connection, "connect", connect)
    monkeypatch.setattr(create.up, "command", up)
    monkeypatch.setattr(destroy, "command", destroyed)
    return made
