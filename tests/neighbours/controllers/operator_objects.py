"""The objects of a stack for the Prometheus Operator: their definitions, and what the operator makes of them.

The operator itself does not run: its module cannot be had. A Prometheus outside of the cluster gets its rules and
targets from the same objects.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.conftest import NAMESPACE, kubectl
from tests.neighbours.controllers.kubectl import kubectl_in
from tests.neighbours.prometheus_server import PrometheusServer, serving, updated_targets
from tests.schemas import prometheus_operator


@contextmanager
def defined() -> Generator[None]:
    """Have PodMonitors and PrometheusRules in the cluster during the block."""
    with tempfile.TemporaryDirectory() as folder:
        text = "\n---\n".join(file.read_text() for file in prometheus_operator.definitions(Path(folder)))
    try:
        # Server-side: they are too long for an annotation.
        kubectl_in("", "apply", "--server-side", "-f", "-", text=text)
        kubectl_in("", "wait", "--for=condition=Established", "--timeout=60s", "-f", "-", text=text)
        yield
    finally:
        kubectl_in("", "delete", "--ignore-not-found", "--timeout=240s", "-f", "-", text=text, ok=False)


@contextmanager
def prometheus(folder: Path, host: str) -> Generator[PrometheusServer]:
    """Run a Prometheus that scrapes and evaluates what the objects of the local stack say."""
    rules = json.loads(kubectl("get", "prometheusrule", "slipway", "-o", "json"))["spec"]
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    targets = folder / "targets.json"
    config = {
        "rule_files": [str(folder / "rules.yml")],
        "scrape_configs": [{"job_name": "podMonitor", "file_sd_configs": [{"files": [str(targets)]}]}],
    }
    # Each look at the cluster takes a process, and pods are scraped every 15 s.
    with serving(folder, config, host) as server, updated_targets(targets, _targets, seconds=5):
        yield server


def _targets() -> list[dict[str, Any]]:
    """Return the pods that PodMonitors select, with the labels that the operator gives them."""
    objects = json.loads(kubectl("get", "pods,podmonitors", "-o", "json"))["items"]
    pods = [obj for obj in objects if obj["kind"] == "Pod" and "podIP" in obj["status"]]
    return [
        target
        for monitor in objects
        if monitor["kind"] == "PodMonitor"
        for pod in pods
        if monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        for target in _targets_of(pod, monitor["spec"]["podMetricsEndpoints"])
    ]


def _targets_of(pod: dict[str, Any], endpoints: list[dict[str, Any]]) -> Generator[dict[str, Any]]:
    for endpoint in endpoints:
        for container in pod["spec"]["containers"]:
            for port in container.get("ports", []):
                if port.get("name") == endpoint["port"]:
                    yield {
                        "targets": [f"{pod['status']['podIP']}:{port['containerPort']}"],
                        "labels": {
                            "namespace": NAMESPACE,
                            "pod": pod["metadata"]["name"],
                            "container": container["name"],
                            "endpoint": endpoint["port"],
                            "__metrics_path__": endpoint["path"],
                            "__scrape_interval__": endpoint["interval"],
                            **{entry["targetLabel"]: entry["replacement"] for entry in endpoint["relabelings"]},
                        },
                    }
