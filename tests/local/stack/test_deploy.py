"""Deployment of the local stack: what the user sees, and errors of a wrong kube context."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
import yaml

from local.command import take_lock
from local.errors import SetupError
from local.paths import ClonePaths
from local.progress import Screen, Task
from local.stack.deploy import StackDeployment, check_context, first_error, worth_showing


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return Task("stack", tmp_path / "stack.log", Screen(io.StringIO()), threading.Event())


def kubeconfig(path: Path, context: str, server: str) -> Path:
    cluster = {"name": "c", "cluster": {"server": server}}
    contexts = {"name": context, "context": {"cluster": "c"}}
    path.write_text(yaml.safe_dump({"clusters": [cluster], "contexts": [contexts]}))
    return path


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


def test_an_unknown_context_is_reported_with_the_known_ones(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", "kind-dev", "https://127.0.0.1:9")))
    with pytest.raises(SetupError) as caught:
        check_context("kind-kind", task)
    assert (
        "stacks/Pulumi.local.yaml: slipway:cluster.context: kind-kind: context 'kind-kind' is not" in caught.value.cause
    )
    assert "(contexts there: kind-dev)" in caught.value.cause


def test_an_unreachable_cluster_is_reported_with_its_address(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", "kind-kind", "https://127.0.0.1:9")))
    with pytest.raises(SetupError, match=r"API server https://127\.0\.0\.1:9 cannot be reached: .*refused"):
        check_context("kind-kind", task)


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


def test_a_second_make_in_the_same_clone_is_refused(tmp_path: Path) -> None:
    where = ClonePaths(tmp_path, tmp_path / "cache")
    take_lock(where)
    with pytest.raises(SetupError, match=r"another `make` is already running in this clone \(pid \d+\)"):
        take_lock(where)
