"""Sections about a stack as a whole: its cluster, quota, secret store, waivers, freeze windows and promotion."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field

from slipway.settings.sections.network import Dns
from slipway.settings.sections.section import Section, section_rule
from slipway.settings.types.scalars import (
    Cidr,
    Cpu,
    Day,
    DayTimes,
    DnsLabel,
    Memory,
    ProjectFile,
    Revision,
    RuleId,
    SecretName,
    StorePath,
    TimeZone,
)

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
# In the order of date.weekday().
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Cluster(Section):
    """The cluster of this stack. The program refuses to touch any other one."""

    context: str = Field(min_length=1, examples=["dev"])
    """Name of the kubeconfig context. The current context is never used."""
    server: str | None = Field(default=None, examples=["https://10\\.0\\.0\\.1:6443"])
    """Regular expression that has to match the whole server URL of the context. Default: any server."""
    ingress_namespace: DnsLabel = Field(default="ingress", examples=["ingress-nginx"])
    """Namespace of the ingress or gateway controller. Services with an address accept its connections."""
    ingress_cidrs: list[Cidr] = Field(default=[], examples=[["10.30.0.0/16"]])
    """Addresses of load balancers that connect to pods directly, as those of clouds do. Services with an address accept
    their connections, too."""
    monitoring_namespace: DnsLabel | None = Field(default=None, examples=["monitoring"])
    """Namespace whose pods may scrape /metrics. Default: none."""
    keda_namespace: DnsLabel = Field(default="keda", examples=["keda"])
    """Namespace of KEDA. Its pods may connect to the stack's own Redis and Prometheus if a service scales by them."""
    dns: Dns = Dns()
    """Where the pods ask for names. Default: CoreDNS or kube-dns in kube-system."""

    @section_rule
    def _load_balancers_have_a_range(self) -> Self:
        if wide := [cidr for cidr in self.ingress_cidrs if cidr.endswith("/0")]:
            raise ValueError(f"ingressCidrs: {wide[0]} is everybody; name the load balancers' own range")
        return self

    @section_rule
    def _server_is_a_pattern(self) -> Self:
        try:
            re.compile(self.server or "")
        except re.error as error:
            raise ValueError(f"server is not a regular expression: {error}") from None
        return self


class Quota(Section):
    """The resource quota of the namespace. Default: what a rollout of all services at full scale needs."""

    cpu: Cpu | None = Field(default=None, examples=["4"])
    """Sum of all CPU requests."""
    memory: Memory | None = Field(default=None, examples=["8Gi"])
    """Sum of all memory requests, and of all limits."""
    pods: int | None = Field(default=None, ge=1, le=5000, examples=[50])
    """Number of pods."""


class SecretStore(Section):
    """Where the External Secrets Operator reads the secrets. The stack itself then holds none."""

    name: DnsLabel = Field(examples=["vault"])
    """Name of the store object."""
    kind: Literal["ClusterSecretStore", "SecretStore"] = "ClusterSecretStore"
    """Kind of the store object."""
    entries: Literal["values", "maps", "one-map"] = Field(examples=["maps"])
    """How secrets are stored: values: the entry `path`/`name` is the secret · maps: it is a map, whose key
    `property` holds the secret (Vault) · one-map: the entry `path` is a map of all secrets by name."""
    property: StorePath = Field(default="value", examples=["value"])
    """Key of the secret in its map (entries: maps)."""
    path: StorePath = Field(default="", examples=["slipway/prod"])
    """Path of the secrets in the store. Default: its root."""
    versions: dict[SecretName, str] = Field(default={}, examples=[{"signing-key": "2"}])
    """Version of single secrets. A change rolls the services that read that secret. Default: the newest."""
    rotation: str = Field(default="", max_length=63, examples=["2027-01-31"])
    """Any text. The store is read once for each release; a new text has all secrets read again and rolls the pods."""

    @section_rule
    def _a_secret_is_one_value(self) -> Self:
        if self.entries == "one-map" and not self.path:
            raise ValueError("path: is required with entries: one-map; it names the map")
        if self.entries != "maps" and "property" in self.model_fields_set:
            raise ValueError("property goes with entries: maps, and only with it")
        if not self.property:
            raise ValueError("property: should name a key; an empty one takes the whole map for the secret")
        return self


