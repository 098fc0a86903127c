"""Sections about monitoring: who runs Prometheus, and who is told of alerts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from slipway.settings.sections.section import Section
from slipway.settings.types.scalars import HttpUrl


class Monitoring(Section):
    """Who scrapes the services of the stack and evaluates their alerts."""

    source: Literal["operator", "cluster", "none"] = "none"
    """operator: the Prometheus Operator of the cluster, by PodMonitor and PrometheusRule · cluster: Prometheus and
    Alertmanager of this stack, one pod each · none: nobody."""
    url: HttpUrl | None = Field(default=None, examples=["http://prometheus.example.com:9090"])
    """The operator's Prometheus, as seen from where `./slipway` runs (source: operator). The stack's own Prometheus is
    read through the API server."""
