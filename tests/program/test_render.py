"""`./slipway render` writes the objects as files: the same each time, without installed tools or secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from slipway.__main__ import main
from slipway.ops.program import render
from slipway.ops.program.recorder import stacks
from slipway.ops.verbs import program as verbs
from tests.conftest import Changed, Declare


def slipway(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a verb as a user does, without Pulumi's CLI, Docker or a kubeconfig."""
    bare = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": os.environ["PYTHONPATH"]}
    bare |= {"SLIPWAY_PROJECT": os.environ["SLIPWAY_PROJECT"]}
    return subprocess.run(
        [sys.executable, "-m", "slipway", *arguments], capture_output=True, text=True, env=bare, cwd=os.sep, check=False
    )


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """`refusal("render", "-s", "qa")`: the error message of the verb."""

    def message(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["slipway", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == 1
        return capsys.readouterr().err

    return message


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


def test_each_object_has_one_file_and_files_of_removed_objects_are_deleted(tmp_path: Path):
    render.write({"a.yaml": "kind: A\n", "b.yaml": "kind: B\n"}, tmp_path)
    render.write({"b.yaml": "kind: B2\n"}, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["b.yaml"]
    assert yaml.safe_load((tmp_path / "b.yaml").read_text()) == {"kind": "B2"}


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, refusal: Callable[..., str]):
    (tmp_path / "values.yaml").write_text("mine: true\n")
    assert "values.yaml was not written by render" in refusal("render", "-s", "dev", "-o", str(tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["values.yaml"]


def test_an_unknown_stack_is_refused_with_the_known_ones(refusal: Callable[..., str]):
    message = refusal("render", "-s", "qa")
    assert message == "error: there is no stacks/Pulumi.qa.yaml. Stacks here: local, dev, staging, prod\n"


def test_a_broken_rule_is_a_warning_beside_the_rendered_objects(
    changed: Changed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    plain_http = changed("dev", {"services.api.ingress.tls": None})
    monkeypatch.setattr("slipway.ops.program.recorder.declare", lambda _: plain_http)
    verbs.render("dev")
    told = capsys.readouterr()
    assert "kind: Ingress" in told.out
    assert told.err.startswith("warning: SW405 Ingress/api: spec.rules[0].host is api.dev.example.com")
