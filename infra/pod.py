"""The one pod template: hardened, probed, sized, and able to leave without losing a request.

Pure functions from settings to arguments; web_service.py puts the result into a Deployment, jobs.py into Jobs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pools
import pulumi
from image import AppImage
from naming import labels, pods_of
from pulumi_kubernetes import core, meta
from scope import Scope
from settings import Drain, Job, Mysql, Resources, Service, mebibytes, millicores

HTTP_PORT = 8080
ADMIN_PORT = 9090
CONFIG_DIR = "/etc/slipway"
SECRETS_DIR = "/run/secrets/slipway"
AUTHORITIES_DIR = "/etc/slipway-authorities"
# What is left between the app's own deadline and the kubelet's SIGKILL.
GRACE_MARGIN_SECONDS = 5
# The user of distroless images. Numeric, because the kubelet cannot check a name against runAsNonRoot.
USER_ID = 65532


@dataclass(frozen=True)
class Config:
    """The names of the objects a pod reads its configuration from; None where there is nothing to read."""

    env: pulumi.Input[str]
    file: pulumi.Input[str] | None
    secret: pulumi.Input[str] | None
    authorities: pulumi.Input[str] | None = None


def template(scope: Scope, image: AppImage, config: Config) -> core.v1.PodTemplateSpecArgs:
    """A pod that answers requests."""
    return core.v1.PodTemplateSpecArgs(
        metadata=meta.v1.ObjectMetaArgs(
            labels={
                **labels(scope.name),
                **scope.selector,
                **pods_of(scope.name),
                "app.kubernetes.io/version": image.version,
            }
        ),
        spec=core.v1.PodSpecArgs(
            **_identity(scope.name, config),
            termination_grace_period_seconds=grace_seconds(scope.service.drain),
            # Pulls the same way as the spread over nodes below; it is the form scanners know.
            affinity=_apart(scope.selector),
            topology_spread_constraints=[
                _spread(scope.selector, "kubernetes.io/hostname"),
                _spread(scope.selector, "topology.kubernetes.io/zone"),
            ],
            containers=[_serving(scope.name, scope.service, image, config)],
        ),
    )


def job_template(name: str, scope: Scope, job: Job, image: AppImage, config: Config) -> core.v1.PodTemplateSpecArgs:
    """A pod that runs one command of the service's image to its end. No Service finds it: its name is the job's."""
    return core.v1.PodTemplateSpecArgs(
        metadata=meta.v1.ObjectMetaArgs(labels={**labels(name, "job"), **pods_of(scope.name), **scope.tracked}),
        spec=core.v1.PodSpecArgs(
            **_identity(scope.name, config),
            restart_policy="Never",
            containers=[core.v1.ContainerArgs(args=job.args, **_container(name, scope.service, image, config))],
        ),
    )


def account(scope: Scope, pull_secret: pulumi.Input[str] | None, name: str = "") -> core.v1.ServiceAccount:
    """An identity without rights; it only brings the password of the registry. Named like the service, or by name."""
    return core.v1.ServiceAccount(
        name or scope.name,
        metadata=scope.meta(name or scope.name),
        automount_service_account_token=False,
        image_pull_secrets=[core.v1.LocalObjectReferenceArgs(name=pull_secret)] if pull_secret is not None else None,
        opts=scope.child(),
    )


def without_rights(account: str, fs_group_change_policy: str | None = None) -> dict[str, Any]:
    """What every pod says about itself: who it is, and that this gives it no rights."""
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


def hardened() -> core.v1.SecurityContextArgs:
    """What every container is not allowed to do."""
    return core.v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        run_as_non_root=True,
        capabilities=core.v1.CapabilitiesArgs(drop=["ALL"]),
    )


def sized(resources: Resources, scratch: str = "64Mi") -> core.v1.ResourceRequirementsArgs:
    """Requests and limits of a container; `scratch` is what its logs and emptyDirs may take on the node's disk."""
    # Memory request == limit: a pod that fits is never evicted for a neighbour's burst.
    shared = {"memory": resources.memory, "ephemeral-storage": scratch}
    return core.v1.ResourceRequirementsArgs(
        requests={"cpu": resources.cpu, **shared}, limits={"cpu": resources.cpu_at_most, **shared}
    )


def secret_volume(secret: pulumi.Input[str]) -> core.v1.VolumeArgs:
    """0440 with fsGroup: the pod's group may read, nobody else."""
    source: Any = core.v1.SecretVolumeSourceArgs(secret_name=secret, default_mode=0o440)
    return core.v1.VolumeArgs(name="secrets", secret=source)


