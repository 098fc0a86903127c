"""Shared by tests with a Prometheus: images for the local stack, what it answers, and this machine as pods see it."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

from local.node import data_images
from local.node.names import CONTEXT, LOCAL_REPOSITORIES
from local.paths import clone_paths
from local.progress import Screen, Task
from tests.e2e.conftest import NAMESPACE, ROOT, kubectl, run

# Where the stack file of the local stack takes further sections.
STORES = "  slipway:redis:\n"


def build_server_images(folder: Path) -> None:
    """Build the images of servers that the stack file asks for, as `make up` does; the log is in the folder."""
    task = Task("data images", folder / "images.log", Screen(sys.stderr), threading.Event())
    data_images.provide(task, clone_paths(ROOT), LOCAL_REPOSITORIES, CONTEXT)


def prometheus(path: str) -> dict[str, Any]:
    """Return what the stack's Prometheus answers at a path of its API, through the API server."""
    service = f"/api/v1/namespaces/{NAMESPACE}/services/prometheus:9090/proxy/api/v1/{path}"
    return json.loads(run("kubectl", "--context", "slipway-local", "get", "--raw", service).stdout)["data"]


def targets() -> dict[str, list[str]]:
    """Return the health of the targets of each service."""
    found: dict[str, list[str]] = {}
    for target in prometheus("targets?state=active")["activeTargets"]:
        found.setdefault(target["labels"]["service"], []).append(target["health"])
    return found


def broken_rules() -> dict[str, str]:
    """Return the rules that are not evaluated, or with an error, by name."""
    rules = [rule for group in prometheus("rules")["groups"] for rule in group["rules"]]
    return {rule["name"]: rule.get("lastError") or rule["health"] for rule in rules if rule["health"] != "ok"}


def node_address() -> str:
    """Return the address of the node, which is this machine, as pods see it."""
    [node] = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    return next(entry["address"] for entry in node["status"]["addresses"] if entry["type"] == "InternalIP")
