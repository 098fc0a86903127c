"""What tests of canaries have in common: how the stack asks for one, and a version that answers wrongly."""

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
    """Stands for NEEDS; `more` is further keys of the canary."""
    # Latency is not what these tests are about: the machine is small, and builds beside them.
    keys = f"percent: {percent}, seconds: 30, requests: 100, p99Milliseconds: 5000{more}"
    return f"{NEEDS}      rollout: canary\n      canary: {{{keys}}}\n"


def slipway_up() -> str:
    """`./slipway up`, which tries what is to be tried first; what it told."""
    return run("./slipway", "up", "-s", "local", "--yes").stderr


def of_canary() -> str:
    """The names of all that is a canary's."""
    kinds = "deployments,configmaps,secrets,jobs,services,networkpolicies"
    return "\n".join(line for line in kubectl("get", kinds, "-o", "name").splitlines() if "api-canary" in line)


@dataclass(frozen=True)
class Withdrawn:
    """What a bad canary left."""

    done: subprocess.CompletedProcess[str]
    failed: int
    """Answers that were its own."""
    answered: int
    """All answers from its first one to its last one."""


def try_a_bad_one(edit: Edit, api: urllib3.HTTPSConnectionPool) -> Withdrawn:
    """Deploy a version that answers nothing but errors, under load."""
    edit(ROUTES, GOOD, BAD)
    with Load(api, "/v1/shops") as load:
        time.sleep(2)
        done = run("./slipway", "up", "-s", "local", "--yes", ok=False)
        time.sleep(3)
    edit(ROUTES, BAD, GOOD)
    assert set(load.lost) == {FAILED}
    first, last = load.answers.index(FAILED), len(load.answers) - load.answers[::-1].index(FAILED)
    return Withdrawn(done, len(load.lost), last - first)
