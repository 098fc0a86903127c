"""The section of a service, with the canary of its rollouts."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field

from slipway.settings.names import RESERVED_ENV, STORE_ENV
from slipway.settings.sections.addresses import Ingress, check_service_annotations
from slipway.settings.sections.network import Egress
from slipway.settings.sections.pods import Autoscaling, Drain, Job, Resources, Schedule
from slipway.settings.sections.section import Section, section_rule
from slipway.settings.types.image_fields import ServiceImage
from slipway.settings.types.scalars import DnsLabel, EnvName, HttpUrl, LabelKey, LabelValue, Length, SecretName
from slipway.settings.types.units import seconds

# Labels of pods that change with each version: a selector must not contain them.
CHANGING_LABELS = frozenset({"app.kubernetes.io/version", "pod-template-hash"})
# How long a response may take by default, as in the app (app/internal/config/config.go).
DEFAULT_WRITE_TIMEOUT = "15s"
# During a rollout each pod exists twice: terminating pods count until they are gone.
ROLLOUT_FACTOR = 2


class Canary(Section):
    """How `./slipway up` tries a new version: it watches a few pods of it for a while before the rollout."""

    percent: int = Field(default=10, ge=1, le=50, examples=[10])
    """Maximum share of the requests. A Gateway divides them by weight; without one each pod gets the same."""
    seconds: int = Field(default=60, ge=10, le=3600, examples=[60])
    """How long it is watched."""
    requests: int = Field(default=20, ge=1, le=1000000, examples=[20])
    """Minimum number of requests it has to answer in that time. With fewer there is no result, and it is withdrawn."""
    error_percent: int = Field(default=1, ge=0, le=100, examples=[1])
    """Maximum share of its responses that may be errors (5xx)."""
    # The app's largest histogram bucket ends at 10 s: longer times cannot be measured.
    p99_milliseconds: int = Field(default=1000, ge=1, le=9999, examples=[1000])
    """Maximum 99th percentile of its response times."""
    prometheus: HttpUrl | None = Field(default=None, examples=["http://prometheus.example.com:9090"])
    """Prometheus with the errors and response times, as seen from where `./slipway up` runs. Default: the pods' own
    metrics, read through the API server."""


class Service(Section):
    """One HTTP service: its image, settings, size and address."""

    image: ServiceImage | None = Field(default=None, examples=["shop"])
    """What its pods and jobs run: the name of one of `slipway:images`, or any image by digest. Default: the stack's
    only image, or the one that is named like the service."""
    args: list[str] = Field(default=[], examples=[["web"]])
    """Arguments of the image's program. Default: none, it serves the API."""
    autoscaling: Autoscaling = Autoscaling()
    """Number of pods."""
    replicas: int | None = Field(default=None, ge=1, le=100, examples=[2])
    """Fixed number of pods, without an autoscaler. Default: `autoscaling` decides."""
    resources: Resources = Resources()
    """How much each pod gets."""
    drain: Drain = Drain()
    """How a pod terminates."""
    startup_seconds: int = Field(default=60, ge=5, le=600, examples=[60])
    """How long a new pod may take to start before it is restarted."""
    progress_seconds: int | None = Field(default=None, ge=6, le=3600, examples=[120])
    """How long a rollout may make no progress before it has failed. Default: `startupSeconds` + 60."""
    rollout: Literal["rolling", "canary"] = "rolling"
    """Way of a rollout: rolling: pod by pod · canary: `./slipway up` first tries it beside the old one."""
    canary: Canary = Canary()
    """How a new version is tried (rollout: canary)."""
    ingress: Ingress | None = None
    """Address from outside. Default: reachable inside the cluster only."""
    service_annotations: dict[LabelKey, str] = Field(
        default={}, examples=[{"cloud.google.com/neg": '{"ingress": true}'}]
    )
    """Annotations of the Service, for what the controller alone knows."""
    needs: list[DnsLabel] = Field(default=[], examples=[["mysql", "api"]])
    """Services and stores of this stack that it connects to. For mysql, postgres and redis it also gets variables with
    the address and a file with the password. Connections that are listed neither here nor in `egress` are blocked."""
    egress: list[Egress] = Field(default=[])
    """Addresses outside the stack that it connects to."""
    migration: Job | None = None
    """Job that has to succeed before a new version starts. It runs for each release."""
    schedules: dict[DnsLabel, Schedule] = Field(default={})
    """Recurring jobs, by name."""
    env: dict[EnvName, str] = Field(default={}, examples=[{"LOG_LEVEL": "info"}])
    """Environment variables of the app. A change rolls the pods."""
    file: dict[str, Any] = Field(default={}, examples=[{"pageSize": {"default": 20}}])
    """Content of the app's config.yaml. Running pods pick up a change without a restart."""
    secrets: list[SecretName] = Field(default=[], examples=[["signing-key"]])
    """Secrets that the app reads as files of these names. Each one is a `secure:` value `slipway:<name>`."""
    secret_lengths: dict[SecretName, Length] = Field(default={}, examples=[{"signing-key": 32}])
    """Minimum length of single secrets: with a shorter one the app does not start. In staging and prod all have 16."""
    selector: dict[LabelKey, LabelValue] = Field(default={}, examples=[{"app": "api"}])
    """Labels by which an adopted Deployment selects its pods, which Kubernetes cannot change. `./slipway adopt` prints
    them. Default: those of all services."""

    @property
    def progress_deadline(self) -> int:
        """Return the seconds without progress after which a rollout has failed."""
        return self.progress_seconds or self.startup_seconds + 60

    @property
    def rollout_seconds(self) -> int:
        """Return the maximum duration of a rollout: each pod in turn may use the whole deadline."""
        return self.progress_deadline * self.max_replicas + 30

    @property
    def min_replicas(self) -> int:
        """Return the minimum number of pods."""
        return self.replicas or self.autoscaling.min

    @property
    def max_replicas(self) -> int:
        """Return the maximum number of pods outside of rollouts."""
        return self.replicas or self.autoscaling.max

    @property
    def pods_at_once(self) -> int:
        """Return the maximum number of pods during a rollout, with those of jobs, a canary and its migration."""
        canary = 0
        if self.rollout == "canary":
            canary = self.canary_pods(self.canary) + (1 if self.migration else 0)
        return ROLLOUT_FACTOR * self.max_replicas + len(self.jobs) + canary

    @property
    def jobs(self) -> list[str]:
        """Return the names of the migration and of the schedules."""
        return [*(["migration"] if self.migration else []), *self.schedules]

    @property
    def is_routed(self) -> bool:
        """Return whether a Gateway divides the requests from outside by weight."""
        return self.ingress is not None and self.ingress.gateway is not None

    def canary_pods(self, canary: Canary) -> int:
        """Return how many pods of a canary get at most its share of the requests; 0 if a single one would get more."""
        if self.is_routed:
            return -(-self.min_replicas * canary.percent // 100)
        return self.min_replicas * canary.percent // (100 - canary.percent)

    def canary_refusal(self, canary: Canary) -> str:
        """Return why not even one canary pod is possible, and which settings would make it possible."""
        pods, percent = self.min_replicas, canary.percent
        key = "replicas" if self.replicas else "autoscaling.min"
        return (
            f"with {pods} pod{'s' if pods > 1 else ''} one canary pod gets {100 / (pods + 1):.3g} % of the requests, "
            f"more than canary.percent: {percent}; set {key} to {-(-(100 - percent) // percent)} or canary.percent to "
            f"{-(-100 // (pods + 1))}"
        )

    @section_rule
    def _canary_needs_rollout_canary(self) -> Self:
        if "canary" in self.model_fields_set and self.rollout != "canary":
            raise ValueError("canary goes with rollout: canary, and only with it")
        return self

    @section_rule
    def _replicas_exclude_autoscaling(self) -> Self:
        if self.replicas is not None and "autoscaling" in self.model_fields_set:
            raise ValueError("replicas and autoscaling exclude each other; take one out")
        return self

    @section_rule
    def _progress_outlasts_startup(self) -> Self:
        if self.progress_deadline <= self.startup_seconds:
            raise ValueError(f"progressSeconds: has to be more than startupSeconds ({self.startup_seconds})")
        return self

    @section_rule
    def _shutdown_outlasts_responses(self) -> Self:
        answer, shutdown = self.env.get("HTTP_WRITE_TIMEOUT", DEFAULT_WRITE_TIMEOUT), self.drain.shutdown_seconds
        if not 0 < seconds(answer) <= shutdown:
            raise ValueError(
                f"drain: shutdownSeconds ({shutdown}) is less than an answer may take, HTTP_WRITE_TIMEOUT ({answer}; "
                "0s is no limit): requests would be lost. Raise the one or lower the other"
            )
        return self

    @section_rule
    def _no_schedule_named_migration(self) -> Self:
        if "migration" in self.schedules:
            raise ValueError("schedules: the name migration is taken by the key `migration`")
        return self

    @section_rule
    def _selector_is_stable(self) -> Self:
        if changing := sorted(key for key in self.selector if key in CHANGING_LABELS or key.startswith("slipway/")):
            raise ValueError(
                f"selector: {', '.join(changing)} changes with each version, so it cannot be taken over. Delete the "
                "Deployment that selects by it with `kubectl delete --cascade=orphan`, and leave selector out"
            )
        return self

    @section_rule
    def _service_annotations_are_free(self) -> Self:
        check_service_annotations(self.service_annotations)
        return self

    @section_rule
    def _env_is_not_reserved(self) -> Self:
        if taken := sorted((RESERVED_ENV | STORE_ENV) & self.env.keys()):
            raise ValueError(f"env: {', '.join(taken)} is set by the program, leave it out")
        return self
