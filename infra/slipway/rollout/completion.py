"""Waits until Kubernetes reports a rollout of the current generation as complete, whatever the provider reports.

The official provider sometimes takes a rollout for complete that has hardly begun: it accepts an event of the previous
generation as a sign that the controller has seen the Deployment, and then judges the new generation by the status of
the previous one (provider/pkg/await/deployment.go, 4.32.0). A version that never starts would count as deployed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pulumi

from slipway.cluster.api_retry import retried
from slipway.cluster.connection import client
from slipway.engine import Hook
from slipway.objects import asleep_since, has_rollout_failed, is_rolled_out
from slipway.scope import Scope
from slipway.settings.sections.service import Service
from slipway.settings.settings import Settings

if TYPE_CHECKING:
    from lightkube import Client

POLL_SECONDS = 1.0
# Grace period in which a failed Progressing condition may still be that of the previous rollout.
STALE_CONDITION_SECONDS = 10.0


class IncompleteRolloutError(Exception):
    """A rollout has failed or timed out."""


def after_update(scope: Scope) -> Hook:
    """Return the hook that fails an update of a Deployment unless its rollout completes."""
    name, service, settings = scope.name, scope.service, scope.settings
    return f"{name}-rolled-out", lambda _: wait(client(settings), name, service)


def before_record(settings: Settings) -> Hook:
    """Return the hook that lets a release be recorded only when all services are rolled out."""

    def wait_for_all(_: pulumi.ResourceHookArgs) -> None:
        api = client(settings)
        for name, service in settings.services.items():
            wait(api, name, service)

    return "all-rolled-out", wait_for_all


def wait(api: Client, name: str, service: Service) -> None:
    """Wait until the Deployment is rolled out.

    Raises `IncompleteRolloutError` when Kubernetes reports its failure, it times out or it is asleep. Until then
    requests are retried while the API server cannot be reached.
    """
    from lightkube.resources.apps_v1 import Deployment  # noqa: PLC0415 - a preview does not need the client

    start = last_progressing = time.monotonic()
    while True:
        deployment = retried(lambda: api.get(Deployment, name), until=start + service.rollout_seconds).to_dict()
        if is_rolled_out(deployment, service.min_replicas):
            return
        if since := asleep_since(deployment):
            raise IncompleteRolloutError(
                f"Deployment/{name} is asleep since {since}, so no pod of it starts. First: ./slipway env wake "
                f"{pulumi.get_stack()}"
            )
        now = time.monotonic()
        if not has_rollout_failed(deployment):
            last_progressing = now
        if now - last_progressing > STALE_CONDITION_SECONDS or now - start > service.rollout_seconds:
            status = deployment.get("status") or {}
            raise IncompleteRolloutError(
                f"the rollout of Deployment/{name} is not complete: {status.get('updatedReplicas', 0)} new pods, "
                f"{status.get('availableReplicas', 0)} pods serve in all"
            )
        time.sleep(POLL_SECONDS)
