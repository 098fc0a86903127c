"""A cluster with one service `api` whose Deployment runs what was set last, field managers included."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx2
import yaml

from slipway.naming import COMPONENT, INSTANCE, RELEASE
from slipway.objects import Object
from slipway.ops.cluster.sleep_mark import merged
from slipway.releases import AT

DIGEST = f"sha256:{'1' * 64}"
PROVIDER = "pulumi-kubernetes-0a1b2c3d"
# The fields of another owner than ours that a session must not touch.
AUTOSCALED = {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
STARTS = {"containerStatuses": [{"name": "api", "state": {"waiting": {"reason": "ContainerCreating"}}}]}
CRASHES = {
    "containerStatuses": [
        {"name": "api", "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "image": "api"}
    ]
}


def is_running(image: str) -> str:
    """Return the image of a release."""
    return f"registry.example.com/slipway/api:{image}@{DIGEST}"


def deployment(image: str, version: str) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "api",
            "resourceVersion": "1",
            "labels": {INSTANCE: "slipway-dev"},
            "managedFields": [
                {"manager": PROVIDER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:template": {}}}},
                AUTOSCALED,
            ],
        },
        "spec": {
            "replicas": 3,
            "template": {
                "metadata": {"labels": {"app.kubernetes.io/version": version}},
                "spec": {
                    "containers": [{"name": "api", "image": image}, {"name": "proxy", "image": "proxy"}],
                },
            },
        },
    }


@dataclass
class FakeCluster:
    """Answers requests about the Deployment, and has one pod of its image as soon as that is set."""

    release: str = field(default_factory=lambda: is_running("src-0"))
    deployment: Object = field(default_factory=dict[str, Any])
    new_pods: Object | None = None
    """The status of pods of an image that is no release. Default: they are ready."""
    changed_meanwhile: int = 0
    """How many of the next JSON patches find that somebody else has changed the Deployment."""
    is_down: bool = False
    autoscaler: Object | None = None
    added: set[str] = field(default_factory=set[str])
    """Fields of the container that only slipway-dev has set."""
    images: list[str] = field(default_factory=list[str])
    """What the Deployment has run, in order."""

    def __post_init__(self) -> None:
        self.deployment = self.deployment or deployment(self.release, "src-0")
        self.released_container = dict(self._template["spec"]["containers"][0])

    @property
    def image(self) -> str:
        """What pods of the Deployment run."""
        return self._template["spec"]["containers"][0]["image"]

    @property
    def version(self) -> str:
        """The label of these pods."""
        return self._template["metadata"]["labels"]["app.kubernetes.io/version"]

    @property
    def managers(self) -> list[str]:
        """The field managers of the Deployment."""
        return [entry["manager"] for entry in self.deployment["metadata"]["managedFields"]]

    @property
    def _template(self) -> Any:
        return self.deployment["spec"]["template"]

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if self.is_down:
            raise httpx2.ConnectError("[Errno 111] Connection refused")
        *_, kind, name = request.url.path.split("/")
        if request.method == "PATCH":
            return self._patch(request)
        if name == "log":
            return httpx2.Response(200, text="2026-11-21T08:00:00Z listening with password=canary\n")
        if kind == "horizontalpodautoscalers":
            missing = httpx2.Response(404, json={"message": "not found"})
            return httpx2.Response(200, json=self.autoscaler) if self.autoscaler else missing
        if kind == "deployments":
            return httpx2.Response(200, json=self.deployment)
        listed = {"deployments": [self.deployment], "pods": [self._pod()], "configmaps": [self._record()]}
        return httpx2.Response(200, json={"items": listed.get(name, [])})

    def _patch(self, request: httpx2.Request) -> httpx2.Response:
        change = json.loads(request.content)
        if "horizontalpodautoscalers" in request.url.path and isinstance(change, list):
            assert self.autoscaler
            self.autoscaler["metadata"]["managedFields"] = change[1]["value"]
            return httpx2.Response(200, json=self.autoscaler)
        if request.headers["Content-Type"] == "application/apply-patch+yaml":
            self._apply(change, request.url.params["fieldManager"], force=request.url.params["force"])
        elif self.changed_meanwhile:
            self.changed_meanwhile -= 1
            return httpx2.Response(422, json={"message": "the server rejected our request due to an error"})
        else:
            self._json_patch(change)
        return httpx2.Response(200, json=self.deployment)

    def _apply(self, fields: Object, manager: str, force: str) -> None:
        """Merge the fields as server-side apply does: containers by name."""
        assert force == "true"
        if fields["kind"] == "HorizontalPodAutoscaler":
            self.autoscaler = merged(self.autoscaler or {}, fields)
            return
        containers = {container["name"]: container for container in fields["spec"]["template"]["spec"]["containers"]}
        present = self._template["spec"]["containers"]
        self.deployment = merged(self.deployment, fields)
        self._template["spec"]["containers"] = [
            merged(container, containers.get(container["name"], {})) for container in present
        ]
        # What the manager has added, and no longer applies, is removed.
        for key in self.added - containers["api"].keys():
            self._template["spec"]["containers"][0].pop(key)
        self.added = containers["api"].keys() - self.released_container.keys()
        metadata = self.deployment["metadata"]
        others = [entry for entry in metadata["managedFields"] if entry["manager"] != manager]
        metadata["managedFields"] = [*others, {"manager": manager, "operation": "Apply", "fieldsV1": {}}]
        self.images.append(self.image)

    def _json_patch(self, patch: list[Object]) -> None:
        tested, replaced, removed = patch
        metadata = self.deployment["metadata"]
        assert tested == {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
        assert (replaced["op"], replaced["path"]) == ("replace", "/metadata/managedFields")
        assert removed == {"op": "remove", "path": "/metadata/annotations/slipway~1dev-build"}
        metadata["managedFields"] = replaced["value"]
        del metadata["annotations"]["slipway/dev-build"]

    def _pod(self) -> Object:
        ready: Object = {
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": "api", "restartCount": 0, "state": {"running": {"startedAt": "2026-11-21"}}}
            ],
        }
        status = ready if self.image == self.release else self.new_pods or ready
        metadata = {"name": "api-1", "labels": {"app.kubernetes.io/name": "api", "slipway/service": "api"}}
        return {"metadata": metadata, "spec": {"containers": [{"name": "api", "image": self.image}]}, "status": status}

    def _record(self) -> Object:
        data = {"settings.yaml": yaml.safe_dump({}), "image": self.release}
        metadata = {"name": f"{RELEASE}-0a1b2c3d", "labels": {COMPONENT: RELEASE}, "annotations": {AT: "2026-11-21"}}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
