"""Releases on the real cluster, under load: a failed rollout is rolled back automatically, others by command."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import Any

import pytest
import urllib3

from tests.e2e.conftest import (
    HOST,
    LOCAL,
    NEEDS,
    ROOT,
    Edit,
    environment,
    eventually,
    history,
    kubectl,
    outputs,
    pulumi,
    run,
    running_pods,
    up,
    variable,
    version,
)
from tests.e2e.load import Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

HEALTH = "app/internal/admin/health.go"
# Such a version starts, and is never ready.
READY, NEVER_READY = "answer(w, h.phase.Load() == ready, h.word())", "answer(w, false, h.word())"
SERVICES = "  slipway:services:\n"
IMPATIENT = "  slipway:service: {startupSeconds: 5, progressSeconds: 30}\n  slipway:services:\n"


def in_force() -> dict[str, Any]:
    [row] = [row for row in history() if row["inForce"]]
    return row


def images() -> set[str]:
    """Return the images of the pods that are not terminating."""
    pods = json.loads(kubectl("get", "pods", "-l", "app.kubernetes.io/name=api", "-o", "json"))["items"]
    return {pod["spec"]["containers"][0]["image"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}


def test_the_stack_is_up_before_the_tests_begin():
    up()
    # The autoscaler adds the second pod of a stack that was created again only after the rollout.
    eventually(lambda: run("./slipway", "status", "-s", "local", ok=False).returncode == 0, 120, "the stack is healthy")
    pulumi("preview", "--expect-no-changes")


@pytest.mark.feature("D9")
def test_history_shows_who_deployed_which_image_when_and_the_result():
    row = in_force()
    assert row["result"] == "succeeded"
    assert row["image"] == outputs()["image"]
    assert kubectl("get", "configmap", f"release-{row['revision']}", "-o", "jsonpath={.immutable}") == "true"


@pytest.mark.feature("L3")
def test_status_is_one_screen_with_an_exit_code_and_logs_and_port_forward_work():
    screen = run("./slipway", "status", "-s", "local").stdout
    assert screen.startswith("healthy\n")
    assert f"https://{HOST}" in screen
    report = json.loads(run("./slipway", "status", "-s", "local", "--json").stdout)
    assert (report["healthy"], report["causes"]) == (True, [])

    lines = [json.loads(line) for line in run("./slipway", "logs", "-s", "local", "api", "--json").stdout.splitlines()]
    assert {line["pod"] for line in lines} == set(running_pods("api"))

    command = ["./slipway", "port-forward", "api", "18080", "-s", "local"]
    forwarding = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert forwarding.stdout
        assert "127.0.0.1:18080 -> 8080" in forwarding.stdout.readline()
        assert urllib3.request("GET", "http://127.0.0.1:18080/version").json()["version"] == outputs()["version"]
    finally:
        forwarding.send_signal(signal.SIGINT)
        forwarding.wait(timeout=10)


@pytest.mark.feature("D3")
@pytest.mark.feature("D5", part="failed update and its rollback, 50 rps")
def test_a_version_that_never_gets_ready_is_rolled_back_and_no_request_is_lost(
    edit: Edit, api: urllib3.HTTPSConnectionPool
):
    former, served = in_force(), version(api)
    edit(HEALTH, READY, NEVER_READY)
    edit(LOCAL, SERVICES, IMPATIENT)
    with Load(api, "/v1/shops") as load:
        time.sleep(2)
        done = run("./slipway", "up", "-s", "local", "--yes", ok=False)
        time.sleep(3)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "The rollout failed" in done.stderr
    assert f"release {former['revision']}" in done.stderr and "is in force again" in done.stderr
    assert load.sent > 20 * 50
    assert load.lost == []
    assert version(api) == served
    eventually(lambda: images() == {former["image"]}, 120, "pods of the former image only")
    edit(HEALTH, NEVER_READY, READY)
    edit(LOCAL, IMPATIENT, SERVICES)
    pulumi("preview", "--expect-no-changes")
    pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    rollback, failed = history()[:2]
    assert (rollback["revision"], rollback["result"], rollback["inForce"]) == (former["revision"], "succeeded", True)
    assert (failed["revision"], failed["result"]) == ("", "failed")


@pytest.mark.feature("D6", part="a failed migration is rolled back")
def test_a_failed_migration_is_rolled_back_and_the_former_one_does_not_run_again(edit: Edit):
    jobs = kubectl("get", "jobs", "-o", "name", "-l", "app.kubernetes.io/name=api")
    edit("stacks/defaults.yaml", "migration: {args: [migrate]}", "migration: {args: [nothing-of-the-kind], retries: 0}")
    done = run("./slipway", "up", "-s", "local", "--yes", ok=False)
    assert done.returncode == 1
    assert "is in force again" in done.stderr
    assert kubectl("get", "jobs", "-o", "name", "-l", "app.kubernetes.io/name=api") == jobs
    edit("stacks/defaults.yaml", "migration: {args: [nothing-of-the-kind], retries: 0}", "migration: {args: [migrate]}")
    pulumi("preview", "--expect-no-changes")


def test_an_error_in_the_settings_rolls_nothing_back(edit: Edit):
    before = history()
    edit(LOCAL, "autoscaling: {min: 2", "autoscaling: {mni: 2")
    done = run("./slipway", "up", "-s", "local", "--yes", ok=False)
    assert done.returncode == 1
    assert "rolling back" not in done.stderr
    edit(LOCAL, "autoscaling: {mni: 2", "autoscaling: {min: 2")
    assert history() == before


@pytest.mark.feature("D4")
def test_a_changed_variable_is_rolled_back_together_with_the_state(edit: Edit):
    former = in_force()
    edit(LOCAL, "LOG_LEVEL: debug", "LOG_LEVEL: warn")
    run("./slipway", "up", "-s", "local", "--yes")
    assert variable("LOG_LEVEL") == "warn"
    output = run("./slipway", "rollback", "-s", "local", "--yes").stdout
    assert "LOG_LEVEL: warn -> debug" in output
    assert variable("LOG_LEVEL") == "debug"
    assert in_force()["revision"] == former["revision"]
    edit(LOCAL, "LOG_LEVEL: warn", "LOG_LEVEL: debug")
    pulumi("preview", "--expect-no-changes")


@pytest.mark.feature("D4")
@pytest.mark.feature("D5", part="rollback, 50 rps")
def test_an_image_is_rolled_back_by_its_revision_and_no_request_is_lost(edit: Edit, api: urllib3.HTTPSConnectionPool):
    former, served = in_force(), version(api)
    edit("app/cmd/api/main.go", "package main", "package main // to be rolled back")
    run("./slipway", "up", "-s", "local", "--yes")
    # The official plugin does not wait until the former pods are gone.
    eventually(lambda: version(api) != served, 30, "the new version answers")
    with Load(api, "/v1/shops") as load:
        time.sleep(2)
        run("./slipway", "rollback", former["revision"], "-s", "local", "--yes")
        time.sleep(3)
    assert load.sent > 100
    assert load.lost == []
    assert version(api) == served == outputs()["version"]
    assert in_force()["image"] == former["image"] == outputs()["image"]


def test_an_unknown_revision_is_one_clear_message_and_changes_nothing():
    before = history()
    refused = run("./slipway", "rollback", "0000aaaa", "-s", "local", "--yes", ok=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: there is no release 0000aaaa of stack local. Recorded, the newest first: ")
    assert refused.stderr.count("\n") == 1
    assert history() == before


@pytest.mark.feature("D1", part="a provider that does not wait")
def test_a_rollout_that_the_provider_has_not_waited_for_fails_the_update_all_the_same(edit: Edit):
    """The official provider sometimes does not wait; here skipAwait keeps every provider from waiting."""
    former = in_force()
    edit(
        "infra/slipway/service/web_service.py",
        "{**scope.selector_annotation, **scope.external_annotation}),",
        '{**scope.selector_annotation, "pulumi.com/skipAwait": "true"}),',
    )
    edit(LOCAL, SERVICES, IMPATIENT)
    edit(LOCAL, NEEDS, f"{NEEDS}      migration: null\n      args: [nothing-of-the-kind]\n")
    done = run("./slipway", "up", "-s", "local", "--yes", ok=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the rollout of Deployment/api is not complete: 1 new pods" in done.stdout
    assert "crash loop: " in done.stderr
    assert "is in force again" in done.stderr
    assert in_force()["revision"] == former["revision"]
    eventually(lambda: images() == {former["image"]}, 60, "pods of the former version only")


def test_the_files_of_this_clone_are_deployed_again_after_the_tests():
    up()
    pulumi("preview", "--expect-no-changes")
