"""A fake dev stack and its traffic, for drills without a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from slipway.objects import Object
from slipway.ops.drills import faults
from slipway.ops.drills.context import DrillContext
from slipway.ops.drills.traffic import Answer, Measurement, Target
from tests import namespace as ns
from tests.api_server import ApiServer, cluster

TWO_PODS = {"services.api.autoscaling": {"min": 2, "max": 3}}
OWNERS = [{"manager": "pulumi", "operation": "Apply"}]
Answers = Callable[[httpx2.Request, "FakeStack"], httpx2.Response | None]


def with_owners(obj: Object) -> Object:
    """Return the object as the API server returns it for its name."""
    return {**obj, "metadata": {**obj["metadata"], "managedFields": OWNERS}}


@dataclass
class FakeStack(ApiServer):
    """The dev stack as it should be. It does what it is told, as soon as somebody looks."""

    changes: list[str] = field(default_factory=list[str])
    """The requests that change something."""
    answers: Answers = lambda _request, _stack: None
    """What it answers instead."""
    pods: list[Object] = field(default_factory=lambda: [ns.pod("aaaaa"), ns.pod("bbbbb")])
    replicas: dict[str, int] = field(default_factory=lambda: {"mysql": 1, "redis": 1})
    pods_allowed: int = 8
    further: bool = False

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.objects = self._objects()
        if (answer := self.answers(request, self)) is not None:
            return answer
        if request.method != "GET":
            return self._changed(request, json.loads(request.content or "{}"))
        *_, kind, name = request.url.path.split("/")
        if kind in ("statefulsets", "resourcequotas", "deployments"):
            found = self._named().get(f"{kind}/{name}")
            return httpx2.Response(200, json=found) if found else httpx2.Response(404)
        return super().__call__(request)

    def _objects(self) -> dict[str, list[Object]]:
        stores = [name for name, replicas in self.replicas.items() if replicas]
        refused = ns.condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota: quota")
        extra = ns.deployment(faults.EXTRA_DEPLOYMENT) if self.further else None
        its_set: Object = {
            "metadata": ns.meta("drill-1", "set-drill", ("Deployment", "drill", "deployment-drill")),
            "spec": {"replicas": 1},
            "status": {"replicas": 0, "conditions": [refused] if self.pods_allowed < 7 else []},
        }
        made = ns.owned_pod("drill-1-x", ("ReplicaSet", "drill-1", "set-drill"), {"app.kubernetes.io/name": "drill"})
        event = ns.event(its_set, "ReplicaSet", "FailedCreate", "exceeded quota: quota, used: pods=6")
        return {
            "deployments": [ns.deployment(), *([extra] if extra else [])],
            "replicasets": [ns.replica_set("new"), *([its_set] if extra else [])],
            "statefulsets": [ns.stateful_set(name, self.replicas[name]) for name in self.replicas],
            "pods": [
                *(pod for pod in self.pods),
                *(ns.store_pod(name) for name in stores),
                *([made] if extra and self.pods_allowed >= 7 else []),
            ],
            "events": [event] if extra else [],
        }

    def _named(self) -> dict[str, Object]:
        named = {f"statefulsets/{name}": with_owners(ns.stateful_set(name)) for name in self.replicas}
        named["resourcequotas/quota"] = {
            "metadata": {"name": "quota", "managedFields": OWNERS},
            "spec": {"hard": {"pods": "8"}},
            "status": {"used": {"pods": "6"}},
        }
        named["deployments/api"] = ns.deployment() | {
            "spec": ns.deployment()["spec"] | {"template": {"spec": {"containers": [ns.container()]}}}
        }
        return named

    def _changed(self, request: httpx2.Request, body: Object) -> httpx2.Response:
        *_, kind, name = request.url.path.split("/")
        how = " without grace" if request.url.params.get("gracePeriodSeconds") == "0" else ""
        self.changes.append(f"{request.method} {kind}/{name}{how} {json.dumps(body)}")
        if kind == "statefulsets" and "spec" in body:
            self.replicas[name] = body["spec"]["replicas"]
        if kind == "resourcequotas" and "spec" in body:
            self.pods_allowed = int(body["spec"]["hard"]["pods"])
        if name in ("deployments", faults.EXTRA_DEPLOYMENT):
            self.further = request.method == "POST"
        if name == "eviction":
            self._leaves(kind)
        if kind == "pods" and request.method == "DELETE":
            self._leaves(name)
        return httpx2.Response(200, json={})

    def _leaves(self, name: str) -> None:
        self.pods = [pod for pod in self.pods if pod["metadata"]["name"] != name]
        self.pods.append(ns.pod(f"new{len(self.changes)}"))


@dataclass
class FakeTraffic:
    """Traffic without a network: in each look at what they found a second has gone by."""

    target: Target
    fresh: bool = False
    come: Callable[[float], str] = lambda _: "200"
    answers: list[Answer] = field(default_factory=list[Answer])

    def __enter__(self) -> FakeTraffic:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def seconds(self) -> float:
        return len(self.answers) / 20

    def measured(self, since: float = 0, until: float = float("inf")) -> Measurement:
        for _ in range(20):
            self.answers.append(Answer(self.seconds, 0.02, self.come(self.seconds)))
        return Measurement([answer for answer in self.answers if since <= answer.due < until])


def running_drill(server: FakeStack) -> DrillContext:
    traffic: Any = FakeTraffic(Target("http://served.localhost"))
    return DrillContext(cluster(server, TWO_PODS), "api", traffic)
