"""Sections about monitoring: who runs Prometheus, and who is told of alerts."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field
from pydantic.alias_generators import to_camel

from slipway.settings.names import MONITORING
from slipway.settings.sections.network import Egress
from slipway.settings.sections.pods import Resources
from slipway.settings.sections.section import Section, section_rule
from slipway.settings.sections.slo import Severity
from slipway.settings.types.scalars import (
    AclUser,
    DnsLabel,
    HttpUrl,
    LabelKey,
    LabelValue,
    MailAddress,
    Memory,
    ObjectName,
    PinnedImage,
    Port,
    PrometheusDuration,
    RecipientName,
    ServerName,
)

PROMETHEUS, ALERTMANAGER = MONITORING
PORTS = {PROMETHEUS: 9090, ALERTMANAGER: 9093}


class Receiver(Section):
    """Somewhere that Alertmanager reports firing and resolved alerts to. What it must not show to everybody is the
    secret `receiver-NAME`: the address of a webhook or of Slack, the password of a mail account, the secret of WeCom.
    """

    kind: Literal["webhook", "mail", "slack", "wecom"] = Field(examples=["slack"])
    """webhook: a POST in Alertmanager's own form · mail: SMTP with STARTTLS · slack: an incoming webhook of Slack or of
    a server that understands the same · wecom: an app of WeCom."""
    severities: list[Severity] = Field(default=["page", "ticket"], min_length=1, examples=[["page"]])
    """Which alerts: page: somebody has to act now; each is reported at once · ticket: it can wait for working hours;
    those of a service are grouped."""
    egress: list[Egress] = Field(min_length=1)
    """Addresses of the receiver, to which Alertmanager may connect."""
    channel: RecipientName | None = Field(default=None, examples=["#alerts"])
    """Channel (kind: slack). Default: the webhook's own."""
    to: MailAddress | None = Field(default=None, examples=["oncall@example.com"])
    """Address of the recipient (kind: mail)."""
    sender: MailAddress | None = Field(default=None, examples=["alerts@example.com"])
    """Address of the sender (kind: mail)."""
    host: ServerName | None = Field(default=None, examples=["smtp.example.com"])
    """Mail server (kind: mail)."""
    port: Port = Field(default=587, examples=[587])
    """Port of the mail server (kind: mail)."""
    username: AclUser | None = Field(default=None, examples=["alerts@example.com"])
    """Account at the mail server (kind: mail), whose password is the secret. Default: none, and no secret."""
    corp_id: RecipientName | None = Field(default=None, examples=["ww0123456789abcdef"])
    """Id of the company (kind: wecom)."""
    agent_id: RecipientName | None = Field(default=None, examples=["1000002"])
    """Id of the app (kind: wecom)."""
    to_user: RecipientName | None = Field(default=None, examples=["@all"])
    """Users, with vertical bars between them, or `@all` (kind: wecom)."""
    to_party: RecipientName | None = Field(default=None, examples=["2"])
    """Departments, with vertical bars between them (kind: wecom)."""

    OF_KIND: ClassVar = {
        "webhook": frozenset[str](),
        "mail": frozenset({"to", "sender", "host", "port", "username"}),
        "slack": frozenset({"channel"}),
        "wecom": frozenset({"corp_id", "agent_id", "to_user", "to_party"}),
    }
    """Keys that only receivers of a kind have."""
    REQUIRED: ClassVar = {"mail": ("to", "sender", "host"), "wecom": ("corp_id", "agent_id")}

    @property
    def needs_secret(self) -> bool:
        """Return whether there is something secret about it."""
        return self.kind != "mail" or self.username is not None

    @section_rule
    def _keys_fit_the_kind(self) -> Self:
        for kind, keys in self.OF_KIND.items():
            given = ", ".join(to_camel(key) for key in sorted(keys & self.model_fields_set))
            if given and kind != self.kind:
                raise ValueError(f"{given}: only with kind: {kind}; this is kind: {self.kind}")
        if missing := [to_camel(key) for key in self.REQUIRED.get(self.kind, ()) if getattr(self, key) is None]:
            raise ValueError(f"kind: {self.kind} needs {' and '.join(missing)}")
        if self.kind == "wecom" and not (self.to_user or self.to_party):
            raise ValueError("kind: wecom needs toUser or toParty")
        return self


