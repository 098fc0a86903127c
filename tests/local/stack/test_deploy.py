"""Deployment of the local stack: what the user sees, and errors of a wrong kube context."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import pulumi
import pytest

from local.command import take_lock
from local.errors import SetupError
from local.paths import ClonePaths
from local.progress import Screen, Task
from local.stack.deploy import StackDeployment, first_error, worth_showing
from slipway.ops.program import config


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (" +  kubernetes:core/v1:Service api created (10s)", True),
        (" +  docker:index:Image api creating (0s) Step 4/8 : COPY dist/api /api", False),
        ("@ updating....", False),
        (" +  pulumi:pulumi:Stack slipway-local creating (1s) error: no such thing", True),
        ("   image: localhost:5000/slipway/api:src-1", True),
    ],
)
def test_results_are_shown_and_progress_is_not(line: str, shown: bool) -> None:
    assert worth_showing(line) is shown


def test_the_reason_is_the_first_error_of_pulumi() -> None:
    log = "    v1:Namespace x  error: not allowed\n  **failed** 1 error\n error: update failed\nDuration: 3s\n"
    assert first_error(log) == "not allowed"
    assert first_error("Duration: 3s\n") == ""


def test_the_users_pulumi_settings_do_not_lead_the_local_stack_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://company")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "theirs")
    env = StackDeployment(ClonePaths(tmp_path, tmp_path), "slipway-local").env
    assert "PULUMI_BACKEND_URL" not in env and "PULUMI_CONFIG_PASSPHRASE" not in env
    assert env["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(tmp_path / ".slipway" / "passphrase")


def test_the_commands_of_the_summary_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    clone = tmp_path / "a clone"
    deployment = StackDeployment(ClonePaths(clone, tmp_path), "slipway-local")
    deployment.outputs = {
        "url": "https://api.slipway.localhost",
        "namespace": "n",
        "services": {"api": "x", "web": "https://web.slipway.localhost"},
    }
    text = deployment.summary()
    assert f"curl --noproxy '*' --cacert '{clone}/.slipway/ca.crt' https://api.slipway.localhost/v1/shops" in text
    assert "kubectl -n n logs -f --prefix --all-pods deployment/api" in text
    assert "\n         https://web.slipway.localhost" in text
    assert "make down" in text


def test_another_cluster_is_checked_first_and_gets_everything_but_the_daemons_of_the_native_one() -> None:
    paths = ClonePaths(Path("/clone"), Path("/cache"))
    native, other = (
        {step.name: step.after for step in StackDeployment(paths, context).steps()}
        for context in ("slipway-local", "kind-kind")
    )
    assert list(other) == ["cluster", *native] == ["cluster", "data images", "stack", "pulumi up", "first request"]
    assert {*other["data images"], *other["stack"], *other["pulumi up"]} <= other.keys()
    assert other["data images"] == other["stack"] == ("cluster",)
    assert "data images" in native["pulumi up"]


def test_the_summary_of_another_cluster_names_its_context_and_does_not_promise_that_make_down_stops_it(
    tmp_path: Path,
) -> None:
    deployment = StackDeployment(ClonePaths(tmp_path, tmp_path), "kind-kind")
    deployment.outputs = {"url": "https://api.slipway.localhost", "namespace": "n", "services": {"api": "x"}}
    text = deployment.summary()
    assert "kubectl --context kind-kind -n n logs" in text
    assert f"--cacert {tmp_path}/.slipway/ca.crt https://api.slipway.localhost/v1/shops" in text
    assert "./slipway destroy -s local" in text
    assert "make down" not in text


def test_a_second_make_in_the_same_clone_is_refused(tmp_path: Path) -> None:
    where = ClonePaths(tmp_path, tmp_path / "cache")
    take_lock(where)
    with pytest.raises(SetupError, match=r"another `make` is already running in this clone \(pid \d+\)"):
        take_lock(where)


def test_a_mistake_in_the_stack_file_is_named_by_pulumi_and_not_by_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(stack: str) -> None:
        raise pulumi.RunError(f"stacks/Pulumi.{stack}.yaml has 1 mistake")

    monkeypatch.setattr(config, "settings", refused)
    paths = ClonePaths(tmp_path, tmp_path / "cache")
    users = [{"name": "u", "user": {"token": "t"}}]
    clusters = [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}]
    contexts = [{"name": "slipway-local", "context": {"cluster": "c", "user": "u"}}]
    paths.kubeconfig.parent.mkdir(parents=True)
    paths.kubeconfig.write_text(json.dumps({"users": users, "clusters": clusters, "contexts": contexts}))
    paths.bin.mkdir(parents=True)
    (paths.bin / "pulumi").write_text("#!/bin/sh\necho ' error: services.api.replcas: unknown key' && exit 1\n")
    (paths.bin / "pulumi").chmod(0o755)
    paths.stack_file.parent.mkdir()
    paths.stack_file.write_text("config: {}\n")
    task = Task("pulumi up", tmp_path / "up.log", Screen(io.StringIO()), threading.Event())
    with pytest.raises(SetupError, match=r"^error: pulumi up: services\.api\.replcas: unknown key"):
        StackDeployment(paths, "slipway-local").up(task)
