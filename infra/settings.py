"""Everything a stack file may say: typed, with units and ranges, cross-checked.

A stack file holds one mapping per section (`slipway:cluster`, `slipway:image`, `slipway:services`, ...) and the
secrets as top-level `secure:` values. `load()` turns all of it into one frozen `Settings`, or ends the program with
one error that names every mistake (see mistakes.py). Nothing else in the program reads configuration.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pulumi
from mistakes import Mistake, all_mistakes, refuse
from pulumi.runtime import config as pulumi_config
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.alias_generators import to_camel

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "slipway"
# In the folder of secrets, when the stack makes the certificate itself.
CERTIFICATE_FILES = ("tls.crt", "tls.key")


def _text(value: object) -> object:
    """`cpu: 1` is a number in YAML and a quantity in Kubernetes: take it as its text."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


DnsLabel = Annotated[str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$")]
Host = Annotated[
    str,
    StringConstraints(
        max_length=253, pattern=r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+$"
    ),
]
UrlPath = Annotated[str, StringConstraints(pattern=r"^/[-A-Za-z0-9._~/]*$")]
SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
Cpu = Annotated[
    str, BeforeValidator(_text), StringConstraints(pattern=r"^([1-9][0-9]*m|[1-9][0-9]*|[0-9]+\.[0-9]{1,3})$")
]
Memory = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(Mi|Gi)$")]
Repository = Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]

# The program itself sets these for every service (pod.py): a stack file may not contradict it.
RESERVED_ENV = frozenset({"ENVIRONMENT", "HTTP_PORT", "ADMIN_PORT", "CONFIG_FILE", "SECRETS_DIR"}) | frozenset(
    {"DRAIN_DELAY", "SHUTDOWN_TIMEOUT", "GOMEMLIMIT", "GOMAXPROCS"}
)


def millicores(cpu: str) -> int:
    """`"250m"` -> 250, `"1"` -> 1000, `"0.5"` -> 500."""
    return int(cpu[:-1]) if cpu.endswith("m") else round(float(cpu) * 1000)


def mebibytes(memory: str) -> int:
    """`"64Mi"` -> 64, `"1Gi"` -> 1024."""
    return int(memory[:-2]) * (1024 if memory.endswith("Gi") else 1)


class Section(BaseModel):
    """A mapping of a stack file: camelCase keys, exact types, unknown keys refused, frozen once read."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class Cluster(Section):
    """Which cluster this stack belongs to: the guard against deploying to the wrong one."""

    context: str = Field(min_length=1, examples=["dev"])
    """Name of the kubeconfig context. The current context is never used."""
    server: str | None = Field(default=None, examples=["https://10\\.0\\.0\\.1:6443"])
    """Regular expression the context's server URL has to match in full. Default: any server."""

    @model_validator(mode="after")
    def _server_is_a_pattern(self) -> Self:
        try:
            re.compile(self.server or "")
        except re.error as error:
            raise ValueError(f"server is not a regular expression: {error}") from None
        return self


class Image(Section):
    """Where the image comes from, and under which name it is kept."""

    source: Literal["build", "prebuilt", "promote"] = "build"
    """build: from app/ by the Docker daemon · prebuilt: `digest`, built elsewhere · promote: what stack `from` runs."""
    repository: Repository = Field(examples=["registry.example.com/slipway/api"])
    """Registry and name, without a tag."""
    target: Literal["release", "prebuilt"] = "release"
    """Stage of app/Dockerfile (source: build). prebuilt compiles on this machine and needs no base image."""
    platform: Literal["linux/amd64", "linux/arm64"] = "linux/amd64"
    """What the cluster's nodes run (source: build)."""
    digest: Digest | None = Field(default=None, examples=["sha256:" + "0" * 64])
    """The image to run (source: prebuilt)."""
    from_: DnsLabel | None = Field(default=None, alias="from", examples=["dev"])
    """Name of the stack whose image is taken over (source: promote)."""

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> Self:
        if (self.source == "prebuilt") != (self.digest is not None):
            raise ValueError("digest goes with source: prebuilt, and only with it")
        if (self.source == "promote") != (self.from_ is not None):
            raise ValueError("from goes with source: promote, and only with it")
        return self


class Resources(Section):
    """What one pod may use. Memory request and limit are one number, so that a pod is never evicted for a burst."""

    cpu: Cpu = Field(default="100m", examples=["250m"])
    """CPU request per pod."""
    cpu_limit: Cpu | None = Field(default=None, examples=["1"])
    """CPU limit per pod. Default: none; throttling hurts latency more than a busy neighbour does."""
    memory: Memory = Field(default="64Mi", examples=["128Mi"])
    """Memory request and limit per pod. GOMEMLIMIT is set to 90 % of it."""

    @model_validator(mode="after")
    def _request_fits_limit(self) -> Self:
        if self.cpu_limit and millicores(self.cpu) > millicores(self.cpu_limit):
            raise ValueError(f"cpu ({self.cpu}) is more than cpuLimit ({self.cpu_limit})")
        return self


