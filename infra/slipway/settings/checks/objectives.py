"""Rules about service level objectives and alerts, which need metrics to be judged by."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator

from slipway.settings.errors import InvalidSetting, Key
from slipway.settings.sections.service import Service
from slipway.settings.settings import Settings
from slipway.settings.types.units import duration, seconds

SELECTOR, THRESHOLD = "$(selector)", "$(threshold)"


def check(settings: Settings) -> Iterator[InvalidSetting]:
    """Report objectives that cannot be measured, and alerts and panels that would see the series of others."""
    for name, service in settings.services.items():
        at: Key = ("services", name)
        yield from _measurable(at, service)
        yield from _latencies((*at, "slo", "latency"), service)
        for key, sections in (("alerts", service.alerts), ("panels", service.panels)):
            for title, section in sections.items():
                if SELECTOR not in section.expr:
                    rule = f"has no {SELECTOR}: it would see the series of all services and stacks that Prometheus has"
                    example = f'"sum(rate(app_panics_total{{{SELECTOR}}}[5m])) > 0"'
                    yield InvalidSetting((*at, key, title, "expr"), rule, example=example)
                elif reason := _parse_error(section.expr):
                    yield InvalidSetting((*at, key, title, "expr"), f"is not PromQL: {reason}")
        for alert, section in service.alerts.items():
            if (THRESHOLD in section.expr) != bool(section.thresholds):
                rule = f"{THRESHOLD} in expr and thresholds go together; take one out, or add the other"
                yield InvalidSetting((*at, "alerts", alert, "thresholds"), rule)


def _parse_error(expr: str) -> str:
    """Return why an expression is not PromQL; empty if it is. Prometheus would refuse all rules because of one."""
    from promql_parser import parse  # noqa: PLC0415 - only for stacks with alerts or panels

    try:
        parse(expr.replace(SELECTOR, 'namespace="a",service="b"').replace(THRESHOLD, "1"))
    except ValueError as error:
        return " ".join(str(error).split())
    return ""


def _measurable(at: Key, service: Service) -> Iterator[InvalidSetting]:
    """Report objectives of a service that answers no requests, and those without metrics."""
    if service.slo and service.is_worker:
        yield InvalidSetting((*at, "slo"), "goes with kind: web; a worker answers no requests")
    elif service.metrics_in_force is None:
        for key in ("slo", "alerts", "panels"):
            if getattr(service, key):
                rule = "needs the app's metrics, and this service has none; set metrics"
                yield InvalidSetting((*at, key), rule)


def _latencies(at: Key, service: Service) -> Iterator[InvalidSetting]:
    """Report times that no bucket of the histogram ends at, with those that come nearest."""
    metrics = service.metrics_in_force
    for quantile, target in service.slo.latency.items() if service.slo and metrics else ():
        bounds = metrics.buckets if metrics else []
        length = seconds(target)
        if length not in bounds:
            above = bisect(bounds, length)
            near = bounds[max(above - 1, 0) : above + 1]
            rule = (
                f"is no bound of metrics.buckets, so it cannot be measured; nearest: {', '.join(map(duration, near))}"
            )
            yield InvalidSetting((*at, quantile), rule, target)
