"""Everything a stack file may say: typed, with units and ranges.

A stack file holds one mapping per section (`slipway:cluster`, `slipway:image`, `slipway:services`, ...) and the
secrets as top-level `secure:` values. stack_file.py reads it into one frozen `Settings`; what the sections demand of
each other stands in checks.py.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date
from ipaddress import IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import files
import pulumi
from image_names import normalized
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import core_schema
from suggestions import nearest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "slipway"
# In the folder of secrets, when the stack makes the certificate itself.
CERTIFICATE_FILES = ("tls.crt", "tls.key")


@dataclass(frozen=True)
class Form:
    """How a text has to look: the pattern decides, the words tell. `check` raises ValueError with a rule of its own."""

    words: str
    pattern: str = r".*"
    check: Callable[[str], object] = str
    most: int = 253
    numbers: bool = False
    """`cpu: 1` is a number in YAML and a quantity in Kubernetes: take it as its text."""

    def read(self, value: object) -> object:
        """The text; ValueError in words, whatever was found instead."""
        text = str(value) if self.numbers and isinstance(value, int | float) else value
        if not isinstance(text, str) or len(text) > self.most or not re.fullmatch(self.pattern, text):
            bare = isinstance(value, int | float) and not self.numbers and re.fullmatch(self.pattern, str(value))
            raise ValueError(f"should be {self.words}{': put it in quotes' if bare else ''}")
        self.check(text)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        kind = ["string", "number"] if self.numbers else "string"
        form = {"type": kind, "pattern": f"^({self.pattern})$", "maxLength": self.most}
        return {**handler(schema), **form, "patternErrorMessage": f"should be {self.words}"}


def _not_nothing(quantity: str) -> None:
    if not any(digit in quantity for digit in "123456789"):
        raise ValueError("should be more than 0")


def _network(text: str) -> None:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise ValueError(f"should be a range of addresses such as 10.20.0.0/16: {error}") from None
    if text.rpartition("/")[2] != str(network.prefixlen):
        raise ValueError(f"should be a range of addresses without leading zeros, /{network.prefixlen}")
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
        raise ValueError("should be a range of IPv4 addresses as such: Kubernetes takes none inside of IPv6")


def _time_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # There are none on a machine without the database: then the cluster judges.
        if known := available_timezones():
            near = nearest(name, known)
            hint = f'; did you mean "{near}"?' if near else ""
            raise ValueError(f"should be an IANA time zone such as Asia/Tokyo{hint}") from None


def _day(text: object) -> object:
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise ValueError("should be a day such as 2027-01-31")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"is no day of the calendar: {error}") from None


_CRON_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 6))
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _cron(schedule: str) -> None:
    """Five fields of numbers, ranges, lists and steps; what the API server would refuse is refused here."""
    fields = schedule.split()
    if len(fields) != len(_CRON_FIELDS):
        raise ValueError(f"has {len(fields)} fields instead of 5 (minute hour day month weekday)")
    for field, (name, low, high) in zip(fields, _CRON_FIELDS, strict=True):
        for part in field.split(","):
            match = re.fullmatch(r"(\*|([0-9]+)(?:-([0-9]+))?)(?:/([1-9][0-9]{0,3}))?", part)
            bounds = [int(number) for number in match.group(2, 3) if number] if match else []
            if not match or bounds != sorted(bounds) or not all(low <= number <= high for number in bounds):
                sunday = "; Sunday is 0" if low == 0 and high == 6 else ""
                raise ValueError(
                    f"{name} is {field!r}: numbers from {low} to {high}{sunday}, `*`, lists, ranges and steps"
                )
    _, _, days, months, weekdays = fields
    longest = max(_LONGEST_MONTHS[month - 1] for month in _months(months))
    earliest = min(int(part.partition("-")[0].partition("/")[0].replace("*", "1")) for part in days.split(","))
    if weekdays == "*" and earliest > longest:
        raise ValueError(f"day of month is {days!r}, which no month of {months!r} has: it would never run")


def _months(field: str) -> Iterator[int]:
    """Return the months that one field of a schedule names."""
    for part in field.split(","):
        given, _, step = part.partition("/")
        first, _, last = given.replace("*", "1-12").partition("-")
        yield from range(int(first), (12 if step else int(first)) + 1 if not last else int(last) + 1, int(step or 1))


def _path(path: str) -> None:
    """Refuse what the API server refuses in the path of an Ingress or HTTPRoute."""
    if "//" in path or re.search(r"/\.\.?(/|$)", path):
        raise ValueError("should be a path without //, /./ and /../")


_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"

DnsLabel = Annotated[
    str,
    Form(
        "a name of lower-case letters, digits and `-`, from a letter on, at most 40", r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?"
    ),
]
Host = Annotated[
    str,
    Form(
        "a host name such as api.example.com: lower case, no wildcard, no address", rf"({_LABEL}\.)+(?=[a-z]){_LABEL}"
    ),
]
UrlPath = Annotated[str, Form("a path such as /v1", r"/[-A-Za-z0-9._~/]*", _path)]
SecretName = Annotated[
    str,
    Form(
        "the name of a secret: lower-case letters, digits and `-`, from a letter on", r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
    ),
]
LabelKey = Annotated[
    str,
    Form(
        "the name of a label such as app.kubernetes.io/name",
        rf"({_LABEL}(\.{_LABEL})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?",
    ),
]
LabelValue = Annotated[
    str,
    Form(
        "the value of a label: up to 63 letters, digits, `-`, `_` and `.`",
        r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?",
    ),
]
EnvName = Annotated[str, Form("the name of a variable such as LOG_LEVEL", r"[A-Z][A-Z0-9_]*")]
Cpu = Annotated[
    str,
    Form("CPUs such as 250m, 2 or 0.5", r"[1-9][0-9]{0,6}m|[0-9]{1,4}(\.[0-9]{1,3})?", _not_nothing, numbers=True),
]
Memory = Annotated[str, Form("a quantity such as 64Mi or 1Gi", r"[1-9][0-9]*(Mi|Gi)", most=12)]
Repository = Annotated[
    str,
    Form(
        "a registry and a name without tag, such as registry.example.com/slipway/api",
        r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+",
    ),
    AfterValidator(normalized),
]
PinnedImage = Annotated[
    str,
    Form(
        "an image by digest, such as registry.example.com/mysql:8.4@sha256: and 64 hexadecimal digits",
        r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?(:[0-9]{1,5}(?=/))?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
        r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?@sha256:[0-9a-f]{64}",
        most=500,
    ),
    AfterValidator(normalized),
]
ProjectFile = Annotated[
    str,
    Form("a file of this project such as stacks/database-ca.pem, seen from its root", r"[\w.-][\w./-]*"),
]
AclUser = Annotated[str, Form("a user name without spaces, at most 64 characters", r"[A-Za-z0-9_.@:-]{1,64}")]
ServerName = Annotated[str, Form("a host name or address such as mysql.example.com", rf"({_LABEL}\.)*{_LABEL}")]
SqlName = Annotated[str, Form("a name of lower-case letters, digits and `_`, at most 32", r"[a-z][a-z0-9_]{0,31}")]
TimeZone = Annotated[str, Form("an IANA time zone such as Asia/Tokyo", r"[A-Z][A-Za-z0-9_+/-]*", _time_zone)]
Cidr = Annotated[str, Form("a range of addresses such as 10.20.0.0/16", r"[0-9a-fA-F:.]+/[0-9]{1,3}", _network)]
Port = Annotated[int, Field(ge=1, le=65535)]
Length = Annotated[int, Field(ge=1, le=4096)]
Day = Annotated[date, BeforeValidator(_day)]
Tag = Annotated[
    str, Form("a tag such as src-0123456789abcdef, at most 63", r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
]
# As the value of the label that tells the stacks apart it has `slipway-` before it, and 63 characters in all.
StackName = Annotated[
    str, Form("the name of a stack: up to 55 letters, digits, `-`, `_` and `.`", r"[A-Za-z0-9_.-]{0,54}[A-Za-z0-9]")
]
Revision = Annotated[str, Form("8 hexadecimal digits, as ./slipway history lists them", r"[0-9a-f]{8}")]
Digest = Annotated[str, Form("sha256: and 64 hexadecimal digits", r"sha256:[0-9a-f]{64}")]
StorePath = Annotated[str, Form("a path such as slipway/prod", r"(([A-Za-z0-9._-]+/)*[A-Za-z0-9._-]+)?")]
HttpUrl = Annotated[
    str,
    Form(
        "an address such as http://prometheus.example.com:9090",
        r"https?://[-A-Za-z0-9.]+(:[0-9]{1,5})?(/[-A-Za-z0-9_./~]*)?",
    ),
]
RuleId = Annotated[str, Form("the id of a rule such as SW012", r"S[WR][0-9]{3}")]
Cron = Annotated[str, Form("a schedule of five fields such as 30 3 * * *", check=_cron)]

# The secret that goes with `registry`.
REGISTRY_PASSWORD = "registry-password"
# The sections that tell where secrets come from, or who they belong to.
SECRET_SOURCES = ("registry", "secret_store", "secret_files")

# Names that `needs` knows besides the services' own, and that of the jobs that dump the store.
BACKING = ("mysql", "redis")
MYSQL_BACKUP = "mysql-backup"


# The secret that goes with `migrationUser`.
MIGRATION_PASSWORD = "mysql-migration-password"


def password_of(backing: str) -> str:
    """The secret that goes with a backing service."""
    return f"{backing}-password"


# The program itself sets these for every service (pod.py): a stack file may not contradict it.
RESERVED_ENV = frozenset({"ENVIRONMENT", "HTTP_PORT", "ADMIN_PORT", "CONFIG_FILE", "SECRETS_DIR"}) | frozenset(
    {"DRAIN_DELAY", "SHUTDOWN_TIMEOUT", "GOMEMLIMIT", "GOMAXPROCS"}
)
# Labels a pod gets anew with each version: no selector can hold them.
CHANGING_LABELS = frozenset({"app.kubernetes.io/version", "pod-template-hash"})
# What an answer may take where a stack file says nothing; the app's own default (app/internal/config/config.go).
DEFAULT_WRITE_TIMEOUT = "15s"
# How long proxies and ingress go on sending requests to a pod that leaves. Measured through an ingress at 50 requests a
# second: 1 s lost requests in two of three runs, 2 s lost none.
FORGOTTEN_SECONDS = 2
# The container runtime needs 6 MiB for itself, and refuses to start a container with less.
LEAST_MEBIBYTES = 8
# These it sets for services that need a backing service.
BACKING_ENV = frozenset(
    {
        *(
            "MYSQL_HOST",
            "MYSQL_PORT",
            "MYSQL_DATABASE",
            "MYSQL_USER",
            "MYSQL_CONNECTIONS",
            "MYSQL_TLS",
            "MYSQL_CA_FILE",
        ),
        *("REDIS_HOST", "REDIS_PORT", "REDIS_USER", "REDIS_TLS", "REDIS_CA_FILE"),
    }
)
# A rollout adds one pod, and the pods that leave still count until they are gone.
ROLLOUT_FACTOR = 2


def seconds(duration: str) -> float:
    """A duration as Go writes it: `"1m30s"` -> 90; what is none counts 0."""
    units = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3}
    numbers = re.findall(r"(?<![0-9.])([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|m|s)", duration)
    return sum(float(number) * units[unit] for number, unit in numbers)


def millicores(cpu: str) -> int:
    """`"250m"` -> 250, `"1"` -> 1000, `"0.5"` -> 500."""
    return int(cpu[:-1]) if cpu.endswith("m") else round(float(cpu) * 1000)


def mebibytes(memory: str) -> int:
    """`"64Mi"` -> 64, `"1Gi"` -> 1024."""
    return int(memory[:-2]) * (1024 if memory.endswith("Gi") else 1)


advice: ContextVar[list[str] | None] = ContextVar("advice", default=None)
"""Takes what is wrong with the settings of a recorded release by today's rules; None where that is refused.

