"""Rules of monitoring: there is something to scrape, images are named, and no names are taken twice."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.settings.errors import InvalidSetting
from slipway.settings.names import MONITORING, MONITORING_IMAGES, metrics_address
from slipway.settings.sections.monitoring import PROMETHEUS
from slipway.settings.sections.slo import WINDOW_DAYS
from slipway.settings.settings import Settings
from slipway.settings.types.units import hours

# A week, and the hour that is compared with the same hour then.
FORECAST_DAYS = 8


def check(settings: Settings) -> Iterator[InvalidSetting]:
    """Report settings of monitoring that would have no effect, or fail."""
    source = settings.monitoring.source
    if source != "none" and not settings.monitored_services:
        rule = f"source: {source} has nothing to scrape: no service has metrics (services.NAME.metrics)"
        yield InvalidSetting(("monitoring", "source"), rule)
    if source == "operator" and settings.cluster.monitoring_namespace is None:
        rule = "is required with monitoring.source: operator; else nothing reaches the metrics of the pods"
        yield InvalidSetting(("cluster", "monitoringNamespace"), rule, example="monitoring")
    if source == "cluster":
        yield from _images(settings)
        yield from _names(settings)
        yield from _retention(settings)


def _images(settings: Settings) -> Iterator[InvalidSetting]:
    for name, image in settings.monitoring.images.items():
        if not image and not settings.image_files:
            example = f"docker.io/prom/{name}@sha256:..."
            rule = "is required with source: cluster" if name == PROMETHEUS else "is required with receivers"
            yield InvalidSetting(("monitoring", MONITORING_IMAGES[name]), rule, example=example)


def _retention(settings: Settings) -> Iterator[InvalidSetting]:
    """Report a retention that is shorter than the window of an objective, whose budget would be judged by less."""
    retention = settings.monitoring.retention
    for name, service in settings.services.items():
        if service.slo and hours(retention) < (days := WINDOW_DAYS[service.slo.window]) * 24:
            rule = (
                f"is less than services.{name}.slo.window ({service.slo.window}); its error budget would be computed "
                "from less than its window"
            )
            yield InvalidSetting(("monitoring", "retention"), rule, retention, f"{days + 5}d")
        if service.autoscaling.forecast and hours(retention) < FORECAST_DAYS * 24:
            rule = f"is less than the {FORECAST_DAYS} days that services.{name}.autoscaling.forecast looks back"
            yield InvalidSetting(("monitoring", "retention"), rule, retention, f"{FORECAST_DAYS}d")


def _names(settings: Settings) -> Iterator[InvalidSetting]:
    taken = {metrics_address(name): f"the Service for the metrics of {name}" for name in settings.monitored_services}
    taken |= dict.fromkeys(MONITORING, "a server of monitoring.source: cluster")
    for name in settings.services:
        if name in taken:
            yield InvalidSetting(("services", name), f"is the name of {taken[name]}; call it something else")
