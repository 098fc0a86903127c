"""The main path: a deployed stack serves requests, and every common change can be deployed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex

import pytest
import urllib3

from tests.e2e.conftest import ROOT, Edit, kubectl, outputs, planned_changes, pulumi, run, running_pods, up
from tests.e2e.load import Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

# Random, because staging and prod refuse a placeholder.
KEY = token_hex(16)
DEPLOYMENTS = ("kubernetes:apps/v1:Deployment::api", "kubernetes:apps/v1:Deployment::web")
MIGRATION = "kubernetes:batch/v1:Job::api-migration"
RELEASE = "kubernetes:core/v1:ConfigMap::release"
IMAGE = "docker:index/image:Image::api"


def test_the_stack_is_up_before_the_tests_begin():
    up()


@pytest.mark.feature("A1", "N4", "E1", "E4", "C4")
def test_the_deployed_version_answers_over_https_with_the_local_ca(api: urllib3.HTTPSConnectionPool):
    answer = api.request("GET", "/version")
    assert answer.status == 200
    assert answer.json()["version"] == outputs()["version"]
    # The limits of the Go runtime in the pod: one core, and 90 % of the memory limit of 64Mi.
    assert answer.json()["goMaxProcs"] == 1
    assert answer.json()["goMemLimitBytes"] == 64 * 90 // 100 * 2**20


@pytest.mark.feature("A3")
def test_a_second_run_plans_no_change():
    pulumi("preview", "--expect-no-changes")


def test_a_refresh_finds_the_cluster_as_it_was_left():
    refreshed = pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes").stdout
    assert "unchanged" in refreshed
    pulumi("preview", "--expect-no-changes")


@pytest.mark.feature("A4")
def test_a_commit_that_only_touches_the_readme_plans_no_change(edit: Edit):
    edit("README.md", "# Slipway", "# Slipway!")
    pulumi("preview", "--expect-no-changes")


def test_editing_an_app_file_changes_only_the_image_and_what_runs_it(edit: Edit):
    edit("app/cmd/api/main.go", "package main", "package main // touched")
    planned = planned_changes()
    assert planned.keys() == {IMAGE, *DEPLOYMENTS, MIGRATION, RELEASE}
    assert {planned[name] for name in (IMAGE, *DEPLOYMENTS)} == {"update"}


@pytest.mark.feature("D5", part="image update, 50 rps")
def test_an_edited_handler_is_served_after_up_and_no_request_is_lost(edit: Edit, api: urllib3.HTTPSConnectionPool):
    before = api.request("GET", "/version").json()["version"]
    edit("app/cmd/api/main.go", "package main", "package main // edited")
    with Load(api, "/v1/shops") as load:
        time.sleep(2)
        up()
        time.sleep(3)
    assert load.sent > 100
    assert load.lost == []
    after = api.request("GET", "/version").json()["version"]
    assert after == outputs()["version"] != before


def test_the_former_source_brings_the_former_version_back(api: urllib3.HTTPSConnectionPool):
    up()
    assert api.request("GET", "/version").json()["version"] == outputs()["version"]
    pulumi("preview", "--expect-no-changes")


@pytest.mark.feature("B3")
def test_a_changed_variable_rolls_the_pods_and_keeps_the_autoscaler_s_replicas(edit: Edit):
    sets = set(kubectl("get", "replicasets", "-o", "name").split())
    edit("stacks/Pulumi.local.yaml", "LOG_LEVEL: debug", "LOG_LEVEL: info")
    up()
    assert len(set(kubectl("get", "replicasets", "-o", "name").split()) - sets) == 1
    assert int(kubectl("get", "deployment", "api", "-o", "jsonpath={.spec.replicas}")) >= 2


@pytest.mark.feature("B5")
def test_a_changed_file_reaches_the_running_pods_without_a_restart(edit: Edit, api: urllib3.HTTPSConnectionPool):
    up()
    pods = running_pods()
    edit("stacks/defaults.yaml", "file: {pageSize:", "file: {notice: tested, pageSize:")
    up()
    deadline = time.monotonic() + 120
    while api.request("GET", "/v1/shops").headers.get("X-Notice") != "tested":
        assert time.monotonic() < deadline, "no pod shows the new value"
        time.sleep(1)
    assert running_pods() == pods


@pytest.mark.feature("I1")
def test_the_pods_were_admitted_by_a_namespace_that_enforces_restricted():
    labels = json.loads(kubectl("get", "namespace", "slipway-local", "-o", "jsonpath={.metadata.labels}"))
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert kubectl("get", "pods", "--field-selector=status.phase=Running", "-o", "name").count("pod/") >= 2


def test_a_privileged_pod_is_refused_there():
    refused = run(
        "kubectl", "-n", "slipway-local", "run", "bad", "--image=x", "--privileged", "--restart=Never", ok=False
    )
    assert refused.returncode != 0
    assert "violates PodSecurity" in refused.stderr


def test_an_invalid_stack_file_is_refused_with_every_error_and_nothing_changes(edit: Edit):
    before = pulumi("stack", "export").stdout
    edit("stacks/Pulumi.local.yaml", "autoscaling: {min: 2, max: 4}", "autoscaling: {min: 9, max: 4}\n      replcas: 3")
    edit("stacks/defaults.yaml", "secrets: [signing-key]", "secrets: [signing-key, other-key]")
    refused = pulumi("up", "--yes", ok=False)
    output = refused.stdout + refused.stderr
    assert refused.returncode != 0
    assert "services.api.autoscaling: min (9) is more than max (4)" in output
    assert "services.api.replcas: unknown key" in output
    assert "other-key is missing or empty" in output
    assert "Traceback" not in output
    assert pulumi("stack", "export").stdout == before


def test_an_unknown_stack_is_refused():
    refused = pulumi("preview", "-s", "qa", ok=False)
    assert refused.returncode != 0
    assert "no stack named 'qa' found" in refused.stdout + refused.stderr


@pytest.fixture
def pulumi_in_copy(copy_of_project: Path) -> Callable[..., str]:
    """`pulumi_in_copy("preview", "-s", "dev")` runs without a kubeconfig, in a copy; returns exit code and output."""
    bare = {"PULUMI_BACKEND_URL": f"file://{copy_of_project.parent}/state", "KUBECONFIG": "/nonexistent"}

    def run_pulumi(*arguments: str) -> str:
        done = pulumi(*arguments, cwd=copy_of_project, ok=False, env=bare)
        return f"exit {done.returncode}\n{done.stdout}{done.stderr}"

    return run_pulumi


def set_secrets(pulumi_in_copy: Callable[..., str], stack: str) -> None:
    for name in ("signing-key", "mysql-password", "mysql-migration-password", "redis-password"):
        pulumi_in_copy("config", "set", "--secret", name, KEY, "-s", stack)


@pytest.mark.feature("K2", "J1", "B6")
@pytest.mark.parametrize(("stack", "image"), [("dev", "build"), ("staging", "from: dev"), ("prod", "from: staging")])
def test_an_environment_previews_without_its_cluster_or_names_the_key_to_set(
    pulumi_in_copy: Callable[..., str], copy_of_project: Path, stack: str, image: str
):
    pulumi_in_copy("stack", "init", "-s", stack)
    without_secret = pulumi_in_copy("preview", "-s", stack)
    assert "exit 0" not in without_secret
    assert (
        f"slipway:signing-key: secret is missing or empty; set it: pulumi config set --secret signing-key -s {stack}"
        in (without_secret)
    )
    set_secrets(pulumi_in_copy, stack)
    text = (copy_of_project / "stacks" / f"Pulumi.{stack}.yaml").read_text()
    assert "slipway:signing-key:\n    secure:" in text
    assert KEY not in text
    if image != "build":
        file = copy_of_project / "stacks" / f"Pulumi.{stack}.yaml"
        digest = f"digest: sha256:{'0' * 64}"
        file.write_text(file.read_text().replace("source: promote", "source: prebuilt").replace(image, digest))
    planned = pulumi_in_copy("preview", "-s", stack)
    assert "exit 0" in planned
    assert "Deployment api create" in planned
    assert "Traceback" not in planned


def test_promoting_from_a_stack_that_runs_nothing_says_what_to_do(pulumi_in_copy: Callable[..., str]):
    pulumi_in_copy("stack", "init", "-s", "dev")
    pulumi_in_copy("stack", "init", "-s", "staging")
    set_secrets(pulumi_in_copy, "staging")
    refused = pulumi_in_copy("preview", "-s", "staging")
    assert "exit 0" not in refused
    assert "stack dev runs nothing yet" in refused
    assert "Run `pulumi up -s dev` first, or set source: prebuilt and digest" in refused
    assert "Traceback" not in refused


@pytest.mark.feature("B10", part="state, outputs, pod description")
@pytest.mark.parametrize("name", ["signing-key", "mysql-password", "mysql-migration-password", "redis-password"])
def test_a_secret_is_in_no_state_output_or_pod_description(name: str):
    value = (ROOT / ".slipway" / "secrets" / name).read_text()
    shown = pulumi("stack", "export").stdout + pulumi("stack", "output").stdout + kubectl("describe", "pods")
    assert len(value) > 20
    assert value not in shown


def test_destroy_leaves_no_object_behind_and_up_recreates_everything(api: urllib3.HTTPSConnectionPool):
    pulumi("destroy", "--yes", "--skip-preview")
    assert json.loads(pulumi("stack", "export").stdout)["deployment"].get("resources", []) == []
    assert "NotFound" in run("kubectl", "get", "namespace", "slipway-local", ok=False).stderr
    up()
    assert api.request("GET", "/version").status == 200
    pulumi("preview", "--expect-no-changes")
