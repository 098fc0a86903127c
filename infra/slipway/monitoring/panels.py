"""The panels of a stack's dashboard: which expressions are drawn, in which unit, with which limits.

dashboard.py makes a Grafana dashboard of them, and ops/monitoring/pictures.py draws them as pictures. The panels of a
service follow from its settings: the series that `metrics` names, its resources and autoscaler, its objectives, and the
panels that its stack file gives under `panels`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slipway.monitoring.burn_rate import BUDGET_REMAINING, CURRENT_BURN_RATE, error_ratio_metric
from slipway.monitoring.selectors import errors, expanded, selector
from slipway.monitoring.slo import AVAILABILITY, Objective, objectives
from slipway.settings.sections.contract import Metrics, Unit
from slipway.settings.sections.service import Service
from slipway.settings.settings import Settings
from slipway.settings.types.units import mebibytes, millicores, seconds

# At least four samples at a scrape interval of 30 s, the default of the Prometheus operator.
RATE_WINDOW = "2m"
MAX_ROUTES = 10
"""The number of routes in a panel: those with the highest values."""
QUANTILES = ("p50", "p95", "p99")
"""The quantiles that are shown of any service; those of its objectives are added."""
# A version is new if no pod had it in these minutes, so that a few missed scrapes make no release.
_UNSEEN = "5m"


@dataclass(frozen=True)
class Query:
    """One expression, and the name of its lines."""

    expr: str
    legend: str = ""
    """With the labels of a line in braces, as Grafana writes it: `{{route}}`."""


@dataclass(frozen=True)
class Panel:
    """One diagram over time."""

    title: str
    unit: Unit
    queries: tuple[Query, ...]
    description: str = ""
    limits: Mapping[str, float] = field(default_factory=dict[str, float])
    """Horizontal lines by name, such as an objective's target."""


@dataclass(frozen=True)
class Row:
    """The panels about one aspect of a service."""

    service: str
    subject: str
    panels: tuple[Panel, ...]

    @property
    def title(self) -> str:
        """`api: requests`."""
        return f"{self.service}: {self.subject}"


def rows(settings: Settings) -> list[Row]:
    """Return the rows of the dashboard, service by service; none for a service without metrics."""
    return [row for name in settings.services for row in _rows_of(name, settings)]


def releases(settings: Settings) -> Query | None:
    """Return the query whose values mark the start of a release: a version that no pod had before.

    None if no service has a gauge with its version.
    """
    terms = [
        f"(count by (service, version) ({info}) unless "
        f"count by (service, version) (count_over_time({info}[{_UNSEEN}] offset 1m)))"
        for name, service in settings.services.items()
        if (metrics := service.metrics_in_force)
        and metrics.build_info
        and (info := f"{metrics.build_info}{{{selector(settings, name)}}}")
    ]
    return Query(" or ".join(terms), "{{service}} {{version}}") if terms else None


def _rows_of(name: str, settings: Settings) -> list[Row]:
    service = settings.services[name]
    metrics = service.metrics_in_force
    if metrics is None:
        return []
    targets = [objective for objective in objectives(settings) if objective.service == name]
    own = selector(settings, name)
    subjects = {
        "objectives": _objectives(targets, own),
        "requests": () if service.is_worker else _requests(service, metrics, targets, own),
        "saturation": _saturation(service, metrics, own),
        "Go runtime": _go_runtime(own) if metrics.go_runtime else (),
        "the app's own": _own(name, service, settings),
    }
    return [Row(name, subject, panels) for subject, panels in subjects.items() if panels]


# Objectives -----------------------------------------------------------------------------------------------------------


def _objectives(targets: list[Objective], own: str) -> tuple[Panel, ...]:
    if not targets:
        return ()
    window, series = targets[0].window, f"{{{own}}}"
    return (
        Panel(
            f"Error budget left in {window}",
            "percentunit",
            (Query(f"{BUDGET_REMAINING}{series}", "{{slo}}"),),
            "Below 0 the budget is burnt, and ./slipway up refuses to update the service.",
            {"burnt": 0},
        ),
        Panel(
            "Burn rate",
            "short",
            (Query(f"{CURRENT_BURN_RATE}{series}", "{{slo}}"),),
            "At 1 the budget lasts exactly for its window.",
            {"lasts for the window": 1},
        ),
        Panel(
            "Share of bad requests",
            "percentunit",
            (Query(f"{error_ratio_metric('5m')}{series}", "{{slo}}"),),
            "What counts against the budget: errors, and answers slower than the target.",
            {f"{objective.name} allows": objective.budget for objective in targets},
        ),
    )


# Requests -------------------------------------------------------------------------------------------------------------


