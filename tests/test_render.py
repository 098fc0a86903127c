"""`./slipway render`: the objects as files, the same every time, without anything installed or secret."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ops import render
from ops.__main__ import main, render_command
from ops.recorder import ROOT, stacks
from tests.conftest import Changed, Declare


def slipway(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The verb as a user runs it, without Pulumi CLI, Docker or kubeconfig at hand."""
    bare = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "ops", *arguments], capture_output=True, text=True, env=bare, cwd=os.sep, check=False
    )


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """`refusal("render", "-s", "qa")`: what the verb says as it refuses."""

    def told(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["slipway", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == 1
        return capsys.readouterr().err

    return told


@pytest.mark.feature("M1")
def test_rendering_twice_gives_the_same_bytes(program: Declare):
    elsewhere = slipway("render", "-s", "prod")
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert "kind: Deployment" in elsewhere.stdout
    assert elsewhere.stdout == render.one_stream(render.documents(program("prod")))


@pytest.mark.parametrize("stack", stacks())
def test_what_is_rendered_is_what_the_program_declares(program: Declare, stack: str):
    stream = render.one_stream(render.documents(program(stack)))
    rendered = {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(stream)}
    declared = {(o["kind"], o["metadata"]["name"]): o for o in program(stack).manifests().values()}
    assert rendered == declared


def test_the_namespace_comes_before_everything_that_lives_in_it(program: Declare):
    kinds = [name.split("-")[0] for name in render.documents(program("dev"))]
    assert kinds[0] == "namespace"
    assert kinds.index("secret") < kinds.index("deployment")


def test_secrets_are_rendered_as_stars(program: Declare):
    secret = next(
        yaml.safe_load(text)
        for name, text in render.documents(program("dev")).items()
        if name.startswith("secret-api-secret")
    )
    assert secret["stringData"] == dict.fromkeys(["signing-key", "mysql-password", "redis-password"], "***")


def test_one_file_per_object_and_none_left_of_objects_that_are_gone(tmp_path: Path):
    render.write({"a.yaml": "kind: A\n", "b.yaml": "kind: B\n"}, tmp_path)
    render.write({"b.yaml": "kind: B2\n"}, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["b.yaml"]
    assert yaml.safe_load((tmp_path / "b.yaml").read_text()) == {"kind": "B2"}


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, refusal: Callable[..., str]):
    (tmp_path / "values.yaml").write_text("mine: true\n")
    assert "values.yaml was not written by render" in refusal("render", "-s", "dev", "-o", str(tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["values.yaml"]


def test_an_unknown_stack_is_answered_with_the_ones_there_are(refusal: Callable[..., str]):
    told = refusal("render", "-s", "qa")
    assert told == "error: there is no stacks/Pulumi.qa.yaml. Stacks here: local, dev, staging, prod\n"


def test_a_rule_a_stack_breaks_is_told_beside_the_objects(
    changed: Changed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    plain_http = changed("dev", {"services.api.ingress.tls": None})
    monkeypatch.setattr("ops.__main__.declare", lambda _: plain_http)
    render_command("dev")
    told = capsys.readouterr()
    assert "kind: Ingress" in told.out
    assert told.err.startswith("warning: SW405 Ingress/api: spec.rules[0].host is api.dev.example.com")
