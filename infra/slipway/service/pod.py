"""The pod template of all services and jobs: restricted, probed, sized, and drained without losing a request.

Pure functions from settings to arguments; web_service.py puts the result into a Deployment, jobs.py into Jobs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes import core, meta

from slipway.image.reference import ImageReference
from slipway.naming import ADMIN_PORT, HTTP_PORT, labels, network_labels
from slipway.scope import Scope
from slipway.settings import pools
from slipway.settings.sections.pods import Drain, Job, Resources
from slipway.settings.sections.service import Service
from slipway.settings.sections.stores import Mysql, Postgres, Redis
from slipway.settings.types.units import mebibytes, millicores

CONFIG_DIR = "/etc/slipway"
SECRETS_DIR = "/run/secrets/slipway"
AUTHORITIES_DIR = "/etc/slipway-authorities"
# Time between the app's own deadline and the kubelet's SIGKILL.
GRACE_MARGIN_SECONDS = 5
# The user of distroless images. Numeric, because the kubelet cannot check a name against runAsNonRoot.
USER_ID = 65532
# Limit of a container's logs and emptyDirs on the node's disk.
SCRATCH = "64Mi"
# Earlier ReplicaSets that are kept for `kubectl rollout undo`, with their configuration (retention.py).
REVISIONS = 5


@dataclass(frozen=True)
class Config:
    """The names of the objects from which a pod reads its configuration; None where it needs none."""

    env: pulumi.Input[str]
    file: pulumi.Input[str] | None
    secret: pulumi.Input[str] | None
    authorities: pulumi.Input[str] | None = None


def template(scope: Scope, image: ImageReference, config: Config) -> core.v1.PodTemplateSpecArgs:
    """Return the template of the pods that answer requests."""
    return core.v1.PodTemplateSpecArgs(
        metadata=meta.v1.ObjectMetaArgs(
            labels={
                **labels(scope.name),
                **scope.selector,
                **network_labels(scope.name),
                "app.kubernetes.io/version": image.version,
            }
        ),
        spec=core.v1.PodSpecArgs(
            **_identity(scope.name, config),
            termination_grace_period_seconds=grace_seconds(scope.service.drain),
            # Has the same effect as the spread over nodes below; scanners look for this form.
            affinity=_apart(scope.selector),
            topology_spread_constraints=[
                _spread(scope.selector, "kubernetes.io/hostname"),
                _spread(scope.selector, "topology.kubernetes.io/zone"),
            ],
            containers=[_serving(scope.name, scope.service, image, config)],
        ),
    )


def job_template(
    name: str, scope: Scope, job: Job, image: ImageReference, config: Config
) -> core.v1.PodTemplateSpecArgs:
    """Return the template of a pod that runs one command. It is named after the job, so no Service selects it."""
    return core.v1.PodTemplateSpecArgs(
        metadata=meta.v1.ObjectMetaArgs(
            labels={**labels(name, "job"), **network_labels(scope.name), **scope.track_labels}
        ),
        spec=core.v1.PodSpecArgs(
            **_identity(scope.name, config),
            restart_policy="Never",
            containers=[core.v1.ContainerArgs(args=job.args, **_container(name, scope.service, image, config))],
        ),
    )


def account(scope: Scope, pull_secret: pulumi.Input[str] | None, name: str = "") -> core.v1.ServiceAccount:
    """Declare a ServiceAccount without rights; all it has is the password of the registry."""
    return core.v1.ServiceAccount(
        name or scope.name,
        metadata=scope.meta(name or scope.name),
        automount_service_account_token=False,
        image_pull_secrets=[core.v1.LocalObjectReferenceArgs(name=pull_secret)] if pull_secret is not None else None,
        opts=scope.child(),
    )


def restricted_pod(account: str, fs_group_change_policy: str | None = None) -> dict[str, Any]:
    """Return the fields of every pod spec that restrict it: a numeric user, no token, no privileges."""
    return {
        "service_account_name": account,
        "automount_service_account_token": False,
        "enable_service_links": False,
        "security_context": core.v1.PodSecurityContextArgs(
            run_as_non_root=True,
            run_as_user=USER_ID,
            run_as_group=USER_ID,
            fs_group=USER_ID,
            fs_group_change_policy=fs_group_change_policy,
            seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault"),
        ),
    }


def restricted_container() -> core.v1.SecurityContextArgs:
    """Return the security context of every container."""
    return core.v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        run_as_non_root=True,
        capabilities=core.v1.CapabilitiesArgs(drop=["ALL"]),
    )


def resource_requirements(resources: Resources) -> core.v1.ResourceRequirementsArgs:
    """Return requests and limits of a container."""
    # Memory request == limit: a running pod is never evicted because a neighbour needs more.
    shared = {"memory": resources.memory, "ephemeral-storage": SCRATCH}
    return core.v1.ResourceRequirementsArgs(
        requests={"cpu": resources.cpu, **shared}, limits={"cpu": resources.effective_cpu_limit, **shared}
    )


def secret_volume(secret: pulumi.Input[str]) -> core.v1.VolumeArgs:
    """Return a volume of a Secret. Mode 0440 with fsGroup: only the pod's user and group can read it."""
    source: Any = core.v1.SecretVolumeSourceArgs(secret_name=secret, default_mode=0o440)
    return core.v1.VolumeArgs(name="secrets", secret=source)