Such a release has run before. What has become a rule since is no reason to keep somebody from going back to it.
"""

_Section = TypeVar("_Section", bound="Section")


def agreement(check: Callable[[_Section], _Section]) -> Any:
    """Register what the values of a section demand of each other: ValueError if they do not agree."""

    @functools.wraps(check)
    def checked(self: _Section) -> _Section:
        try:
            return check(self)
        except ValueError as error:
            if (advised := advice.get()) is None:
                raise
            advised.append(str(error))
            return self

    return model_validator(mode="after")(checked)


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
    ingress_namespace: DnsLabel = Field(default="ingress", examples=["ingress-nginx"])
    """Namespace of the ingress or gateway controller: services with an address accept its connections."""
    ingress_cidrs: list[Cidr] = Field(default=[], examples=[["10.30.0.0/16"]])
    """Addresses of load balancers that connect to pods directly, as those of clouds do: services with an address accept
    their connections, too."""
    monitoring_namespace: DnsLabel | None = Field(default=None, examples=["monitoring"])
    """Namespace whose pods may scrape /metrics. Default: nobody."""

    @agreement
    def _not_everybody(self) -> Self:
        if wide := [cidr for cidr in self.ingress_cidrs if cidr.endswith("/0")]:
            raise ValueError(f"ingressCidrs: {wide[0]} is everybody; name the load balancers' own range")
        return self

    @agreement
    def _server_is_a_pattern(self) -> Self:
        try:
            re.compile(self.server or "")
        except re.error as error:
            raise ValueError(f"server is not a regular expression: {error}") from None
        return self


class Image(Section):
    """Where the image comes from, and under which name it is kept."""

    source: Literal["build", "prebuilt", "promote"] = "build"
    """build: from app/ · prebuilt: `digest`, built elsewhere · promote: what stack `from` runs."""
    repository: Repository = Field(examples=["registry.example.com/slipway/api"])
    """Registry and name, without a tag."""
    builder: Literal["docker", "daemonless"] = "docker"
    """docker: the Docker daemon builds app/Dockerfile · daemonless: Go and this program, on this machine."""
    target: Literal["release", "prebuilt"] = "release"
    """Stage of app/Dockerfile (builder: docker). prebuilt compiles on this machine and needs no base image."""
    platform: Literal["linux/amd64", "linux/arm64"] = "linux/amd64"
    """What the cluster's nodes run (source: build)."""
    digest: Digest | None = Field(default=None, examples=["sha256:" + "0" * 64])
    """The image to run (source: prebuilt)."""
    tag: Tag | None = Field(default=None, examples=["src-" + "0" * 16])
    """Its tag, which pods name beside the digest and are labelled with (source: prebuilt). Default: none."""
    from_: StackName | None = Field(default=None, alias="from", examples=["dev"])
    """Name of the stack whose image is taken over (source: promote)."""

    @agreement
    def _source_has_what_it_needs(self) -> Self:
        if (self.source == "prebuilt") != (self.digest is not None):
            raise ValueError("digest goes with source: prebuilt, and only with it")
        if self.tag and self.source != "prebuilt":
            raise ValueError("tag goes with source: prebuilt, and only with it")
        if (self.source == "promote") != (self.from_ is not None):
            raise ValueError("from goes with source: promote, and only with it")
        if self.builder == "daemonless" and self.target == "release" and "target" in self.model_fields_set:
            raise ValueError("target: release needs builder: docker; leave target out")
        return self

    @property
    def is_compiled_here(self) -> bool:
        """Whether Go on this machine compiles the app, and not the golang image."""
        return self.builder == "daemonless" or self.target == "prebuilt"


