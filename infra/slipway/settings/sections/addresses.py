"""Sections about addresses: how clients outside the cluster reach a service."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field

from slipway.settings.sections.section import Section, section_rule
from slipway.settings.types.scalars import DnsLabel, Host, LabelKey, ObjectName, UrlPath

# The Gateway API allows this many host names of a route, and as many rules.
MAX_HOSTS = MAX_PATHS = 16
_CONTROLLERS = re.compile(r"(traefik|nginx)(-.+)?")
# Annotations that decide what a key of the section, or the program, decides.
_OWN = {r"(pulumi\.com|slipway)/.+": "is the program's own; leave it out"}
_DECIDED = {
    **_OWN,
    r"kubernetes\.io/ingress\.class": "is decided by className; say it there",
    r"cert-manager\.io/(cluster-)?issuer(-kind|-group)?|kubernetes\.io/tls-acme": "is decided by tls; say it there",
    r"nginx\.ingress\.kubernetes\.io/server-alias": "is decided by hosts; say it there",
}
_DECIDED_BY_STRIP_PREFIX = {
    "traefik": r"traefik\.ingress\.kubernetes\.io/router\.middlewares",
    "nginx": r"nginx\.ingress\.kubernetes\.io/(rewrite-target|use-regex)",
}


class Tls(Section):
    """The source of the Ingress' certificate: exactly one of the three."""

    secret_name: DnsLabel | None = Field(default=None, examples=["api-tls"])
    """An existing Secret of type kubernetes.io/tls in the stack's namespace."""
    issuer: DnsLabel | None = Field(default=None, examples=["letsencrypt"])
    """A cert-manager ClusterIssuer, which writes a Secret for each host; services of one host share it."""
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

    host: Host | None = Field(default=None, examples=["api.example.com"])
    """Fully qualified host name, in lower case. Required unless `hosts` is given."""
    hosts: list[Host] = Field(default=[], examples=[["api.example.com", "www.example.com"]])
    """Further hosts with the same paths. The address in the outputs has the first of all hosts and paths."""
    path: UrlPath | None = Field(default=None, examples=["/v1"])
    """Path prefix. Default: / unless `paths` is given."""
    paths: list[UrlPath] = Field(default=[], examples=[["/v1", "/v2"]])
    """Further path prefixes. Those of a service are served, and no others."""
    strip_prefix: bool = False
    """The app gets the path without the prefix: /v1/shops as /shops. Needs `gateway`, or a className of Traefik or
    ingress-nginx: the word itself, or with a suffix such as nginx-internal."""
    class_name: ObjectName | None = Field(default=None, examples=["traefik"])
    """IngressClass. Default: the cluster's default class."""
    tls: Tls | None = None
    """Certificate. Default: plain HTTP; tier prod refuses that."""
    gateway: Gateway | None = None
    """Use an HTTPRoute of this Gateway. Default: an Ingress."""
    annotations: dict[LabelKey, str] = Field(
        default={}, examples=[{"nginx.ingress.kubernetes.io/proxy-body-size": "8m"}]
    )
    """Annotations of the Ingress or HTTPRoute, for what the controller alone knows. Those that another key decides are
    refused."""
    await_seconds: int = Field(default=120, ge=0, le=600, examples=[120])
    """How long `pulumi up` waits for the controller to publish an address; 0: not at all."""

    @section_rule
    def _gateway_or_ingress(self) -> Self:
        if self.gateway and (self.tls or self.class_name):
            raise ValueError("gateway takes the place of className and tls: the Gateway's listener decides both")
        return self

    @section_rule
    def _hosts_and_paths_are_distinct(self) -> Self:
        paths = [normal_path(path) for path in self.all_paths]
        for key, given, limit in (("hosts", self.all_hosts, MAX_HOSTS), ("paths", paths, MAX_PATHS)):
            if twice := next((value for value in given if given.count(value) > 1), None):
                raise ValueError(f"{key}: {twice} is there twice; leave one out")
            if len(given) > limit:
                raise ValueError(f"{key}: there are {len(given)}, and a route takes {limit}; use a second service")
        return self

    @section_rule
    def _a_prefix_can_be_stripped(self) -> Self:
        if not self.strip_prefix:
            return self
        if any(normal_path(path) == "/" for path in self.all_paths):
            raise ValueError("stripPrefix: there is nothing to strip from the path /; leave stripPrefix out")
        if not self.gateway and not self.controller:
            given = (
                f"className {self.class_name} is neither traefik nor nginx" if self.class_name else "needs className"
            )
            raise ValueError(
                f"stripPrefix: {given}; each controller strips a prefix in a way of its own. Set className to traefik "
                "or nginx, or use gateway, or have the app serve the whole path"
            )
        return self

    @section_rule
    def _annotations_are_free(self) -> Self:
        decided = dict(_DECIDED)
        if self.strip_prefix and self.controller:
            decided[_DECIDED_BY_STRIP_PREFIX[self.controller]] = "is decided by stripPrefix; leave one of the two out"
        _check_annotations("annotations", self.annotations, decided)
        return self

    @property
    def all_hosts(self) -> list[str]:
        """Return all hosts, the first one first."""
        return [*([self.host] if self.host else []), *self.hosts]

    @property
    def all_paths(self) -> list[str]:
        """Return all path prefixes, the first one first."""
        return [*([self.path] if self.path else []), *self.paths] or ["/"]

    @property
    def controller(self) -> Literal["traefik", "nginx"] | None:
        """Return the controller that the class is of; None if its name does not say so."""
        match = _CONTROLLERS.fullmatch(self.class_name or "")
        return ("traefik" if match[1] == "traefik" else "nginx") if match else None

    @property
    def secure(self) -> bool:
        """Return whether clients use HTTPS."""
        return self.tls is not None or (self.gateway is not None and self.gateway.listener == "https")

    @property
    def url(self) -> str:
        """Return the address for clients: the first host and path."""
        return f"{self._origin}{self.all_paths[0]}".rstrip("/")

    def url_of(self, path: str) -> str:
        """Return the address at which clients reach a path of the app."""
        prefix = normal_path(self.all_paths[0]) if self.strip_prefix else ""
        return f"{self._origin}{prefix}{path}"

    @property
    def _origin(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.all_hosts[0]}"


def normal_path(path: str) -> str:
    """Return a path without a slash at its end, which makes no difference to a prefix."""
    return path.rstrip("/") or "/"


def check_service_annotations(annotations: dict[str, str]) -> None:
    """Raise ValueError for an annotation of a Service that the program sets itself."""
    _check_annotations("serviceAnnotations", annotations, _OWN)


def _check_annotations(key: str, annotations: dict[str, str], decided: dict[str, str]) -> None:
    """Raise ValueError for an annotation that something else decides."""
    for name in annotations:
        for pattern, fix in decided.items():
            if re.fullmatch(pattern, name):
                raise ValueError(f"{key}: {name} {fix}")
