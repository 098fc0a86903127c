"""Monitoring as a stack file asks for it, and what the program declares for it."""

from __future__ import annotations

from typing import Any

import yaml

from slipway.ops.program.recorder import Program

IMAGE = "docker.io/prom/server@sha256:" + "1" * 64


def receiver(kind: str, port: int = 443, **keys: Any) -> dict[str, Any]:
    """Return a receiver of alerts at 10.40.0.0/24."""
    return {"kind": kind, "egress": [{"cidr": "10.40.0.0/24", "ports": [port]}], **keys}


MAIL = receiver("mail", 587, to="a@example.com", sender="b@example.com", host="smtp.example.com")
WECOM = receiver("wecom", corpId="ww1", agentId="1000002", toUser="@all")
SERVERS: dict[str, Any] = {"source": "cluster", "image": IMAGE, "alertmanagerImage": IMAGE}
RECEIVERS = {
    "pager": receiver("webhook", severities=["page"]),
    "team": receiver("slack", channel="#alerts"),
    "mail": {**MAIL, "username": "b@example.com"},
    "wecom": WECOM,
}
CLUSTER: dict[str, Any] = {"monitoring": {**SERVERS, "receivers": RECEIVERS}}
OPERATOR: dict[str, Any] = {
    "monitoring": {"source": "operator", "labels": {"release": "prometheus"}},
    "cluster.monitoringNamespace": "monitoring",
}


def without_metrics(service: str) -> dict[str, Any]:
    """Return the change of a service to an app that has no metrics."""
    app = {"contract": "none", "probes": {"ready": {"tcp": True}}, "file": None, "migration": None, "needs": []}
    return {f"services.{service}.{key}": value for key, value in app.items()}


def pod(program: Program, server: str) -> dict[str, Any]:
    """Return the pod of a server."""
    return program.manifests()["StatefulSet", server]["spec"]["template"]["spec"]


def file(program: Program, name: str) -> dict[str, Any]:
    """Return a configuration file of Prometheus."""
    return yaml.safe_load(program.manifests()["ConfigMap", "prometheus-files"]["data"][name])