class Waiver(Section):
    """A house rule that does not apply until a day (docs/reference/policies.md lists the rules), or a vulnerability
    that `./slipway scan` accepts until then."""

    rule: RuleId = Field(examples=["SW012"])
    """Id of the rule, or of the vulnerability."""
    object: str | None = Field(default=None, examples=["Deployment/api"])
    """Kind and name of the object; of a vulnerability the image, as `Image/api`. Default: all of the stack."""
    reason: str = Field(min_length=10, examples=["the vendor's sidecar writes to its root; ticket 1234"])
    """Why."""
    until: Day = Field(examples=["2027-01-31"])
    """Last day of the waiver, `YYYY-MM-DD`."""


class FreezeWindow(Section):
    """A time in which `./slipway up` and `promote` refuse to update the stack. It holds while all it names is so."""

    reason: str = Field(min_length=3, max_length=100, examples=["nobody is there at the weekend"])
    """Why, in a few words; the refusal shows it."""
    days: list[Weekday] = Field(default=[], examples=[["sat", "sun"]])
    """Days of the week: mon, tue, wed, thu, fri, sat, sun. Default: every day."""
    time: DayTimes | None = Field(default=None, examples=["18:00-08:00"])
    """Time of day, from and until. One that goes over midnight belongs to the day on which it begins. Default: the
    whole day."""
    time_zone: TimeZone = Field(default="Etc/UTC", examples=["Asia/Tokyo"])
    """IANA name of the time zone of all of them."""
    first_day: Day | None = Field(default=None, examples=["2026-12-24"])
    """First day, `YYYY-MM-DD`. Default: from ever on."""
    last_day: Day | None = Field(default=None, examples=["2027-01-02"])
    """Last day, `YYYY-MM-DD`. Default: for ever."""

    @section_rule
    def _ends(self) -> Self:
        if not self.days and self.time is None and self.last_day is None:
            raise ValueError("would never end; give days, time or lastDay")
        if self.first_day and self.last_day and self.first_day > self.last_day:
            raise ValueError(f"firstDay ({self.first_day}) is after lastDay ({self.last_day})")
        return self

    @property
    def minutes(self) -> tuple[int, int]:
        """Return the minutes of the day from which and until which it holds."""
        begin, end = (self.time or "00:00-24:00").split("-")
        return _minutes(begin), _minutes(end)


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return 60 * int(hours) + int(minutes)


class Promotion(Section):
    """What `./slipway promote` demands before images move to this stack, beside what its tier demands."""

    backup_hours: int = Field(default=24, ge=1, le=720, examples=[24])
    """How old the backup may be that `./slipway backup --prove` has proved, if the images bring a migration."""
    migrations: list[ProjectFile] = Field(default=[], examples=[["app/internal/store/mysql/migrations"]])
    """Folders with the migrations of the database, as files of SQL. Those that are new are read before they run. Where
    services have a `migration` and no folder is named, nothing is known of it, which is no evidence."""
    contract_tests: list[str] = Field(default=[], examples=[["make", "contract-tests"]])
    """Command that tests the running services of a stack, in the project's folder. `./slipway rollback --rehearse` runs
    it while the former release runs on the new schema; SLIPWAY_STACK names the stack. The tier prod demands them if the
    images bring a migration, with the same command in both stacks."""


class RecordedRelease(Section):
    """The release from which these settings come."""

    revision: Revision = Field(examples=["0a1b2c3d"])
    """Its name in `./slipway history`."""
    commit: str = Field(default="", examples=["72015a6"])
    """The commit it was made from."""
