"""Sections about the network: what a service may connect to, where the cluster's DNS answers, where traces go."""

from __future__ import annotations

from ipaddress import ip_network
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field
from pydantic.alias_generators import to_camel

from slipway.settings.names import JAEGER
from slipway.settings.sections.pods import Resources
from slipway.settings.sections.section import Section, section_rule
from slipway.settings.types.scalars import Cidr, DnsLabel, HttpUrl, LabelKey, LabelValue, PinnedImage, Port

# Where clouds hand out the credentials of a node or task to all who ask: EC2, GCP, Azure and others; ECS; EC2 by IPv6.
METADATA = ("169.254.169.254/32", "169.254.170.2/32", "fd00:ec2::254/128")
# The ports of Jaeger: OTLP over HTTP, and its pages.
OTLP_PORT, JAEGER_QUERY_PORT = 4318, 16686


class Egress(Section):
    """Addresses outside the stack that a service may connect to."""

    cidr: Cidr = Field(examples=["10.20.0.0/16"])
    """Range of addresses. Those of a cloud's metadata inside a wider range stay closed."""
    ports: list[Port] = Field(min_length=1, examples=[[3306]])
    """Ports."""
    last_port: Port | None = Field(default=None, examples=[3310])
    """Last port of a range that begins with the one port in `ports`. Default: only the ports themselves."""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    """Transport protocol."""

    @section_rule
    def _a_range_has_two_ends(self) -> Self:
        if self.last_port and (len(self.ports) != 1 or self.last_port < self.ports[0]):
            raise ValueError(f"lastPort ({self.last_port}): goes with one port in ports, and is not less than that")
        return self


class Dns(Section):
    """Where the pods ask for names. Default: CoreDNS or kube-dns in kube-system, on port 53."""

    namespace: DnsLabel = Field(default="kube-system", examples=["openshift-dns"])
    """Namespace of the DNS pods."""
    pod_labels: dict[LabelKey, LabelValue] = Field(
        default={"k8s-app": "kube-dns"}, min_length=1, examples=[{"dns.operator.openshift.io/daemonset-dns": "default"}]
    )
    """Labels of the DNS pods."""
    port: Port = Field(default=53, examples=[5353])
    """Port of the DNS pods, UDP and TCP: the one they listen on, not that of their Service."""
    cidrs: list[Cidr] = Field(default=[], examples=[["169.254.20.10/32"]])
    """Addresses that answer on port 53 as well, such as NodeLocal DNSCache on each node."""

    @section_rule
    def _servers_have_addresses(self) -> Self:
        if wide := [cidr for cidr in self.cidrs if cidr.endswith("/0")]:
            raise ValueError(f"cidrs: {wide[0]} is everybody; name the addresses of the DNS servers")
        return self


class Tracing(Section):
    """Where the services send their traces, by OTLP over HTTP. For a collector that is there, either `cidr` or
    `namespace` says where its pods are, because a connection that is not declared is blocked."""

    source: Literal["external", "cluster"] = "external"
    """external: a collector that is there, at `endpoint` · cluster: Jaeger of this stack, one pod that keeps the newest
    traces in memory."""
    ratio: float = Field(default=1, ge=0, le=1, examples=[0.1])
    """Share of the requests that are traced. A request that arrives with a trace follows the decision of its caller."""
    endpoint: HttpUrl | None = Field(default=None, examples=["http://jaeger.observability:4318"])
    """URL of the collector, as pods see it, without `/v1/traces` (source: external)."""
    cidr: Cidr | None = Field(default=None, examples=["10.20.0.7/32"])
    """Addresses of a collector outside the cluster (source: external)."""
    namespace: DnsLabel | None = Field(default=None, examples=["observability"])
    """Namespace of a collector in the cluster (source: external)."""
    pod_labels: dict[LabelKey, LabelValue] = Field(default={}, examples=[{"app.kubernetes.io/name": "jaeger"}])
    """Labels of its pods (source: external). Default: all pods of that namespace."""
    port: Port | None = Field(default=None, examples=[4318])
    """Port that the collector listens on, if its Service has another one (source: external). Default: the port of
    `endpoint`."""
    image: PinnedImage | None = Field(default=None, examples=["docker.io/jaegertracing/jaeger@sha256:" + "0" * 64])
    """Image of Jaeger 2, by digest (source: cluster)."""
    max_traces: int = Field(default=20_000, ge=100, le=10_000_000, examples=[20_000])
    """How many traces Jaeger keeps; the oldest go first (source: cluster). They have to fit into its memory."""
    resources: Resources = Resources(cpu="50m", memory="512Mi")
    """Resources of Jaeger (source: cluster)."""

    OF_SOURCE: ClassVar = {
        "external": frozenset({"endpoint", "cidr", "namespace", "pod_labels", "port"}),
        "cluster": frozenset({"image", "max_traces", "resources"}),
    }
    """Keys that only one source has."""
    REQUIRED: ClassVar = {"external": "endpoint", "cluster": "image"}

    @property
    def servers(self) -> dict[str, Resources]:
        """Return the servers that the stack runs for it, with their size."""
        return {JAEGER: self.resources} if self.source == "cluster" else {}

    @section_rule
    def _keys_fit_the_source(self) -> Self:
        for source, keys in self.OF_SOURCE.items():
            given = ", ".join(to_camel(key) for key in sorted(keys & self.model_fields_set))
            if given and source != self.source:
                raise ValueError(f"{given}: only with source: {source}; this is source: {self.source}")
        if not getattr(self, required := self.REQUIRED[self.source]):
            raise ValueError(f"{required} is required with source: {self.source}")
        return self

    @section_rule
    def _the_collector_has_one_place(self) -> Self:
        if self.source == "cluster":
            return self
        if (self.cidr is None) == (self.namespace is None):
            raise ValueError("give either cidr or namespace: it says where the collector is that pods may connect to")
        if self.cidr and self.pod_labels:
            raise ValueError("podLabels goes with namespace; addresses have no labels")
        if self.cidr and self.cidr.endswith("/0"):
            raise ValueError(f"cidr: {self.cidr} is everybody; name the addresses of the collector")
        return self

    @property
    def address(self) -> str:
        """Return the URL of the collector, whoever runs it, without `/v1/traces`."""
        return self.endpoint or f"http://{JAEGER}:{OTLP_PORT}"

    @property
    def collector_port(self) -> int:
        """Return the port that the collector's pods or addresses listen on."""
        url = urlsplit(self.address)
        return self.port or url.port or (443 if url.scheme == "https" else 80)


def metadata_in(cidr: str) -> list[str]:
    """Return the metadata addresses inside a wider range. None are inside a range that is such an address itself."""
    return [address for address in METADATA if address != str(ip_network(cidr)) and covers(cidr, address)]


def covers(cidr: str, inner: str) -> bool:
    """Return whether a range of addresses contains another one."""
    outer, other = ip_network(cidr), ip_network(inner)
    return outer.version == other.version and other.subnet_of(outer)  # pyright: ignore[reportArgumentType]