class Resources(Section):
    """What one pod may use. Memory request and limit are one number, so that a pod is never evicted for a burst."""

    cpu: Cpu = Field(default="100m", examples=["250m"])
    """CPU request per pod."""
    cpu_limit: Cpu | None = Field(default=None, examples=["2"])
    """CPU limit per pod. Default: 1, or the request where that is more. GOMAXPROCS is set to it, rounded up."""
    memory: Memory = Field(default="64Mi", examples=["128Mi"])
    """Memory request and limit per pod. GOMEMLIMIT is set to 90 % of it."""

    @property
    def cpu_at_most(self) -> str:
        """CPU limit in force."""
        return self.cpu_limit or max("1", self.cpu, key=millicores)

    @agreement
    def _container_starts(self) -> Self:
        if mebibytes(self.memory) < LEAST_MEBIBYTES:
            raise ValueError(f"memory ({self.memory}) is less than the {LEAST_MEBIBYTES}Mi a container needs to start")
        return self

    @agreement
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

    @agreement
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

    @agreement
    def _outlasts_the_proxies(self) -> Self:
        serving = self.pre_stop_seconds + self.delay_seconds
        if serving < FORGOTTEN_SECONDS:
            raise ValueError(
                f"preStopSeconds ({self.pre_stop_seconds}) + delaySeconds ({self.delay_seconds}) = {serving} s is less "
                f"than the {FORGOTTEN_SECONDS} s the ingress needs to forget a pod: requests would be lost"
            )
        return self


