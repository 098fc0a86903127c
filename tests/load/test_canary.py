"""Canaries on the real cluster, under load: a good one is promoted, a bad one fails no more than its share."""

from __future__ import annotations

import time

import pytest
import urllib3

from tests.e2e.canaries import canary, canary_objects, deploy_bad_canary, slipway_up
from tests.e2e.conftest import LOCAL, NEEDS, Edit, eventually, history, kubectl, outputs, pulumi, up, version
from tests.e2e.load import Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

PERCENT = 34


def deployments() -> list[str]:
    return sorted(kubectl("get", "deployments", "-o", "name").split())


def test_the_stack_is_up_before_the_tests_begin():
    up()
    pulumi("preview", "--expect-no-changes")


def test_enabling_canaries_rolls_no_pods_and_starts_no_canary(edit: Edit):
    pods = kubectl("get", "pods", "-l", "app.kubernetes.io/name=api", "-o", "name")
    edit(LOCAL, NEEDS, canary(PERCENT))
    assert "canary of api" not in slipway_up()
    assert kubectl("get", "pods", "-l", "app.kubernetes.io/name=api", "-o", "name") == pods


@pytest.mark.feature("D7", part="a good canary is promoted, 0 lost, 50 rps")
def test_a_good_canary_is_promoted_and_no_request_is_lost(edit: Edit, api: urllib3.HTTPSConnectionPool):
    served = version(api)
    edit(LOCAL, NEEDS, canary(PERCENT))
    edit("app/cmd/api/main.go", "package main", "package main // to be promoted")
    with Load(api, "/v1/shops") as load:
        time.sleep(2)
        output = slipway_up()
        time.sleep(3)
    assert f"canary of api, with at most {PERCENT} % of the requests" in output
    assert "local: api: the canary is good: " in output
    assert load.sent > 30 * 50
    assert load.lost == []
    assert version(api) == outputs()["version"] != served
    eventually(lambda: canary_objects() == "", 60, "no object of the canary is left")
    pulumi("preview", "--expect-no-changes")
    promoted, canary_update = history()[:2]
    assert (promoted["inForce"], promoted["result"]) == (True, "succeeded")
    assert (canary_update["message"], canary_update["result"], canary_update["revision"]) == (
        "canary of api",
        "succeeded",
        "",
    )


@pytest.mark.feature("D7")
def test_a_bad_canary_is_withdrawn_and_never_gets_more_than_its_share(edit: Edit, api: urllib3.HTTPSConnectionPool):
    up()  # else the version of a former test would run as a canary first
    edit(LOCAL, NEEDS, canary(PERCENT))
    slipway_up()
    served, former, before = version(api), outputs()["image"], deployments()
    bad = deploy_bad_canary(edit, api)
    assert bad.done.returncode == 1, bad.done.stdout + bad.done.stderr
    assert "local: the canary is withdrawn:\napi: " in bad.done.stderr
    assert "answers were errors (5xx)" in bad.done.stderr and "(errorPercent)" in bad.done.stderr
    assert "is in force again. The update failed." in bad.done.stderr
    assert "Traceback" not in bad.done.stdout + bad.done.stderr
    assert bad.answered > 100
    # One request more or less counts at the start and at the end of the canary.
    assert bad.failed <= bad.answered * PERCENT / 100 + 2

    assert version(api) == served
    assert outputs()["image"] == former
    eventually(lambda: deployments() == before, 60, "no Deployment of the canary")
    eventually(lambda: canary_objects() == "", 60, "no object of the canary is left")
    pulumi("preview", "--expect-no-changes")
    pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    rollback, canary_update = history()[:2]
    assert (rollback["inForce"], rollback["result"]) == (True, "succeeded")
    assert rollback["message"].endswith(": canary of api withdrawn")
    assert (canary_update["message"], canary_update["result"], canary_update["revision"]) == (
        "canary of api",
        "withdrawn",
        "",
    )


def test_the_files_of_this_clone_are_deployed_again_after_the_tests():
    up()
    pulumi("preview", "--expect-no-changes")
