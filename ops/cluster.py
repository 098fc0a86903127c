"""From the name of a stack to its cluster: the settings, then a client that leads to the right server.

Objects are plain dicts, as the API server sends them.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import api_client
import httpx2
from api_client import ANSWER_SECONDS
from connection import ForeignServerError, accepted
from kinds import plural
from kubeconfig import Access, KubeconfigError
from settings import Settings

from ops import refusal

if TYPE_CHECKING:
    from lightkube import Client

NOT_FOUND, TOO_MANY_REQUESTS = 404, 429
# The name under which the cluster notes what ./slipway changes by itself.
MANAGER = "slipway"

Object: TypeAlias = dict[str, Any]

KINDS = {
    "deployments": "apis/apps/v1",
    "daemonsets": "apis/apps/v1",
    "statefulsets": "apis/apps/v1",
    "replicasets": "apis/apps/v1",
    "jobs": "apis/batch/v1",
    "cronjobs": "apis/batch/v1",
    "horizontalpodautoscalers": "apis/autoscaling/v2",
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


class NoCluster(Exception):
    """The cluster of a stack is out of reach, or the context leads to another one."""


class Refused(Exception):
    """The API server does not give what was asked for; `code` is the HTTP status of its answer."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Cluster:
    """The cluster of a stack, and the namespace in it that the stack owns."""

    stack: str
    settings: Settings
    access: Access
    transport: httpx2.BaseTransport | None = None

    @property
    def namespace(self) -> str:
        """Everything but nodes is looked for there."""
        return self.settings.namespace

    @property
    def context(self) -> str:
        """As the stack file names it."""
        return self.settings.cluster.context

    @cached_property
    def client(self) -> Client:
        """For objects as models; `NoCluster` unless the API server answers."""
        self.check()
        return api_client.client(self.access, self.namespace, self._http_transport)

    def check(self) -> None:
        """`NoCluster` unless the API server answers and knows who we are."""
        with self._answered():
            if self._http.get("/version").status_code == api_client.UNAUTHORIZED:
                raise NoCluster(
                    f"the API server {self.access.server} (context {self.context!r}, stack {self.stack}) does not "
                    "accept the credentials of the kubeconfig (401)"
                )

    def items(self, kind: str, **query: str) -> list[Object]:
        """All objects of a kind; `Refused` where we may not read it, `NoCluster` without an answer."""
        scope = "" if kind == "nodes" else f"/namespaces/{self.namespace}"
        with self._answered():
            answer = self._http.get(f"/{KINDS[kind]}{scope}/{kind}", params=query)
        return _judged(answer).json()["items"]

    def one(self, api_version: str, kind: str, name: str) -> Object | None:
        """One object; None if it is not there, `Refused` where we may not read it."""
        with self._answered():
            answer = self._http.get(self._path(api_version, kind, name))
        return None if answer.status_code == NOT_FOUND else _judged(answer).json()

    def patch(self, api_version: str, kind: str, name: str, change: Object) -> None:
        """Merge a change into an object. What it changes is noted as MANAGER's."""
        self._patch(self._path(api_version, kind, name), "merge-patch", change, fieldManager=MANAGER)

    def patch_if(self, api_version: str, kind: str, name: str, patch: list[Object]) -> None:
        """Change an object by a JSON patch; `Refused` if a `test` in it fails, or where we may not."""
        self._patch(self._path(api_version, kind, name), "json-patch", patch)

    def create(self, found: Object) -> None:
        """Make an object in the namespace; `Refused` if there is one of that name."""
        with self._answered():
            path = self._path(found["apiVersion"], found["kind"], "").rstrip("/")
            _judged(self._http.post(path, params={"fieldManager": MANAGER}, json=found))

    def delete(self, api_version: str, kind: str, name: str, **query: str) -> None:
        """Take an object and what it owns away; nothing if it is gone already."""
        with self._answered():
            path = self._path(api_version, kind, name)
            answer = self._http.delete(path, params={"propagationPolicy": "Background", **query})
        if answer.status_code != NOT_FOUND:
            _judged(answer)

    def evict(self, pod: str) -> bool:
        """Have a pod leave in good order; False while its disruption budget keeps it."""
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction"}
        body = {**eviction, "metadata": {"name": pod, "namespace": self.namespace}}
        with self._answered():
            answer = self._http.post(f"{self._path('v1', 'Pod', pod)}/eviction", json=body)
        if answer.status_code == TOO_MANY_REQUESTS:
            return False
        if answer.status_code != NOT_FOUND:
            _judged(answer)
        return True

    def log(self, pod: str, container: str, **query: str | int | bool) -> list[str]:
        """Lines of a container, of its former run with `previous=True`; `Refused` where there are none."""
        with self._answered():
            return _judged(self._http.get(self._log_of(pod), params=_texts(container, query))).text.splitlines()

    def followed(self, pod: str, container: str, **query: str | int | bool) -> Iterator[str]:
        """Lines as they are written, until the container ends."""
        endless = httpx2.Timeout(ANSWER_SECONDS, read=None)
        params = _texts(container, {**query, "follow": True})
        with self._answered(), self._http.stream("GET", self._log_of(pod), params=params, timeout=endless) as answer:
            if answer.is_error:
                answer.read()
            yield from _judged(answer).iter_lines()

    def proxied(self, pod: str, port: int, path: str) -> str:
        """What a pod answers on a port, asked by the API server; `Refused` where that cannot be had."""
        with self._answered():
            answer = self._http.get(f"/api/v1/namespaces/{self.namespace}/pods/{pod}:{port}/proxy/{path}")
        return _judged(answer).text

    def _patch(self, path: str, how: str, change: Object | list[Object], **query: str) -> None:
        headers = {"Content-Type": f"application/{how}+json"}
        with self._answered():
            _judged(self._http.patch(path, params=query, content=json.dumps(change), headers=headers))

    def _path(self, api_version: str, kind: str, name: str) -> str:
        group = f"apis/{api_version}" if "/" in api_version else f"api/{api_version}"
        scope = "" if kind == "Namespace" else f"/namespaces/{self.namespace}"
        return f"/{group}{scope}/{plural(kind)}/{name}"

    def _log_of(self, pod: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log"

    @cached_property
    def _http(self) -> httpx2.Client:
        return api_client.http(self.access, self._http_transport)

    @cached_property
    def _http_transport(self) -> httpx2.BaseTransport:
        return self.transport or api_client.Transport(self.access)

    @contextmanager
    def _answered(self) -> Generator[None]:
        try:
            yield
        except KubeconfigError as error:
            raise NoCluster(f"stacks/Pulumi.{self.stack}.yaml: slipway:cluster.context: {error}") from None
        except (httpx2.TransportError, OSError) as error:
            raise NoCluster(
                f"the API server {self.access.server} (context {self.context!r}, stack {self.stack}) does not "
                f"answer: {error or type(error).__name__}"
            ) from None


def connect(stack: str, settings: Settings) -> Cluster:
    """`NoCluster` unless the kubeconfig has the stack's context, and it leads to the right server."""
    try:
        return Cluster(stack, settings, accepted(settings.cluster, stack))
    except ForeignServerError as error:
        raise NoCluster(str(error)) from None
    except KubeconfigError as error:
        raise NoCluster(f"stacks/Pulumi.{stack}.yaml: slipway:cluster.context: {error}") from None


def at(value: Any, *path: str) -> Any:
    """What stands at a path of keys, or None: `at(pod, "status", "phase")`."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return value  # pyright: ignore[reportUnknownVariableType]


def name_of(found: Object) -> str:
    """Its name."""
    return at(found, "metadata", "name") or ""


def service_of(found: Object) -> str:
    """The service, store or job an object belongs to, by the recommended label."""
    labels: dict[str, str] = at(found, "metadata", "labels") or {}
    # The pods of a Deployment that was there before the stack may have to bear another name (`selector`).
    own = labels.get("slipway/service") if "pod-template-hash" in labels else None
    return own or labels.get("app.kubernetes.io/name") or ""


def _texts(container: str, query: dict[str, Any]) -> dict[str, str]:
    told = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in query.items()}
    return {"container": container, **told}


def _judged(answer: httpx2.Response) -> httpx2.Response:
    if answer.is_error:
        raise Refused(refusal.message(answer), answer.status_code)
    return answer