class Canary(Section):
    """How a new version is tried before it takes over: some pods of it, watched for a while by `./slipway up`."""

    percent: int = Field(default=10, ge=1, le=50, examples=[10])
    """Most of the requests it may get. A Gateway divides them; without one each pod gets the same."""
    seconds: int = Field(default=60, ge=10, le=3600, examples=[60])
    """How many seconds it is watched."""
    requests: int = Field(default=20, ge=1, le=1000000, examples=[20])
    """Fewest requests it has to answer in that time: fewer tell nothing, and it is withdrawn."""
    error_percent: int = Field(default=1, ge=0, le=100, examples=[1])
    """Most of its answers that may be errors (5xx)."""
    # The app's longest bucket ends at 10 s: beyond it no time can be told.
    p99_milliseconds: int = Field(default=1000, ge=1, le=9999, examples=[1000])
    """Most that 99 of 100 of its answers may take."""
    prometheus: HttpUrl | None = Field(default=None, examples=["http://prometheus.example.com:9090"])
    """Prometheus that tells errors and times, as seen from where `./slipway up` runs. Default: the pods themselves,
    asked through the API server."""


class Tls(Section):
    """Where the Ingress' certificate comes from: just one of the three."""

    secret_name: DnsLabel | None = Field(default=None, examples=["api-tls"])
    """An existing Secret of type kubernetes.io/tls in the stack's namespace."""
    issuer: DnsLabel | None = Field(default=None, examples=["letsencrypt"])
    """A cert-manager ClusterIssuer, which writes the Secret."""
    secret_files: bool = False
    """tls.crt and tls.key in the folder `slipway:secretFiles` (the local stack's own CA)."""

    @agreement
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
    """How the outside reaches a service: by an Ingress, or by an HTTPRoute where `gateway` is given."""

    host: Host = Field(examples=["api.example.com"])
    """Fully qualified host name, in lower case."""
    path: UrlPath = Field(default="/", examples=["/v1"])
    """Path prefix."""
    class_name: DnsLabel | None = Field(default=None, examples=["traefik"])
    """IngressClass. Default: the cluster's default class."""
    tls: Tls | None = None
    """Certificate. Default: plain HTTP; prod refuses that."""
    gateway: Gateway | None = None
    """Declare an HTTPRoute below this Gateway. Default: an Ingress."""
    await_seconds: int = Field(default=120, ge=0, le=600, examples=[120])
    """How long `pulumi up` waits for the controller to publish an address; 0: not at all."""

    @agreement
    def _gateway_or_ingress(self) -> Self:
        if self.gateway and (self.tls or self.class_name):
            raise ValueError("gateway takes the place of className and tls: the Gateway's listener decides both")
        return self

    @property
    def secure(self) -> bool:
        """Whether clients come over HTTPS."""
        return self.tls is not None or (self.gateway is not None and self.gateway.listener == "https")

    @property
    def url(self) -> str:
        """Address from outside."""
        return f"{'https' if self.secure else 'http'}://{self.host}{self.path}".rstrip("/")


class Egress(Section):
    """An address outside the stack that a service may open connections to."""

    cidr: Cidr = Field(examples=["10.20.0.0/16"])
    """Range of addresses."""
    ports: list[Port] = Field(min_length=1, examples=[[3306]])
    """Ports."""
    last_port: Port | None = Field(default=None, examples=[3310])
    """Last port of a range that begins with the one port in `ports`. Default: just the ports themselves."""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    """Transport protocol."""

    @agreement
    def _a_range_has_two_ends(self) -> Self:
        if self.last_port and (len(self.ports) != 1 or self.last_port < self.ports[0]):
            raise ValueError(f"lastPort ({self.last_port}): goes with one port in ports, and is not less than that")
        return self


