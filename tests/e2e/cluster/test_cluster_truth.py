"""The objects in the cluster count, not what the state of the stack says about them."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import LOCAL, ROOT, Edit, eventually, kubectl, outputs, pulumi, run, up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

MYSQL = ("statefulset", "mysql")


def configuration(name: str) -> set[str]:
    """Return the immutable ConfigMaps and Secrets of a service or store."""
    listed = json.loads(kubectl("get", "configmaps,secrets", "-l", f"app.kubernetes.io/name={name}", "-o", "json"))
    return {f"{item['kind']}/{item['metadata']['name']}" for item in listed["items"] if item.get("immutable")}


@pytest.mark.feature("O1")
def test_a_deleted_service_fails_a_plain_update_and_slipway_up_recreates_it():
    kubectl("delete", "service", "web")
    failed = pulumi("up", "--yes", "--skip-preview", ok=False)
    assert failed.returncode != 0
    assert "not in the cluster: Service/web" in failed.stdout
    done = run("./slipway", "up", "-s", "local", "--yes")
    assert "local: not in the cluster any more, and made again: Service/web" in done.stderr
    kubectl("get", "service", "web")
    pulumi("preview", "--expect-no-changes")


@pytest.mark.feature("J2")
@pytest.mark.feature("D6")
def test_a_failed_update_exports_no_image_and_its_migration_runs_again_once_the_cause_is_fixed(edit: Edit):
    before = outputs()
    edit("app/cmd/api/main.go", "package main", "package main // of an update that fails")
    edit("stacks/defaults.yaml", "migration: {args: [migrate]}", "migration: {args: [migrate], retries: 0}")
    kubectl("scale", *MYSQL, "--replicas=0")
    try:
        assert pulumi("up", "--yes", "--skip-preview", ok=False).returncode != 0
        assert outputs()["image"] == before["image"]
        diagnosis = run("./slipway", "doctor", "--state", "-s", "local", ok=False)
        assert diagnosis.returncode == 1
        assert "Job/api-migration-" in diagnosis.stderr
    finally:
        kubectl("scale", *MYSQL, "--replicas=1")
    kubectl("rollout", "status", *MYSQL, "--timeout=120s")
    up()
    assert outputs()["image"] != before["image"]
    assert run("./slipway", "doctor", "--state", "-s", "local").returncode == 0


def test_removing_a_service_deletes_its_configuration(edit: Edit):
    assert configuration("web")
    web = (ROOT / LOCAL).read_text().partition("    web:\n")[2]
    edit(LOCAL, f"    web:\n{web}", "    web: null\n")
    up()
    assert configuration("web") == set()
    assert configuration("api")
    assert run("./slipway", "drift", "-s", "local").returncode == 0


@pytest.mark.feature("O1")
def test_drift_lists_objects_that_are_no_longer_declared():
    labels = "app.kubernetes.io/instance=slipway-local,app.kubernetes.io/managed-by=pulumi"
    kubectl("create", "configmap", "left-behind")
    kubectl("label", "configmap", "left-behind", *labels.split(","))
    try:
        listed = run("./slipway", "drift", "-s", "local", ok=False)
        assert listed.returncode == 2
        assert listed.stdout == "ConfigMap/left-behind: is no longer declared, and nothing needs it\n"
    finally:
        kubectl("delete", "configmap", "left-behind")


def test_the_files_of_this_clone_are_deployed_again_after_the_tests():
    up()
    # The autoscaler adds the second pod of the restored service only after the rollout.
    eventually(lambda: run("./slipway", "status", "-s", "local", ok=False).returncode == 0, 120, "the stack is healthy")
    pulumi("preview", "--expect-no-changes")
