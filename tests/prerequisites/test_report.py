"""`./slipway doctor` as people and programs get it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway.ops.diagnosis import doctor
from slipway.ops.prerequisites import report
from slipway.ops.prerequisites.result import Check, Finding, failed
from slipway.ops.program import config
from tests.conftest import recorded


@pytest.fixture(autouse=True)
def state_in_order(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "command", lambda stack, *, fix: 0)


def finding(monkeypatch: pytest.MonkeyPatch, **found: Finding) -> None:
    checks: dict[str, Check] = {name: lambda value=value: value for name, value in found.items()}
    monkeypatch.setattr(report, "checks", lambda *_: checks)


def test_each_failure_stands_beside_its_fix_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    finding(monkeypatch, python=Finding("3.12.1"), registry=failed("localhost:9 is away", "start it"))
    assert report.command("dev", as_json=False, quiet=False) == 1
    assert capsys.readouterr().out == (
        "check\tstate\tfound\tfix\npython\tok\t3.12.1\nregistry\tfailed\tlocalhost:9 is away\tstart it\n"
    )


def test_quiet_prints_failures_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    finding(monkeypatch, python=Finding("3.12.1"), clock=Finding("not checked", is_known=False))
    assert report.command("dev", as_json=False, quiet=True) == 0
    assert capsys.readouterr().out == ""


def test_json_has_every_check_with_its_problems(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    finding(monkeypatch, clock=Finding("not checked", is_known=False), registry=failed("away", "start it"))
    report.command("dev", as_json=True, quiet=False)
    assert json.loads(capsys.readouterr().out) == {
        "stack": "dev",
        "checks": [
            {"check": "clock", "state": "unknown", "found": "not checked", "problems": []},
            {"check": "registry", "state": "failed", "found": "", "problems": [{"cause": "away", "fix": "start it"}]},
        ],
    }


def test_a_state_that_is_not_in_order_ends_with_1(monkeypatch: pytest.MonkeyPatch):
    finding(monkeypatch, python=Finding("3.12.1"))
    monkeypatch.setattr(doctor, "command", lambda stack, *, fix: 1)
    assert report.command("dev", as_json=False, quiet=True) == 1


def kubeconfig(folder: Path, context: str, server: str) -> Path:
    content: dict[str, Any] = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "contexts": [{"name": context, "context": {"cluster": "c"}}],
    }
    (folder / "config").write_text(yaml.safe_dump(content))
    return folder / "config"


@pytest.mark.parametrize(
    ("stack", "needed"),
    [
        ("local", {"docker", "registry", "metrics", "clock", "rights", "kinds", "names", "cluster"}),
        ("prod", {"metrics", "clock", "rights", "kinds", "names", "cluster"}),
    ],
)
def test_only_what_the_stack_needs_is_checked(
    stack: str, needed: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = config.settings(stack)
    server = {"local": "https://127.0.0.1:6443", "prod": "https://prod.example.com"}[stack]
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, settings.cluster.context, server)))
    assert set(report.checks(stack, settings, recorded(stack))) == {"python", "pulumi", "plugins", *needed}


def test_a_kubeconfig_without_the_context_is_one_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, "another", "https://127.0.0.1:9")))
    checks = report.checks("dev", config.settings("dev"), recorded("dev"))
    [problem] = checks["cluster"]().problems
    assert "contexts there: another" in problem.cause
    assert "rights" not in checks
