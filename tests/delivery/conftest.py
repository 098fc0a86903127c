"""Stacks as the engine and their clusters know them, for the tests of promotion: states and API servers from tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
import yaml

from slipway.cluster.kubeconfig import Access
from slipway.ops.cluster import connection
from slipway.ops.cluster.connection import StackCluster
from slipway.ops.delivery import migrations
from slipway.ops.delivery.columns import Schema
from slipway.ops.delivery.migrations import Migration
from slipway.ops.program import config, engine_state
from slipway.ops.program.engine_state import State, UnknownToEngineError
from slipway.ops.releases.trials import first_request
from slipway.ops.supply_chain import evidence as supply_chain
from slipway.settings.settings import Settings
from tests import api_server
from tests.api_server import URL, ApiServer

NEW = "registry.example.com/slipway/api:src-2@sha256:" + "2" * 64
OLD = "registry.example.com/slipway/api:src-1@sha256:" + "1" * 64
RAN = {"slipway/first-request": "2026-11-30T09:00:00+00:00"}
PROMOTED = {**RAN, "slipway/image-commit": "1a1a1a1a"}
MYSQL = {"source": "cluster", "image": "registry.example.com/mysql@sha256:" + "0" * 64}
BUILT = {"slipway/at": "2026-11-30T08:59:00+00:00", "slipway/by": "Jane Doe", "slipway/commit": "72015a6e"}


def record(revision: str, image: str, notes: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the ConfigMap of a release."""
    metadata = {"name": f"release-{revision}", "annotations": {**BUILT, **(notes or {})}}
    return {"metadata": metadata, "data": {"settings.yaml": yaml.safe_dump({"services": {"api": {}}}), "image": image}}


def state_of(stack: str, release: dict[str, Any] | None, exported: str | None = None) -> State:
    """Return the engine's state of a stack with a release in force; its outputs may name another image."""
    urn = f"urn:pulumi:{stack}::slipway::"
    image = release["data"]["image"] if release else None
    outputs = {"urn": f"{urn}pulumi:pulumi:Stack::slipway-{stack}", "type": "pulumi:pulumi:Stack"}
    known: list[dict[str, Any]] = [{**outputs, "outputs": {"image": exported or image}}]
    if release:
        of_record = {"urn": f"{urn}kubernetes:core/v1:ConfigMap::release", "type": "kubernetes:core/v1:ConfigMap"}
        known.append({**of_record, "inputs": release})
    return {"deployment": {"resources": known}}


@dataclass
class Cluster(ApiServer):
    """The cluster of one stack, which also takes notes on objects and serves single ones."""

    patched: dict[str, Any] = field(default_factory=dict[str, Any])

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        *_, kind, name = request.url.path.split("/")
        if request.method == "PATCH":
            self.patched[f"{kind}/{name}"] = json.loads(request.content)
            return httpx2.Response(200, json={})
        for found in self.objects.get(kind, ()):
            if found["metadata"]["name"] == name:
                return httpx2.Response(200, json=found)
        return super().__call__(request)


@dataclass
class World:
    """All stacks. Change what a test is about, and leave the rest as it is."""

    settings: dict[str, Settings] = field(default_factory=dict[str, Settings])
    states: dict[str, State] = field(default_factory=dict[str, State])
    clusters: dict[str, Cluster] = field(default_factory=dict[str, Cluster])
    pending: list[Migration] = field(default_factory=list[Migration])
    """The migrations that are new between any two commits."""
    commits: list[str] = field(default_factory=list[str])
    """The commits between which migrations were looked for."""

    def runs(
        self,
        stack: str,
        revision: str,
        image: str,
        notes: Mapping[str, str] | None = None,
        *former: dict[str, Any],
    ) -> None:
        """Let a stack run a release, whose record has these notes; `former` are the records before."""
        release = record(revision, image, notes)
        self.states[stack] = state_of(stack, release)
        container = {"name": "api", "image": image}
        deployment = {"metadata": {"name": "api"}, "spec": {"template": {"spec": {"containers": [container]}}}}
        objects = {"configmaps": [release, *former], "deployments": [deployment]}
        self.clusters[stack] = Cluster(objects)

    def change(self, stack: str, changes: dict[str, Any]) -> None:
        """Change the stack file of a stack, which has its migrations in a folder."""
        folder = {"promotion": {"migrations": ["migrations"], "contractTests": ["make", "contract-tests"]}}
        self.settings[stack] = api_server.settings(stack, {**folder, **changes})

    def migrates(self, *statements: str) -> None:
        """Let the new images bring a migration with these statements."""
        self.pending = [Migration("migrations/2.sql", "A", ";\n".join(statements))]

    def between(self, before: str, after: str, folders: Sequence[str]) -> list[Migration]:
        """Return the migrations in place of git."""
        self.commits = [before, after]
        return self.pending


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """dev runs NEW, staging and prod run OLD, and every service answers."""
    world = World()
    for stack in ("dev", "staging", "prod"):
        world.change(stack, {})
    world.runs("dev", "dddd2222", NEW, RAN, record("dddd1111", OLD))
    world.runs("staging", "eeee1111", OLD, PROMOTED)
    world.runs("prod", "ffff1111", OLD, PROMOTED)

    def export(stack: str) -> State:
        if stack not in world.states:
            raise UnknownToEngineError(f"no stack named '{stack}' found")
        return world.states[stack]

    def connect(stack: str, settings: Settings) -> StackCluster:
        server = httpx2.MockTransport(world.clusters[stack])
        return StackCluster(stack, settings, Access(stack, {"server": URL}), server)

    monkeypatch.setattr(config, "settings", world.settings.__getitem__)
    monkeypatch.setattr(engine_state, "export", export)
    monkeypatch.setattr(connection, "connect", connect)
    monkeypatch.setattr(first_request, "send", lambda _: [])
    monkeypatch.setattr(migrations, "between", world.between)
    monkeypatch.setattr(migrations, "known_schema", lambda _, __, dialect: Schema(dialect))
    monkeypatch.setattr(supply_chain, "problems", lambda *_: [])
    return world
