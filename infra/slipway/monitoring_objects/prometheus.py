"""Prometheus in the stack's own namespace: one pod with a volume, which scrapes the services and evaluates their rules.

A change of its rules restarts it, which takes some seconds; alerts that are pending or firing stay so.
"""

from __future__ import annotations

import pulumi
import yaml
from pulumi_kubernetes import core

from slipway import network
from slipway.environment import Environment
from slipway.monitoring.groups import groups
from slipway.monitoring_objects import scraping, self_alerts, server
from slipway.monitoring_objects.scraping import PROMETHEUS_PORT
from slipway.scope import Scope
from slipway.service import pod
from slipway.settings.names import CONFIG_DIR, metrics_address
from slipway.settings.sections.contract import Metrics
from slipway.settings.sections.monitoring import PROMETHEUS
from slipway.settings.settings import Settings
from slipway.settings.types.units import mebibytes
from slipway.stores import one_pod

COMPONENT = "monitoring"
CONFIG_FILE, RULES_FILE = "prometheus.yml", "rules.yml"
DATA, DATA_DIR = "data", "/prometheus"
# The log of what is not yet in blocks takes the rest, and a compaction writes a block twice.
STORAGE_PERCENT = 80


class Prometheus(pulumi.ComponentResource):
    """One server with a volume, and a headless Service for each service that it scrapes."""

    def __init__(
        self, settings: Settings, environment: Environment, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:index:Prometheus", PROMETHEUS, None, opts)
        scope = Scope(PROMETHEUS, settings, environment.namespace, self, environment.retaining, component=COMPONENT)
        for name, metrics in settings.monitored_services.items():
            _address(Scope(name, settings, environment.namespace, self, environment.retaining), metrics)
        network.allow_prometheus(scope, PROMETHEUS_PORT, scraping.ALERTMANAGER_PORT)
        account = pod.account(scope, environment.pull_secret)
        files = one_pod.files(scope, texts(settings))
        section = settings.monitoring
        data = one_pod.claim(scope, f"{PROMETHEUS}-{DATA}", section.storage, section.storage_class)
        one_pod.run(scope, _template(scope, files), PROMETHEUS_PORT, account, data, is_awaited=False)
        self.register_outputs({})


def texts(settings: Settings) -> dict[str, str]:
    """Return the configuration files by name."""
    rules = {"groups": [*groups(settings), self_alerts.group(settings)]}
    return {
        CONFIG_FILE: scraping.config(settings, RULES_FILE),
        RULES_FILE: yaml.safe_dump(rules, sort_keys=False, width=1000),
    }


def _template(scope: Scope, files: pulumi.Input[str]) -> core.v1.PodTemplateSpecArgs:
    section = scope.settings.monitoring
    args = [
        f"--config.file={CONFIG_DIR}/{CONFIG_FILE}",
        f"--storage.tsdb.path={DATA_DIR}",
        f"--storage.tsdb.retention.time={section.retention}",
        f"--storage.tsdb.retention.size={mebibytes(section.storage) * STORAGE_PERCENT // 100}MB",
    ]
    mounts = [
        core.v1.VolumeMountArgs(name="files", mount_path=CONFIG_DIR, read_only=True),
        core.v1.VolumeMountArgs(name=DATA, mount_path=DATA_DIR),
    ]
    claim = core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=f"{PROMETHEUS}-{DATA}")
    volumes = [
        core.v1.VolumeArgs(name="files", config_map=core.v1.ConfigMapVolumeSourceArgs(name=files)),
        core.v1.VolumeArgs(name=DATA, persistent_volume_claim=claim),
    ]
    container = server.container(scope, args, PROMETHEUS_PORT, mounts, section.resources)
    return one_pod.template(scope, container, volumes, server.GRACE, server.contract())


def _address(scope: Scope, metrics: Metrics) -> core.v1.Service:
    """Declare the name that resolves to the addresses of all pods of a service, also of those that are not ready."""
    name, port = metrics_address(scope.name), str(metrics.port)
    return core.v1.Service(
        name,
        # Its pods come with the service, so Pulumi need not wait for them.
        metadata=scope.meta(name, {"pulumi.com/skipAwait": "true", **scope.selector_annotation}),
        spec=core.v1.ServiceSpecArgs(
            type="ClusterIP",
            cluster_ip="None",
            publish_not_ready_addresses=True,
            selector=scope.selector,
            ports=[core.v1.ServicePortArgs(name=port, port=scope.service.container_ports[port], target_port=port)],
        ),
        opts=scope.child(),
    )
