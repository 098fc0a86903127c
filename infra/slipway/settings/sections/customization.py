"""Sections about what the pods of a service get beyond the program's own: identity, nodes, containers and volumes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self

from pydantic import Field

from slipway.settings.sections.pods import Resources
from slipway.settings.sections.section import Section, section_rule
from slipway.settings.types.scalars import (
    DnsLabel,
    EnvName,
    LabelKey,
    LabelValue,
    Memory,
    MountPath,
    ObjectName,
    PinnedImage,
    Port,
    PortName,
    UrlPath,
)
from slipway.settings.types.units import mebibytes, millicores

PatchKind = Literal[
    "Deployment",
    "Job",
    "CronJob",
    "ServiceAccount",
    "Service",
    "Ingress",
    "HTTPRoute",
    "HorizontalPodAutoscaler",
    "ScaledObject",
    "PodDisruptionBudget",
    "NetworkPolicy",
]
"""The kinds of objects of a service that a patch may change."""


class ServiceAccount(Section):
    """The ServiceAccount of a service's pods. It has no rights in the cluster and no API token."""

    annotations: dict[LabelKey, str] = Field(
        default={}, examples=[{"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/api"}]
    )
    """Annotations by which a cloud gives the pods an identity of its own."""


class Toleration(Section):
    """A taint of nodes on which the pods may run all the same; the fields are those of Kubernetes."""

    key: LabelKey = Field(examples=["dedicated"])
    """Key of the taint."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """Equal: only a taint with this value · Exists: with any value."""
    value: LabelValue | None = Field(default=None, examples=["api"])
    """Value of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint. Default: every effect."""
    toleration_seconds: int | None = Field(default=None, ge=0, le=86400, examples=[60])
    """How long the pods stay on a node that gets the taint (effect: NoExecute). Default: for good."""

    @section_rule
    def _value_goes_with_equal(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("operator: Exists takes no value")
        return self

    @section_rule
    def _seconds_go_with_no_execute(self) -> Self:
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise ValueError("tolerationSeconds goes with effect: NoExecute")
        return self


class InitContainer(Section):
    """A container that runs to its end before the app starts, as restricted as the app: no root, no privileges."""

    image: PinnedImage = Field(examples=["registry.example.com/tools@sha256:..."])
    """Image by digest."""
    command: list[str] = Field(default=[], examples=[["/wait-for"]])
    """Program. Default: that of the image."""
    args: list[str] = Field(default=[], examples=[["--timeout=30s"]])
    """Arguments of the program. Default: those of the image."""
    env: dict[EnvName, str] = Field(default={}, examples=[{"LOG_LEVEL": "info"}])
    """Environment variables."""
    resources: Resources = Resources()
    """What it may use, beside the app."""
    mounts: dict[DnsLabel, MountPath] = Field(default={}, examples=[{"spool": "/var/spool"}])
    """Volumes of `volumes` that it mounts, by name, and where. Its other files are read-only."""


class SidecarProbe(Section):
    """A request by which the kubelet learns whether a sidecar runs: exactly one of path and tcp."""

    port: Port = Field(examples=[9901])
    """Port that is asked."""
    path: UrlPath | None = Field(default=None, examples=["/ready"])
    """Path of an HTTP request that has to succeed."""
    tcp: bool = False
    """Whether it is enough that the port takes connections."""
    period_seconds: int = Field(default=10, ge=1, le=300, examples=[10])
    """Time between two requests."""
    failure_threshold: int = Field(default=6, ge=1, le=100, examples=[6])
    """How many requests in a row fail before the sidecar is restarted."""

    @section_rule
    def _one_handler(self) -> Self:
        if (self.path is not None) == self.tcp:
            raise ValueError("give just one of path, tcp: true")
        return self


class Sidecar(InitContainer):
    """A container that starts before the app, runs beside it, and ends after it (a native sidecar)."""

    ports: dict[PortName, Port] = Field(default={}, examples=[{"proxy": 9901}])
    """Ports that it listens on, by name. The app reaches them at localhost; the NetworkPolicies open none of them."""
    probe: SidecarProbe | None = None
    """The app starts once this succeeds; a sidecar that fails it later is restarted. Default: none."""

    @section_rule
    def _probe_asks_a_port(self) -> Self:
        if self.probe and self.probe.port not in self.ports.values():
            raise ValueError(f"probe.port ({self.probe.port}) is none of ports; name it there")
        return self


class Volume(Section):
    """A folder for the app: exactly one of configMap, claim and emptyDir."""

    mount_path: MountPath = Field(examples=["/var/lib/uploads"])
    """Path of the folder."""
    config_map: ObjectName | None = Field(default=None, examples=["geo-database"])
    """An existing ConfigMap in the stack's namespace, each key a file. Always read-only."""
    claim: ObjectName | None = Field(default=None, examples=["uploads"])
    """An existing PersistentVolumeClaim in the stack's namespace. All pods mount it, also during a rollout: unless it
    is ReadWriteMany, a pod on a second node does not start."""
    empty_dir: Memory | None = Field(default=None, examples=["256Mi"])
    """Maximum size of a folder on the node's disk, which begins empty and goes with the pod."""
    read_only: bool = False
    """Whether the app may only read; the containers that mount the volume beside it may write."""

    @section_rule
    def _one_source(self) -> Self:
        if [self.config_map, self.claim, self.empty_dir].count(None) != 2:
            raise ValueError("give just one of configMap, claim, emptyDir")
        return self


def pod_resources(own: Resources, first: Iterable[InitContainer], beside: Iterable[Sidecar]) -> Resources:
    """Return what a whole pod requests: as Kubernetes counts, the app and all sidecars, or the largest init container.

    Init containers run before the sidecars (service/customization.py).
    """
    always, before = [own, *(sidecar.resources for sidecar in beside)], [one.resources for one in first]
    cpu = max(sum(millicores(each.cpu) for each in always), *(millicores(each.cpu) for each in before), 0)
    memory = max(sum(mebibytes(each.memory) for each in always), *(mebibytes(each.memory) for each in before), 0)
    return Resources(cpu=f"{cpu}m", memory=f"{memory}Mi")