def secret_mount() -> core.v1.VolumeMountArgs:
    """Return the mount of the secrets, one file each."""
    return core.v1.VolumeMountArgs(name="secrets", mount_path=SECRETS_DIR, read_only=True)


def grace_seconds(drain: Drain) -> int:
    """Return the seconds from the deletion of a pod to SIGKILL: preStop, drain delay, open requests, margin."""
    return drain.pre_stop_seconds + drain.delay_seconds + drain.shutdown_seconds + GRACE_MARGIN_SECONDS


def environment(scope: Scope) -> dict[str, str]:
    """Return the variables of a service: those of the stack file, and those that the program sets."""
    service = scope.service
    return {
        **service.env,
        **_addresses(scope),
        "ENVIRONMENT": pulumi.get_stack(),
        "HTTP_PORT": str(HTTP_PORT),
        "ADMIN_PORT": str(ADMIN_PORT),
        "DRAIN_DELAY": f"{service.drain.delay_seconds}s",
        "SHUTDOWN_TIMEOUT": f"{service.drain.shutdown_seconds}s",
        "CONFIG_FILE": f"{CONFIG_DIR}/config.yaml" if service.file else "",
        "SECRETS_DIR": SECRETS_DIR if scope.settings.secrets_of(scope.name) else "",
    }


def _addresses(scope: Scope) -> dict[str, str]:
    """Return the variables with the addresses of the stores that a service needs, whoever runs them."""
    variables: dict[str, str] = {}
    for name, store in scope.settings.stores_of(scope.name).items():
        prefix = name.upper()
        variables |= {f"{prefix}_HOST": store.host or name, f"{prefix}_PORT": str(store.port)}
        if store.user:
            variables |= {f"{prefix}_USER": store.user}
        if not isinstance(store, Redis):
            variables |= {f"{prefix}_DATABASE": store.database}
        if isinstance(store, Mysql):
            variables |= {f"{prefix}_CONNECTIONS": str(pools.share(scope.settings, store))}
        if isinstance(store, Postgres):
            variables |= {f"{prefix}_SSLMODE": store.ssl_mode}
        if store.source == "managed":
            variables |= {f"{prefix}_TLS": store.tls}
        if store.ca:
            variables |= {f"{prefix}_CA_FILE": f"{AUTHORITIES_DIR}/{name}.pem"}
    return variables


def _identity(service: str, config: Config) -> dict[str, Any]:
    """Return the fields that all pods of a service share: identity and volumes."""
    return {**restricted_pod(service), "volumes": _volumes(config)}