def secret_mount() -> core.v1.VolumeMountArgs:
    """Where a pod finds its secrets, one file each."""
    return core.v1.VolumeMountArgs(name="secrets", mount_path=SECRETS_DIR, read_only=True)


def grace_seconds(drain: Drain) -> int:
    """From the decision to stop a pod until it is killed: preStop, drain delay, open requests, margin."""
    return drain.pre_stop_seconds + drain.delay_seconds + drain.shutdown_seconds + GRACE_MARGIN_SECONDS


def environment(scope: Scope) -> dict[str, str]:
    """What the env ConfigMap holds: the stack's own variables and those the program answers for."""
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
    """Where the backing services are that the service needs: the same variables, whoever runs them."""
    told: dict[str, str] = {}
    for name, backing in scope.settings.needed_by(scope.name).items():
        prefix = name.upper()
        told |= {f"{prefix}_HOST": backing.host or name, f"{prefix}_PORT": str(backing.port)}
        if isinstance(backing, Mysql):
            told |= {f"{prefix}_DATABASE": backing.database, f"{prefix}_USER": backing.user}
            told |= {f"{prefix}_CONNECTIONS": str(pools.share(scope.settings, backing))}
        elif backing.user:
            told |= {f"{prefix}_USER": backing.user}
        if backing.source == "managed":
            told |= {f"{prefix}_TLS": backing.tls}
        if backing.ca:
            told |= {f"{prefix}_CA_FILE": f"{AUTHORITIES_DIR}/{name}.pem"}
    return told


def _identity(service: str, config: Config) -> dict[str, Any]:
    """What all pods of a service share: who they are, and the files they read."""
    return {**without_rights(service), "volumes": _volumes(config)}


def _container(name: str, service: Service, image: AppImage, config: Config) -> dict[str, Any]:
    """What a service's containers share: image, configuration, size and hardening."""
    return {
        "name": name,
        "image": image.reference,
        # The reference names its content, so asking the registry again could only fail, never help.
        "image_pull_policy": "IfNotPresent",
        "env_from": [core.v1.EnvFromSourceArgs(config_map_ref=core.v1.ConfigMapEnvSourceArgs(name=config.env))],
        "env": _runtime(service.resources),
        "volume_mounts": _mounts(config),
        "resources": sized(service.resources),
        "security_context": hardened(),
    }


def _serving(name: str, service: Service, image: AppImage, config: Config) -> core.v1.ContainerArgs:
    return core.v1.ContainerArgs(
        args=service.args or None,
        **_container(name, service, image, config),
        ports=[
            core.v1.ContainerPortArgs(name="http", container_port=HTTP_PORT),
            core.v1.ContainerPortArgs(name="admin", container_port=ADMIN_PORT),
        ],
        startup_probe=_probe("/startupz", period_seconds=1, failure_threshold=service.startup_seconds),
        # Readiness turns off first when the pod leaves; liveness asks the process only, never a database.
        readiness_probe=_probe("/readyz", period_seconds=2, failure_threshold=2),
        liveness_probe=_probe("/livez", period_seconds=10, failure_threshold=3),
        # The kubelet's own sleep: the image holds no shell. Endpoints are removed while SIGTERM is on its way, so a
        # pod that stopped at once would still be sent requests.
        lifecycle=core.v1.LifecycleArgs(
            pre_stop=core.v1.LifecycleHandlerArgs(sleep=core.v1.SleepActionArgs(seconds=service.drain.pre_stop_seconds))
        ),
    )


def _runtime(resources: Resources) -> list[core.v1.EnvVarArgs]:
    """Tell the Go runtime what the pod may use: by itself it would plan with every core of the node."""
    cpu = millicores(resources.cpu_at_most)
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
    """Rather not two pods of a service on one node; a cluster of one node has to take them all."""
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
        # A preference: a cluster of one node has to take every pod.
        when_unsatisfiable="ScheduleAnyway",
        label_selector=meta.v1.LabelSelectorArgs(match_labels=pods),
        # Each rollout is spread by itself; otherwise the old pods would decide where the new ones go.
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
        # The whole directory, never sub_path: only a directory follows a change of the ConfigMap.
        mounts.append(core.v1.VolumeMountArgs(name="config", mount_path=CONFIG_DIR, read_only=True))
    if config.secret is not None:
        mounts.append(secret_mount())
    if config.authorities is not None:
        mounts.append(core.v1.VolumeMountArgs(name="authorities", mount_path=AUTHORITIES_DIR, read_only=True))
    return mounts
