"""Scope: what all objects of one service have in common, be it one of the stack's own or a backing service."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from naming import SELECTOR, TRACK, labels, selector
from pulumi_kubernetes import meta
from settings import Service, Settings


@dataclass(frozen=True)
class Scope:
    """One service, the namespace it lives in, and the component its objects belong to."""

    name: str
    settings: Settings
    namespace: pulumi.Input[str]
    parent: pulumi.Resource
    retaining: pulumi.ProviderResource
    component: str = "web-service"
    track: str = ""
    """`canary` for what stands beside the release in force; empty for the release itself."""
    found_as: str = ""
    """The name by which a Service finds the pods. Default: that of the service."""

    @property
    def title(self) -> str:
        """What the names of its objects begin with: `api`, of a canary `api-canary`."""
        return f"{self.name}-{self.track}" if self.track else self.name

    @property
    def tracked(self) -> dict[str, str]:
        """The label of all pods of a canary; none for others."""
        return {TRACK: self.track} if self.track else {}

    @property
    def selector(self) -> dict[str, str]:
        """The labels by which its pods are told from all others."""
        found_by = selector(self.found_as) if self.found_as else self._given_selector or selector(self.name)
        return {**found_by, **self.tracked}

    @property
    def selecting(self) -> dict[str, str]:
        """The annotation of what selects its pods by labels that were there before the stack; else none."""
        return {SELECTOR: ",".join(sorted(self._given_selector))} if self._given_selector else {}

    @property
    def _given_selector(self) -> dict[str, str]:
        service = self.settings.services.get(self.name)
        return service.selector if service else {}

    @property
    def service(self) -> Service:
        """The section of one of the stack's own services."""
        return self.settings.services[self.name]

    def meta(self, name: pulumi.Input[str], annotations: dict[str, str] | None = None) -> meta.v1.ObjectMetaArgs:
        """Name, namespace and the recommended labels."""
        return meta.v1.ObjectMetaArgs(
            name=name,
            namespace=self.namespace,
            labels=labels(self.name, self.component),
            annotations=annotations or None or None,
        )

    def child(self, *depends_on: pulumi.Resource) -> pulumi.ResourceOptions:
        """Options of an object of this service that is made after those."""
        return pulumi.ResourceOptions(parent=self.parent, depends_on=list(depends_on))


def at_most(seconds: int) -> pulumi.CustomTimeouts | None:
    """A limit on how long Pulumi waits for an object; none for 0."""
    return pulumi.CustomTimeouts(create=f"{seconds}s", update=f"{seconds}s") if seconds else None
