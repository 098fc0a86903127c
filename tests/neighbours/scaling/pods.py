"""The pods of the API while it scales by its requests, and how long that takes at the most."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.conftest import kubectl

# The autoscaler of the API in the stack file. That of web has the same text, further below.
BY_CPU = "      autoscaling: {min: 2, max: 4}\n"
MIN, MAX = 2, 4
# Requests per second: what one pod takes, and what calls for more pods than there may be.
TARGET, RATE = 20, 100
UP_SECONDS = 180
# Scaling down takes 5 minutes without need, and a minute for each pod.
DOWN_SECONDS = 300 + 60 * (MAX - MIN) + 120
# Longer than that: pods that are still there then would have gone.
OUTAGE_SECONDS = 300 + 60 + 60


def deployment(name: str) -> dict[str, Any]:
    """Return a Deployment of the stack."""
    return json.loads(kubectl("get", "deployment", name, "-o", "json"))


def ready(name: str) -> int:
    """Return the number of pods that serve."""
    return deployment(name)["status"].get("readyReplicas", 0)


def wanted(name: str) -> int:
    """Return the number of pods that the autoscaler wants."""
    return deployment(name)["spec"]["replicas"]
