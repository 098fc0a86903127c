"""KEDA in the local cluster: compiled from its Go modules, with its own manifests."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import yaml

from tests.e2e.conftest import ROOT, eventually, run
from tests.neighbours.controllers.images import image_of
from tests.neighbours.controllers.kubectl import kubectl_in

MODULES = ROOT / "tests" / "neighbours" / "keda"
MODULE = "github.com/kedacore/keda/v2"
NAMESPACE = "keda"
OPERATOR, ADAPTER = "keda-operator", "keda-metrics-apiserver"
# The packages, and the names by which KEDA's manifests call the programs.
PROGRAMS = {OPERATOR: (f"{MODULE}/cmd/operator", "keda"), ADAPTER: (f"{MODULE}/cmd/adapter", "keda-adapter")}
# Both link every scaler there is: 18 minutes of one core, once.
COMPILE_SECONDS = 5400

kubectl = partial(kubectl_in, NAMESPACE)
"""Runs kubectl in KEDA's namespace."""


@contextmanager
def installed() -> Generator[None]:
    """Run KEDA during the block. Its definitions are deleted afterwards, and with them all ScaledObjects."""
    images = {
        name: image_of(name, package, MODULES, COMPILE_SECONDS, program)
        for name, (package, program) in PROGRAMS.items()
    }
    objects = [obj for folder in ("crd", "general", "rbac", "manager", "metrics-server") for obj in _manifests(folder)]
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": OPERATOR, "namespace": NAMESPACE}}
    objects = [_adapted(obj, images) for obj in (*objects, account)]
    namespaces = [obj for obj in objects if obj["kind"] == "Namespace"]
    # One object is in kube-system. Server-side: the definition of a ScaledObject is too long for an annotation.
    kubectl_in("", "apply", "--server-side", "--force-conflicts", "-f", "-", text=yaml.safe_dump_all(namespaces))
    kubectl_in("", "apply", "--server-side", "--force-conflicts", "-f", "-", text=yaml.safe_dump_all(objects))
    try:
        for name in PROGRAMS:
            kubectl("rollout", "status", f"deployment/{name}", "--timeout=240s")
        eventually(_answers, 120, "the API of external metrics answers")
        yield
    finally:
        everything = yaml.safe_dump_all(objects)
        kubectl_in("", "delete", "--ignore-not-found", "--timeout=240s", "-f", "-", text=everything, ok=False)


def stop(name: str) -> None:
    """Stop the operator or the adapter."""
    kubectl("scale", f"deployment/{name}", "--replicas=0")
    kubectl("wait", "--for=delete", "pod", "-l", f"app={name}", "--timeout=60s")


def start(name: str) -> None:
    """Start it again."""
    kubectl("scale", f"deployment/{name}", "--replicas=1")
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=240s")


def _manifests(folder: str) -> list[dict[str, Any]]:
    """Return the objects of a folder of KEDA's manifests."""
    found = json.loads(run("go", "mod", "download", "-json", f"{MODULE}@v2.21.0", cwd=MODULES).stdout)["Dir"]
    return list(yaml.safe_load_all(run("kubectl", "kustomize", f"{found}/config/{folder}").stdout))


def _adapted(obj: dict[str, Any], images: dict[str, str]) -> dict[str, Any]:
    """Return an object with our images. There is no webhook here whose certificate the operator could maintain."""
    name = obj["metadata"]["name"]
    if obj["kind"] == "Deployment" and name in images:
        [container] = obj["spec"]["template"]["spec"]["containers"]
        container |= {"image": images[name], "imagePullPolicy": "IfNotPresent"}
        if name == OPERATOR:
            container["args"].append("--enable-webhook-patching=false")
    return obj


def _answers() -> bool:
    time.sleep(1)
    return bool(kubectl("get", "--raw", "/apis/external.metrics.k8s.io/v1beta1", ok=False))
