"""Defects in infra/: parts of the program that do not do what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from slipway.service import inputs, pod, scaling, traffic
from tests.mutants.seeding import in_program

# The function itself, which the defect replaces by its name.
restricted_pod = pod.restricted_pod


def no_change(*_: Any, **__: Any) -> None:
    """Replaces a part of the program with one that does nothing."""


def _environment(variable: str, value: str | None) -> Callable[[Any], dict[str, str]]:
    """Return the environment of a service with another value for one variable, or without it."""
    environment = inputs.environment

    def changed(service: Any) -> dict[str, str]:
        rest = {name: text for name, text in environment(service).items() if name != variable}
        return rest if value is None else {**rest, variable: value}

    return changed


def _elsewhere(part: Callable[..., Any]) -> Callable[..., Any]:
    """Return a part of the program that names the pods differently from all others."""
    return lambda scope, *rest: part(replace(scope, selected_as=f"{scope.name}-app"), *rest)


PROGRAM = [
    in_program(
        "the grace period forgets the drain", ("service.pod.grace_seconds", lambda drain: drain.pre_stop_seconds)
    ),
    in_program("no margin before the kubelet kills", ("service.pod.GRACE_MARGIN_SECONDS", 0)),
    in_program(
        "the app runs as root", ("service.pod.restricted_pod", lambda account, **_: restricted_pod(account, user=0))
    ),
    in_program("probes and requests share a port", ("settings.sections.app.App.admin_port", 8080)),
    in_program("the Go runtime is told nothing", ("service.inputs.runtime_limits", lambda resources: [])),
    in_program("volumes are not mounted", ("service.inputs.mounts", lambda scope, config: [])),
    in_program("mounts without volumes", ("service.inputs.volumes", lambda scope, config: [])),
    in_program(
        "the app is not told how long to drain", ("service.inputs.environment", _environment("DRAIN_DELAY", None))
    ),
    in_program(
        "the app looks for its file elsewhere",
        ("service.inputs.environment", _environment("CONFIG_FILE", "/config.yaml")),
    ),
    in_program(
        "the app looks for its secrets elsewhere",
        ("service.inputs.environment", _environment("SECRETS_DIR", "/secrets")),
    ),
    in_program("the app listens elsewhere", ("service.inputs.environment", _environment("HTTP_PORT", "80"))),
    in_program(
        "the Service selects other labels", ("service.traffic.cluster_address", _elsewhere(traffic.cluster_address))
    ),
    in_program(
        "the budget selects other labels", ("service.scaling.disruption_budget", _elsewhere(scaling.disruption_budget))
    ),
    in_program("the pods carry other labels than are selected", ("service.pod.template", _elsewhere(pod.template))),
    in_program("no disruption budget", ("service.scaling.disruption_budget", no_change)),
    in_program("no autoscaler", ("service.scaling.autoscaler", no_change)),
    in_program("the namespace is open", ("network.deny_by_default", no_change)),
    in_program("no connection is opened", ("network.allow_declared", no_change)),
    in_program("callers may not leave", ("network._outgoing", lambda scope: []), base="two-services"),
    in_program("nobody may come in", ("network._incoming", lambda scope: [])),
    in_program("everybody may come in", ("network._incoming", lambda scope: [{}])),
    in_program(
        "policies select no pods",
        ("network.network_labels", lambda service: {"slipway/service": f"{service}-pod"}),
    ),
    in_program("no quota", ("environment.Environment._quota", no_change)),
    in_program("no defaults for containers without a size", ("environment.Environment._defaults", no_change)),
    in_program("variables under a name that stays", ("service.configuration.content_name", lambda name, data: name)),
    in_program(
        "a name that is made from nothing",
        ("service.configuration.content_name", lambda name, data: f"{name}-00000000"),
    ),
    in_program(
        "a job counts as a pod of the service",
        ("service.pod.job_template", lambda name, scope, job, *rest: pod.template(scope, *rest)),
        base="jobs",
    ),
    in_program("the Service has a port that cannot be", ("service.traffic.PORT", 80000)),
    in_program("no address", ("service.traffic.cluster_address", lambda scope, deployment: deployment)),
    in_program("objects carry no labels", ("scope.labels", lambda service, component: {})),
]
