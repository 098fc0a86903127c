"""Scope: what all objects of one service, or of one store, have in common."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import meta

from slipway.naming import EXTERNAL, SELECTOR, TRACK, labels, selector
from slipway.settings.sections.service import Service
from slipway.settings.settings import Settings


@dataclass(frozen=True)
class Scope:
    """One service or store, its namespace, and the component its objects belong to."""

    name: str
    settings: Settings
    namespace: pulumi.Input[str]
    parent: pulumi.Resource
    retaining: pulumi.ProviderResource
    component: str = "web-service"
    track: str = ""
    """`canary` for a candidate beside the release in force; empty for the release itself."""
    selected_as: str = ""
    """The name by which the pods are selected. Default: that of the service."""

    @property
    def title(self) -> str:
        """The beginning of the names of its objects: `api`, and `api-canary` for a canary."""
        return f"{self.name}-{self.track}" if self.track else self.name

    @property
    def track_labels(self) -> dict[str, str]:
        """The label of a canary's pods; empty for other pods."""
        return {TRACK: self.track} if self.track else {}

    @property
    def selector(self) -> dict[str, str]:
        """The labels that select its pods and no others."""
        base = selector(self.selected_as) if self.selected_as else self._given_selector or selector(self.name)
        return {**base, **self.track_labels}

    @property
    def selector_annotation(self) -> dict[str, str]:
        """The annotation of objects that select its pods by the labels of an adopted Deployment; else empty."""
        return {SELECTOR: ",".join(sorted(self._given_selector))} if self._given_selector else {}

    @property
    def external_annotation(self) -> dict[str, str]:
        """The annotation of objects whose pods need objects that others create; else empty."""
        service = self.settings.services.get(self.name)
        return {EXTERNAL: ",".join(service.external_objects)} if service and service.external_objects else {}

    @property
    def _given_selector(self) -> dict[str, str]:
        service = self.settings.services.get(self.name)
        return service.selector if service else {}

    @property
    def service(self) -> Service:
        """The section of one of the stack's own services."""
        return self.settings.services[self.name]

    def meta(self, name: pulumi.Input[str], annotations: dict[str, str] | None = None) -> meta.v1.ObjectMetaArgs:
        """Return metadata with name, namespace and the recommended labels."""
        return meta.v1.ObjectMetaArgs(
            name=name,
            namespace=self.namespace,
            labels=labels(self.name, self.component),
            annotations=annotations or None,
        )

    def child(self, *depends_on: pulumi.Resource) -> pulumi.ResourceOptions:
        """Return options of an object of this service that depends on the given resources."""
        return pulumi.ResourceOptions(parent=self.parent, depends_on=list(depends_on))


def timeouts(seconds: int) -> pulumi.CustomTimeouts | None:
    """Return a limit on how long Pulumi waits for an object; None for 0."""
    return pulumi.CustomTimeouts(create=f"{seconds}s", update=f"{seconds}s") if seconds else None
