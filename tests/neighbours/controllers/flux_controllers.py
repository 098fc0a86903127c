"""Flux in the local cluster: source- and kustomize-controller, compiled from their Go modules, with their manifests."""

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

MODULES = ROOT / "tests" / "neighbours" / "flux"
NAMESPACE = "flux-system"
VERSION = "v1.9.6"
SOURCE, KUSTOMIZE = CONTROLLERS = ("source-controller", "kustomize-controller")
# Both link the clients of the big clouds.
COMPILE_SECONDS = 5400
_REQUESTED, _HANDLED = "reconcile.fluxcd.io/requestedAt", "lastHandledReconcileAt"

kubectl = partial(kubectl_in, NAMESPACE)
"""Runs kubectl in Flux's namespace."""


@contextmanager
def installed() -> Generator[None]:
    """Run Flux during the block. Its definitions are deleted afterwards, and with them all that it was told."""
    images = {name: image_of(name, f"github.com/fluxcd/{name}", MODULES, COMPILE_SECONDS) for name in CONTROLLERS}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    objects = [
        _adapted(obj, images)
        for name in CONTROLLERS
        for folder in ("crd", "rbac", "manager")
        for obj in _manifests(name, folder)
    ]
    for part in ([namespace], objects):
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=yaml.safe_dump_all(part))
    try:
        for name in CONTROLLERS:
            kubectl("rollout", "status", f"deployment/{name}", "--timeout=240s")
        yield
    finally:
        # While their controllers run: each object waits for its controller to let it go.
        for kind in ("kustomizations.kustomize.toolkit.fluxcd.io", "ocirepositories.source.toolkit.fluxcd.io"):
            kubectl("delete", kind, "--all", "--timeout=240s", ok=False)
        all_objects = yaml.safe_dump_all([*reversed(objects), namespace])
        kubectl("delete", "--ignore-not-found", "--timeout=240s", "-f", "-", text=all_objects, ok=False)


def reconcile(kind: str, name: str) -> None:
    """Let Flux look now instead of at the next interval, and wait until it has."""
    token = str(time.time())
    kubectl("annotate", "--overwrite", kind, name, f"{_REQUESTED}={token}")
    eventually(lambda: _status(kind, name).get(_HANDLED) == token, 120, f"Flux looks at {kind} {name}")


def readiness(kind: str, name: str) -> dict[str, Any]:
    """Return the condition Ready of an object, about what it says now; empty before Flux has seen that."""
    obj = json.loads(kubectl("get", kind, name, "-o", "json"))
    current = obj["metadata"]["generation"]
    conditions = obj.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == "Ready" and c.get("observedGeneration") == current), {})


def applied_revision(name: str) -> str:
    """Return the artifact that a Kustomization applied last: `live@sha256:...`."""
    return _status("kustomization", name).get("lastAppliedRevision", "")


def _status(kind: str, name: str) -> dict[str, Any]:
    return json.loads(kubectl("get", kind, name, "-o", "json")).get("status", {})


def _manifests(name: str, folder: str) -> list[dict[str, Any]]:
    """Return the objects of a folder of a controller's manifests."""
    module = f"github.com/fluxcd/{name}@{VERSION}"
    found = json.loads(run("go", "mod", "download", "-json", module, cwd=MODULES).stdout)["Dir"]
    return list(yaml.safe_load_all(run("kubectl", "kustomize", f"{found}/config/{folder}").stdout))


def _adapted(obj: dict[str, Any], images: dict[str, str]) -> dict[str, Any]:
    """Return an object in Flux's namespace, with our image."""
    if obj["kind"] in ("Deployment", "Service", "Role", "RoleBinding"):
        obj["metadata"]["namespace"] = NAMESPACE
    for subject in obj.get("subjects", []):
        subject["namespace"] = NAMESPACE
    if obj["kind"] == "Deployment":
        pod = obj["spec"]["template"]["spec"]
        [container] = pod["containers"]
        container |= {"image": images[obj["metadata"]["name"]], "imagePullPolicy": "IfNotPresent"}
        if obj["metadata"]["name"] == SOURCE:
            # The local registry listens on the loopback interface of the node; the port of metrics may be taken there.
            pod |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
            container["args"].append("--metrics-addr=0")
            container["ports"] = [port for port in container["ports"] if port["name"] != "http-prom"]
    return obj
