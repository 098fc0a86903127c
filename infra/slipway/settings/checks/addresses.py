"""Addresses of different services: each leads to one service, and each host has one certificate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from slipway.settings.errors import InvalidSetting
from slipway.settings.sections.addresses import Ingress, Tls, normal_path
from slipway.settings.settings import Settings


class Certificate(NamedTuple):
    """The certificate that a service has for a host."""

    service: str
    tls: Tls
    secret: str
    """Name of the Secret; empty for the files of the stack, which are the same for all services."""

    def is_another(self, other: Certificate) -> bool:
        """Return whether two services of one host would serve two certificates."""
        issuers = {self.tls.issuer, other.tls.issuer} - {None}
        return self.secret != other.secret or len(issuers) > 1


def check(settings: Settings) -> Iterator[InvalidSetting]:
    """Report services without a host, and services that share an address or disagree about a certificate."""
    taken: dict[str, str] = {}
    certificates: dict[str, Certificate] = {}
    secrets: dict[str, tuple[Certificate, set[str]]] = {}
    for name, service in settings.services.items():
        if service.ingress is None:
            continue
        if not service.ingress.all_hosts:
            yield InvalidSetting(("services", name, "ingress", "host"), "is required", example="api.example.com")
        yield from _addresses(name, service.ingress, taken)
        yield from _certificates(name, settings, certificates, secrets)


def _addresses(name: str, ingress: Ingress, taken: dict[str, str]) -> Iterator[InvalidSetting]:
    for path in ingress.all_paths:
        at = ("paths", ingress.paths.index(path)) if path in ingress.paths else ("path",)
        for host in ingress.all_hosts:
            address = f"{host}{normal_path(path)}"
            if (other := taken.setdefault(address, name)) != name:
                rule = f"{address} is already served by {other}; give another path, or another host"
                yield InvalidSetting(("services", name, "ingress", *at), rule, path)


def _certificates(
    name: str,
    settings: Settings,
    certificates: dict[str, Certificate],
    secrets: dict[str, tuple[Certificate, set[str]]],
) -> Iterator[InvalidSetting]:
    ingress = settings.services[name].ingress
    if ingress is None or ingress.tls is None:
        return
    for secret, hosts in settings.certificates(name).items():
        own = Certificate(name, ingress.tls, "" if ingress.tls.secret_files else secret)
        first, first_hosts = secrets.setdefault(own.secret, (own, {*hosts}))
        if own.secret and own.tls != first.tls and not {*hosts} <= first_hosts:
            rule = f"the Secret {secret} has the certificate of {first.service}, which is not for {hosts[0]}"
            yield InvalidSetting(("services", name, "ingress", "tls"), f"{rule}. Name another one")
        for host in hosts:
            other = certificates.setdefault(host, own)
            if own.is_another(other):
                rule = f"{host} has a certificate already, that of {other.service}; one of the two would be served"
                yield InvalidSetting(
                    ("services", name, "ingress", "tls"), f"{rule}. Take the same one", None, _text(other.tls)
                )


def _text(tls: Tls) -> str:
    """Return the section as a stack file says it."""
    if tls.secret_files:
        return "{secretFiles: true}"
    return f"{{secretName: {tls.secret_name}}}" if tls.secret_name else f"{{issuer: {tls.issuer}}}"