def _container(name: str, service: Service, image: ImageReference, config: Config) -> dict[str, Any]:
    """Return the fields that all containers of a service share: image, configuration, resources and security."""
    return {
        "name": name,
        "image": image.reference,
        # The reference has a digest: to ask the registry again could only fail.
        "image_pull_policy": "IfNotPresent",
        "env_from": [core.v1.EnvFromSourceArgs(config_map_ref=core.v1.ConfigMapEnvSourceArgs(name=config.env))],
        "env": _runtime(service.resources),
        "volume_mounts": _mounts(config),
        "resources": resource_requirements(service.resources),
        "security_context": restricted_container(),
    }


def _serving(name: str, service: Service, image: ImageReference, config: Config) -> core.v1.ContainerArgs:
    return core.v1.ContainerArgs(
        args=service.args or None,
        **_container(name, service, image, config),
        ports=[
            core.v1.ContainerPortArgs(name="http", container_port=HTTP_PORT),
            core.v1.ContainerPortArgs(name="admin", container_port=ADMIN_PORT),
        ],
        startup_probe=_probe("/startupz", period_seconds=1, failure_threshold=service.startup_seconds),
        # Readiness fails as soon as the pod drains. Liveness asks the process only, never a database.
        readiness_probe=_probe("/readyz", period_seconds=2, failure_threshold=2),
        liveness_probe=_probe("/livez", period_seconds=10, failure_threshold=3),
        # The kubelet's own sleep: the image has no shell. Endpoints are removed while the pod gets SIGTERM, so one that
        # stopped at once would still receive requests.
        lifecycle=core.v1.LifecycleArgs(
            pre_stop=core.v1.LifecycleHandlerArgs(sleep=core.v1.SleepActionArgs(seconds=service.drain.pre_stop_seconds))
        ),
    )


def _runtime(resources: Resources) -> list[core.v1.EnvVarArgs]:
    """Return the limits of the Go runtime, which would otherwise assume all cores and memory of the node."""
    cpu = millicores(resources.effective_cpu_limit)
    return [
        core.v1.EnvVarArgs(name="GOMEMLIMIT", value=f"{mebibytes(resources.memory) * 90 // 100}MiB"),
        core.v1.EnvVarArgs(name="GOMAXPROCS", value=str(max(1, -(-cpu // 1000)))),
    ]


def _probe(path: str, *, period_seconds: int, failure_threshold: int) -> core.v1.ProbeArgs:
    return core.v1.ProbeArgs(
        http_get=core.v1.HTTPGetActionArgs(path=path, port="admin"),
        period_seconds=period_seconds,
        failure_threshold=failure_threshold,
        timeout_seconds=2,
    )


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


def _volumes(config: Config) -> list[core.v1.VolumeArgs]:
    volumes: list[core.v1.VolumeArgs] = []
    if config.file is not None:
        volumes.append(
            core.v1.VolumeArgs(name="config", config_map=core.v1.ConfigMapVolumeSourceArgs(name=config.file))
        )
    if config.secret is not None:
        volumes.append(secret_volume(config.secret))
    if config.authorities is not None:
        authorities = core.v1.ConfigMapVolumeSourceArgs(name=config.authorities)
        volumes.append(core.v1.VolumeArgs(name="authorities", config_map=authorities))
    return volumes


def _mounts(config: Config) -> list[core.v1.VolumeMountArgs]:
    mounts: list[core.v1.VolumeMountArgs] = []
    if config.file is not None:
        # The whole directory, never sub_path: only a directory is updated with the ConfigMap.
        mounts.append(core.v1.VolumeMountArgs(name="config", mount_path=CONFIG_DIR, read_only=True))
    if config.secret is not None:
        mounts.append(secret_mount())
    if config.authorities is not None:
        mounts.append(core.v1.VolumeMountArgs(name="authorities", mount_path=AUTHORITIES_DIR, read_only=True))
    return mounts
