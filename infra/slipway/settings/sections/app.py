"""The section of the app behind a service: what it is told, what it answers, and what it may write."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal, Self

from pydantic import Field

from slipway.settings.names import FILLED_FOLDERS, RESERVED_ENV, RUNTIME_ENV, STORE_ENV
from slipway.settings.sections.contract import ADMIN, HTTP, Metrics, Ports, Probes, ProbeSet, probe_set
from slipway.settings.sections.pods import PROXY_UPDATE_SECONDS, Drain
from slipway.settings.sections.section import Section, section_rule
from slipway.settings.types.references import references
from slipway.settings.types.scalars import EnvName, FolderPath, Length, Memory, ProjectFile, SecretName, UrlPath
from slipway.settings.types.units import seconds
from slipway.suggestions import nearest

# How long an answer may take in an app that follows `contract: slipway`, unless HTTP_WRITE_TIMEOUT says otherwise.
DEFAULT_WRITE_TIMEOUT = "15s"
# The user of distroless images. Numeric, because the kubelet cannot check a name against runAsNonRoot.
USER_ID = 65532
# Folders of a container that hold something already, or that the program fills.
TAKEN_FOLDERS = ("/proc", "/sys", "/dev", *FILLED_FOLDERS)


class App(Section):
    """The contract of a service's app, and its configuration."""

    kind: Literal["web", "worker"] = "web"
    """What it is: web: it answers HTTP requests · worker: it takes its work from elsewhere, has no address, and needs
    no probes."""
    contract: Literal["slipway", "none"] = "slipway"
    """What the app is told by variables: slipway: its ports, times, files and stores (docs/app-contract.md) · none:
    nothing but `env` and `secretEnv`."""
    variables: ProjectFile | None = Field(default=None, examples=["app/variables.txt"])
    """File with the names of the variables that the app reads, one a line; what `env` sets has to be among them.
    Default: it is not checked."""
    ports: Ports = Ports()
    """Where the app listens."""
    probes: Probes | None = None
    """How Kubernetes finds out whether it runs. Default: `/startupz`, `/readyz` and `/livez` on the admin port.
    With `contract: none` they are required; a worker has none unless they are given."""
    metrics: Metrics | None = Metrics()
    """The app's metrics; `null`: it has none. With `contract: none` and for a worker there are none unless given."""
    tracing: bool | None = Field(default=None, examples=[True])
    """Whether the app sends traces to the collector of `slipway:tracing`: it gets OpenTelemetry's own variables
    (`OTEL_...`), and may connect to it. Default: yes, and with `contract: none` no."""
    check: UrlPath | None = Field(default=None, examples=["/v1/shops"])
    """Path that answers 200 to anybody: drills measure requests to it. Default: the path of `probes.ready` on the http
    port, else `/`."""
    command: list[str] | None = Field(default=None, min_length=1, examples=[["/usr/bin/shop"]])
    """Program to run in place of the image's ENTRYPOINT, also in its jobs."""
    args: list[str] = Field(default=[], examples=[["web"]])
    """Arguments of the image's program. Default: none, it serves the API."""
    user: int = Field(default=USER_ID, ge=10000, le=2**31 - 1, examples=[USER_ID])
    """Number of the user and group that the app runs as."""
    scratch: dict[FolderPath, Memory] = Field(default={}, examples=[{"/var/cache/shop": "64Mi"}])
    """Folders that the app may write, with their size. What is in them is gone with the pod; all others are
    read-only."""
    drain: Drain = Drain()
    """How a pod terminates."""
    env: dict[EnvName, str] = Field(default={}, examples=[{"LOG_LEVEL": "info"}])
    """Environment variables of the app. A change rolls the pods. Kubernetes fills in `$(NAME)` from `secretEnv`, and
    parts of the URL of a store under `needs`, such as `$(POSTGRES_HOST)`; write `$$(NAME)` for the text itself."""
    secret_env: dict[EnvName, SecretName] = Field(default={}, examples=[{"DB_PASSWORD": "db-password"}])
    """Secrets that the app reads as variables, by the name of the variable. Files (`secrets`) are safer: variables show
    in dumps, child processes and /proc, and `./slipway preview` says so."""
    file: dict[str, Any] = Field(default={}, examples=[{"pageSize": {"default": 20}}])
    """Content of the app's config.yaml. Running pods pick up a change without a restart."""
    secrets: list[SecretName] = Field(default=[], examples=[["signing-key"]])
    """Secrets that the app reads as files of these names. Each one is a `secure:` value `slipway:<name>`."""
    secret_lengths: dict[SecretName, Length] = Field(default={}, examples=[{"signing-key": 32}])
    """Minimum length of single secrets: with a shorter one the app does not start. In staging and prod all have 16."""

    @property
    def is_worker(self) -> bool:
        """Return whether it answers no requests."""
        return self.kind == "worker"

    @property
    def reads_contract(self) -> bool:
        """Return whether the app is told its ports, times and files by variables."""
        return self.contract == "slipway"

    @property
    def sends_traces(self) -> bool:
        """Return whether the app sends traces, in a stack that has a collector."""
        return self.reads_contract if self.tracing is None else self.tracing

    @property
    def http_port(self) -> int | None:
        """Return the number of the port for requests; None for a worker."""
        return None if self.is_worker else self.ports.http

    @property
    def admin_port(self) -> int | None:
        """Return the number of the port for probes and metrics; None without one."""
        is_standard = self.reads_contract and not self.is_worker
        return self.ports.admin if is_standard or "admin" in self.ports.model_fields_set else None

    @property
    def container_ports(self) -> dict[str, int]:
        """Return the ports of the container by name."""
        own = {HTTP: self.http_port, ADMIN: self.admin_port}
        extra = {name: extra.port for name, extra in sorted(self.ports.extra.items())}
        return {name: port for name, port in own.items() if port} | extra

    @property
    def client_ports(self) -> list[int]:
        """Return the ports that services which need this one reach."""
        return [port for name, port in self.container_ports.items() if name != ADMIN]

    @property
    def default_port(self) -> str:
        """Return the name of the port of probes and metrics that name none."""
        return ADMIN if self.admin_port else HTTP

    @property
    def probes_in_force(self) -> ProbeSet:
        """Return the probes, with what follows from those that are given."""
        if self.probes is None and (self.is_worker or not self.reads_contract):
            return ProbeSet(None, None, None)
        return probe_set(self.probes, self.default_port)

    @property
    def metrics_in_force(self) -> Metrics | None:
        """Return the metrics with their port; None for an app without."""
        is_standard = self.reads_contract and not self.is_worker
        if self.metrics is None or not (is_standard or "metrics" in self.model_fields_set):
            return None
        return self.metrics.model_copy(update={"port": self.metrics.port or self.default_port})

    @property
    def check_path(self) -> str:
        """Return the path that answers 200."""
        ready = self.probes_in_force.ready
        return self.check or (ready.path if ready and ready.path and ready.port == HTTP else "/")

    @property
    def drain_in_force(self) -> Drain:
        """Return how a pod terminates, without the steps that are not for this kind of app."""
        left_out = {"pre_stop_seconds"} if self.is_worker else set[str]()
        left_out |= {"delay_seconds"} if self.is_worker or not self.reads_contract else set()
        return self.drain.model_copy(update=dict.fromkeys(left_out - self.drain.model_fields_set, 0))

    @section_rule
    def _pods_outlast_the_proxies(self) -> Self:
        drain = self.drain_in_force
        serving = drain.pre_stop_seconds + drain.delay_seconds
        if not self.is_worker and serving < PROXY_UPDATE_SECONDS:
            raise ValueError(
                f"drain: preStopSeconds ({drain.pre_stop_seconds}) + delaySeconds ({drain.delay_seconds}) = {serving} "
                f"s is less than the {PROXY_UPDATE_SECONDS} s the ingress needs to forget a pod: requests would be lost"
            )
        return self

    @section_rule
    def _shutdown_outlasts_responses(self) -> Self:
        answer, shutdown = self.env.get("HTTP_WRITE_TIMEOUT", DEFAULT_WRITE_TIMEOUT), self.drain.shutdown_seconds
        if self.reads_contract and not self.is_worker and not 0 < seconds(answer) <= shutdown:
            raise ValueError(
                f"drain: shutdownSeconds ({shutdown}) is less than an answer may take, HTTP_WRITE_TIMEOUT ({answer}; "
                "0s is no limit): requests would be lost. Raise the one or lower the other"
            )
        return self

    @section_rule
    def _the_contract_is_complete(self) -> Self:
        if self.reads_contract:
            return self
        if self.drain_in_force.delay_seconds:
            raise ValueError(
                f"drain: delaySeconds ({self.drain.delay_seconds}) goes with contract: slipway, by which the app "
                "learns of it; with contract: none raise preStopSeconds instead"
            )
        if self.probes is None and not self.is_worker:
            raise ValueError(
                "contract: none needs probes, since nothing says where the app answers them, such as probes: "
                "{ready: {path: /health}}; or {ready: {tcp: true}} for an app without a health path"
            )
        return self

    @section_rule
    def _a_worker_answers_nothing(self) -> Self:
        given = {"check": self.check is not None, "ports.http": "http" in self.ports.model_fields_set}
        if self.is_worker and (taken := [key for key, is_set in given.items() if is_set]):
            raise ValueError(f"{taken[0]} goes with kind: web; a worker answers no requests")
        return self

    @section_rule
    def _ports_that_are_named_exist(self) -> Self:
        probes, metrics, known = self.probes_in_force, self.metrics_in_force, self.container_ports
        if repeated := [number for number, count in Counter(known.values()).items() if count > 1]:
            raise ValueError(
                f"ports: {repeated[0]} is the number of two ports; for an app with one port set admin: null"
            )
        given = {"ready": probes.ready, "live": probes.live, "startup": probes.startup}
        named = {f"probes.{key}": probe.port for key, probe in given.items() if probe}
        named |= {"metrics": metrics.port} if metrics else {}
        if missing := {key: port for key, port in named.items() if port not in known}:
            key, port = next(iter(missing.items()))
            raise ValueError(f"{key}: there is no port {port}; ports here: {', '.join(known) or 'none'}")
        if self.probes and not probes.ready and not self.is_worker:
            raise ValueError("probes: ready is required: requests would reach a pod that cannot answer yet")
        return self

    @section_rule
    def _scratch_folders_are_free(self) -> Self:
        for path in self.scratch:
            if taken := [folder for folder in TAKEN_FOLDERS if f"{path}/".startswith(f"{folder}/")]:
                raise ValueError(f"scratch: {path} is taken ({taken[0]}); give another folder")
        return self

    @section_rule
    def _env_is_not_reserved(self) -> Self:
        reserved = RESERVED_ENV | STORE_ENV if self.reads_contract else RUNTIME_ENV
        for key, names in (("env", self.env.keys()), ("secretEnv", self.secret_env.keys())):
            if taken := sorted(reserved & names):
                raise ValueError(f"{key}: {', '.join(taken)} is set by the program, leave it out")
        if both := sorted(self.env.keys() & self.secret_env.keys()):
            raise ValueError(f"secretEnv: {', '.join(both)} is set under env too; set it once")
        return self

    @section_rule
    def _references_are_secret_variables(self) -> Self:
        for name, value in self.env.items():
            if unknown := [other for other in references(value) if other not in self.referable]:
                near = nearest(unknown[0], self.referable)
                hint = f'did you mean "{near}"?' if near else "write $$(...) for the text itself"
                raise ValueError(f"env: {name} refers to $({unknown[0]}), which is no variable of secretEnv; {hint}")
        return self

    @property
    def referable(self) -> list[str]:
        """Return the variables that a value under `env` may refer to."""
        return [*self.secret_env]