class Monitoring(Section):
    """The monitoring of a stack: who scrapes its services, and who evaluates and receives their alerts."""

    source: Literal["operator", "cluster", "none"] = "none"
    """operator: the Prometheus Operator of the cluster, by PodMonitor and PrometheusRule · cluster: Prometheus and
    Alertmanager of this stack, one pod each · none: nobody."""
    url: HttpUrl | None = Field(default=None, examples=["http://prometheus.example.com:9090"])
    """Prometheus as seen from where `./slipway` runs. Default with source: cluster: through the API server, whose own
    connections the cluster's NetworkPolicies have to let in."""
    labels: dict[LabelKey, LabelValue] = Field(default={}, examples=[{"release": "kube-prometheus-stack"}])
    """Labels by which the operator's Prometheus selects PodMonitors and PrometheusRules (source: operator)."""
    image: PinnedImage | None = Field(default=None, examples=["docker.io/prom/prometheus@sha256:" + "0" * 64])
    """Image of Prometheus, by digest (source: cluster). Default: the one that the folder `slipway:imageFiles` names."""
    alertmanager_image: PinnedImage | None = Field(
        default=None, examples=["docker.io/prom/alertmanager@sha256:" + "0" * 64]
    )
    """Image of Alertmanager, by digest (source: cluster). Default: as for `image`."""
    storage: Memory = Field(default="4Gi", examples=["10Gi"])
    """Size of the volume for samples (source: cluster). At 80 % of it the oldest ones are deleted."""
    storage_class: ObjectName | None = Field(default=None, examples=["fast"])
    """StorageClass of the volume (source: cluster). Default: the cluster's default class."""
    retention: PrometheusDuration = Field(default="35d", examples=["35d"])
    """How long samples are kept (source: cluster)."""
    resources: Resources = Resources(cpu="50m", memory="256Mi")
    """Resources of Prometheus (source: cluster)."""
    receivers: dict[DnsLabel, Receiver] = Field(default={})
    """Who is told of alerts, by name (source: cluster). Default: nobody; then there is no Alertmanager, and
    `./slipway status` shows what is firing. The operator's Alertmanager has receivers of its own."""

    OPERATOR: ClassVar = frozenset({"labels"})
    """Keys that only source: operator has."""
    ALERTMANAGER_RESOURCES: ClassVar = Resources(cpu="10m", memory="64Mi")
    """What Alertmanager gets: 30 MiB are in use with a handful of alerts."""

    @property
    def servers(self) -> dict[str, Resources]:
        """Return the servers that the stack runs for it, with their size."""
        if self.source != "cluster":
            return {}
        alertmanager = {ALERTMANAGER: self.ALERTMANAGER_RESOURCES} if self.receivers else {}
        return {PROMETHEUS: self.resources, **alertmanager}

    @property
    def images(self) -> dict[str, PinnedImage | None]:
        """Return the images of these servers; None where the folder `slipway:imageFiles` names it."""
        images = {PROMETHEUS: self.image, ALERTMANAGER: self.alertmanager_image}
        return {name: images[name] for name in self.servers}

    @section_rule
    def _keys_fit_the_source(self) -> Self:
        # A key of another source would have no effect.
        shared = {"source", "url"}
        own = {"operator": self.OPERATOR, "cluster": type(self).model_fields.keys() - self.OPERATOR - shared}
        if self.source == "none" and self.url:
            raise ValueError("url: only with source: operator or cluster; this is source: none")
        for source, keys in own.items():
            given = ", ".join(to_camel(key) for key in sorted(keys & self.model_fields_set))
            if given and source != self.source:
                raise ValueError(f"{given}: only with source: {source}; this is source: {self.source}")
        return self
