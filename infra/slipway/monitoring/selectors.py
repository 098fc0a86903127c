"""PromQL of the series that the settings name: those of a service, its errors, and the buckets of its durations."""

from __future__ import annotations

from slipway.settings.checks.objectives import SELECTOR
from slipway.settings.sections.contract import Metrics
from slipway.settings.settings import Settings


def selector(settings: Settings, service: str) -> str:
    """Return the labels by which all series of a service are found: `namespace="slipway-dev",service="api"`."""
    return f'namespace="{settings.namespace}",service="{service}"'


def expanded(settings: Settings, service: str, expr: str) -> str:
    """Return an expression of the stack file with the labels of its service in place of `$(selector)`."""
    return expr.replace(SELECTOR, selector(settings, service))


def errors(metrics: Metrics, own: str) -> str:
    """Return the selector of the counters of errors: `http_requests_total{namespace="...",code=~"5.."}`."""
    return f'{metrics.requests}{{{own},{metrics.code_label}=~"5.."}}'


def bucket(metrics: Metrics, own: str, bound: float) -> str:
    """Return the selector of the requests that took at most as many seconds.

    Prometheus 3 and the OpenMetrics format write a bound of 1 as 1.0, older ones as 1.
    """
    text = f"{bound:g}"
    matches = f'=~"{text}([.]0)?"' if text.isdigit() else f'="{text}"'
    return f"{metrics.durations}_bucket{{{own},le{matches}}}"
