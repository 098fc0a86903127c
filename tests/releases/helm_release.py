"""A namespace in which Helm has made a service, for the tests of `./slipway adopt`.

Objects are as an API server 1.36 gives them, cut to what is read of them.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import httpx2

from slipway.cluster.kinds import plural
from slipway.objects import Object
from slipway.ops.program import engine_state
from slipway.ops.program.recorder import Program
from slipway.ops.releases import adopt
from slipway.ops.releases.adoption_problems import ExistingObject
from tests import api_server
from tests.conftest import API_ONLY, WITHOUT_STORES, recorded

NAMESPACE = "slipway-dev"
BEFORE = {"app.kubernetes.io/instance": "reviews", "app.kubernetes.io/name": "a-chart"}
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Deployment": f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments",
    "Service": f"/api/v1/namespaces/{NAMESPACE}/services",
    "Ingress": f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/ingresses",
    "ConfigMap": f"/api/v1/namespaces/{NAMESPACE}/configmaps",
    "HorizontalPodAutoscaler": f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers",
    "PersistentVolumeClaim": f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims",
    "NetworkPolicy": f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies",
}


def owned(manager: str, fields: Object, operation: str = "Update", version: str = "apps/v1", **more: str) -> Object:
    entry = {"manager": manager, "operation": operation, "apiVersion": version, "time": "2026-11-21T08:00:00Z"}
    return {**entry, "fieldsType": "FieldsV1", "fieldsV1": fields, **more}


def made(kind: str, name: str, spec: Object, manager: str = "helm", **metadata: Any) -> Object:
    """An object of Helm's release `reviews`, unless somebody else made it."""
    release = {"annotations": {"meta.helm.sh/release-name": "reviews"}} if manager == "helm" else {}
    version = PATHS[kind].removeprefix("/apis/").removeprefix("/api/").partition("/namespaces")[0]
    entries = {"resourceVersion": "7", "managedFields": [owned(manager, {"f:spec": {}}, version=version)]}
    found = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{kind}", **release, **entries, **metadata}
    return {"apiVersion": version, "kind": kind, "metadata": found, "spec": spec}


CONTAINER = {"name": "app", "image": "old", "ports": [{"name": "http", "containerPort": 8080}]}
DEPLOYMENT = made(
    "Deployment",
    "api",
    {
        "replicas": 3,
        "selector": {"matchLabels": BEFORE},
        "template": {"metadata": {"labels": BEFORE}, "spec": {"containers": [CONTAINER]}},
    },
)
SERVICE = made("Service", "api", {"selector": BEFORE, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]})
PATH = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "api", "port": {"number": 80}}}}
INGRESS = made("Ingress", "api", {"rules": [{"host": "api.dev.example.com", "http": {"paths": [PATH]}}]})
CONFIG = made("ConfigMap", "api-config", {})
RELEASE = [DEPLOYMENT, SERVICE, INGRESS, CONFIG]


class Namespace:
    """An API server that holds one namespace, and changes it by JSON patches."""

    def __init__(self, *objects: Object) -> None:
        self.objects = {f"{PATHS[one['kind']]}/{one['metadata']['name']}": copy.deepcopy(one) for one in objects}
        self.patched: list[str] = []
        self.changes_meanwhile = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if request.method == "PATCH":
            return self._patch(path, json.loads(request.content))
        if path in self.objects:
            return httpx2.Response(200, json=self.objects[path])
        if path.rpartition("/")[2] in map(plural, adopt.LISTED_KINDS):
            return httpx2.Response(
                200, json={"items": [one for at, one in self.objects.items() if at.rpartition("/")[0] == path]}
            )
        return httpx2.Response(404, json={"message": "not found"})

    def _patch(self, path: str, patch: list[Object]) -> httpx2.Response:
        metadata = self.objects[path]["metadata"]
        if self.changes_meanwhile:
            self.changes_meanwhile -= 1
            metadata["resourceVersion"] += "1"
        test, replace = patch
        if test["value"] != metadata["resourceVersion"]:
            return httpx2.Response(422, json={"message": "the server rejected our request: test failed"})
        self.patched.append(path)
        metadata["managedFields"] = replace["value"]
        return httpx2.Response(200, json=self.objects[path])

    def managers(self, kind: str, name: str = "api") -> list[tuple[str, str]]:
        entries = self.objects[f"{PATHS[kind]}/{name}"]["metadata"]["managedFields"]
        return [(one["manager"], one["operation"]) for one in entries]


CHANGES: dict[str, Any] = {
    **API_ONLY,
    **WITHOUT_STORES,
    "services.api.selector": BEFORE,
    "services.api.ingress.tls": None,
}


def program(changes: dict[str, Any] | None = None) -> Program:
    return recorded("dev", {**CHANGES, **(changes or {})})


def state(*inputs_by_urn: tuple[str, Object]) -> engine_state.State:
    return {
        "version": 3,
        "deployment": {"resources": [{"urn": urn, "inputs": inputs} for urn, inputs in inputs_by_urn]},
    }


def existing(*objects: Object, known: engine_state.State | None = None) -> list[ExistingObject]:
    return list(adopt.find_existing(program(), known or state(), api_server.cluster(Namespace(*objects))))
