"""The last mile: what the user is shown, and what a wrong kube context says."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
import yaml

from local.command import take_lock
from local.deploy import Deployment, check_context, first_error, worth_showing
from local.places import Places
from local.problems import Problem
from local.progress import Screen, Task


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
def test_what_was_done_is_shown_and_not_each_breath_of_it(line: str, shown: bool) -> None:
    assert worth_showing(line) is shown


def test_the_reason_is_what_pulumi_first_calls_an_error() -> None:
    log = "    v1:Namespace x  error: not allowed\n  **failed** 1 error\n error: update failed\nDuration: 3s\n"
    assert first_error(log) == "not allowed"
    assert first_error("Duration: 3s\n") == ""


def test_a_context_that_is_not_there_names_those_that_are(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", "kind-dev", "https://127.0.0.1:9")))
    with pytest.raises(Problem) as caught:
        check_context("kind-kind", task)
    assert (
        "stacks/Pulumi.local.yaml: slipway:cluster.context: kind-kind: context 'kind-kind' is not" in caught.value.cause
    )
    assert "(contexts there: kind-dev)" in caught.value.cause


def test_a_cluster_that_does_not_answer_is_told_with_its_address(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", "kind-kind", "https://127.0.0.1:9")))
    with pytest.raises(Problem, match=r"API server https://127\.0\.0\.1:9 cannot be reached: .*refused"):
        check_context("kind-kind", task)


def test_the_users_pulumi_settings_do_not_lead_the_local_stack_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://company")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "theirs")
    env = Deployment(Places(tmp_path, tmp_path), "slipway-local").env
    assert "PULUMI_BACKEND_URL" not in env and "PULUMI_CONFIG_PASSPHRASE" not in env
    assert env["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(tmp_path / ".slipway" / "passphrase")


def test_the_last_words_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    clone = tmp_path / "a clone"
    deployment = Deployment(Places(clone, tmp_path), "slipway-local")
    deployment.outputs = {
        "url": "https://api.slipway.localhost",
        "namespace": "n",
        "services": {"api": "x", "web": "https://web.slipway.localhost"},
    }
    told = deployment.farewell()
    assert f"curl --noproxy '*' --cacert '{clone}/.slipway/ca.crt' https://api.slipway.localhost/version" in told
    assert "kubectl -n n logs -f --prefix --all-pods deployment/api" in told
    assert "\n         https://web.slipway.localhost" in told
    assert "make down" in told


def test_two_at_once_are_told_apart(tmp_path: Path) -> None:
    where = Places(tmp_path, tmp_path / "cache")
    take_lock(where)
    with pytest.raises(Problem, match=r"another `make` works on this clone already \(pid \d+\)"):
        take_lock(where)
