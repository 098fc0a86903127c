"""A rollout is complete when Kubernetes says so of what is asked for now, whatever the provider has made of it.

The official provider at times takes one for complete that has hardly begun: it waits for an event in which the
controller has seen the Deployment, lets that of the former generation pass for it, and then judges the new one by the
status of the former (provider/pkg/await/deployment.go, 4.32.0). A version that never starts would be in force.
"""

from __future__ import annotations

import time
from typing import Any

import pulumi
from api_retry import retried
from connection import client
from lightkube import Client
from lightkube.resources.apps_v1 import Deployment
from scope import Scope
from settings import Service, Settings

POLL_SECONDS = 1.0
# So long it may look as if Kubernetes had given up, when that was said of the rollout before.
LEFT_OVER_SECONDS = 10.0


class IncompleteRolloutError(Exception):
    """The rollout is not complete, and will not be."""


def after_update(scope: Scope) -> pulumi.ResourceHook:
    """After an update of a Deployment it is rolled out, or the update of the stack has failed."""
    name, service, settings = scope.name, scope.service, scope.settings
    return pulumi.ResourceHook(f"{name}-rolled-out", lambda _: wait(client(settings), name, service))


def before_record(settings: Settings) -> pulumi.ResourceHook:
    """Before a release is recorded all services are rolled out, or there is no such release."""

    def wait_for_all(_: pulumi.ResourceHookArgs) -> None:
        api = client(settings)
        for name, service in settings.services.items():
            wait(api, name, service)

    return pulumi.ResourceHook("all-rolled-out", wait_for_all)


def wait(api: Client, name: str, service: Service) -> None:
    """Wait until the Deployment is rolled out.

    Raises `IncompleteRolloutError` once Kubernetes has given it up, or the time is over. Until then an API server that
    cannot be reached is asked again.
    """
    start = seen_going_on = time.monotonic()
    while True:
        found = retried(lambda: api.get(Deployment, name), until=start + service.rollout_seconds).to_dict()
        if is_complete(found, service.fewest):
            return
        now = time.monotonic()
        if not is_given_up(found):
            seen_going_on = now
        if now - seen_going_on > LEFT_OVER_SECONDS or now - start > service.rollout_seconds:
            status = found.get("status") or {}
            told = (
                f"{status.get('updatedReplicas', 0)} new pods, {status.get('availableReplicas', 0)} pods serve in all"
            )
            raise IncompleteRolloutError(f"the rollout of Deployment/{name} is not complete: {told}")
        time.sleep(POLL_SECONDS)


def is_complete(deployment: dict[str, Any], fewest: int) -> bool:
    """Whether all pods are the new ones, and as many serve as the service has at the least.

    An autoscaler may ask for more meanwhile, or learns only after the rollout that it is to: both are no part of it.
    """
    asked_for: int = (deployment.get("spec") or {}).get("replicas", 1)
    status = deployment.get("status") or {}
    return (
        _is_of_now(deployment)
        and _progressing(status).get("reason") == "NewReplicaSetAvailable"
        and status.get("replicas", 0) == status.get("updatedReplicas", 0)
        and status.get("availableReplicas", 0) >= min(fewest, asked_for)
    )


def is_given_up(deployment: dict[str, Any]) -> bool:
    """Whether Kubernetes says that its deadline is over."""
    return _is_of_now(deployment) and _progressing(deployment["status"]).get("status") == "False"


def _is_of_now(deployment: dict[str, Any]) -> bool:
    observed = (deployment.get("status") or {}).get("observedGeneration", 0)
    return observed >= deployment["metadata"]["generation"]


def _progressing(status: dict[str, Any]) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = status.get("conditions") or []
    return next((one for one in conditions if one["type"] == "Progressing"), {})