class Autoscaling(Section):
    """Bounds and target of the HorizontalPodAutoscaler, which owns the number of replicas."""

    min: int = Field(default=2, ge=1, le=100, examples=[2])
    """Fewest pods."""
    max: int = Field(default=10, ge=1, le=100, examples=[10])
    """Most pods."""
    cpu_percent: int = Field(default=80, ge=10, le=95, examples=[80])
    """Target CPU use, in percent of the CPU request."""

    @model_validator(mode="after")
    def _min_fits_max(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is more than max ({self.max})")
        return self


class Drain(Section):
    """How a pod leaves without losing a request. The pod's grace period is the sum of the three and a margin."""

    pre_stop_seconds: int = Field(default=5, ge=0, le=60, examples=[5])
    """The pod serves on this long before SIGTERM, while proxies and ingress forget its address."""
    delay_seconds: int = Field(default=1, ge=0, le=60, examples=[1])
    """After SIGTERM the app answers "not ready" and serves on this long."""
    shutdown_seconds: int = Field(default=20, ge=1, le=300, examples=[20])
    """Requests that are under way get this long to finish."""

    @model_validator(mode="after")
    def _outlasts_the_proxies(self) -> Self:
        # Measured through an ingress at 50 requests a second: 1 s lost requests in two of three runs, 2 s lost none.
        if self.pre_stop_seconds + self.delay_seconds < 2:
            raise ValueError(
                f"preStopSeconds ({self.pre_stop_seconds}) + delaySeconds ({self.delay_seconds}) is less than the 2 s "
                "the ingress needs to forget a pod: requests would be lost"
            )
        return self


class Tls(Section):
    """Where the Ingress' certificate comes from: just one of the three."""

    secret_name: DnsLabel | None = Field(default=None, examples=["api-tls"])
    """An existing Secret of type kubernetes.io/tls in the stack's namespace."""
    issuer: DnsLabel | None = Field(default=None, examples=["letsencrypt"])
    """A cert-manager ClusterIssuer, which writes the Secret."""
    secret_files: bool = False
    """tls.crt and tls.key in the folder `slipway:secretFiles` (the local stack's own CA)."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if [self.secret_name is not None, self.issuer is not None, self.secret_files].count(True) != 1:
            raise ValueError("give just one of secretName, issuer, secretFiles: true")
        return self


class Ingress(Section):
    """How the outside reaches a service."""

    host: Host = Field(examples=["api.example.com"])
    """Fully qualified host name, in lower case."""
    path: UrlPath = Field(default="/", examples=["/v1"])
    """Path prefix."""
    class_name: DnsLabel | None = Field(default=None, examples=["traefik"])
    """IngressClass. Default: the cluster's default class."""
    tls: Tls | None = None
    """Certificate. Default: plain HTTP; prod refuses that."""
    await_seconds: int = Field(default=120, ge=0, le=600, examples=[120])
    """How long `pulumi up` waits for the controller to publish an address; 0: not at all."""


class Service(Section):
    """One HTTP service: the same image, its own settings, size and address."""

    autoscaling: Autoscaling = Autoscaling()
    """How many pods."""
    resources: Resources = Resources()
    """How much each pod gets."""
    drain: Drain = Drain()
    """How a pod leaves."""
    startup_seconds: int = Field(default=60, ge=5, le=600, examples=[60])
    """How long a new pod may take to start before it is restarted."""
    ingress: Ingress | None = None
    """Address from outside. Default: reachable inside the cluster only."""
    env: dict[EnvName, str] = Field(default={}, examples=[{"LOG_LEVEL": "info"}])
    """Environment variables of the app. A change rolls the pods."""
    file: dict[str, Any] = Field(default={}, examples=[{"pageSize": {"default": 20}}])
    """Content of the app's config.yaml. A change is picked up by running pods, without a restart."""
    secrets: list[SecretName] = Field(default=[], examples=[["signing-key"]])
    """Secrets the app reads as files of these names. Each one is a `secure:` value `slipway:<name>`."""

    @model_validator(mode="after")
    def _env_is_free(self) -> Self:
        if taken := sorted(RESERVED_ENV & self.env.keys()):
            raise ValueError(f"env: {', '.join(taken)} is set by the program, leave it out")
        return self


class Settings(Section):
    """One environment."""

    cluster: Cluster
    """The cluster this stack may touch."""
    image: Image
    """The image all services run."""
    namespace: DnsLabel = Field(default="slipway", examples=["slipway-dev"])
    """Namespace the stack owns. It is created, and destroyed with the stack."""
    secret_files: str | None = Field(default=None, examples=[".slipway/secrets"])
    """Folder, seen from the project, that holds the secrets as files. Local stack only. Default: `secure:` values."""
    services: dict[DnsLabel, Service] = Field(min_length=1, examples=[{"api": {}}])
    """The services, by name."""

    def secret(self, name: str) -> pulumi.Output[str]:
        """The value of one secret, marked as secret wherever it travels."""
        if self.secret_files is None:
            return pulumi.Config(PROJECT).require_secret(name)
        return pulumi.Output.secret((ROOT / self.secret_files / name).read_text())


def load() -> Settings:
    """The settings of the stack in use; `pulumi.RunError` naming every mistake if there is one."""
    values = _values()
    secrets = _listed_secrets(values.get("services"))
    found: list[Mistake] = [
        Mistake.unknown((name,), [*SECTIONS, *secrets]) for name in values.keys() - SECTIONS - secrets
    ]
    found += _secret_mistakes(values, secrets)
    try:
        settings = Settings.model_validate({name: value for name, value in values.items() if name in SECTIONS})
    except ValidationError as error:
        refuse(_stack_file(), [*found, *all_mistakes(error, Settings)])
    found += [*_environment_mistakes(settings), *_overlaps(settings), *_certificate_mistakes(settings)]
    if found:
        refuse(_stack_file(), found)
    return settings


SECTIONS = frozenset(field.alias or name for name, field in Settings.model_fields.items())


def _stack_file() -> Path:
    return ROOT / "stacks" / f"Pulumi.{pulumi.get_stack()}.yaml"


def _values() -> dict[str, Any]:
    """What the stack says, by key without `slipway:`. The engine hands mappings and lists over as JSON."""
    everything: dict[str, str] = {**pulumi_config.get_config_env(), **pulumi_config.CONFIG.get()}
    own = {key.removeprefix(f"{PROJECT}:"): text for key, text in everything.items() if key.startswith(f"{PROJECT}:")}
    return {name: json.loads(text) if text[:1] in ("{", "[") else text for name, text in own.items()}


def _secret_keys() -> set[str]:
    """The keys with an encrypted value, or with one somewhere inside."""
    keys = {*pulumi_config.get_config_secret_keys_env(), *pulumi_config._SECRET_KEYS.get()}  # pyright: ignore[reportPrivateUsage]
    return {key.removeprefix(f"{PROJECT}:") for key in keys}


def _listed_secrets(services: Any) -> set[str]:
    """The secrets the services ask for, as far as they can be read: mistakes elsewhere must not hide a missing one."""
    sections = services.values() if isinstance(services, dict) else ()
    lists = [section.get("secrets") for section in sections if isinstance(section, dict)]
    return {name for names in lists if isinstance(names, list) for name in names if isinstance(name, str)}


def _secret_mistakes(values: dict[str, Any], secrets: set[str]) -> Iterator[Mistake]:
    for section in _secret_keys() & SECTIONS:
        yield Mistake(
            (section,), "holds a nested secure: value, which would be stored in clear; make it a top-level key"
        )
    folder = values.get("secretFiles")
    for name in secrets:
        command = f"pulumi config set --secret {name} -s {pulumi.get_stack()}"
        if isinstance(folder, str):
            yield from _missing_file(folder, name)
        elif not values.get(name):
            yield Mistake((name,), f"secret is missing or empty; set it: {command}")
        elif name not in _secret_keys():
            yield Mistake((name,), f"secret stands there in clear; encrypt it: {command}")


def _missing_file(folder: str, name: str) -> Iterator[Mistake]:
    file = ROOT / folder / name
    if not file.is_file() or not file.read_text().strip():
        yield Mistake(("secretFiles",), f"{folder}/{name} is missing or empty; `make up` makes it")


def _certificate_mistakes(settings: Settings) -> Iterator[Mistake]:
    for name, service in settings.services.items():
        if not (service.ingress and service.ingress.tls and service.ingress.tls.secret_files):
            continue
        if settings.secret_files is None:
            yield Mistake(("services", name, "ingress", "tls", "secretFiles"), "needs slipway:secretFiles, the folder")
            continue
        for file in CERTIFICATE_FILES:
            yield from _missing_file(settings.secret_files, file)


def _environment_mistakes(settings: Settings) -> Iterator[Mistake]:
    if pulumi.get_stack() != "prod":
        return
    if settings.image.source == "build":
        yield Mistake(("image", "source"), "prod never builds", "build", "promote (with from: staging)")
    for name, service in settings.services.items():
        if service.autoscaling.min < 2:
            at = ("services", name, "autoscaling", "min")
            yield Mistake(at, "prod needs at least 2 replicas", service.autoscaling.min, "2")
        if service.ingress and service.ingress.tls is None:
            yield Mistake(("services", name, "ingress", "tls"), "prod needs TLS", None, "{issuer: letsencrypt}")


def _overlaps(settings: Settings) -> Iterator[Mistake]:
    taken: dict[tuple[str, str], str] = {}
    for name, service in settings.services.items():
        if service.ingress is None:
            continue
        address = (service.ingress.host, service.ingress.path)
        if other := taken.get(address):
            at = ("services", name, "ingress", "path")
            yield Mistake(at, f"{''.join(address)} is already served by {other}", service.ingress.path, f"/{name}")
        taken[address] = name
