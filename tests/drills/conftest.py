"""Runs drills on a fake stack, in which no time passes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from slipway.objects import Object
from slipway.ops.cluster import connection as clusters
from slipway.ops.diagnosis import locks
from slipway.ops.drills import context, drill, report
from tests.api_server import cluster
from tests.drills.fake_stack import TWO_PODS, FakeStack, FakeTraffic


@pytest.fixture
def no_time_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(context.time, "sleep", lambda _: None)
    monkeypatch.setattr(report, "REPORTS", tmp_path / ".slipway" / "drills")
    monkeypatch.setattr(report, "ROOT", tmp_path)
    monkeypatch.setattr(drill, "ROOT", tmp_path)
    monkeypatch.setattr(locks, "backend", lambda: f"file://{tmp_path}")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """`run(FakeStack(), "drain")`: that drill on that stack; the exit code and its report as data."""

    def command(server: FakeStack, name: str, come: Callable[[float], str] = lambda _: "200") -> tuple[int, Object]:
        monkeypatch.setattr(clusters, "connect", lambda _stack, _settings: cluster(server, TWO_PODS))
        monkeypatch.setattr(
            drill, "Traffic", lambda target, fresh_connections: FakeTraffic(target, fresh_connections, come)
        )
        capsys.readouterr()
        code = drill.command(name, "dev", as_json=True)
        [result] = json.loads(capsys.readouterr().out)["drills"]
        return code, result

    return command
