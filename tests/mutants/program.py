"""Defects in infra/: parts of the program that do something else than they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pod
import scaling
import traffic

from tests.mutants.seeding import in_program


def no_change(*_: Any, **__: Any) -> None:
    """Stands for a part of the program that does nothing any more."""


def _told(variable: str, value: str | None) -> Callable[[Any], dict[str, str]]:
    """The environment of a service with another value for one variable, or without it."""
    environment = pod.environment

    def told(service: Any) -> dict[str, str]:
        rest = {name: text for name, text in environment(service).items() if name != variable}
        return rest if value is None else {**rest, variable: value}

    return told


def _elsewhere(part: Callable[..., Any]) -> Callable[..., Any]:
    """A part of the program that has another name for the pods than all others."""
    return lambda scope, *rest: part(replace(scope, found_as=f"{scope.name}-app"), *rest)


PROGRAM = [
    in_program("the grace period forgets the drain", ("pod.grace_seconds", lambda drain: drain.pre_stop_seconds)),
    in_program("no margin before the kubelet kills", ("pod.GRACE_MARGIN_SECONDS", 0)),
    in_program("the app runs as root", ("pod.USER_ID", 0)),
    in_program("probes and requests share a port", ("pod.ADMIN_PORT", 8080)),
    in_program("the Go runtime is told nothing", ("pod._runtime", lambda resources: [])),
    in_program("volumes are not mounted", ("pod._mounts", lambda config: [])),
    in_program("mounts without volumes", ("pod._volumes", lambda config: [])),
    in_program("the app is not told how long to drain", ("pod.environment", _told("DRAIN_DELAY", None))),
    in_program("the app looks for its file elsewhere", ("pod.environment", _told("CONFIG_FILE", "/config.yaml"))),
    in_program("the app looks for its secrets elsewhere", ("pod.environment", _told("SECRETS_DIR", "/secrets"))),
    in_program("the app listens elsewhere", ("pod.environment", _told("HTTP_PORT", "80"))),
    in_program("the Service selects other labels", ("traffic.cluster_address", _elsewhere(traffic.cluster_address))),
    in_program("the budget selects other labels", ("scaling.disruption_budget", _elsewhere(scaling.disruption_budget))),
    in_program("the pods carry other labels than are selected", ("pod.template", _elsewhere(pod.template))),
    in_program("no disruption budget", ("scaling.disruption_budget", no_change)),
    in_program("no autoscaler", ("scaling.autoscaler", no_change)),
    in_program("the namespace is open", ("network.closed", no_change)),
    in_program("no connection is opened", ("network.declared_edges", no_change)),
    in_program("callers may not leave", ("network._outgoing", lambda scope: []), base="two-services"),
    in_program("nobody may come in", ("network._incoming", lambda scope: [])),
    in_program("everybody may come in", ("network._incoming", lambda scope: [{}])),
    in_program("policies select no pods", ("network.pods_of", lambda service: {"slipway/service": f"{service}-pod"})),
    in_program("no quota", ("environment.Environment._quota", no_change)),
    in_program("no defaults for containers without a size", ("environment.Environment._defaults", no_change)),
    in_program("variables under a name that stays", ("configuration.content_name", lambda name, data: name)),
    in_program(
        "a name that is made from nothing", ("configuration.content_name", lambda name, data: f"{name}-00000000")
    ),
    in_program(
        "a job counts as a pod of the service",
        ("pod.job_template", lambda name, scope, job, *rest: pod.template(scope, *rest)),
        base="jobs",
    ),
    in_program("the Service has a port that cannot be", ("traffic.PORT", 80000)),
    in_program("no address", ("traffic.cluster_address", lambda scope, deployment: deployment)),
    in_program("objects carry no labels", ("scope.labels", lambda service, component: {})),
]
