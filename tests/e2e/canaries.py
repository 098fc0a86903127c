"""Shared by tests of canaries: the settings of a canary, and the deployment of a bad version."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass

import urllib3

from tests.e2e.conftest import NEEDS, Edit, kubectl, run
from tests.e2e.load import Load

ROUTES = "app/internal/api/routes.go"
GOOD = "a.limited(requests, a.listShops)"
BAD = 'func(http.ResponseWriter, *http.Request) error { return refuse(http.StatusInternalServerError, "") }'
FAILED = "status 500"


def canary(percent: int, more: str = "") -> str:
    """Return NEEDS with the settings of a canary; `more` is further keys of them."""
    # A high limit for latency: the machine is small, and builds run during the tests.
    keys = f"percent: {percent}, seconds: 30, requests: 100, p99Milliseconds: 5000{more}"
    return f"{NEEDS}      rollout: canary\n      canary: {{{keys}}}\n"


def slipway_up() -> str:
    """Run `./slipway up`, and return its messages."""
    return run("./slipway", "up", "-s", "local", "--yes").stderr


def canary_objects() -> str:
    """Return the names of all objects of a canary."""
    kinds = "deployments,configmaps,secrets,jobs,services,networkpolicies"
    return "\n".join(line for line in kubectl("get", kinds, "-o", "name").splitlines() if "api-canary" in line)


@dataclass(frozen=True)
class WithdrawnCanary:
    """Result of an update whose canary was withdrawn."""

    done: subprocess.CompletedProcess[str]
    failed: int
    """Number of responses from the canary."""
    answered: int
    """Number of all responses, from the first one of the canary to the last one."""


def deploy_bad_canary(edit: Edit, api: urllib3.HTTPSConnectionPool) -> WithdrawnCanary:
    """Deploy a version that answers nothing but errors, under load."""
    edit(ROUTES, GOOD, BAD)
    with Load(api, "/v1/shops") as load:
        time.sleep(2)
        done = run("./slipway", "up", "-s", "local", "--yes", ok=False)
        time.sleep(3)
    edit(ROUTES, BAD, GOOD)
    assert set(load.lost) == {FAILED}
    first, last = load.answers.index(FAILED), len(load.answers) - load.answers[::-1].index(FAILED)
    return WithdrawnCanary(done, len(load.lost), last - first)