class Job(Section):
    """A command of the app's own image, run to its end with the service's configuration and identity."""

    args: list[str] = Field(min_length=1, examples=[["migrate"]])
    """Arguments of the program."""
    deadline_seconds: int = Field(default=600, ge=10, le=86400, examples=[600])
    """The job has failed when it has not ended by then."""
    retries: int = Field(default=2, ge=0, le=10, examples=[2])
    """How often a failed pod is started again."""


class Schedule(Job):
    """A job that runs again and again; a run is skipped while the one before it has not ended."""

    cron: Cron = Field(examples=["30 3 * * *"])
    """When: minute, hour, day of month, month, weekday (0 is Sunday)."""
    time_zone: TimeZone = Field(default="Etc/UTC", examples=["Asia/Tokyo"])
    """IANA name of the time zone `cron` is meant in."""


class Service(Section):
    """One HTTP service: the same image, its own settings, size and address."""

    args: list[str] = Field(default=[], examples=[["web"]])
    """Arguments of the image's program. Default: none, it serves the API."""
    autoscaling: Autoscaling = Autoscaling()
    """How many pods."""
    replicas: int | None = Field(default=None, ge=1, le=100, examples=[2])
    """A fixed number of pods, without an autoscaler. Default: `autoscaling` decides."""
    resources: Resources = Resources()
    """How much each pod gets."""
    drain: Drain = Drain()
    """How a pod leaves."""
    startup_seconds: int = Field(default=60, ge=5, le=600, examples=[60])
    """How long a new pod may take to start before it is restarted."""
    progress_seconds: int | None = Field(default=None, ge=6, le=3600, examples=[120])
    """How long a rollout may go without a new pod that serves before it has failed. Default: `startupSeconds` + 60."""
    rollout: Literal["rolling", "canary"] = "rolling"
    """How a new version comes: rolling: pod by pod · canary: `./slipway up` tries it first, beside the one in force."""
    canary: Canary = Canary()
    """How it is tried (rollout: canary)."""
    ingress: Ingress | None = None
    """Address from outside. Default: reachable inside the cluster only."""
    needs: list[DnsLabel] = Field(default=[], examples=[["mysql", "api"]])
    """Services of this stack it opens connections to, mysql and redis among them: those also bring it their address,
    as variables, and their password, as a file. Anything not listed here or in `egress` is cut off."""
    egress: list[Egress] = []
    """Addresses outside the stack it opens connections to."""
    migration: Job | None = None
    """Job that has to end well before a new version starts; it runs again for each release."""
    schedules: dict[DnsLabel, Schedule] = {}
    """Jobs by name that run by the clock."""
    env: dict[EnvName, str] = Field(default={}, examples=[{"LOG_LEVEL": "info"}])
    """Environment variables of the app. A change rolls the pods."""
    file: dict[str, Any] = Field(default={}, examples=[{"pageSize": {"default": 20}}])
    """Content of the app's config.yaml. A change is picked up by running pods, without a restart."""
    secrets: list[SecretName] = Field(default=[], examples=[["signing-key"]])
    """Secrets the app reads as files of these names. Each one is a `secure:` value `slipway:<name>`."""
    secret_lengths: dict[SecretName, Length] = Field(default={}, examples=[{"signing-key": 32}])
    """Fewest characters of single secrets: with fewer the app does not start. Outside local and dev, all have 16."""
    selector: dict[LabelKey, LabelValue] = Field(default={}, examples=[{"app": "api"}])
    """Labels by which a Deployment that was there before the stack finds its pods: Kubernetes cannot change them, and
    `./slipway adopt` tells them. Default: those of all services."""

    @property
    def progress_deadline(self) -> int:
        """Seconds without progress after which a rollout has failed."""
        return self.progress_seconds or self.startup_seconds + 60

    @property
    def rollout_seconds(self) -> int:
        """Seconds a rollout takes at the very most: each pod may take up the deadline, one after the other."""
        return self.progress_deadline * self.most + 30

    @property
    def fewest(self) -> int:
        """Pods at the least."""
        return self.replicas or self.autoscaling.min

    @property
    def most(self) -> int:
        """Pods at the most, rollouts aside."""
        return self.replicas or self.autoscaling.max

    @property
    def pods_at_once(self) -> int:
        """Pods at the most during a rollout, with those of all jobs, of a canary and of its migration."""
        canary = 0
        if self.rollout == "canary":
            canary = self.canary_pods(self.canary) + (1 if self.migration else 0)
        return ROLLOUT_FACTOR * self.most + len(self.jobs) + canary

    @property
    def jobs(self) -> list[str]:
        """Names of the migration and the schedules, as far as there are any."""
        return [*(["migration"] if self.migration else []), *self.schedules]

    @property
    def is_routed(self) -> bool:
        """Whether a Gateway divides the requests from outside by weight."""
        return self.ingress is not None and self.ingress.gateway is not None

    def canary_pods(self, canary: Canary) -> int:
        """How many pods of a canary beside these get no more than its share; 0 if one would already."""
        if self.is_routed:
            return -(-self.fewest * canary.percent // 100)
        return self.fewest * canary.percent // (100 - canary.percent)

    def too_few_for(self, canary: Canary) -> str:
        """Why not even one pod of a canary may stand beside these, and what would do."""
        pods, percent = self.fewest, canary.percent
        key = "replicas" if self.replicas else "autoscaling.min"
        return (
            f"with {pods} pod{'s' if pods > 1 else ''} one canary pod gets {100 / (pods + 1):.3g} % of the requests, "
            f"more than canary.percent: {percent}; set {key} to {-(-(100 - percent) // percent)} or canary.percent to "
            f"{-(-100 // (pods + 1))}"
        )

    @agreement
    def _canary_is_asked_for(self) -> Self:
        if "canary" in self.model_fields_set and self.rollout != "canary":
            raise ValueError("canary goes with rollout: canary, and only with it")
        return self

    @agreement
    def _one_owner_of_the_replicas(self) -> Self:
        if self.replicas is not None and "autoscaling" in self.model_fields_set:
            raise ValueError("replicas and autoscaling exclude each other; take one out")
        return self

    @agreement
    def _a_slow_start_is_no_failure(self) -> Self:
        if self.progress_deadline <= self.startup_seconds:
            raise ValueError(f"progressSeconds: has to be more than startupSeconds ({self.startup_seconds})")
        return self

    @agreement
    def _what_has_begun_is_answered(self) -> Self:
        answer, shutdown = self.env.get("HTTP_WRITE_TIMEOUT", DEFAULT_WRITE_TIMEOUT), self.drain.shutdown_seconds
        if not 0 < seconds(answer) <= shutdown:
            raise ValueError(
                f"drain: shutdownSeconds ({shutdown}) is less than an answer may take, HTTP_WRITE_TIMEOUT ({answer}; "
                "0s is no limit): requests would be lost. Raise the one or lower the other"
            )
        return self

    @agreement
    def _migration_is_no_schedule(self) -> Self:
        if "migration" in self.schedules:
            raise ValueError("schedules: the name migration is taken by the key `migration`")
        return self

    @agreement
    def _secrets_are_no_sections(self) -> Self:
        taken = {field.alias or name for name, field in Settings.model_fields.items()} | {"service", "candidate"}
        if names := sorted(taken & {*self.secrets}):
            raise ValueError(f"secrets: {', '.join(names)} is the name of a section of the stack file; call it another")
        return self

    @agreement
    def _selector_stays(self) -> Self:
        if changing := sorted(key for key in self.selector if key in CHANGING_LABELS or key.startswith("slipway/")):
            raise ValueError(
                f"selector: {', '.join(changing)} changes with each version, so it cannot be taken over. Delete the "
                "Deployment that selects by it with `kubectl delete --cascade=orphan`, and leave selector out"
            )
        return self

    @agreement
    def _env_is_free(self) -> Self:
        if taken := sorted((RESERVED_ENV | BACKING_ENV) & self.env.keys()):
            raise ValueError(f"env: {', '.join(taken)} is set by the program, leave it out")
        return self


class Backup(Section):
    """Dumps of the whole database, each with its checksum, on a volume of their own."""

    cron: Cron = Field(default="30 3 * * *", examples=["30 3 * * *"])
    """When: minute, hour, day of month, month, weekday (0 is Sunday)."""
    time_zone: TimeZone = Field(default="Etc/UTC", examples=["Asia/Tokyo"])
    """IANA name of the time zone `cron` is meant in."""
    keep: int = Field(default=7, ge=1, le=1000, examples=[7])
    """How many dumps stay; the oldest go."""
    storage: Memory = Field(default="1Gi", examples=["10Gi"])
    """Size of the dumps' volume. While it is written, a dump takes the space of a second one, not compressed."""
    resources: Resources = Resources(cpu="50m", memory="128Mi")
    """How much the dumping pod gets."""


class Backing(Section):
    """A service that keeps data for the others: run by this stack in its cluster, or by somebody else."""

    source: Literal["cluster", "managed"] = "cluster"
    """cluster: one pod of this stack with a volume · managed: at `host`, run by somebody else."""
    host: ServerName | None = Field(default=None, examples=["mysql.example.com"])
    """Where it answers (source: managed)."""
    port: Port
    """TCP port (source: managed). Default: the usual one."""
    cidr: Cidr | None = Field(default=None, examples=["10.20.0.0/24"])
    """Range of the addresses it answers from: who needs it may connect to those (source: managed)."""
    tls: Literal["verified", "unverified", "disabled"] = "verified"
    """How connections are secured (source: managed): verified: its certificate has to be one for `host` · unverified:
    encrypted only · disabled: in clear."""
    ca: ProjectFile | None = Field(default=None, examples=["stacks/database-ca.pem"])
    """File with the certificates, in PEM form, of the authorities that may certify it (source: managed). Default: the
    public ones of the app's image."""
    image: PinnedImage | None = Field(default=None, examples=["registry.example.com/mysql@sha256:" + "0" * 64])
    """The server, by digest (source: cluster). Default: what the folder `slipway:imageFiles` says."""
    storage: Memory = Field(default="1Gi", examples=["10Gi"])
    """Size of the data's volume (source: cluster)."""
    storage_class: DnsLabel | None = Field(default=None, examples=["fast"])
    """StorageClass of the volumes (source: cluster). Default: the cluster's default class."""
    resources: Resources
    """How much the server gets (source: cluster)."""

    MANAGED: ClassVar = frozenset({"host", "port", "cidr", "tls", "ca"})
    """Keys of a managed server only."""
    SHARED: ClassVar = frozenset({"source"})
    """Keys of both."""

    @agreement
    def _keys_fit_the_source(self) -> Self:
        # What sets up a server that is not ours would be read by nobody, and the other way round.
        own = {"managed": self.MANAGED, "cluster": type(self).model_fields.keys() - self.MANAGED - self.SHARED}
        for source, keys in own.items():
            given = ", ".join(to_camel(key) for key in sorted(keys & self.model_fields_set))
            if given and source != self.source:
                raise ValueError(f"{given}: only with source: {source}; this is source: {self.source}")
        if self.source == "managed" and not (self.host and self.cidr):
            raise ValueError("source: managed needs host and cidr")
        if self.ca and self.tls != "verified":
            raise ValueError(f"ca: nobody would read it with tls: {self.tls}; leave one of the two out")
        return self


class Mysql(Backing):
    """The store of a stack, MySQL or MariaDB. The password of `user` is the secret `mysql-password`."""

    database: SqlName = Field(default="slipway", examples=["slipway"])
    """Name of the database."""
    user: SqlName = Field(default="slipway", examples=["slipway"])
    """Who the services log in as. They may read and write the rows of that database; without `migrationUser` they may
    change its schema, too."""
    migration_user: SqlName | None = Field(default=None, examples=["slipway_migrator"])
    """Who migrations log in as, with all rights on that database; its password is the secret
    `mysql-migration-password`. source: cluster: the server makes the account when it starts, dumps and restores by it,
    and leaves `user` no other right than to SELECT, INSERT, UPDATE and DELETE. Default: `user`, for migrations too."""
    port: Port = Field(default=3306, examples=[3306])
    """TCP port (source: managed)."""
    resources: Resources = Resources(cpu="100m", memory="512Mi")
    """How much the server gets (source: cluster). Half of the memory is its buffer pool."""
    backup: Backup | None = Backup()
    """Dumps by the clock (source: cluster); null: none. A managed server is backed up by who manages it."""
    max_connections: int = Field(default=151, ge=16, le=100000, examples=[500])
    """How many connections the server takes. All pods of a rollout and a canary together have to stay below it."""
    connections: int | None = Field(default=None, ge=4, le=255, examples=[8])
    """How many connections each pod may open. Default: 10, or fewer where the most pods would be more than the server
    takes; then a change of their number is one of this too, and rolls them."""

    SHARED: ClassVar = frozenset({"source", "database", "user", "migration_user", "max_connections", "connections"})

    @agreement
    def _names_are_free(self) -> Self:
        if self.source == "cluster" and self.database in ("mysql", "sys", "information_schema", "performance_schema"):
            raise ValueError(f"database: {self.database} is one of the server's own; call it something else")
        for key, name in (("user", self.user), ("migrationUser", self.migration_user)):
            if self.source == "cluster" and name in ("root", "mysql", "mariadb"):
                raise ValueError(f"{key}: {name} is one of the server's own; call it something else")
        if self.user == self.migration_user:
            raise ValueError(f"migrationUser: {self.user} is user, too; leave it out to migrate by that account")
        return self


class Redis(Backing):
    """The cache, rate limiter and job queue of a stack. Its password is the secret `redis-password`."""

    port: Port = Field(default=6379, examples=[6379])
    """TCP port (source: managed)."""
    user: AclUser | None = Field(default=None, examples=["slipway"])
    """User of its access control list whose password that is (source: managed). Default: its default user."""
    storage: Memory = Field(default="256Mi", examples=["1Gi"])
    """Size of the data's volume (source: cluster): at least three times the memory it may use."""
    resources: Resources = Resources(cpu="50m", memory="64Mi")
    """How much the server gets (source: cluster). It fills 60 % of the memory; then what has a time to live goes."""

    MANAGED: ClassVar = Backing.MANAGED | {"user"}


class Registry(Section):
    """Who pulls the image. The password is the secret `registry-password`."""

    username: str = Field(min_length=1, examples=["robot$puller"])
    """User of the image's registry, with no more rights than to pull."""


class Quota(Section):
    """What the namespace may use in all. Default: twice what the services need at their most."""

    cpu: Cpu | None = Field(default=None, examples=["4"])
    """Sum of all CPU requests."""
    memory: Memory | None = Field(default=None, examples=["8Gi"])
    """Sum of all memory requests, and of all limits."""
    pods: int | None = Field(default=None, ge=1, le=5000, examples=[50])
    """Number of pods."""


class SecretStore(Section):
    """Where the External Secrets Operator finds the secrets; the stack then holds none of its own."""

    name: DnsLabel = Field(examples=["vault"])
    """Name of the store object."""
    kind: Literal["ClusterSecretStore", "SecretStore"] = "ClusterSecretStore"
    """Kind of the store object."""
    entries: Literal["values", "maps", "one-map"] = Field(examples=["maps"])
    """How secrets lie in the store: values: the entry `path`/`name` is the secret · maps: it is a map, whose key
    `property` holds the secret (Vault) · one-map: the entry `path` is a map of all secrets by name."""
    property: StorePath = Field(default="value", examples=["value"])
    """Key of the secret in its map (entries: maps)."""
    path: StorePath = Field(default="", examples=["slipway/prod"])
    """Where in the store the secrets lie. Default: at its top."""
    versions: dict[SecretName, str] = Field(default={}, examples=[{"signing-key": "2"}])
    """Version of single secrets. A change rolls the services that read that secret. Default: the newest."""
    rotation: str = Field(default="", max_length=63, examples=["2027-01-31"])
    """Any text. The store is read once for each release; another text has all secrets read anew, and rolls the pods."""

    @agreement
    def _a_secret_is_one_value(self) -> Self:
        if self.entries == "one-map" and not self.path:
            raise ValueError("path: is required with entries: one-map; it names the map")
        if self.entries != "maps" and "property" in self.model_fields_set:
            raise ValueError("property goes with entries: maps, and only with it")
        if not self.property:
            raise ValueError("property: should name a key; an empty one takes the whole map for the secret")
        return self


class Waiver(Section):
    """A house rule that need not hold for a while; policies.py lists the rules."""

    rule: RuleId = Field(examples=["SW012"])
    """Id of the rule."""
    object: str | None = Field(default=None, examples=["Deployment/api"])
    """Kind and name of the object. Default: all objects of the stack."""
    reason: str = Field(min_length=10, examples=["the vendor's sidecar writes to its root; ticket 1234"])
    """Why."""
    until: Day = Field(examples=["2027-01-31"])
    """Last day on which the waiver holds, `YYYY-MM-DD`."""


class Recorded(Section):
    """The release whose settings these are."""

    revision: Revision = Field(examples=["0a1b2c3d"])
    """Its name in `./slipway history`."""
    commit: str = Field(default="", examples=["72015a6"])
    """The commit it was made from."""


class Settings(Section):
    """One environment."""

    cluster: Cluster
    """The cluster this stack may touch."""
    image: Image
    """The image all services run."""
    namespace: DnsLabel = Field(default="slipway", examples=["slipway-dev"])
    """Namespace the stack owns. It is created, and destroyed with the stack."""
    registry: Registry | None = None
    """Credentials of the image's registry. Default: it is open to the cluster's nodes."""
    quota: Quota = Quota()
    """What the namespace may use in all."""
    waivers: list[Waiver] = []
    """House rules that need not hold for a while."""
    secret_store: SecretStore | None = None
    """Take the secrets from an external store. Default: `secure:` values."""
    secret_files: str | None = Field(default=None, examples=[".slipway/secrets"])
    """Folder, seen from the project, that holds the secrets as files. Local stack only. Default: `secure:` values."""
    image_files: str | None = Field(default=None, examples=[".slipway/images"])
    """Folder, seen from the project, whose files `mysql` and `redis` each name an image. Local stack only."""
    mysql: Mysql | None = None
    """The store. Default: none, the app keeps its data in memory."""
    redis: Redis | None = None
    """The cache. Default: none, each pod has its own."""
    services: dict[DnsLabel, Service] = Field(min_length=1, examples=[{"api": {}}])
    """The services, by name."""
    release: Recorded | None = None
    """Only `./slipway rollback` gives it, with all the settings of a former release: they are taken as they are, and
    neither the stack file nor defaults.yaml is laid under them."""

    @property
    def backing(self) -> dict[str, Mysql | Redis]:
        """The backing services there are, by the name under which a service needs them."""
        named = {"mysql": self.mysql, "redis": self.redis}
        return {name: section for name, section in named.items() if section}

    @property
    def servers(self) -> dict[str, Mysql | Redis]:
        """Those of them that this stack runs itself."""
        return {name: section for name, section in self.backing.items() if section.source == "cluster"}

    @property
    def trying(self) -> list[str]:
        """The services whose new versions are tried as canaries."""
        return [name for name, service in self.services.items() if service.rollout == "canary"]

    @property
    def solved(self) -> list[str]:
        """The hosts for which cert-manager may answer challenges: those of an Ingress with an issuer."""
        routed = [service.ingress for service in self.services.values() if service.ingress]
        return sorted({ingress.host for ingress in routed if ingress.tls and ingress.tls.issuer})

    def needed_by(self, service: str) -> dict[str, Mysql | Redis]:
        """Those of them that a service needs."""
        needs = self.services[service].needs
        return {name: section for name, section in self.backing.items() if name in needs}

    def authorities_of(self, service: str) -> dict[str, str]:
        """Who may certify the managed servers that a service needs: the files it reads them from, by name."""
        return {
            f"{name}.pem": files.read_text(ROOT / section.ca)
            for name, section in self.needed_by(service).items()
            if section.ca
        }

    def secrets_of(self, service: str) -> list[str]:
        """The secrets a service reads: its own, and the passwords of what it needs."""
        own = self.services[service].secrets
        return list(dict.fromkeys([*own, *map(password_of, self.needed_by(service))]))

    def passwords_of(self, backing: str) -> list[str]:
        """The secrets with the passwords of all accounts at a backing service."""
        migrates = backing == "mysql" and self.mysql and self.mysql.migration_user
        return [password_of(backing), *([MIGRATION_PASSWORD] if migrates else [])]

    def server_image(self, name: str) -> str:
        """The image of a backing service this stack runs."""
        return self.servers[name].image or files.read_text(ROOT / str(self.image_files) / name).strip()

    def secret(self, name: str) -> pulumi.Output[str]:
        """The value of one secret, marked as secret wherever it travels."""
        if self.secret_files is None:
            return pulumi.Config(PROJECT).require_secret(name)
        return pulumi.Output.secret(files.read_text(ROOT / self.secret_files / name))
