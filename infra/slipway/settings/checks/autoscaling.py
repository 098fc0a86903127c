"""Rules about the metrics of autoscalers that need more than their own section."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.settings.errors import InvalidSetting
from slipway.settings.sections.pods import Autoscaling
from slipway.settings.settings import Settings


def check(settings: Settings) -> Iterator[InvalidSetting]:
    """Report metrics that nobody records, or that the autoscaler cannot read: it would never remove a pod again."""
    for name, service in settings.services.items():
        found = _unreadable(service.autoscaling, settings.monitoring.source) if service.scales_by_requests else ()
        for key, rule in found:
            yield InvalidSetting(("services", name, "autoscaling", key), rule)


def _unreadable(bounds: Autoscaling, source: str) -> Iterator[tuple[str, str]]:
    """Yield why a metric cannot be read, each with the key that is wrong."""
    if source == "none":
        yield (
            "rps",
            "needs a Prometheus that records requests; set slipway:monitoring.source to operator, or to cluster "
            "together with by: keda",
        )
    elif source == "cluster" and bounds.by == "hpa":
        yield (
            "by",
            "should be keda: an HPA asks the one adapter of its cluster, which does not read the Prometheus of this "
            "stack (slipway:monitoring.source: cluster)",
        )
    elif source == "operator" and bounds.by == "keda" and bounds.prometheus is None:
        rule = (
            "is required with slipway:monitoring.source: operator and by: keda: the address of the operator's "
            "Prometheus as KEDA reaches it"
        )
        yield "prometheus", rule
