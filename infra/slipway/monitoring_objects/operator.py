"""Objects for the Prometheus Operator of the cluster: what it scrapes, and which rules its Prometheus evaluates.

A PodMonitor, not a ServiceMonitor: metrics are on a port that no Service has, workers have no Service at all, and pods
that are not ready are to be seen as well.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi_kubernetes import core, meta
from pulumi_kubernetes.apiextensions import CustomResource

from slipway.environment import Environment
from slipway.monitoring.groups import groups
from slipway.monitoring_objects.scraping import INTERVAL
from slipway.naming import DASHBOARD, ENVIRONMENT, labels
from slipway.scope import Scope
from slipway.settings.sections.contract import Metrics
from slipway.settings.settings import Settings

API_VERSION = "monitoring.coreos.com/v1"


class OperatorMonitoring(pulumi.ComponentResource):
    """A PodMonitor for each service with metrics, a PrometheusRule with all rules of the stack, and its dashboard."""

    def __init__(
        self, settings: Settings, environment: Environment, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:index:OperatorMonitoring", "monitoring", None, opts)
        for name, metrics in settings.monitored_services.items():
            _pod_monitor(Scope(name, settings, environment.namespace, self, environment.retaining), metrics)
        if rules := groups(settings):
            _rules(settings, environment, rules, pulumi.ResourceOptions(parent=self))
        _dashboard(settings, environment, pulumi.ResourceOptions(parent=self))
        self.register_outputs({})


def _pod_monitor(scope: Scope, metrics: Metrics) -> None:
    CustomResource(
        scope.name,
        api_version=API_VERSION,
        kind="PodMonitor",
        metadata=meta.v1.ObjectMetaArgs(
            name=scope.name,
            namespace=scope.namespace,
            labels={**scope.settings.monitoring.labels, **labels(scope.name, scope.component)},
            annotations=scope.selector_annotation or None,
        ),
        spec={
            "selector": {"matchLabels": scope.selector},
            "podMetricsEndpoints": [
                {
                    "port": metrics.port,
                    "path": metrics.path,
                    "interval": INTERVAL,
                    # The operator adds `namespace` and `pod` itself.
                    "relabelings": [
                        {"targetLabel": label, "replacement": scope.name, "action": "replace"}
                        for label in ("service", "job")
                    ],
                }
            ],
        },
        opts=scope.child(),
    )


def _rules(
    settings: Settings, environment: Environment, rules: list[dict[str, Any]], opts: pulumi.ResourceOptions
) -> None:
    CustomResource(
        "rules",
        api_version=API_VERSION,
        kind="PrometheusRule",
        metadata=meta.v1.ObjectMetaArgs(
            name=ENVIRONMENT,
            namespace=environment.namespace,
            labels={**settings.monitoring.labels, **labels(ENVIRONMENT, "monitoring")},
        ),
        spec={"groups": rules},
        opts=opts,
    )


def _dashboard(settings: Settings, environment: Environment, opts: pulumi.ResourceOptions) -> None:
    """Declare the dashboard as the sidecar of Grafana looks for it."""
    # Imported late: it takes time, and most stacks declare none.
    from slipway.monitoring.dashboard import grafana_json  # noqa: PLC0415

    core.v1.ConfigMap(
        "dashboard",
        metadata=meta.v1.ObjectMetaArgs(
            name="dashboard",
            namespace=environment.namespace,
            labels={**labels(ENVIRONMENT, "monitoring"), DASHBOARD: "1"},
        ),
        data={f"{settings.namespace}.json": grafana_json(settings)},
        opts=opts,
    )
