"""Alerts on what each app reports of itself, with any Prometheus: whether it runs, how fast and how well it answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slipway.monitoring.alerts import Rule, alert
from slipway.monitoring.selectors import bucket, errors, expanded, selector
from slipway.settings.checks import objectives as checks
from slipway.settings.sections.contract import Metrics
from slipway.settings.sections.service import Service
from slipway.settings.settings import Settings
from slipway.settings.types.units import duration, mebibytes, millicores, seconds

# The label of alerts that exist once for each of several thresholds.
THRESHOLD = "threshold"
# A 99th percentile above it is reported where the service has no target of its own.
P99_SECONDS = 0.5
# Above this share of the CPU request pods are short of CPU.
CPU_SHARE = 0.8
# The autoscaler does nothing until its target is exceeded by a tenth, so that use below that may last.
HPA_TOLERANCE = 1.1
# GOMEMLIMIT is 90 % of the limit: a Go app that uses more cannot help it.
MEMORY_SHARE = 0.95
# Requests that have to be fast, and errors that are not worth a page.
FAST_SHARE, FEW_ERRORS = 0.9, 0.01


def groups(settings: Settings, name: str) -> Iterator[dict[str, Any]]:
    """Yield the rule groups of a service with metrics: alerts that every app has, and those of its own."""
    service = settings.services[name]
    if metrics := service.metrics_in_force:
        rules = [*_instances(settings, name), *_requests(settings, name, metrics), *_resources(settings, name)]
        yield {"name": f"service-{name}", "rules": rules}
    if service.alerts:
        yield {"name": f"app-{name}", "rules": list(_own(settings, name))}


def labels_of(settings: Settings, service: str) -> dict[str, str]:
    """Return the labels of all alerts of a service."""
    return {"namespace": settings.namespace, "service": service}


def _instances(settings: Settings, name: str) -> Iterator[Rule]:
    own, labels = selector(settings, name), labels_of(settings, name)
    yield alert(
        "InstanceDown",
        # Not one that has never answered: it is starting.
        f"up{{{own}}} == 0 and max_over_time(up{{{own}}}[1d]) == 1",
        "page",
        labels,
        f"An instance of {name} does not answer.",
        "{{ $labels.instance }} has not answered requests for its metrics for a minute.",
        hold="1m",
    )
    yield alert(
        "ServiceDown",
        f"absent(up{{{own}}} == 1)",
        "page",
        labels,
        f"No instance of {name} answers.",
        f"Prometheus has reached no instance of {name} for a minute, or has no target for it at all.",
        hold="1m",
    )


def _requests(settings: Settings, name: str, metrics: Metrics) -> Iterator[Rule]:
    service = settings.services[name]
    if service.is_worker:
        return
    own, labels, limit = selector(settings, name), labels_of(settings, name), p99_limit(service)
    # The share of fast requests can be told only at a bound of the histogram.
    bound = next((bound for bound in metrics.buckets if bound >= limit), metrics.buckets[-1])
    yield alert(
        "HighP99Latency",
        f"histogram_quantile(0.99, sum by (le) (rate({metrics.durations}_bucket{{{own}}}[5m]))) > {limit:g}",
        "ticket",
        labels,
        f"The slowest 1 % of {name}'s requests take more than {duration(limit)}.",
        f"The 99th percentile of the response times has been above {duration(limit)} for 5 minutes; it is "
        "{{ $value | humanizeDuration }}.",
        hold="5m",
    )
    total = f"sum(rate({metrics.requests}{{{own}}}[5m]))"
    failed = f"sum(rate({errors(metrics, own)}[5m]))"
    yield alert(
        "HighLatencyWithIncreasingErrors",
        f"sum(rate({bucket(metrics, own, bound)}[5m]))\n"
        f"/ (sum(rate({metrics.durations}_count{{{own}}}[5m])) > 0)\n"
        f"< {FAST_SHARE:g}\n"
        f"and on()\n"
        f"{failed} / ({total} > 0) > {FEW_ERRORS:g}\n"
        f"and on()\n"
        f"{failed} > 2 * (sum(rate({errors(metrics, own)}[5m] offset 15m)) or vector(0))",
        "page",
        labels,
        f"{name} gets slower, and fails more often.",
        f"Only {{{{ $value | humanizePercentage }}}} of the requests are answered within {duration(bound)}, and errors "
        "(5xx) are more than twice as frequent as 15 minutes ago: something it depends on is about to break down.",
        hold="2m",
    )


def p99_limit(service: Service) -> float:
    """Return the seconds above which a 99th percentile is reported: the target of the slo, or half a second."""
    target = service.slo.latency.get("p99") if service.slo else None
    return seconds(target) if target else P99_SECONDS


def cpu_limit(service: Service) -> float:
    """Return the share of the CPU request above which the use of CPU is reported."""
    target = 0.0 if service.replicas else service.autoscaling.cpu_percent / 100
    return round(max(CPU_SHARE, target * HPA_TOLERANCE), 4)


def _resources(settings: Settings, name: str) -> Iterator[Rule]:
    own, labels, resources = selector(settings, name), labels_of(settings, name), settings.services[name].resources
    share, cores = cpu_limit(settings.services[name]), millicores(resources.cpu) / 1000
    yield alert(
        "HighCpu",
        f"avg(rate(process_cpu_seconds_total{{{own}}}[5m])) / {cores:g} > {share:g}",
        "ticket",
        labels,
        f"{name} uses most of the CPU that it requests.",
        f"Its pods have used more than {100 * share:g} % of their CPU request ({resources.cpu}) for 15 minutes; it is "
        "{{ $value | humanizePercentage }}.",
        hold="15m",
    )
    yield alert(
        "HighMemory",
        f"process_resident_memory_bytes{{{own}}} / {mebibytes(resources.memory) * 2**20} > {MEMORY_SHARE:g}",
        "ticket",
        labels,
        f"An instance of {name} is about to exceed its memory limit.",
        f"{{{{ $labels.instance }}}} uses {{{{ $value | humanizePercentage }}}} of its memory limit "
        f"({resources.memory}); at 100 % it is killed.",
        hold="5m",
    )


def _own(settings: Settings, name: str) -> Iterator[Rule]:
    for title, section in settings.services[name].alerts.items():
        expr = expanded(settings, name, section.expr)
        for threshold in section.thresholds or [None]:
            labels = {} if threshold is None else {THRESHOLD: f"{threshold:g}"}
            yield alert(
                title,
                expr.replace(checks.THRESHOLD, labels.get(THRESHOLD, "")),
                section.severity,
                {**labels_of(settings, name), **labels},
                section.summary,
                f"{section.summary} The value is {{{{ $value | humanize }}}}.",
                hold=section.hold,
                runbook=section.runbook or "",
            )
