"""What the kubernetes plugin waits for, and which reasons it gives when the wait fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from local.plugins.kubernetes import waits
from local.plugins.kubernetes.failures import failure_reasons
from local.plugins.kubernetes.kinds import kind_of
from local.plugins.kubernetes.waits import NotReadyError
from tests.local.plugins.kubernetes_plugin import FakeApi


def wait_until_ready(
    api: Any, token: str, obj: dict[str, Any], timeout: float = 60
) -> tuple[dict[str, Any], list[str]]:
    reports: list[str] = []

    async def report(message: str) -> None:
        reports.append(message)

    live = asyncio.run(waits.until_ready(api, kind_of(f"kubernetes:{token}"), obj, timeout, report))
    return live, reports


def deployment(
    *, seen: int = 1, condition: str = "", annotations: dict[str, str] | None = None, **status: int
) -> dict[str, Any]:
    metadata = {"name": "web", "namespace": "shop", "uid": "u1", "generation": 1, "annotations": annotations or {}}
    spec = {"replicas": 2, "progressDeadlineSeconds": 60, "selector": {"matchLabels": {"app": "web"}}}
    progress = {"type": "Progressing", "reason": condition, "message": "ReplicaSet timed out", "status": "False"}
    return {
        "kind": "Deployment",
        "metadata": metadata,
        "spec": spec,
        "status": {"observedGeneration": seen, "conditions": [progress] if condition else [], **status},
    }


def test_a_deployment_is_ready_once_only_new_pods_run_and_all_are_available() -> None:
    done = deployment(updatedReplicas=2, replicas=2, availableReplicas=2)
    api = FakeApi(
        deployment(seen=0, updatedReplicas=2, replicas=2, availableReplicas=2),
        deployment(updatedReplicas=1, replicas=3, availableReplicas=2),
        deployment(updatedReplicas=2, replicas=3, availableReplicas=3),
        deployment(updatedReplicas=2, replicas=2, availableReplicas=1),
        done,
    )
    live, reports = wait_until_ready(api, "apps/v1:Deployment", deployment())
    assert live == done
    assert reports == [
        "waiting for the Deployment controller",
        "1 of 2 new pods started",
        "2 new pods started, 1 old pods still running",
        "1 of 2 new pods available",
    ]


POD = {
    "metadata": {"name": "web-1-x", "namespace": "shop", "uid": "p1", "ownerReferences": [{"uid": "r1"}]},
    "status": {
        "containerStatuses": [
            {
                "name": "api",
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                "lastState": {"terminated": {"exitCode": 2, "reason": "Error"}},
            }
        ]
    },
}
REPLICA_SET = {"metadata": {"name": "web-1", "namespace": "shop", "uid": "r1", "ownerReferences": [{"uid": "u1"}]}}


def test_a_missed_progress_deadline_fails_at_once_with_reason_and_log() -> None:
    api = FakeApi(deployment(condition="ProgressDeadlineExceeded"), replicasets=[REPLICA_SET], pods=[POD])
    with pytest.raises(NotReadyError) as failed:
        wait_until_ready(api, "apps/v1:Deployment", deployment())
    assert failed.value.reasons == [
        "Deployment shop/web made no progress for 60 s: ReplicaSet timed out",
        "Pod shop/web-1-x, container api: CrashLoopBackOff: last run ended with Error, exit code 2",
        "last lines of Pod shop/web-1-x, container api:\n    starting\n    panic: no database",
    ]


def test_a_deadline_missed_before_does_not_fail_the_next_try() -> None:
    stuck = deployment(condition="ProgressDeadlineExceeded")
    done = deployment(updatedReplicas=2, replicas=2, availableReplicas=2)
    assert wait_until_ready(FakeApi(stuck, stuck, done), "apps/v1:Deployment", stuck)[0] == done


def test_waits_end_on_cancel_and_on_timeout() -> None:
    api = FakeApi(deployment(updatedReplicas=1))
    api.cancelled = True
    with pytest.raises(
        NotReadyError, match="interrupted while waiting for Deployment shop/web: 1 of 2 new pods started"
    ):
        wait_until_ready(api, "apps/v1:Deployment", deployment())
    with pytest.raises(NotReadyError, match="not ready after 0 s: 1 of 2 new pods started"):
        wait_until_ready(FakeApi(deployment(updatedReplicas=1)), "apps/v1:Deployment", deployment(), timeout=0)


def test_the_annotation_skip_await_skips_the_wait() -> None:
    unready = deployment(annotations={"pulumi.com/skipAwait": "true"})
    assert wait_until_ready(FakeApi(None), "apps/v1:Deployment", unready)[0] == unready


def service(**spec: Any) -> dict[str, Any]:
    return {"kind": "Service", "metadata": {"name": "web", "namespace": "shop", "uid": "u"}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "endpoints"),
    [
        ({"clusterIP": "None", "selector": {"a": "b"}}, []),
        ({"type": "ExternalName", "externalName": "example.com"}, []),
        ({}, []),
        ({"selector": {"a": "b"}}, [{"conditions": {"ready": False}}, {"conditions": {"ready": True}}]),
        ({"selector": {"a": "b"}}, [{"addresses": ["10.0.0.1"]}]),
    ],
)
def test_a_service_is_ready_when_an_endpoint_can_answer(spec: Any, endpoints: Any) -> None:
    live = service(**spec)
    api = FakeApi(live, endpointslices=[{"endpoints": endpoints}])
    assert wait_until_ready(api, "core/v1:Service", live)[0] == live


@pytest.mark.parametrize(
    ("spec", "endpoints", "awaited"),
    [
        ({"selector": {"a": "b"}}, [{"conditions": {"ready": False}}], "none of the 1 pods it selects is ready"),
        ({"selector": {"a": "b"}}, [], "waiting for pods that match the selector"),
        ({"type": "LoadBalancer"}, [], "waiting for a load balancer address"),
    ],
)
def test_a_service_without_a_ready_endpoint_is_awaited(spec: Any, endpoints: Any, awaited: str) -> None:
    api = FakeApi(service(**spec), endpointslices=[{"endpoints": endpoints}])
    with pytest.raises(NotReadyError, match=awaited):
        wait_until_ready(api, "core/v1:Service", service(**spec), timeout=0)


def test_a_job_fails_with_its_condition_and_its_pods_end() -> None:
    spec = {"selector": {"matchLabels": {"job": "j"}}}
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often"}
    job = {
        "kind": "Job",
        "metadata": {"name": "j", "namespace": "shop", "uid": "u1"},
        "spec": spec,
        "status": {"conditions": [failed]},
    }
    ended = {"name": "main", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
    pod = {"metadata": POD["metadata"] | {"ownerReferences": [{"uid": "u1"}]}, "status": {"containerStatuses": [ended]}}
    with pytest.raises(NotReadyError) as raised:
        wait_until_ready(FakeApi(job, pods=[pod]), "batch/v1:Job", job)
    assert raised.value.reasons[0] == "Job shop/j failed: BackoffLimitExceeded: too often"
    assert "OOMKilled, exit code 137" in raised.value.reasons[1]


def test_warning_events_explain_pods_that_are_missing_or_not_ready() -> None:
    event = {
        "type": "Warning",
        "reason": "FailedCreate",
        "message": "exceeded quota: compute",
        "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
        "involvedObject": {"kind": "ReplicaSet", "name": "web-1"},
    }
    api: Any = FakeApi(None, replicasets=[REPLICA_SET], events=[event])
    reasons = asyncio.run(failure_reasons(api, deployment()))
    assert reasons == ["ReplicaSet web-1: FailedCreate: exceeded quota: compute"]


def test_a_blocked_deletion_reports_what_blocks_it() -> None:
    held = {
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "s", "uid": "u", "finalizers": ["example.com/x"]},
    }
    remaining = {"type": "NamespaceContentRemaining", "status": "True", "message": "pods. has 1 resource instances"}
    namespace = {"kind": "Namespace", "metadata": {"name": "s", "uid": "u"}, "status": {"conditions": [remaining]}}

    async def report(_: str) -> None: ...

    for obj, reason in ((held, "held by finalizers example.com/x"), (namespace, "pods. has 1 resource instances")):
        kind = kind_of("kubernetes:core/v1:ConfigMap")
        api: Any = FakeApi(obj)
        with pytest.raises(NotReadyError, match=reason):
            asyncio.run(waits.until_gone(api, kind, ("s", "c"), 0, report))
