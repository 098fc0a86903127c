"""A canary on the real cluster, under load: a good one is promoted, a bad one withdrawn with no more than its share."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import urllib3

from tests.e2e.conftest import eventually, kubectl, outputs, pulumi, run, up
from tests.e2e.load import Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

Edit = Callable[[str, str, str], None]
LOCAL = "stacks/Pulumi.local.yaml"
ROLLING = "      needs: [mysql, redis]\n"
PERCENT = 34
# Latency is not what these tests are about: the machine is small, and builds beside them.
CANARY = f"""{ROLLING}      rollout: canary
      canary: {{percent: {PERCENT}, seconds: 30, requests: 100, p99Milliseconds: 5000}}
"""
ROUTES = "app/internal/api/routes.go"
GOOD = "a.limited(requests, a.listShops)"
BAD = 'func(http.ResponseWriter, *http.Request) error { return refuse(http.StatusInternalServerError, "") }'
FAILED = "status 500"


def history() -> list[dict[str, Any]]:
    """The newest first; nothing may be missing."""
    told = json.loads(run("./slipway", "history", "-s", "local", "--json").stdout)
    assert told["missing"] == []
    return told["history"]


def deployments() -> list[str]:
    return sorted(kubectl("get", "deployments", "-o", "name").split())


def of_canary() -> str:
    """The names of all that is a canary's."""
    kinds = "deployments,configmaps,secrets,jobs,services,networkpolicies"
    return "\n".join(line for line in kubectl("get", kinds, "-o", "name").splitlines() if "api-canary" in line)


def version(api: urllib3.HTTPSConnectionPool) -> str:
    """The version that answers."""
    return api.request("GET", "/version").json()["version"]


def test_the_stack_is_up_before_the_tests_begin():
    up()
    pulumi("preview", "--expect-no-changes")


def test_to_ask_for_canaries_rolls_no_pods_and_so_tries_nothing(edit: Edit):
    pods = kubectl("get", "pods", "-l", "app.kubernetes.io/name=api", "-o", "name")
    edit(LOCAL, ROLLING, CANARY)
    assert "canary of api" not in run("./slipway", "up", "-s", "local", "--yes").stderr
    assert kubectl("get", "pods", "-l", "app.kubernetes.io/name=api", "-o", "name") == pods


@pytest.mark.feature("D7", part="a good canary is promoted, 0 lost, 50 rps")
def test_a_good_canary_is_promoted_and_no_request_is_lost(edit: Edit, api: urllib3.HTTPSConnectionPool):
    served = version(api)
    edit(LOCAL, ROLLING, CANARY)
    edit("app/cmd/api/main.go", "package main", "package main // to be promoted")
    with Load(api, "/v1/shops") as load:
        time.sleep(2)
        told = run("./slipway", "up", "-s", "local", "--yes").stderr
        time.sleep(3)
    assert f"canary of api, with at most {PERCENT} % of the requests" in told
    assert "local: api: the canary is good: " in told
    assert load.sent > 30 * 50
    assert load.lost == []
    assert version(api) == outputs()["version"] != served
    eventually(lambda: of_canary() == "", 60, "nothing is left of the canary")
    pulumi("preview", "--expect-no-changes")
    promoted, tried = history()[:2]
    assert (promoted["inForce"], promoted["result"]) == (True, "succeeded")
    assert (tried["message"], tried["result"], tried["revision"]) == ("canary of api", "succeeded", "")


@pytest.mark.feature("D7")
def test_a_bad_canary_is_withdrawn_and_never_gets_more_than_its_share(edit: Edit, api: urllib3.HTTPSConnectionPool):
    up()  # what another test has deployed would be tried first
    edit(LOCAL, ROLLING, CANARY)
    run("./slipway", "up", "-s", "local", "--yes")
    served, former, before = version(api), outputs()["image"], deployments()
    edit(ROUTES, GOOD, BAD)
    with Load(api, "/v1/shops") as load:
        time.sleep(2)
        done = run("./slipway", "up", "-s", "local", "--yes", ok=False)
        time.sleep(3)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "local: the canary is withdrawn:\napi: " in done.stderr
    assert "answers were errors (5xx)" in done.stderr and "(errorPercent)" in done.stderr
    assert "is in force again. The update failed." in done.stderr
    assert "Traceback" not in done.stdout + done.stderr

    # It answers nothing else on this path, so these are its share of the requests.
    assert set(load.lost) == {FAILED}
    first, last = load.answers.index(FAILED), len(load.answers) - load.answers[::-1].index(FAILED)
    life = load.answers[first:last]
    assert len(life) > 100
    # Where its life begins and ends a request more or less counts.
    assert life.count(FAILED) <= len(life) * PERCENT / 100 + 2

    assert version(api) == served
    assert outputs()["image"] == former
    eventually(lambda: deployments() == before, 60, "no Deployment of the canary")
    eventually(lambda: of_canary() == "", 60, "nothing is left of the canary")
    edit(ROUTES, BAD, GOOD)
    pulumi("preview", "--expect-no-changes")
    pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    back, tried = history()[:2]
    assert (back["inForce"], back["result"]) == (True, "succeeded")
    assert back["message"].endswith(": canary of api withdrawn")
    assert (tried["message"], tried["result"], tried["revision"]) == ("canary of api", "withdrawn", "")


def test_the_files_of_this_clone_are_deployed_again_after_the_tests():
    up()
    pulumi("preview", "--expect-no-changes")
