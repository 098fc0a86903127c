"""prometheus-adapter in the local cluster: compiled from its Go module, with its own manifests and our rules."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from slipway.monitoring.scaling import ADAPTER_CONFIG
from tests.e2e.conftest import ROOT, run
from tests.neighbours.controllers.images import image_of
from tests.neighbours.controllers.kubectl import kubectl_in

MODULES = ROOT / "tests" / "neighbours" / "prometheus_adapter"
MODULE = "sigs.k8s.io/prometheus-adapter"
# The names in its manifests.
NAMESPACE, NAME = "monitoring", "prometheus-adapter"
COMPILE_SECONDS = 3600
# Those of its manifests that are for the metrics in question. The others would make it serve CPU and memory.
MANIFESTS = (
    "service-account",
    "cluster-role",
    "cluster-role-binding",
    "cluster-role-binding-delegator",
    "role-binding-auth-reader",
    "network-policy",
    "service",
    "deployment",
)
APIS = ("v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io")

kubectl = partial(kubectl_in, NAMESPACE)
"""Runs kubectl in the adapter's namespace."""


@contextmanager
def installed(prometheus: str) -> Generator[None]:
    """Run the adapter during the block, with this address of Prometheus as pods reach it."""
    image = image_of(NAME, f"{MODULE}/cmd/adapter", MODULES, COMPILE_SECONDS)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    rules = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "adapter-config", "namespace": NAMESPACE},
        "data": {"config.yaml": yaml.safe_dump(ADAPTER_CONFIG)},
    }
    objects = yaml.safe_dump_all([namespace, rules, *_manifests(image, prometheus)])
    apis = yaml.safe_dump_all([_api(name) for name in APIS])
    try:
        # One object is in kube-system.
        kubectl_in("", "apply", "--server-side", "-f", "-", text=objects)
        kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=240s")
        kubectl_in("", "apply", "--server-side", "-f", "-", text=apis)
        kubectl_in("", "wait", "--for=condition=Available", "--timeout=120s", "-f", "-", text=apis)
        yield
    finally:
        # The APIs first: while one does not answer, no namespace can be deleted.
        for text in (apis, objects):
            kubectl_in("", "delete", "--ignore-not-found", "--timeout=240s", "-f", "-", text=text, ok=False)


def stop() -> None:
    """Stop the adapter."""
    kubectl("scale", f"deployment/{NAME}", "--replicas=0")
    kubectl("wait", "--for=delete", "pod", "-l", f"app.kubernetes.io/name={NAME}", "--timeout=60s")


def start() -> None:
    """Start it again."""
    kubectl("scale", f"deployment/{NAME}", "--replicas=1")
    kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=240s")


def _api(name: str) -> dict[str, Any]:
    """Return the registration of an API such as v1beta1.custom.metrics.k8s.io, as those in the adapter's manifests."""
    version, _, group = name.partition(".")
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": name},
        "spec": {
            "group": group,
            "version": version,
            "service": {"name": NAME, "namespace": NAMESPACE},
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    }


def _manifests(image: str, prometheus: str) -> list[dict[str, Any]]:
    """Return the objects of its manifests, with one pod of our image that asks our Prometheus."""
    found = json.loads(run("go", "mod", "download", "-json", MODULE, cwd=MODULES).stdout)["Dir"]
    folder = Path(found) / "deploy" / "manifests"
    objects = [yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in MANIFESTS]
    for obj in objects:
        if obj["kind"] == "Deployment":
            obj["spec"]["replicas"] = 1
            [container] = obj["spec"]["template"]["spec"]["containers"]
            # The last one of a flag is in force.
            container["args"].append(f"--prometheus-url={prometheus}")
            container |= {"image": image, "imagePullPolicy": "IfNotPresent"}
    return objects
