"""Jaeger in the stack's own namespace: one pod, which keeps the newest traces of the services in memory.

They are gone with the pod. Its pages are for `./slipway port-forward`; no other pod reaches them.
"""

from __future__ import annotations

from typing import Any

import pulumi
import yaml
from pulumi_kubernetes import core

from slipway import network
from slipway.environment import Environment
from slipway.monitoring_objects import server
from slipway.scope import Scope
from slipway.service import inputs, pod
from slipway.service.container import resource_requirements, restricted_container
from slipway.settings.names import CONFIG_DIR, JAEGER
from slipway.settings.sections.network import JAEGER_QUERY_PORT, OTLP_PORT, Tracing
from slipway.settings.settings import Settings
from slipway.stores import one_pod

COMPONENT = "tracing"
CONFIG_FILE = "jaeger.yaml"
STORE = "memory"
HEALTH_PORT = 13133


class Jaeger(pulumi.ComponentResource):
    """One server, to which the services send their traces."""

    def __init__(
        self, settings: Settings, tracing: Tracing, environment: Environment, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:index:Jaeger", JAEGER, None, opts)
        scope = Scope(JAEGER, settings, environment.namespace, self, environment.retaining, component=COMPONENT)
        network.allow_jaeger(scope)
        account = pod.account(scope, environment.pull_secret)
        files = one_pod.files(scope, {CONFIG_FILE: config(tracing)})
        volume = core.v1.VolumeArgs(name="files", config_map=core.v1.ConfigMapVolumeSourceArgs(name=files))
        template = one_pod.template(scope, _container(scope, tracing), [volume], server.GRACE, server.contract())
        one_pod.run(scope, template, OTLP_PORT, account, is_awaited=False)
        self.register_outputs({})


def config(tracing: Tracing) -> str:
    """Return the configuration: OTLP over HTTP into a store in memory, which the query reads."""
    extensions: dict[str, Any] = {
        "jaeger_storage": {"backends": {STORE: {"memory": {"max_traces": tracing.max_traces}}}},
        "jaeger_query": {
            "storage": {"traces": STORE},
            # Its own requests are no traces of the stack.
            "enable_tracing": False,
            "http": {"endpoint": f"0.0.0.0:{JAEGER_QUERY_PORT}"},
            "grpc": {"endpoint": "127.0.0.1:16685"},
        },
        "healthcheckv2": {"use_v2": True, "http": {"endpoint": f"0.0.0.0:{HEALTH_PORT}"}},
    }
    pipeline = {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["jaeger_storage_exporter"]}
    settings: dict[str, Any] = {
        "service": {
            "extensions": list(extensions),
            "pipelines": {"traces": pipeline},
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
        },
        "extensions": extensions,
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"0.0.0.0:{OTLP_PORT}"}}}},
        # A span can be found a second after it has ended.
        "processors": {"batch": {"timeout": "500ms"}},
        "exporters": {"jaeger_storage_exporter": {"trace_storage": STORE}},
    }
    return yaml.safe_dump(settings, sort_keys=False)


def _container(scope: Scope, tracing: Tracing) -> core.v1.ContainerArgs:
    port = core.v1.TCPSocketActionArgs(port=JAEGER)
    return core.v1.ContainerArgs(
        name=JAEGER,
        image=scope.settings.server_image(JAEGER),
        image_pull_policy="IfNotPresent",
        # The image's own program, whose path differs from one image to another.
        args=[f"--config={CONFIG_DIR}/{CONFIG_FILE}"],
        env=inputs.runtime_limits(tracing.resources),
        ports=[
            core.v1.ContainerPortArgs(name=name, container_port=port)
            for name, port in ((JAEGER, OTLP_PORT), ("query", JAEGER_QUERY_PORT), ("health", HEALTH_PORT))
        ],
        startup_probe=core.v1.ProbeArgs(tcp_socket=port, period_seconds=1, failure_threshold=60),
        readiness_probe=core.v1.ProbeArgs(
            http_get=core.v1.HTTPGetActionArgs(path="/status", port="health"), period_seconds=5, timeout_seconds=5
        ),
        liveness_probe=core.v1.ProbeArgs(tcp_socket=port, period_seconds=10, failure_threshold=6),
        volume_mounts=[core.v1.VolumeMountArgs(name="files", mount_path=CONFIG_DIR, read_only=True)],
        resources=resource_requirements(tracing.resources),
        security_context=restricted_container(),
    )
