"""The one pod template: hardened, probed, sized, and able to leave without losing a request.

Pure functions from settings to arguments; web_service.py puts the result into a Deployment, jobs.py into Jobs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from image import AppImage
from naming import labels, pods_of, selector
from pulumi_kubernetes import core, meta
from scope import Scope
from settings import Drain, Job, Resources, Service, mebibytes, millicores

HTTP_PORT = 8080
ADMIN_PORT = 9090
CONFIG_DIR = "/etc/slipway"
SECRETS_DIR = "/run/secrets/slipway"
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


def template(scope: Scope, image: AppImage, config: Config) -> core.v1.PodTemplateSpecArgs:
    """A pod that answers requests."""
    return core.v1.PodTemplateSpecArgs(
        metadata=meta.v1.ObjectMetaArgs(
            labels={**labels(scope.name), **pods_of(scope.name), "app.kubernetes.io/version": image.version}
        ),
        spec=core.v1.PodSpecArgs(
            **_identity(scope.name, config),
            termination_grace_period_seconds=grace_seconds(scope.service.drain),
            # Pulls the same way as the spread over nodes below; it is the form scanners know.
            affinity=_apart(scope.name),
            topology_spread_constraints=[
                _spread(scope.name, "kubernetes.io/hostname"),
                _spread(scope.name, "topology.kubernetes.io/zone"),
            ],
            containers=[_serving(scope.name, scope.service, image, config)],
        ),
    )


def job_template(name: str, scope: Scope, job: Job, image: AppImage, config: Config) -> core.v1.PodTemplateSpecArgs:
    """A pod that runs one command of the service's image to its end. No Service finds it: its name is the job's."""
    return core.v1.PodTemplateSpecArgs(
        metadata=meta.v1.ObjectMetaArgs(labels={**labels(name, "job"), **pods_of(scope.name)}),
        spec=core.v1.PodSpecArgs(
            **_identity(scope.name, config),
            restart_policy="Never",
            containers=[core.v1.ContainerArgs(args=job.args, **_container(name, scope.service, image, config))],
        ),
    )


def grace_seconds(drain: Drain) -> int:
    """From the decision to stop a pod until it is killed: preStop, drain delay, open requests, margin."""
    return drain.pre_stop_seconds + drain.delay_seconds + drain.shutdown_seconds + GRACE_MARGIN_SECONDS


def environment(service: Service) -> dict[str, str]:
    """What the env ConfigMap holds: the stack's own variables and those the program answers for."""
    return {
        **service.env,
        "ENVIRONMENT": pulumi.get_stack(),
        "HTTP_PORT": str(HTTP_PORT),
        "ADMIN_PORT": str(ADMIN_PORT),
        "DRAIN_DELAY": f"{service.drain.delay_seconds}s",
        "SHUTDOWN_TIMEOUT": f"{service.drain.shutdown_seconds}s",
        "CONFIG_FILE": f"{CONFIG_DIR}/config.yaml" if service.file else "",
        "SECRETS_DIR": SECRETS_DIR if service.secrets else "",
    }


def _identity(service: str, config: Config) -> dict[str, Any]:
    """What all pods of a service share: who they are, and that this gives them no rights."""
    return {
        "service_account_name": service,
        "automount_service_account_token": False,
        "enable_service_links": False,
        "security_context": core.v1.PodSecurityContextArgs(
            run_as_non_root=True,
            run_as_user=USER_ID,
            run_as_group=USER_ID,
            fs_group=USER_ID,
            seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault"),
        ),
        "volumes": _volumes(config),
    }


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
        "resources": _resources(service.resources),
        "security_context": core.v1.SecurityContextArgs(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            run_as_non_root=True,
            capabilities=core.v1.CapabilitiesArgs(drop=["ALL"]),
        ),
    }


def _serving(name: str, service: Service, image: AppImage, config: Config) -> core.v1.ContainerArgs:
    return core.v1.ContainerArgs(
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


def _resources(resources: Resources) -> core.v1.ResourceRequirementsArgs:
    # Memory request == limit: a pod that fits is never evicted for a neighbour's burst.
    limits = {"cpu": resources.cpu_at_most, "memory": resources.memory, "ephemeral-storage": "64Mi"}
    requests = {"cpu": resources.cpu, "memory": resources.memory, "ephemeral-storage": "64Mi"}
    return core.v1.ResourceRequirementsArgs(requests=requests, limits=limits)


def _probe(path: str, *, period_seconds: int, failure_threshold: int) -> core.v1.ProbeArgs:
    return core.v1.ProbeArgs(
        http_get=core.v1.HTTPGetActionArgs(path=path, port="admin"),
        period_seconds=period_seconds,
        failure_threshold=failure_threshold,
        timeout_seconds=2,
    )


def _apart(name: str) -> core.v1.AffinityArgs:
    """Rather not two pods of a service on one node; a cluster of one node has to take them all."""
    others = core.v1.PodAffinityTermArgs(
        topology_key="kubernetes.io/hostname", label_selector=meta.v1.LabelSelectorArgs(match_labels=selector(name))
    )
    preferred = core.v1.WeightedPodAffinityTermArgs(weight=100, pod_affinity_term=others)
    return core.v1.AffinityArgs(
        pod_anti_affinity=core.v1.PodAntiAffinityArgs(preferred_during_scheduling_ignored_during_execution=[preferred])
    )


def _spread(name: str, topology_key: str) -> core.v1.TopologySpreadConstraintArgs:
    return core.v1.TopologySpreadConstraintArgs(
        max_skew=1,
        topology_key=topology_key,
        # A preference: a cluster of one node has to take every pod.
        when_unsatisfiable="ScheduleAnyway",
        label_selector=meta.v1.LabelSelectorArgs(match_labels=selector(name)),
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
        # 0440 with fsGroup: the app's group may read, nobody else.
        secret: Any = core.v1.SecretVolumeSourceArgs(secret_name=config.secret, default_mode=0o440)
        volumes.append(core.v1.VolumeArgs(name="secrets", secret=secret))
    return volumes


def _mounts(config: Config) -> list[core.v1.VolumeMountArgs]:
    mounts: list[core.v1.VolumeMountArgs] = []
    if config.file is not None:
        # The whole directory, never sub_path: only a directory follows a change of the ConfigMap.
        mounts.append(core.v1.VolumeMountArgs(name="config", mount_path=CONFIG_DIR, read_only=True))
    if config.secret is not None:
        mounts.append(core.v1.VolumeMountArgs(name="secrets", mount_path=SECRETS_DIR, read_only=True))
    return mounts
