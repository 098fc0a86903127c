"""All settings of one environment, and the names of their sections.

A stack file holds one mapping per section (`slipway:cluster`, `slipway:image`, `slipway:services`, ...) and the
secrets as top-level `secure:` values. stack_file.py reads it into one frozen `Settings`; checks.py holds the rules
between sections.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pydantic import Field

from slipway import files
from slipway.naming import content_hash
from slipway.project import CONFIG, ROOT
from slipway.settings.names import (
    MIGRATION_PASSWORD,
    REGISTRY_PASSWORD,
    SHORT_FORM,
    password_of,
    receiver_secret,
    registry_password,
)
from slipway.settings.sections.contract import Metrics
from slipway.settings.sections.images import Evidence, Image, Registry, RegistryLogin
from slipway.settings.sections.monitoring import Monitoring
from slipway.settings.sections.network import Tracing
from slipway.settings.sections.pods import Resources
from slipway.settings.sections.section import Section
from slipway.settings.sections.service import Service
from slipway.settings.sections.stack import (
    Cluster,
    FreezeWindow,
    Promotion,
    Quota,
    RecordedRelease,
    SecretStore,
    Waiver,
)
from slipway.settings.sections.stores import Mysql, Postgres, Redis
from slipway.settings.tiers import STRICTEST, TierName
from slipway.settings.types.image_fields import RegistryHost
from slipway.settings.types.scalars import DnsLabel


def _without_default(schema: dict[str, Any]) -> None:
    """Leave the default out of the reference: no stack file may rely on it."""
    del schema["default"]


class Settings(Section):
    """One environment."""

    tier: TierName = Field(default=STRICTEST, examples=["prod"], json_schema_extra=_without_default)
    """Class of the environment, which decides what it demands and forbids (docs/reference/config.md, Tiers). A stack
    named like a tier is always of that tier; every other stack has to say it."""
    cluster: Cluster
    """The cluster this stack may touch."""
    image: Image | None = None
    """The image all services run, where there is one. Default: `images` has them."""
    named_images: dict[DnsLabel, Image] = Field(
        default={}, alias="images", examples=[{"shop": {"repository": "registry.example.com/shop"}}]
    )
    """Several images, by the name that services have under `image`, with the keys of `slipway:image`. `image` and
    `images` exclude each other."""
    evidence: Evidence = Evidence()
    """What proves the images. A release does not record it."""
    namespace: DnsLabel = Field(default="slipway", examples=["slipway-dev"])
    """Namespace of the stack, which creates and deletes it."""
    registry: Registry | None = None
    """Credentials of the image's registry. Default: it is open to the cluster's nodes."""
    registries: dict[RegistryHost, RegistryLogin] = Field(
        default={}, examples=[{"registry.example.com": {"username": "robot$puller"}}]
    )
    """Credentials of several registries, by host. `registry` and `registries` exclude each other."""
    quota: Quota = Quota()
    """The resource quota of the namespace."""
    waivers: list[Waiver] = Field(default=[])
    """House rules that do not apply for a while, and vulnerabilities that are accepted for a while."""
    freeze: list[FreezeWindow] = Field(default=[])
    """Times in which `./slipway up` and `promote` refuse to update the stack; a rollback always passes."""
    promotion: Promotion = Promotion()
    """What `./slipway promote` demands before images move to this stack."""
    secret_store: SecretStore | None = None
    """Take the secrets from an external store. Default: `secure:` values."""
    secret_files: str | None = Field(default=None, examples=[".slipway/secrets"])
    """Folder with the secrets as files, relative to the project. Local stack only. Default: `secure:` values."""
    image_files: str | None = Field(default=None, examples=[".slipway/images"])
    """Folder whose files `mysql`, `redis`, `prometheus` and `alertmanager` each name an image, relative to the project.
    Local stack only."""
    mysql: Mysql | None = None
    """The store. Default: none, the app keeps its data in memory."""
    postgres: Postgres | None = None
    """A managed PostgreSQL. Default: none."""
    redis: Redis | None = None
    """The cache. Default: none, each pod has its own."""
    tracing: Tracing | None = None
    """Where the services send their traces. Default: nowhere."""
    services: dict[DnsLabel, Service] = Field(min_length=1, examples=[{"api": {}}])
    """The services, by name."""
    monitoring: Monitoring = Monitoring()
    """Who scrapes the services and evaluates their alerts. Default: nobody. A release does not record it."""
    release: RecordedRelease | None = None
    """Only `./slipway rollback` sets it, with all settings of a former release. They are used as they are, without the
    stack file and defaults.yaml."""

    @property
    def images(self) -> dict[str, Image]:
        """Return the images that the stack builds, takes over or promotes, however they are written."""
        return {SHORT_FORM: self.image} if self.image else self.named_images

    def image_of(self, service: str) -> str:
        """Return what a service runs: a name in `images`, or an image by digest; empty if the settings do not say."""
        images = self.images
        if given := self.services[service].image:
            return given
        return next(iter(images)) if len(images) == 1 else service if service in images else ""

    @property
    def registry_logins(self) -> dict[str, tuple[str, str]]:
        """Return the user and the name of the secret with the password of each registry that needs a login, by host."""
        one = (
            {image.host: (self.registry.username, REGISTRY_PASSWORD) for image in self.images.values()}
            if self.registry
            else {}
        )
        return one | {host: (login.username, registry_password(host)) for host, login in self.registries.items()}

    @property
    def stores(self) -> dict[str, Mysql | Postgres | Redis]:
        """Return the stores of the stack, by the name that a service has under `needs`."""
        named = {"mysql": self.mysql, "postgres": self.postgres, "redis": self.redis}
        return {name: section for name, section in named.items() if section}

    @property
    def servers(self) -> dict[str, Mysql | Redis]:
        """Return the stores that the stack runs itself."""
        named = {"mysql": self.mysql, "redis": self.redis}
        return {name: section for name, section in named.items() if section and section.source == "cluster"}

    @property
    def canary_services(self) -> list[str]:
        """Return the services whose new versions are tried as canaries."""
        return [name for name, service in self.services.items() if service.rollout == "canary"]

    @property
    def challenge_hosts(self) -> list[str]:
        """Return the hosts for which cert-manager may answer challenges: those of an Ingress with an issuer."""
        routed = [service.ingress for service in self.services.values() if service.ingress]
        return sorted({host for ingress in routed if ingress.tls and ingress.tls.issuer for host in ingress.all_hosts})

    def certificates(self, service: str) -> dict[str, list[str]]:
        """Return the hosts of a service's Ingress by the Secret with their certificate.

        A host has one certificate of its issuer, however many services share it. cert-manager requests it for the hosts
        that the first Ingress names for the Secret, and ignores those of others: so each host has a Secret of its own.
        """
        ingress = self.services[service].ingress
        if ingress is None or ingress.tls is None:
            return {}
        if ingress.tls.issuer is None:
            return {ingress.tls.secret_name or f"{service}-tls": ingress.all_hosts}
        return {self._issued_for(host): [host] for host in ingress.all_hosts}

    def _issued_for(self, host: str) -> str:
        """Return the Secret of a host's certificate, which is named after the first service that has the host."""
        routed = {name: service.ingress for name, service in self.services.items()}
        issued = {name: ingress for name, ingress in routed.items() if ingress and ingress.tls and ingress.tls.issuer}
        owner = next(name for name, ingress in issued.items() if host in ingress.all_hosts)
        is_first = issued[owner].all_hosts[0] == host
        return f"{owner}-tls" if is_first else f"{owner}-tls-{content_hash({'host': host})}"

    @property
    def monitored_services(self) -> dict[str, Metrics]:
        """Return the services that are scraped, with their metrics."""
        if self.monitoring.source == "none":
            return {}
        named = {name: service.metrics_in_force for name, service in self.services.items()}
        return {name: metrics for name, metrics in named.items() if metrics}

    @property
    def receiver_secrets(self) -> list[str]:
        """Return the secrets of the receivers of alerts."""
        receivers = self.monitoring.receivers
        return [receiver_secret(name) for name, receiver in receivers.items() if receiver.needs_secret]

    @property
    def observability_servers(self) -> dict[str, Resources]:
        """Return the servers for monitoring and traces that the stack runs itself, with their size."""
        return {**self.monitoring.servers, **(self.tracing.servers if self.tracing else {})}

    def tracing_of(self, service: str) -> Tracing | None:
        """Return where a service sends its traces; None if it sends none."""
        return self.tracing if self.services[service].sends_traces else None

    def stores_of(self, service: str) -> dict[str, Mysql | Postgres | Redis]:
        """Return the stores that a service needs."""
        needs = self.services[service].needs
        return {name: section for name, section in self.stores.items() if name in needs}

    def authority_files(self, service: str) -> dict[str, str]:
        """Return the files with the authorities of the managed stores that a service needs, by name."""
        return {
            f"{name}.pem": files.read_text(ROOT / section.ca)
            for name, section in self.stores_of(service).items()
            if section.ca
        }

    def secrets_of(self, service: str) -> list[str]:
        """Return the secrets that a service reads, as files or variables."""
        return list(dict.fromkeys([*self.mounted_secrets_of(service), *self.services[service].secret_env.values()]))

    def mounted_secrets_of(self, service: str) -> list[str]:
        """Return the secrets that a service reads as files: its own, and the passwords of its stores."""
        own = self.services[service].secrets
        return list(dict.fromkeys([*own, *map(password_of, self.stores_of(service))]))

    def stated_variables(self) -> dict[str, frozenset[str]]:
        """Return the variables that apps state they read, by service; those that state nothing are left out."""
        stated = {name: service.variables for name, service in self.services.items() if service.variables}
        return {name: frozenset(files.read_text(ROOT / file).split()) for name, file in stated.items()}

    def passwords_of(self, store: str) -> list[str]:
        """Return the secrets with the passwords of all accounts of a store."""
        migrates = store == "mysql" and self.mysql and self.mysql.migration_user
        return [password_of(store), *([MIGRATION_PASSWORD] if migrates else [])]

    @property
    def server_images(self) -> dict[str, str | None]:
        """Return the images of the stores and of the servers for observability that the stack runs itself.

        None where the folder `slipway:imageFiles` names it.
        """
        tracing = dict.fromkeys(self.tracing.servers, self.tracing.image) if self.tracing else {}
        stores = {store: section.image for store, section in self.servers.items()}
        return {**stores, **self.monitoring.images, **tracing}

    def server_image(self, name: str) -> str:
        """Return the image of a store or of a server for observability that the stack runs itself."""
        return self.server_images[name] or files.read_text(ROOT / str(self.image_files) / name).strip()

    def secret(self, name: str) -> pulumi.Output[str]:
        """Return the value of a secret as a secret output, which the engine encrypts in the state."""
        if self.secret_files is None:
            return pulumi.Config(CONFIG).require_secret(name)
        return pulumi.Output.secret(files.read_text(ROOT / self.secret_files / name))


# The keys of a stack file without `slipway:`, and those beside the sections.
SECTIONS = frozenset(field.alias or name for name, field in Settings.model_fields.items())
SERVICE = "service"
RELEASE = "release"
CANDIDATE = "candidate"
