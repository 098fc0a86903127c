"""Sections about connections: how clients reach a service, and what it may connect to."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from slipway.settings.sections.section import Section, section_rule
from slipway.settings.types.scalars import Cidr, DnsLabel, Host, Port, UrlPath


class Tls(Section):
    """The source of the Ingress' certificate: exactly one of the three."""

    secret_name: DnsLabel | None = Field(default=None, examples=["api-tls"])
    """An existing Secret of type kubernetes.io/tls in the stack's namespace."""
    issuer: DnsLabel | None = Field(default=None, examples=["letsencrypt"])
    """A cert-manager ClusterIssuer, which writes the Secret."""
    secret_files: bool = False
    """tls.crt and tls.key in the folder `slipway:secretFiles` (the local stack's own CA)."""

    @section_rule
    def _one_source(self) -> Self:
        if [self.secret_name is not None, self.issuer is not None, self.secret_files].count(True) != 1:
            raise ValueError("give just one of secretName, issuer, secretFiles: true")
        return self


class Gateway(Section):
    """The Gateway (Gateway API) that routes to a service; its listener holds the certificate."""

    name: DnsLabel = Field(examples=["public"])
    """Name of the Gateway."""
    namespace: DnsLabel = Field(examples=["ingress"])
    """Namespace of the Gateway."""
    listener: DnsLabel = Field(default="https", examples=["https"])
    """The Gateway's listener."""


class Ingress(Section):
    """How clients outside the cluster reach a service: by an Ingress, or by an HTTPRoute if `gateway` is given."""

    host: Host = Field(examples=["api.example.com"])
    """Fully qualified host name, in lower case."""
    path: UrlPath = Field(default="/", examples=["/v1"])
    """Path prefix."""
    class_name: DnsLabel | None = Field(default=None, examples=["traefik"])
    """IngressClass. Default: the cluster's default class."""
    tls: Tls | None = None
    """Certificate. Default: plain HTTP; tier prod refuses that."""
    gateway: Gateway | None = None
    """Use an HTTPRoute of this Gateway. Default: an Ingress."""
    await_seconds: int = Field(default=120, ge=0, le=600, examples=[120])
    """How long `pulumi up` waits for the controller to publish an address; 0: not at all."""

    @section_rule
    def _gateway_or_ingress(self) -> Self:
        if self.gateway and (self.tls or self.class_name):
            raise ValueError("gateway takes the place of className and tls: the Gateway's listener decides both")
        return self

    @property
    def secure(self) -> bool:
        """Return whether clients use HTTPS."""
        return self.tls is not None or (self.gateway is not None and self.gateway.listener == "https")

    @property
    def url(self) -> str:
        """Return the address for clients."""
        return f"{'https' if self.secure else 'http'}://{self.host}{self.path}".rstrip("/")


class Egress(Section):
    """Addresses outside the stack that a service may connect to."""

    cidr: Cidr = Field(examples=["10.20.0.0/16"])
    """Range of addresses."""
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
