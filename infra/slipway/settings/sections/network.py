"""Sections about the network: what a service may connect to, and where the cluster's DNS answers."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Literal, Self

from pydantic import Field

from slipway.settings.sections.section import Section, section_rule
from slipway.settings.types.scalars import Cidr, DnsLabel, LabelKey, LabelValue, Port

# Where clouds hand out the credentials of a node or task to all who ask: EC2, GCP, Azure and others; ECS; EC2 by IPv6.
METADATA = ("169.254.169.254/32", "169.254.170.2/32", "fd00:ec2::254/128")


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


def metadata_in(cidr: str) -> list[str]:
    """Return the metadata addresses inside a wider range. None are inside a range that is such an address itself."""
    return [address for address in METADATA if address != str(ip_network(cidr)) and covers(cidr, address)]


def covers(cidr: str, inner: str) -> bool:
    """Return whether a range of addresses contains another one."""
    outer, other = ip_network(cidr), ip_network(inner)
    return outer.version == other.version and other.subnet_of(outer)  # pyright: ignore[reportArgumentType]
