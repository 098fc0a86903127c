"""Rules of traces: there is somebody to send and to receive them, and no name is taken twice."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.settings.errors import InvalidSetting
from slipway.settings.names import JAEGER
from slipway.settings.settings import Settings


def check(settings: Settings) -> Iterator[InvalidSetting]:
    """Report services whose traces nobody receives, and a Jaeger that nobody sends traces to."""
    for name, service in settings.services.items():
        if service.tracing and settings.tracing is None:
            rule = "there is no collector to send traces to; name one under slipway:tracing, or take it out"
            yield InvalidSetting(("services", name, "tracing"), rule, value=True)
    if settings.tracing is None or settings.tracing.source != "cluster":
        return
    if not any(settings.tracing_of(name) for name in settings.services):
        rule = "source: cluster receives nothing: no service sends traces (services.NAME.tracing)"
        yield InvalidSetting(("tracing", "source"), rule)
    if JAEGER in settings.services:
        rule = "is the name of the server of tracing.source: cluster; call it something else"
        yield InvalidSetting(("services", JAEGER), rule)
