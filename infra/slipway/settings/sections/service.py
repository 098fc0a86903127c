"""The section of a service, with the canary of its rollouts."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field

from slipway.settings.names import URL_PARTS
from slipway.settings.sections.addresses import Ingress, check_service_annotations
from slipway.settings.sections.app import App
from slipway.settings.sections.contract import Panel
from slipway.settings.sections.customization import (
    InitContainer,
    PatchKind,
    ServiceAccount,
    Sidecar,
    Toleration,
    Volume,
    pod_resources,
)
from slipway.settings.sections.network import Egress
from slipway.settings.sections.pods import Autoscaling, Job, Resources, Schedule
from slipway.settings.sections.section import Section, section_rule
from slipway.settings.sections.slo import Alert, Slo
from slipway.settings.types.image_fields import ServiceImage
from slipway.settings.types.scalars import (
    AlertName,
    DnsLabel,
    HttpUrl,
    LabelKey,
    LabelValue,
    ObjectName,
    PanelTitle,
    Percent,
)

# Labels of pods that change with each version: a selector must not contain them.
CHANGING_LABELS = frozenset({"app.kubernetes.io/version", "pod-template-hash"})
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
    error_percent: Percent = Field(default=1, examples=[1])
    """Maximum share of its responses that may be errors (5xx). Default with an `slo`: the share that would page, at the
    most 1, unless the slo allows more."""
    # The largest bucket of most histograms ends at 10 s: longer times cannot be measured.
    p99_milliseconds: int = Field(default=1000, ge=1, le=9999, examples=[1000])
    """Maximum 99th percentile of its response times. Default with an `slo`: its `latency.p99`."""
    prometheus: HttpUrl | None = Field(default=None, examples=["http://prometheus.example.com:9090"])
    """Prometheus with the errors and response times, as seen from where `./slipway up` runs. Default: the pods' own
    metrics, read through the API server."""


class Service(App):
    """One service: its image, app, size and address."""

    image: ServiceImage | None = Field(default=None, examples=["shop"])
    """What its pods and jobs run: the name of one of `slipway:images`, or any image by digest. Default: the stack's
    only image, or the one that is named like the service."""
    autoscaling: Autoscaling = Autoscaling()
    """Number of pods."""
    replicas: int | None = Field(default=None, ge=1, le=100, examples=[2])
    """Fixed number of pods, without an autoscaler. Default: `autoscaling` decides."""
    resources: Resources = Resources()
    """How much each pod gets."""
    startup_seconds: int = Field(default=60, ge=5, le=600, examples=[60])
    """How long a new pod may take to start before it is restarted."""
    progress_seconds: int | None = Field(default=None, ge=6, le=3600, examples=[120])
    """How long a rollout may make no progress before it has failed. Default: `startupSeconds` + 60."""
    rollout: Literal["rolling", "canary"] = "rolling"
    """Way of a rollout: rolling: pod by pod · canary: `./slipway up` first tries it beside the old one."""
    canary: Canary = Canary()
    """How a new version is tried (rollout: canary)."""
    slo: Slo | None = None
    """What users may rely on. Default: no objective, no alerts on burn rates, and no gate."""
    alerts: dict[AlertName, Alert] = Field(default={})
    """Alerts on the app's own metrics, by name."""
    panels: dict[PanelTitle, Panel] = Field(default={})
    """Diagrams of the app's own metrics on the dashboard, by title."""
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
    selector: dict[LabelKey, LabelValue] = Field(default={}, examples=[{"app": "api"}])
    """Labels by which an adopted Deployment selects its pods, which Kubernetes cannot change. `./slipway adopt` prints
    them. Default: those of all services."""
    service_account: ServiceAccount = ServiceAccount()
    """The identity of the pods, for a cloud's own access control."""
    node_selector: dict[LabelKey, LabelValue] = Field(default={}, examples=[{"kubernetes.io/arch": "amd64"}])
    """Labels of the nodes that the pods run on. Default: any node."""
    tolerations: list[Toleration] = Field(default=[], examples=[[{"key": "dedicated", "operator": "Exists"}]])
    """Taints of nodes on which the pods may run all the same."""
    priority_class: ObjectName | None = Field(default=None, examples=["high"])
    """PriorityClass of the pods. Default: the cluster's default."""
    init_containers: dict[DnsLabel, InitContainer] = Field(default={})
    """Containers that run to their end, one after the other, before the sidecars and the app start, by name."""
    sidecars: dict[DnsLabel, Sidecar] = Field(default={})
    """Containers that run beside the app and its jobs, by name."""
    volumes: dict[DnsLabel, Volume] = Field(default={})
    """Folders of the app and its jobs beyond those of `file` and `secrets`, by name."""
    pull_secrets: list[ObjectName] = Field(default=[], examples=[["hub"]])
    """Existing Secrets in the stack's namespace with further registry passwords, for images of sidecars."""
    patch: dict[PatchKind, dict[str, Any]] = Field(
        default={}, examples=[{"Deployment": {"spec": {"template": {"spec": {"hostAliases": []}}}}}]
    )
    """Fields of this service's objects that no key sets, by kind, as in Kubernetes: mappings are merged, so are lists
    of named items; other lists are replaced; `null` removes a field. The result has to keep the house rules."""

    @property
    def pod_resources(self) -> Resources:
        """Return what a whole pod requests, with its init containers and sidecars."""
        return pod_resources(self.resources, self.init_containers.values(), self.sidecars.values())

    @property
    def external_objects(self) -> list[str]:
        """Return the objects that others create and the pods need, such as `ConfigMap/geo-database`."""
        named = [("ConfigMap", volume.config_map) for volume in self.volumes.values()]
        named += [("PersistentVolumeClaim", volume.claim) for volume in self.volumes.values()]
        named += [("Secret", secret) for secret in self.pull_secrets]
        return sorted({f"{kind}/{name}" for kind, name in named if name})

    @property
    def referable(self) -> list[str]:
        """Return the variables that a value under `env` may refer to: secrets, and parts of the URLs of stores."""
        stores = [store for store in self.needs if store in URL_PARTS] if self.reads_contract else []
        parts = [f"{store.upper()}_{part}" for store in stores for part in URL_PARTS[store]]
        return [*self.secret_env, *parts]

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
    def is_scaled_by_keda(self) -> bool:
        """Return whether KEDA owns the autoscaler."""
        return self.replicas is None and self.autoscaling.by == "keda"

    @property
    def scales_by_requests(self) -> bool:
        """Return whether its autoscaler follows the requests per second."""
        return self.replicas is None and self.autoscaling.rps is not None

    @property
    def read_by_keda(self) -> frozenset[str]:
        """Return the servers of this stack that KEDA connects to, to scale the service: redis, prometheus."""
        if not self.is_scaled_by_keda:
            return frozenset()
        bounds = self.autoscaling
        own = {
            "redis": bounds.backlog is not None,
            "prometheus": self.scales_by_requests and bounds.prometheus is None,
        }
        return frozenset(name for name, is_read in own.items() if is_read)

    @property
    def canary_in_force(self) -> Canary:
        """Return the canary; limits that are not given follow from the slo."""
        limits = self.slo.canary_limits if self.slo else {}
        given = self.canary.model_fields_set
        return self.canary.model_copy(update={key: limit for key, limit in limits.items() if key not in given})

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
    def _what_it_scales_by_exists(self) -> Self:
        if self.autoscaling.rps is not None and self.is_worker:
            raise ValueError(
                "autoscaling.rps goes with kind: web; a worker answers no requests, and scales by a backlog"
            )
        if self.autoscaling.rps is not None and self.metrics_in_force is None:
            raise ValueError(
                "autoscaling.rps reads the app's counter of requests; say under metrics where it is served"
            )
        if self.autoscaling.backlog and "redis" not in self.needs:
            raise ValueError("autoscaling.backlog reads a stream in Redis; name redis under needs")
        return self

    @section_rule
    def _progress_outlasts_startup(self) -> Self:
        if self.progress_deadline <= self.startup_seconds:
            raise ValueError(f"progressSeconds: has to be more than startupSeconds ({self.startup_seconds})")
        return self

    @section_rule
    def _a_worker_has_no_address(self) -> Self:
        if self.is_worker and self.ingress is not None:
            raise ValueError("ingress goes with kind: web; a worker answers no requests")
        return self

    @section_rule
    def _a_canary_is_measured(self) -> Self:
        if self.rollout == "canary" and self.is_worker:
            raise ValueError("rollout: canary judges the answers to requests, and a worker gets none; take rolling")
        if self.rollout == "canary" and self.metrics_in_force is None:
            raise ValueError(
                "rollout: canary judges the new version by its metrics, and there are none here; say under metrics "
                "where the app serves them, or set rollout: rolling"
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
