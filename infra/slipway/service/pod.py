"""The pod template of all services and jobs: restricted, probed, sized, and drained without losing a request.

Pure functions from settings to arguments; web_service.py puts the result into a Deployment, jobs.py into Jobs.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi_kubernetes import core, meta

from slipway.image.reference import ImageReference
from slipway.naming import (
    CONTRACT,
    SECRET_VARIABLES,
    SHARED_PROBE,
    SHUTDOWN_SECONDS,
    WORKER,
    labels,
    network_labels,
)
from slipway.scope import Scope
from slipway.service import container, inputs
from slipway.service.inputs import Config
from slipway.settings.sections.app import USER_ID
from slipway.settings.sections.pods import Drain, Job
from slipway.settings.sections.service import Service

# Time between the app's own deadline and the kubelet's SIGKILL.
GRACE_MARGIN_SECONDS = 5
# How long a pod without a readiness probe has to run.
UNPROBED_SECONDS = 10
# Earlier ReplicaSets that are kept for `kubectl rollout undo`, with their configuration (retention.py).
REVISIONS = 5


def template(scope: Scope, image: ImageReference, config: Config) -> core.v1.PodTemplateSpecArgs:
    """Return the template of the pods that run all the time."""
    return core.v1.PodTemplateSpecArgs(
        metadata=meta.v1.ObjectMetaArgs(
            annotations=_annotations(scope),
            labels={
                **(labels(scope.name, WORKER) if scope.service.is_worker else labels(scope.name)),
                **scope.selector,
                **network_labels(scope.name),
                "app.kubernetes.io/version": image.version,
            },
        ),
        spec=core.v1.PodSpecArgs(
            **_identity(scope, config),
            termination_grace_period_seconds=grace_seconds(scope.service.drain_in_force),
            # Has the same effect as the spread over nodes below; scanners look for this form.
            affinity=_apart(scope.selector),
            topology_spread_constraints=[
                _spread(scope.selector, "kubernetes.io/hostname"),
                _spread(scope.selector, "topology.kubernetes.io/zone"),
            ],
            containers=[container.of_service(scope, image, config)],
        ),
    )


def job_template(
    key: str, scope: Scope, job: Job, image: ImageReference, config: Config
) -> core.v1.PodTemplateSpecArgs:
    """Return the template of a pod that runs one command. It is labelled with the job, so no Service selects it.

    Its container has the same name in a canary, so that a patch finds it there too.
    """
    return core.v1.PodTemplateSpecArgs(
        metadata=meta.v1.ObjectMetaArgs(
            annotations=_annotations(scope),
            labels={**labels(f"{scope.title}-{key}", "job"), **network_labels(scope.name), **scope.track_labels},
        ),
        spec=core.v1.PodSpecArgs(
            **_identity(scope, config),
            restart_policy="Never",
            containers=[container.of_job(f"{scope.name}-{key}", scope, job, image, config)],
        ),
    )


def account(scope: Scope, pull_secret: pulumi.Input[str] | None, name: str = "") -> core.v1.ServiceAccount:
    """Declare a ServiceAccount without rights; all it has are passwords of registries and a cloud's own annotations."""
    service = scope.settings.services.get(scope.name)
    names = [*([pull_secret] if pull_secret is not None else []), *(service.pull_secrets if service else ())]
    annotations = service.service_account.annotations if service else {}
    return core.v1.ServiceAccount(
        name or scope.name,
        metadata=scope.meta(name or scope.name, {**annotations, **scope.external_annotation}),
        automount_service_account_token=False,
        image_pull_secrets=[core.v1.LocalObjectReferenceArgs(name=name) for name in names] or None,
        opts=scope.child(),
    )


def restricted_pod(account: str, fs_group_change_policy: str | None = None, user: int = USER_ID) -> dict[str, Any]:
    """Return the fields of every pod spec that restrict it: a numeric user, no token, no privileges."""
    return {
        "service_account_name": account,
        "automount_service_account_token": False,
        "enable_service_links": False,
        "security_context": core.v1.PodSecurityContextArgs(
            run_as_non_root=True,
            run_as_user=user,
            run_as_group=user,
            fs_group=user,
            fs_group_change_policy=fs_group_change_policy,
            seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault"),
        ),
    }


def grace_seconds(drain: Drain) -> int:
    """Return the seconds from the deletion of a pod to SIGKILL: preStop, drain delay, open requests, margin."""
    return drain.pre_stop_seconds + drain.delay_seconds + drain.shutdown_seconds + GRACE_MARGIN_SECONDS


def min_ready_seconds(service: Service) -> int | None:
    """Return how long a pod has to run until it counts as ready, for an app that is not asked.

    Otherwise a program that ends after a second would complete its rollout first.
    """
    return min(UNPROBED_SECONDS, service.startup_seconds) if service.probes_in_force.ready is None else None


def _annotations(scope: Scope) -> dict[str, str] | None:
    """Return how the pods deviate from the usual contract, for the house rules and for people."""
    service = scope.service
    annotations: dict[str, str] = {}
    if not service.reads_contract:
        annotations |= {CONTRACT: service.contract, SHUTDOWN_SECONDS: str(service.drain.shutdown_seconds)}
    if service.secret_env:
        annotations[SECRET_VARIABLES] = ",".join(sorted(service.secret_env))
    if service.probes_in_force.shared:
        annotations[SHARED_PROBE] = "true"
    return annotations or None


def _identity(scope: Scope, config: Config) -> dict[str, Any]:
    """Return the fields that all pods of a service share: identity and volumes."""
    return {**restricted_pod(scope.name, user=scope.service.user), "volumes": inputs.volumes(scope, config)}


def _apart(pods: dict[str, str]) -> core.v1.AffinityArgs:
    """Prefer nodes without a pod of the same service. A preference, since a cluster may have one node."""
    others = core.v1.PodAffinityTermArgs(
        topology_key="kubernetes.io/hostname", label_selector=meta.v1.LabelSelectorArgs(match_labels=pods)
    )
    preferred = core.v1.WeightedPodAffinityTermArgs(weight=100, pod_affinity_term=others)
    return core.v1.AffinityArgs(
        pod_anti_affinity=core.v1.PodAntiAffinityArgs(preferred_during_scheduling_ignored_during_execution=[preferred])
    )


def _spread(pods: dict[str, str], topology_key: str) -> core.v1.TopologySpreadConstraintArgs:
    return core.v1.TopologySpreadConstraintArgs(
        max_skew=1,
        topology_key=topology_key,
        # A preference, since a cluster may have one node.
        when_unsatisfiable="ScheduleAnyway",
        label_selector=meta.v1.LabelSelectorArgs(match_labels=pods),
        # Each rollout is spread by itself; otherwise the old pods would influence where the new ones go.
        match_label_keys=["pod-template-hash"],
    )
