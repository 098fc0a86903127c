"""The types of single values in a stack file: names, quantities, addresses, times."""

from __future__ import annotations

import re
from datetime import date
from ipaddress import IPv6Network, ip_network
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field

from slipway.settings.types.cron import check_cron
from slipway.settings.types.image_names import normalized
from slipway.settings.types.text_format import TextFormat
from slipway.suggestions import nearest


def _check_positive(quantity: str) -> None:
    """Refuse 0 in each of its spellings."""
    if not any(digit in quantity for digit in "123456789"):
        raise ValueError("should be more than 0")


def _check_network(text: str) -> None:
    """Refuse what is not a network, and what the API server refuses."""
    try:
        network = ip_network(text)
    except ValueError as error:
        raise ValueError(f"should be a range of addresses such as 10.20.0.0/16: {error}") from None
    if text.rpartition("/")[2] != str(network.prefixlen):
        raise ValueError(f"should be a range of addresses without leading zeros, /{network.prefixlen}")
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
        raise ValueError("should be a range of IPv4 addresses as such: Kubernetes takes none inside of IPv6")


def _check_time_zone(name: str) -> None:
    """Refuse a time zone that does not exist."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # On a machine without the IANA database every name is unknown; there the cluster decides.
        if known := available_timezones():
            near = nearest(name, known)
            hint = f'; did you mean "{near}"?' if near else ""
            raise ValueError(f"should be an IANA time zone such as Asia/Tokyo{hint}") from None


def _parse_day(text: object) -> object:
    """Parse a day of the calendar, for which no other format of a date will do."""
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise ValueError("should be a day such as 2027-01-31")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"is no day of the calendar: {error}") from None


def _check_times(text: str) -> None:
    """Refuse a time of day that ends when it begins."""
    begin, end = text.split("-")
    if begin == end:
        raise ValueError("should be two times of day that differ, such as 18:00-08:00")


def _check_path(path: str) -> None:
    """Refuse what the API server refuses in the path of an Ingress or HTTPRoute."""
    if "//" in path or re.search(r"/\.\.?(/|$)", path):
        raise ValueError("should be a path without //, /./ and /../")


def _check_variable(name: str) -> None:
    """Refuse the two names that no key of a ConfigMap may have."""
    if name in (".", "..") or name.startswith(".."):
        raise ValueError("should be the name of a variable; it does not begin with ..")


LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
DnsLabel = Annotated[
    str,
    TextFormat(
        "a name of lower-case letters, digits and `-`, from a letter on, at most 40", r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?"
    ),
]
Host = Annotated[
    str,
    TextFormat(
        "a host name such as api.example.com: lower case, no wildcard, no address", rf"({LABEL}\.)+(?=[a-z]){LABEL}"
    ),
]
UrlPath = Annotated[str, TextFormat("a path such as /v1", r"/[-A-Za-z0-9._~/]*", _check_path)]
SecretName = Annotated[
    str,
    TextFormat(
        "the name of a secret: lower-case letters, digits and `-`, from a letter on", r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
    ),
]
LabelKey = Annotated[
    str,
    TextFormat(
        "the name of a label such as app.kubernetes.io/name",
        rf"({LABEL}(\.{LABEL})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?",
    ),
]
LabelValue = Annotated[
    str,
    TextFormat(
        "the value of a label: up to 63 letters, digits, `-`, `_` and `.`",
        r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?",
    ),
]
EnvName = Annotated[
    str,
    TextFormat(
        "the name of a variable such as LOG_LEVEL: letters, digits, `_`, `-` and `.`, no digit first",
        r"[-._A-Za-z][-._A-Za-z0-9]*",
        _check_variable,
    ),
]
ObjectName = Annotated[
    str,
    TextFormat(
        "the name of a Kubernetes object: lower-case letters, digits, `-` and `.`",
        rf"{LABEL}(\.{LABEL})*",
    ),
]
PortName = Annotated[
    str,
    TextFormat(
        "the name of a port such as grpc: up to 15 lower-case letters, digits and `-`, from a letter on",
        r"[a-z]([a-z0-9]|-(?=[a-z0-9])){0,14}",
    ),
]
AppProtocol = Annotated[
    str,
    TextFormat(
        "a protocol such as grpc or kubernetes.io/h2c",
        rf"({LABEL}(\.{LABEL})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?",
    ),
]
GrpcService = Annotated[str, TextFormat("a service of the gRPC health protocol such as shop.v1.Shop", r"[\w./-]*")]
MetricName = Annotated[str, TextFormat("the name of a metric such as http_requests_total", r"[a-zA-Z_:][a-zA-Z0-9_:]*")]
MetricLabel = Annotated[str, TextFormat("the name of a metric's label such as code", r"[a-zA-Z_][a-zA-Z0-9_]*")]
LeadTime = Annotated[str, TextFormat("minutes from 5m to 60m, such as 15m", r"([5-9]|[1-5][0-9]|60)m")]
StreamName = Annotated[
    str, TextFormat("the name of a stream or group: up to 128 of A-Za-z0-9:._-", r"[A-Za-z0-9:._-]{1,128}")
]
AlertName = Annotated[
    str,
    TextFormat(
        "the name of an alert such as CacheMisses: letters and digits, a capital letter first", r"[A-Z][A-Za-z0-9]*"
    ),
]
LatencyQuantile = Annotated[str, TextFormat("one of p50, p90, p95, p99, p99.9", r"p(50|90|95|99(\.9)?)")]
Duration = Annotated[
    str, TextFormat("a duration such as 250ms, 1s or 5m", r"[1-9][0-9]{0,5}(ms|s|m|h)|[0-9]{1,3}\.[0-9]{1,3}s")
]
PanelTitle = Annotated[str, TextFormat("a title such as Cache hits: one line, at most 60", r"[^\s](.{0,58}[^\s])?")]
FolderPath = Annotated[str, TextFormat("the path of a folder such as /tmp", r"(/[A-Za-z0-9._-]+)+", _check_path)]
MountPath = Annotated[
    str,
    TextFormat("an absolute path without `:` such as /var/cache", r"(/[-A-Za-z0-9_.]+)+", _check_path),
]
Cpu = Annotated[
    str,
    TextFormat(
        "CPUs such as 250m, 2 or 0.5",
        r"[1-9][0-9]{0,6}m|[0-9]{1,4}(\.[0-9]{1,3})?",
        _check_positive,
        accepts_numbers=True,
    ),
]
Memory = Annotated[str, TextFormat("a quantity such as 64Mi or 1Gi", r"[1-9][0-9]*(Mi|Gi)", max_length=12)]
Repository = Annotated[
    str,
    TextFormat(
        "a registry and a name without tag, such as registry.example.com/slipway/api",
        r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+",
    ),
    AfterValidator(normalized),
]
PinnedImage = Annotated[
    str,
    TextFormat(
        "an image by digest, such as registry.example.com/mysql:8.4@sha256: and 64 hexadecimal digits",
        r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?(:[0-9]{1,5}(?=/))?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
        r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?@sha256:[0-9a-f]{64}",
        max_length=500,
    ),
    AfterValidator(normalized),
]
ProjectFile = Annotated[
    str,
    TextFormat("a file of this project such as stacks/database-ca.pem, seen from its root", r"[\w.-][\w./-]*"),
]
AclUser = Annotated[str, TextFormat("a user name without spaces, at most 64 characters", r"[A-Za-z0-9_.@:-]{1,64}")]
ServerName = Annotated[str, TextFormat("a host name or address such as mysql.example.com", rf"({LABEL}\.)*{LABEL}")]
SqlName = Annotated[
    str, TextFormat("a name of lower-case letters, digits and `_`, at most 32", r"[a-z][a-z0-9_]{0,31}")
]
PostgresName = Annotated[
    str,
    TextFormat(
        "a name of letters, digits, `_`, `-` and `.`, from a letter or `_` on, at most 63",
        r"[A-Za-z_][A-Za-z0-9_.-]{0,62}",
    ),
]
TimeZone = Annotated[
    str, TextFormat("an IANA time zone such as Asia/Tokyo", r"[A-Z][A-Za-z0-9_+/-]*", _check_time_zone)
]
Cidr = Annotated[
    str, TextFormat("a range of addresses such as 10.20.0.0/16", r"[0-9a-fA-F:.]+/[0-9]{1,3}", _check_network)
]
Port = Annotated[int, Field(ge=1, le=65535)]
# A whole number stays one, so that the records of releases keep their text.
Percent = Annotated[int, Field(ge=0, le=100)] | Annotated[float, Field(ge=0, le=100)]
Length = Annotated[int, Field(ge=1, le=4096)]
Day = Annotated[date, BeforeValidator(_parse_day)]
DayTimes = Annotated[
    str,
    TextFormat(
        "two times of day such as 18:00-08:00",
        r"([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)",
        _check_times,
    ),
]
Tag = Annotated[
    str, TextFormat("a tag such as src-0123456789abcdef, at most 63", r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
]
# The label that distinguishes stacks has the value `slipway-<stack>`, and Kubernetes allows 63 characters.
StackName = Annotated[
    str,
    TextFormat("the name of a stack: up to 55 letters, digits, `-`, `_` and `.`", r"[A-Za-z0-9_.-]{0,54}[A-Za-z0-9]"),
]
Revision = Annotated[str, TextFormat("8 hexadecimal digits, as ./slipway history lists them", r"[0-9a-f]{8}")]
Digest = Annotated[str, TextFormat("sha256: and 64 hexadecimal digits", r"sha256:[0-9a-f]{64}")]
StorePath = Annotated[str, TextFormat("a path such as slipway/prod", r"(([A-Za-z0-9._-]+/)*[A-Za-z0-9._-]+)?")]
_PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
HttpUrl = Annotated[
    str,
    TextFormat(
        "an address such as http://prometheus.example.com:9090",
        rf"https?://[-A-Za-z0-9.]+(:{_PORT})?(/[-A-Za-z0-9_./~]*)?",
    ),
]
MailAddress = Annotated[
    str, TextFormat("a mail address such as oncall@example.com", r"[-A-Za-z0-9._%+]+@[-A-Za-z0-9.]+", max_length=254)
]
RecipientName = Annotated[
    str, TextFormat("a name or number without spaces, such as #alerts or @all", r"[-\w#@|.]{1,128}")
]
PrometheusDuration = Annotated[
    str, TextFormat("a time of one unit, h, d, w or y, such as 35d", r"[1-9][0-9]{0,4}[hdwy]")
]
RuleId = Annotated[
    str,
    TextFormat(
        "the id of a rule such as SW012, or of a vulnerability such as GO-2026-6617",
        r"S[WR][0-9]{3}|GO-[0-9]{4}-[0-9]{4,6}",
    ),
]
Cron = Annotated[str, TextFormat("a schedule of five fields such as 30 3 * * *", check=check_cron)]
