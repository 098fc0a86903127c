"""Objects as the API server of Kubernetes 1.36 returns them: a service `api` that is healthy, and its failures."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

from slipway.objects import Object
from slipway.ops.cluster.masking import Mask
from slipway.ops.cluster.snapshot import ClusterSnapshot

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
DIGEST = "sha256:" + "1" * 64
IMAGE = f"localhost:5000/slipway/api:src-2222@{DIGEST}"
POD_HASHES = {"old": "5d8f6c7b9", "new": "6f9c8d5b4"}


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def meta(name: str, uid: str, owner: tuple[str, str, str] | None = None, **more: Any) -> Object:
    """Return the metadata of an object; `owner` is kind, name and uid."""
    references: Object = {}
    if owner:
        kind, owner_name, owner_uid = owner
        references["ownerReferences"] = [{"kind": kind, "name": owner_name, "uid": owner_uid, "controller": True}]
    return {"name": name, "namespace": "slipway-dev", "uid": uid, "creationTimestamp": ago(100), **references, **more}


def labels(service: str, version: str | None = None, owner: str | None = None) -> dict[str, str]:
    names = {"app.kubernetes.io/name": service, "slipway/service": owner or service}
    return {**names, "app.kubernetes.io/version": version} if version else names


def condition(kind: str, status: str, reason: str = "", message: str = "", since: float = 90) -> Object:
    entry = {"type": kind, "status": status, "lastTransitionTime": ago(since)}
    return {**entry, **({"reason": reason} if reason else {}), **({"message": message} if message else {})}


def container(name: str = "api", **more: Any) -> Object:
    def probe(path: str, period: int, failures: int) -> Object:
        get = {"path": path, "port": "admin", "scheme": "HTTP"}
        return {"httpGet": get, "timeoutSeconds": 2, "periodSeconds": period, "failureThreshold": failures}

    return {
        "name": name,
        "image": IMAGE,
        "resources": {"limits": {"cpu": "1", "memory": "64Mi"}, "requests": {"cpu": "50m", "memory": "64Mi"}},
        "startupProbe": probe("/startupz", 1, 60),
        "readinessProbe": probe("/readyz", 2, 2),
        "livenessProbe": probe("/livez", 10, 3),
        **more,
    }


def template(version: str) -> Object:
    return {"metadata": {"labels": labels("api", version)}, "spec": {"containers": [container()]}}


def deployment(name: str = "api", *conditions: Object, **status: Any) -> Object:
    complete = [
        condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
        condition(
            "Progressing", "True", "NewReplicaSetAvailable", f'ReplicaSet "{name}-x" has successfully progressed.'
        ),
    ]
    counts = {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
    return {
        "metadata": meta(name, f"deployment-{name}", generation=3, labels=labels(name)),
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels(name)},
            "strategy": {"type": "RollingUpdate"},
            "progressDeadlineSeconds": 120,
            "template": template("v2"),
        },
        "status": {"observedGeneration": 3, **counts, "conditions": list(conditions or complete), **status},
    }


def replica_set(age: str, *conditions: Object, replicas: int = 2) -> Object:
    """Return the `old` or the `new` ReplicaSet of the Deployment."""
    revision = {"old": "1", "new": "2"}[age]
    name = f"api-{POD_HASHES[age]}"
    return {
        "metadata": meta(
            name,
            f"set-{age}",
            ("Deployment", "api", "deployment-api"),
            annotations={"deployment.kubernetes.io/revision": revision},
        ),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels("api")},
            "template": template(f"v{revision}"),
        },
        "status": {"replicas": replicas, **({"conditions": list(conditions)} if conditions else {})},
    }


def pod(name: str = "x2x4k", *, age: str = "new", **status: Any) -> Object:
    """Return a pod of the `new` or the `old` ReplicaSet; it serves, unless `status` says otherwise."""
    return owned_pod(
        f"api-{POD_HASHES[age]}-{name}",
        ("ReplicaSet", f"api-{POD_HASHES[age]}", f"set-{age}"),
        labels("api", {"old": "v1", "new": "v2"}[age]),
        **status,
    )


def owned_pod(name: str, owner: tuple[str, str, str], pod_labels: dict[str, str], **status: Any) -> Object:
    return {
        "metadata": meta(name, f"pod-{name}", owner, labels=pod_labels),
        "spec": {
            "nodeName": "node-1",
            "restartPolicy": "Always",
            "containers": [container(pod_labels["app.kubernetes.io/name"])],
        },
        "status": {
            "phase": "Running",
            "conditions": [condition("PodScheduled", "True"), condition("Ready", "True")],
            "containerStatuses": [ran(pod_labels["app.kubernetes.io/name"])],
            **status,
        },
    }


def ran(name: str = "api", *, ready: bool = True, started: bool = True, seconds: float = 80, **more: Any) -> Object:
    """Return the status of a running container."""
    return {
        "name": name,
        "image": IMAGE,
        "ready": ready,
        "started": started,
        "restartCount": 0,
        "state": {"running": {"startedAt": ago(seconds)}},
        "lastState": {},
        **more,
    }


def waits(reason: str, message: str = "", **more: Any) -> Object:
    """Return the status of a pod whose container waits."""
    state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    return unready(ran(ready=False, started=False, state=state, **more), phase="Pending" if not more else "Running")


def unready(status: Object, phase: str = "Running", since: float = 80) -> Object:
    message = "containers with unready status: [api]"
    ready = condition("Ready", "False", "ContainersNotReady", message, since)
    return {
        "phase": phase,
        "conditions": [condition("PodScheduled", "True"), ready],
        "containerStatuses": [status],
    }


def ended(code: int, reason: str = "Error", seconds: float = 12, **more: Any) -> Object:
    return {
        "terminated": {
            "exitCode": code,
            "reason": reason,
            "startedAt": ago(seconds + 1),
            "finishedAt": ago(seconds),
            **more,
        }
    }


def crashed(code: int = 1, reason: str = "Error", restarts: int = 4, **more: Any) -> Object:
    """Return the status of a pod in a crash loop."""
    back_off = "back-off 40s restarting failed container=api pod=api-6f9c8d5b4-x2x4k_slipway-dev(1234)"
    return waits("CrashLoopBackOff", back_off, lastState=ended(code, reason, **more), restartCount=restarts)


def event(about: Object, kind: str, reason: str, message: str, *, count: int = 3, seconds: float = 5) -> Object:
    involved = {"kind": kind, "name": about["metadata"]["name"], "uid": about["metadata"]["uid"]}
    return {
        "metadata": {"name": f"{involved['name']}.1"},
        "involvedObject": involved,
        "reason": reason,
        "message": message,
        "type": "Warning",
        "count": count,
        "firstTimestamp": ago(seconds + 60),
        "lastTimestamp": ago(seconds),
        "eventTime": None,
    }


def unscheduled(message: str, since: float = 60) -> Object:
    return {"phase": "Pending", "conditions": [condition("PodScheduled", "False", "Unschedulable", message, since)]}


def node(
    status: str = "True", reason: str = "KubeletReady", message: str = "kubelet is posting ready status"
) -> Object:
    return {
        "metadata": {"name": "node-1", "uid": "node-1"},
        "status": {"conditions": [condition("Ready", status, reason, message)]},
    }


def job(name: str, service: str, *conditions: Object, seconds: float = 50, owner: str = "api", **status: Any) -> Object:
    return {
        "metadata": {**meta(name, f"job-{name}", labels=labels(service)), "creationTimestamp": ago(seconds)},
        "spec": {
            "backoffLimit": 2,
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "1"}},
            "template": {"metadata": {"labels": labels(service, owner=owner)}, "spec": {"restartPolicy": "Never"}},
        },
        "status": {"startTime": ago(seconds), "conditions": list(conditions), **status},
    }


def job_pod(owner: Object, code: int, reason: str = "Error", phase: str = "Failed") -> Object:
    name = owner["metadata"]["name"]
    service = owner["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]
    pod = owned_pod(
        f"{name}-q9w8e", ("Job", name, owner["metadata"]["uid"]), owner["spec"]["template"]["metadata"]["labels"]
    )
    pod["spec"]["restartPolicy"] = "Never"
    pod["spec"]["containers"] = [container(service, startupProbe=None, readinessProbe=None, livenessProbe=None)]
    pod["status"] = unready(ran(service, ready=False, started=False, state=ended(code, reason)), phase)
    return pod


def stateful_set(name: str, ready: int = 1) -> Object:
    return {
        "metadata": meta(name, f"stateful-{name}", labels=labels(name)),
        "spec": {"replicas": 1, "serviceName": name, "template": {"metadata": {"labels": labels(name)}}},
        "status": {"replicas": 1, "readyReplicas": ready},
    }


def store_pod(name: str, **status: Any) -> Object:
    return owned_pod(f"{name}-0", ("StatefulSet", name, f"stateful-{name}"), labels(name), **status)


def claim(name: str, phase: str = "Bound", service: str = "mysql") -> Object:
    return {
        "metadata": meta(name, f"claim-{name}", labels=labels(service)),
        "spec": {"resources": {"requests": {"storage": "1Gi"}}, "volumeName": "pv-1"},
        "status": {"phase": phase, **({"capacity": {"storage": "1Gi"}} if phase == "Bound" else {})},
    }


def make_snapshot(*lines: str, secrets: tuple[str, ...] = (), **objects: Any) -> ClusterSnapshot:
    """Return a completed rollout in which `objects` replace those of their kind; every log holds these lines."""
    healthy: dict[str, Any] = {
        "deployments": [deployment()],
        "replica_sets": [replica_set("old", replicas=0), replica_set("new")],
        "pods": [pod("aaaaa"), pod("bbbbb")],
        "nodes": [node()],
    }
    log = lambda _pod, _container, _previous: list(lines)  # noqa: E731
    return ClusterSnapshot(**copy.deepcopy({**healthy, **objects}), log=log, mask=Mask(secrets), now=NOW)
