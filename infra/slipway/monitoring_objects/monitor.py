"""Declares what monitors a stack, by `slipway:monitoring.source` and `slipway:tracing.source`."""

from __future__ import annotations

import pulumi

from slipway.environment import Environment
from slipway.monitoring_objects.alertmanager import Alertmanager
from slipway.monitoring_objects.jaeger import Jaeger
from slipway.monitoring_objects.operator import OperatorMonitoring
from slipway.monitoring_objects.prometheus import Prometheus
from slipway.settings.settings import Settings


def declare(settings: Settings, environment: Environment, opts: pulumi.ResourceOptions) -> None:
    """Declare the stack's own servers, the objects for the operator of the cluster, or nothing."""
    if settings.tracing and settings.tracing.source == "cluster":
        Jaeger(settings, settings.tracing, environment, opts)
    if settings.monitoring.source == "operator":
        OperatorMonitoring(settings, environment, opts)
    if settings.monitoring.source == "cluster":
        if settings.monitoring.receivers:
            Alertmanager(settings, environment, opts)
        Prometheus(settings, environment, opts)
