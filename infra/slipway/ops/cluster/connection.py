"""A connection to the cluster of a stack, which is the one its stack file accepts.

Objects are plain dicts, as the API server sends them.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import httpx2

from slipway.cluster import api_client
from slipway.cluster.api_client import ANSWER_SECONDS
from slipway.cluster.api_retry import NOT_FOUND
from slipway.cluster.connection import ForeignServerError, accepted
from slipway.cluster.kinds import plural
from slipway.cluster.kubeconfig import Access, KubeconfigError
from slipway.naming import SERVICE_LABEL
from slipway.objects import Object, mapping
from slipway.ops.cluster import refusal
from slipway.ops.errors import UserError
from slipway.settings.settings import Settings

if TYPE_CHECKING:
    from lightkube import Client

TOO_MANY_REQUESTS = 429
# The field manager of what ./slipway changes itself, without the engine.
MANAGER = "slipway"

KINDS = {
    "deployments": "apis/apps/v1",
    "daemonsets": "apis/apps/v1",
    "statefulsets": "apis/apps/v1",
    "replicasets": "apis/apps/v1",
    "jobs": "apis/batch/v1",
    "cronjobs": "apis/batch/v1",
    "horizontalpodautoscalers": "apis/autoscaling/v2",
    "scaledobjects": "apis/keda.sh/v1alpha1",
    "poddisruptionbudgets": "apis/policy/v1",
    "ingresses": "apis/networking.k8s.io/v1",
    "networkpolicies": "apis/networking.k8s.io/v1",
    "pods": "api/v1",
    "services": "api/v1",
    "serviceaccounts": "api/v1",
    "configmaps": "api/v1",
    "events": "api/v1",
    "persistentvolumeclaims": "api/v1",
    "resourcequotas": "api/v1",
    "secrets": "api/v1",
    "nodes": "api/v1",
}


class ClusterError(UserError):
    """The cluster of a stack is out of reach, or the context leads to another one."""


class RefusedError(UserError):
    """The API server refuses a request; `code` is the HTTP status of its response."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class StackCluster:
    """The cluster of a stack, and the namespace in it that the stack owns."""

    stack: str
    settings: Settings
    access: Access
    transport: httpx2.BaseTransport | None = None

    @property
    def namespace(self) -> str:
        """Return the namespace that all requests are about, except those for nodes."""
        return self.settings.namespace

    @property
    def context(self) -> str:
        """Return the context of the kubeconfig, as the stack file names it."""
        return self.settings.cluster.context

    @cached_property
    def client(self) -> Client:
        """Return a lightkube client. Raises `ClusterError` unless the API server answers."""
        self.check()
        return api_client.client(self.access, self.namespace, self._http_transport)

    def check(self) -> None:
        """Raise `ClusterError` unless the API server answers and accepts our credentials."""
        with self._cluster_errors():
            if self._http.get("/version").status_code == api_client.UNAUTHORIZED:
                raise ClusterError(
                    f"the API server {self.access.server} (context {self.context!r}, stack {self.stack}) does not "
                    "accept the credentials of the kubeconfig (401)"
                )

    # Each of these raises `RefusedError` if the API server refuses the request, and `ClusterError` without an answer.

    def items(self, kind: str, **query: str) -> list[Object]:
        """Return all objects of a kind, given as its plural."""
        scope = "" if kind == "nodes" else f"/namespaces/{self.namespace}"
        return self._request("GET", f"/{KINDS[kind]}{scope}/{kind}", params=query).json()["items"]

    def get(self, api_version: str, kind: str, name: str) -> Object | None:
        """Return an object; None if it does not exist."""
        response = self._request("GET", self._path(api_version, kind, name), allowed=(NOT_FOUND,))
        return None if response.status_code == NOT_FOUND else response.json()

    def patch(self, api_version: str, kind: str, name: str, change: Object) -> None:
        """Merge a change into an object. The fields it sets are owned by MANAGER."""
        self._patch(self._path(api_version, kind, name), "merge-patch+json", change, fieldManager=MANAGER)

    def patch_if(self, api_version: str, kind: str, name: str, patch: list[Object]) -> None:
        """Change an object by a JSON patch, which is refused if one of its `test` operations fails."""
        self._patch(self._path(api_version, kind, name), "json-patch+json", patch)

    def apply(self, fields: Object, manager: str) -> None:
        """Set fields of an object by server-side apply; this field manager owns them from now on, and nobody else."""
        path = self._path(fields["apiVersion"], fields["kind"], fields["metadata"]["name"])
        self._patch(path, "apply-patch+yaml", fields, fieldManager=manager, force="true")

    def create(self, manifest: Object) -> None:
        """Create an object in the namespace; refused if one of that name exists."""
        path = self._path(manifest["apiVersion"], manifest["kind"], "").rstrip("/")
        self._request("POST", path, params={"fieldManager": MANAGER}, json=manifest)

    def delete(self, api_version: str, kind: str, name: str, **query: str) -> None:
        """Delete an object and what it owns; do nothing if it does not exist."""
        params = {"propagationPolicy": "Background", **query}
        self._request("DELETE", self._path(api_version, kind, name), params=params, allowed=(NOT_FOUND,))

    def evict(self, pod: str) -> bool:
        """Evict a pod; return False while its disruption budget forbids it."""
        metadata = {"name": pod, "namespace": self.namespace}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        path, allowed = f"{self._path('v1', 'Pod', pod)}/eviction", (NOT_FOUND, TOO_MANY_REQUESTS)
        return self._request("POST", path, json=eviction, allowed=allowed).status_code != TOO_MANY_REQUESTS

    def log(self, pod: str, container: str, **query: str | int | bool) -> list[str]:
        """Return the log lines of a container, of its former run with `previous=True`; refused where there are none."""
        return self._request("GET", self._log_path(pod), params=_log_query(container, query)).text.splitlines()

    def follow_log(self, pod: str, container: str, **query: str | int | bool) -> Iterator[str]:
        """Yield log lines as they are written, until the container ends."""
        endless = httpx2.Timeout(ANSWER_SECONDS, read=None)
        params = _log_query(container, {**query, "follow": True})
        path = self._log_path(pod)
        with self._cluster_errors(), self._http.stream("GET", path, params=params, timeout=endless) as response:
            if response.is_error:
                response.read()
            yield from _accepted(response).iter_lines()

    def proxy_get(self, pod: str, port: int, path: str) -> str:
        """Return the body that a pod serves at a path of a port, requested through the API server's proxy."""
        return self._request("GET", f"/api/v1/namespaces/{self.namespace}/pods/{pod}:{port}/proxy/{path}").text

    def service_get(self, service: str, port: int, path: str) -> str:
        """Return the body that a Service answers at a path of a port, requested through the API server's proxy."""
        path = f"/api/v1/namespaces/{self.namespace}/services/{service}:{port}/proxy/{path}"
        return self._request("GET", path).text

    def _patch(self, path: str, patch_type: str, change: Object | list[Object], **query: str) -> None:
        headers = {"Content-Type": f"application/{patch_type}"}
        self._request("PATCH", path, params=query, content=json.dumps(change), headers=headers)

    def _request(self, method: str, path: str, allowed: tuple[int, ...] = (), **options: Any) -> httpx2.Response:
        """Return the response. Raises `RefusedError` for an error that is not among the `allowed` status codes."""
        with self._cluster_errors():
            response = self._http.request(method, path, **options)
        return response if response.status_code in allowed else _accepted(response)

    def _path(self, api_version: str, kind: str, name: str) -> str:
        group = f"apis/{api_version}" if "/" in api_version else f"api/{api_version}"
        scope = "" if kind == "Namespace" else f"/namespaces/{self.namespace}"
        return f"/{group}{scope}/{plural(kind)}/{name}"

    def _log_path(self, pod: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log"

    @cached_property
    def _http(self) -> httpx2.Client:
        return api_client.http(self.access, self._http_transport)

    @cached_property
    def _http_transport(self) -> httpx2.BaseTransport:
        return self.transport or api_client.Transport(self.access)

    @contextmanager
    def _cluster_errors(self) -> Generator[None]:
        """Raise connection errors as `ClusterError`."""
        try:
            yield
        except KubeconfigError as error:
            raise ClusterError(f"stacks/Pulumi.{self.stack}.yaml: slipway:cluster.context: {error}") from None
        except (httpx2.TransportError, OSError) as error:
            raise ClusterError(
                f"the API server {self.access.server} (context {self.context!r}, stack {self.stack}) does not "
                f"answer: {error or type(error).__name__}"
            ) from None


def connect(stack: str, settings: Settings) -> StackCluster:
    """Return the stack's cluster.

    Raises `ClusterError` unless the kubeconfig has the stack's context, and it leads to the server that the stack
    file accepts.
    """
    try:
        return StackCluster(stack, settings, accepted(settings.cluster, stack))
    except ForeignServerError as error:
        raise ClusterError(str(error)) from None
    except KubeconfigError as error:
        raise ClusterError(f"stacks/Pulumi.{stack}.yaml: slipway:cluster.context: {error}") from None


def service_of(obj: Object) -> str:
    """Return the service, store or job that an object belongs to, by the recommended label."""
    labels = mapping(obj, "metadata.labels")
    # The pods of an adopted Deployment may carry another name, because its selector cannot be changed.
    service = labels.get(SERVICE_LABEL) if "pod-template-hash" in labels else None
    return service or labels.get("app.kubernetes.io/name") or ""


def _log_query(container: str, query: dict[str, str | int | bool]) -> dict[str, str]:
    texts = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in query.items()}
    return {"container": container, **texts}


def _accepted(response: httpx2.Response) -> httpx2.Response:
    if response.is_error:
        raise RefusedError(refusal.message(response), response.status_code)
    return response