def _requests(service: Service, metrics: Metrics, targets: list[Objective], own: str) -> tuple[Panel, ...]:
    by_route = f"by ({metrics.route_label})"
    route = f"{{{{{metrics.route_label}}}}}"
    rate = f"rate({metrics.requests}{{{own}}}[{RATE_WINDOW}])"
    error_rate = f"rate({errors(metrics, own)}[{RATE_WINDOW}])"
    allowed = {f"{target.name} allows": target.budget for target in targets if target.name == AVAILABILITY}
    times = {quantile: seconds(target) for quantile, target in service.slo.latency.items()} if service.slo else {}
    quantiles = sorted({*QUANTILES, *times}, key=_share)
    return (
        Panel("Requests by route", "reqps", (Query(_highest(f"sum {by_route} ({rate})"), route),)),
        Panel(
            "Responses by status code",
            "reqps",
            (Query(f"sum by ({metrics.code_label}) ({rate}) > 0", f"{{{{{metrics.code_label}}}}}"),),
        ),
        Panel(
            "Share of errors by route",
            "percentunit",
            (
                # Most apps have no counter of errors before the first one.
                Query(f"(sum({error_rate}) or vector(0)) / sum({rate})", "all routes"),
                Query(_highest(f"sum {by_route} ({error_rate}) / sum {by_route} ({rate}) > 0"), route),
            ),
            "Responses with a status code of 5xx. Routes without an error are left out.",
            allowed,
        ),
        Panel(
            "Response times",
            "s",
            tuple(Query(_quantile(quantile, metrics, own), quantile) for quantile in quantiles),
            limits={f"target of {quantile}": target for quantile, target in times.items()},
        ),
        *(
            Panel(
                f"Response times by route, {quantile}",
                "s",
                (Query(_highest(_quantile(quantile, metrics, own, metrics.route_label)), route),),
                limits={"target": times[quantile]} if quantile in times else {},
            )
            for quantile in quantiles
        ),
    )


def _share(quantile: str) -> float:
    """Return `p99.9` as 0.999."""
    return round(float(quantile.removeprefix("p")) / 100, 6)


def _quantile(quantile: str, metrics: Metrics, own: str, *labels: str) -> str:
    names, series = ", ".join([*labels, "le"]), f"{metrics.durations}_bucket{{{own}}}"
    return f"histogram_quantile({_share(quantile):g}, sum by ({names}) (rate({series}[{RATE_WINDOW}])))"


def _highest(expr: str) -> str:
    return f"topk({MAX_ROUTES}, {expr})"


# Saturation -----------------------------------------------------------------------------------------------------------


def _saturation(service: Service, metrics: Metrics, own: str) -> tuple[Panel, ...]:
    series, resources = f"{{{own}}}", service.resources
    cpus, memory = millicores(resources.cpu) / 1000, mebibytes(resources.memory) * 2**20
    bounds = {"maximum": float(service.max_replicas), "minimum": float(service.min_replicas)}
    cpu = f"rate(process_cpu_seconds_total{series}[{RATE_WINDOW}]) / {cpus:g}"
    in_flight = (
        (Panel("Requests in flight", "short", _over_pods(f"{metrics.in_flight}{series}")),)
        if metrics.in_flight and not service.is_worker
        else ()
    )
    return (
        *in_flight,
        Panel(
            "CPU, share of the request",
            "percentunit",
            _over_pods(cpu),
            f"Of {resources.cpu} for each pod.",
            _scaling_target(service),
        ),
        Panel(
            "Memory, share of the limit",
            "percentunit",
            _over_pods(f"process_resident_memory_bytes{series} / {memory:.0f}"),
            f"Of {resources.memory} for each pod, which is killed at 100 %.",
            {"limit": 1},
        ),
        Panel("Pods that answer", "short", (Query(f"sum(up{series})", "pods"),), limits=bounds),
    )


def _scaling_target(service: Service) -> dict[str, float]:
    return {} if service.replicas else {"scales up": service.autoscaling.cpu_percent / 100}


def _over_pods(expr: str) -> tuple[Query, ...]:
    """Return the queries of the two pods' values that tell: one line for each pod would not be readable."""
    return (Query(f"max({expr})", "highest pod"), Query(f"avg({expr})", "average"))


# Go runtime -----------------------------------------------------------------------------------------------------------


def _go_runtime(own: str) -> tuple[Panel, ...]:
    series = f"{{{own}}}"
    pauses = f"rate(go_gc_duration_seconds_sum{series}[{RATE_WINDOW}])"
    longest = f'go_gc_duration_seconds{{{own},quantile="1"}}'
    return (
        Panel("Goroutines", "short", _over_pods(f"go_goroutines{series}"), "A steady rise is a leak."),
        Panel("Heap in use", "bytes", _over_pods(f"go_memstats_heap_inuse_bytes{series}")),
        Panel("Time paused for garbage collection", "percentunit", _over_pods(pauses)),
        Panel("Longest pause for garbage collection", "s", (Query(f"max({longest})", "highest pod"),)),
    )


# The app's own --------------------------------------------------------------------------------------------------------


def _own(name: str, service: Service, settings: Settings) -> tuple[Panel, ...]:
    return tuple(
        Panel(title, panel.unit, (Query(expanded(settings, name, panel.expr), panel.legend),), panel.description)
        for title, panel in service.panels.items()
    )
