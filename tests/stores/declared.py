"""Stores as a stack file asks for them, and what the program declares for them."""

from __future__ import annotations

from typing import Any

from slipway.ops.program.recorder import Program

IMAGE = "registry.example.com/server@sha256:" + "1" * 64
CLUSTER: dict[str, Any] = {
    "mysql": {"source": "cluster", "image": IMAGE, "storage": "5Gi", "storageClass": "fast", "backup": {"keep": 3}},
    "redis": {"source": "cluster", "image": IMAGE},
    "services.api.needs": ["mysql", "redis"],
}
MANAGED: dict[str, Any] = {
    "mysql": {"source": "managed", "host": "mysql.example.com", "port": 3307, "cidr": "10.20.0.0/24"},
    "redis": {"source": "managed", "host": "redis.example.com", "cidr": "10.20.1.0/24"},
    "services.api.needs": ["mysql", "redis"],
}
SERVERS = ("mysql", "redis")


def pod(program: Program, server: str) -> dict[str, Any]:
    return program.manifests()["StatefulSet", server]["spec"]["template"]["spec"]


def backup_pod(program: Program) -> dict[str, Any]:
    spec = program.manifests()["CronJob", "mysql-backup"]["spec"]
    return spec["jobTemplate"]["spec"]["template"]["spec"]


def env(program: Program, service: str = "api") -> dict[str, str]:
    return program.manifests()["ConfigMap", f"{service}-env"]["data"]


def secret(program: Program, service: str = "api") -> dict[str, str]:
    return program.manifests()["Secret", f"{service}-secret"]["stringData"]
