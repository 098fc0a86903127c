"""Promises checked with a real API server: closed network, quota, rotation, rollback, autoscaling, no leaks."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from secrets import token_urlsafe

import pytest
import urllib3

from tests.e2e.conftest import (
    LOCAL,
    NAMESPACE,
    ROOT,
    Edit,
    Replicas,
    environment,
    eventually,
    kubectl,
    outputs,
    pulumi,
    run,
    running_pods,
    try_evict,
    up,
    variable,
    variables,
)
from tests.e2e.load import Load
from tests.leaks import leaks

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SECRETS = ROOT / ".slipway" / "secrets"
SCALED, RAISED = "autoscaling: {min: 2, max: 4}", "autoscaling: {min: 3, max: 4}"
# Random, so that the search does not find this file.
CANARY = f"Canary/{token_urlsafe(24)}+Qx~"


@pytest.fixture(scope="module")
def three_services() -> Generator[None]:
    """Deploy two more services: `shop`, which declares that it needs api, and `other`, which declares nothing."""
    file = ROOT / LOCAL
    before = file.read_bytes()
    small = "autoscaling: {min: 1, max: 1}, resources: {cpu: 10m, memory: 48Mi}, secrets: [signing-key]"
    more = f"  slipway:services:\n    shop: {{needs: [api], {small}}}\n    other: {{{small}}}\n"
    file.write_bytes(before.replace(b"  slipway:services:\n", more.encode()))
    try:
        up()
        yield
    finally:
        file.write_bytes(before)
        up()


def reaches_api(service: str) -> tuple[bool, str]:
    """Return whether a pod of the service gets a response from api, and the output of the check."""
    check = ("exec", f"deployment/{service}", "--", "/api", "check", "--timeout", "3s", "http://api/version")
    done = run("kubectl", "--context", "slipway-local", "-n", NAMESPACE, *check, ok=False)
    return done.returncode == 0, done.stdout + done.stderr


def revisions(service: str) -> set[str]:
    return set(kubectl("get", "replicasets", "-l", f"app.kubernetes.io/name={service}", "-o", "name").split())


@pytest.mark.feature("E5")
def test_a_declared_connection_passes_and_an_undeclared_one_times_out(three_services: None):
    passes, output = reaches_api("shop")
    assert passes, output
    passes, output = reaches_api("other")
    assert not passes
    assert "no answer within 3s" in output


def test_the_network_policies_are_what_blocks_the_undeclared_connection(three_services: None):
    policies = kubectl("get", "networkpolicies", "-o", "json")
    kubectl("delete", "networkpolicies", "--all")
    try:
        deadline = time.monotonic() + 30
        while not reaches_api("other")[0]:
            assert time.monotonic() < deadline, "still blocked without any policy"
    finally:
        subprocess.run(
            ["kubectl", "create", "-f", "-"], input=_fresh(policies), text=True, check=True, env=environment()
        )
    deadline = time.monotonic() + 30
    while reaches_api("other")[0]:
        assert time.monotonic() < deadline, "the policies are restored, and the connection still passes"


def _fresh(listed: str) -> str:
    """Return a list of objects without the fields that prevent creating them again."""
    items = json.loads(listed)["items"]
    for item in items:
        for key in ("resourceVersion", "uid", "creationTimestamp", "generation"):
            item["metadata"].pop(key, None)
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


@pytest.mark.feature("B8")
def test_rotating_one_of_two_secrets_rolls_only_the_service_that_reads_it(three_services: None, edit: Edit):
    own = SECRETS / "own-key"
    own.write_text("first" * 8)
    edit(LOCAL, "secrets: [signing-key]}", "secrets: [signing-key, own-key]}")
    try:
        up()
        before = {service: revisions(service) for service in ("api", "shop", "other")}
        own.write_text("second" * 8)
        up()
        rolled = [service for service in before if revisions(service) != before[service]]
        assert rolled == ["shop"]
    finally:
        own.unlink()


@pytest.mark.feature("I3")
def test_a_pod_beyond_the_quota_is_refused():
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "greedy", "namespace": NAMESPACE},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "greedy",
                    "image": "x",
                    "resources": {
                        "requests": {"cpu": "100", "memory": "64Mi"},
                        "limits": {"cpu": "100", "memory": "64Mi"},
                    },
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }
    command = ["kubectl", "--context", "slipway-local", "create", "-f", "-"]
    refused = subprocess.run(
        command, input=json.dumps(pod), capture_output=True, text=True, check=False, env=environment()
    )
    assert refused.returncode != 0
    assert "exceeded quota: quota" in refused.stderr


@pytest.mark.feature("B4")
def test_a_rolled_back_revision_runs_with_its_former_variables(edit: Edit):
    up()
    edit(LOCAL, "LOG_LEVEL: debug", "LOG_LEVEL: error")
    up()
    assert variable("LOG_LEVEL") == "error"
    kubectl("rollout", "undo", "deployment/api")
    kubectl("rollout", "status", "deployment/api", "--timeout=120s")
    assert variable("LOG_LEVEL") == "debug"


def test_up_after_a_rollback_brings_the_declared_revision_back():
    pulumi("up", "--yes", "--skip-preview", "--refresh")
    assert variable("LOG_LEVEL") == "debug"
    pulumi("preview", "--expect-no-changes")


def test_configuration_that_no_revision_uses_is_deleted_after_a_rollout(edit: Edit):
    kubectl("create", "configmap", "api-env-00000000")
    kubectl(
        "label",
        "configmap",
        "api-env-00000000",
        "app.kubernetes.io/name=api",
        f"app.kubernetes.io/instance={NAMESPACE}",
    )
    kubectl("patch", "configmap", "api-env-00000000", "-p", '{"immutable": true}')
    edit(LOCAL, "LOG_LEVEL: debug", "LOG_LEVEL: warn")
    up()
    kept = kubectl("get", "configmaps", "-o", "name")
    assert "api-env-00000000" not in kept
    assert variables() in kept


@pytest.mark.feature("F1")
def test_load_raises_the_number_of_pods_and_up_leaves_it_raised(edit: Edit, api: urllib3.HTTPSConnectionPool):
    edit(LOCAL, SCALED, "autoscaling: {min: 2, max: 4, cpuPercent: 10}")
    up()
    with Load(api, "/v1/shops", rate=100) as load:
        deadline = time.monotonic() + 150
        while _replicas() < 3:
            assert time.monotonic() < deadline, "the load has not raised the number of pods"
            time.sleep(2)
        pulumi("preview", "--expect-no-changes")
        up()
        assert _replicas() >= 3
    assert load.lost == []


def _replicas() -> int:
    return int(kubectl("get", "deployment", "api", "-o", "jsonpath={.spec.replicas}"))


@pytest.mark.feature("F6")
def test_enabling_the_autoscaler_on_three_pods_never_leaves_fewer_than_three(edit: Edit):
    edit(LOCAL, SCALED, RAISED)
    up()
    eventually(lambda: _replicas() >= 3, 60, "the autoscaler has raised the number of pods")
    edit(LOCAL, RAISED, "replicas: 3")
    up()
    assert _replicas() == 3
    with Replicas("api") as replicas:
        edit(LOCAL, "replicas: 3", SCALED)
        up()
        kubectl("wait", "hpa/api", "--for=condition=AbleToScale", "--timeout=60s")
        pulumi("preview", "--expect-no-changes")
    assert replicas.observed == {3}


@pytest.mark.feature("C8")
def test_pods_are_evicted_one_after_the_other_and_all_of_them_in_the_end():
    kubectl("rollout", "status", "deployment/api", "--timeout=120s")
    first, second, *_ = sorted(running_pods())
    assert try_evict(first)
    assert not try_evict(second), "both pods went at once"
    deadline = time.monotonic() + 60
    while not try_evict(second):
        assert time.monotonic() < deadline, "the budget still blocks the drain"
        time.sleep(1)


@pytest.mark.feature("B10")
def test_a_canary_secret_is_nowhere_but_in_the_cluster_s_own_secret(tmp_path: Path, edit: Edit):
    key = SECRETS / "signing-key"
    before = key.read_text()
    key.write_text(CANARY)
    try:
        shown = {
            "preview --diff": _output(pulumi("preview", "--diff")),
            "preview --json": _output(pulumi("preview", "--json")),
        }
        shown["up --diff"] = _output(pulumi("up", "--yes", "--skip-preview", "--diff"))
        shown |= _artefacts(tmp_path)
        edit(LOCAL, "autoscaling: {min: 2", "autoscaling: {min: 9")
        shown["refused up"] = _output(pulumi("up", "--yes", ok=False))
        secrets = kubectl("get", "secrets", "-o", "json")
    finally:
        key.write_text(before)
    assert leaks(CANARY, {"the cluster's Secret": secrets}), "the search does not find the secret even in its Secret"
    assert min(map(len, shown.values())) > 0
    assert leaks(CANARY, shown) == []


def test_a_replaced_secret_is_nowhere_either(tmp_path: Path):
    up()
    assert leaks(CANARY, _artefacts(tmp_path)) == []


def _artefacts(folder: Path) -> dict[str, str]:
    """Return all that an `up` leaves: state, backups, outputs, rendering, logs, events and files of the image."""
    states = [file for file in (ROOT / ".slipway" / "state").rglob("*") if file.is_file()]
    image = outputs()["image"]
    run("docker", "pull", "-q", image)
    layers = folder / "image.tar"
    run("docker", "save", "-o", str(layers), image)
    return {
        "state export": pulumi("stack", "export").stdout,
        "state files": "\n".join(file.read_bytes().decode("latin-1") for file in states),
        "outputs": pulumi("stack", "output", "--json").stdout,
        "history": pulumi("stack", "history").stdout,
        "render": run("./slipway", "render", "-s", "local").stdout,
        "pods": kubectl("describe", "pods") + kubectl("get", "pods", "-o", "yaml"),
        "events": kubectl("get", "events", "-o", "yaml"),
        "logs": kubectl("logs", "--prefix", "--all-pods=true", "deployment/api"),
        "image": layers.read_bytes().decode("latin-1"),
        "git": run("git", "log", "-p", "-n", "50").stdout or "no history",
    }


def _output(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr
