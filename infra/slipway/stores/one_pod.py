"""A server that runs as one pod with a volume, behind a stable address: what stores and monitoring have in common."""

from __future__ import annotations

import pulumi
from pulumi_kubernetes import apps, core, meta

from slipway.naming import content_name, labels, network_labels, selector
from slipway.scope import Scope
from slipway.service import pod, scaling
from slipway.settings.tiers import TIERS

# A server may have to repair its data, or read much of it, before it answers.
STARTUP_SECONDS = 600


def files(scope: Scope, texts: dict[str, str]) -> pulumi.Output[str]:
    """Declare files of the server, named by their content, so that a change restarts the pod. Return their name."""
    declared = core.v1.ConfigMap(
        f"{scope.name}-files",
        metadata=scope.meta(content_name(f"{scope.name}-files", texts)),
        data=texts,
        immutable=True,
        opts=scope.child(),
    )
    return declared.metadata.name


def template(
    scope: Scope,
    container: core.v1.ContainerArgs,
    volumes: list[core.v1.VolumeArgs],
    grace_seconds: int,
    annotations: dict[str, str] | None = None,
) -> core.v1.PodTemplateSpecArgs:
    """Return the template of a restricted pod with one container. It may write to its volumes."""
    return core.v1.PodTemplateSpecArgs(
        metadata=meta.v1.ObjectMetaArgs(
            annotations=annotations, labels={**labels(scope.name, scope.component), **network_labels(scope.name)}
        ),
        spec=core.v1.PodSpecArgs(
            # Not file by file at each start: a volume full of data would take minutes.
            **pod.restricted_pod(scope.name, fs_group_change_policy="OnRootMismatch"),
            termination_grace_period_seconds=grace_seconds,
            containers=[container],
            volumes=volumes,
        ),
    )


def run(
    scope: Scope, template: core.v1.PodTemplateSpecArgs, port: int, *after: pulumi.Resource, is_awaited: bool = True
) -> core.v1.Service:
    """Declare the server after what it needs. Return its address; its port is named like the server.

    An update fails if an awaited server does not start.
    """
    server = apps.v1.StatefulSet(
        scope.name,
        metadata=scope.meta(scope.name, {} if is_awaited else {"pulumi.com/skipAwait": "true"}),
        spec=apps.v1.StatefulSetSpecArgs(
            replicas=1,
            service_name=scope.name,
            selector=meta.v1.LabelSelectorArgs(match_labels=selector(scope.name)),
            # OrderedReady would wait for a pod that cannot start instead of replacing it.
            pod_management_policy="Parallel",
            template=template,
        ),
        opts=scope.child(*after),
    )
    scaling.disruption_budget(scope)
    return core.v1.Service(
        scope.name,
        metadata=scope.meta(scope.name),
        spec=core.v1.ServiceSpecArgs(
            # Not headless: clients would keep using the address of a pod that is gone.
            type="ClusterIP",
            selector=selector(scope.name),
            ports=[core.v1.ServicePortArgs(name=scope.name, port=port, target_port=scope.name)],
        ),
        opts=scope.child(server),
    )


def claim(scope: Scope, name: str, storage: str, storage_class: str | None) -> core.v1.PersistentVolumeClaim:
    """Declare a volume. In prod it is protected, and stays in the cluster when it is removed from the program."""
    protected = TIERS[scope.settings.tier].protects_data
    return core.v1.PersistentVolumeClaim(
        name,
        # It is bound when its first pod is scheduled, and the pod waits for it, so Pulumi need not.
        metadata=scope.meta(name, {"pulumi.com/skipAwait": "true"}),
        spec=core.v1.PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            storage_class_name=storage_class,
            resources=core.v1.VolumeResourceRequirementsArgs(requests={"storage": storage}),
        ),
        opts=pulumi.ResourceOptions.merge(
            scope.child(), pulumi.ResourceOptions(protect=protected, retain_on_delete=protected)
        ),
    )
