"""Why a pod does not run: each label from what the API server reports, and none where nothing is wrong."""

from __future__ import annotations

import pytest

from slipway.ops.cluster.snapshot import ClusterSnapshot
from slipway.ops.diagnosis.causes import causes
from tests import namespace as ns
from tests.diagnosis.broken_pods import LATE, LOCATION, NEW, POD, SIGNING_KEY, only, with_pod
from tests.namespace import condition, make_snapshot


def refused(message: str) -> ClusterSnapshot:
    failure = condition("ReplicaFailure", "True", "FailedCreate", message)
    sets = [ns.replica_set("old"), ns.replica_set("new", failure, replicas=1)]
    events = [ns.event(sets[1], "ReplicaSet", "FailedCreate", f"Error creating: {message}", count=7)]
    quotas = [
        {
            "metadata": {"name": "quota"},
            "status": {"hard": {"pods": "2", "requests.cpu": "1"}, "used": {"pods": "2", "requests.cpu": "100m"}},
        }
    ]
    return make_snapshot(
        deployments=[LATE], replica_sets=sets, pods=[ns.pod("a", age="old")], events=events, quotas=quotas
    )


NOT_FOUND = f'rpc error: code = NotFound desc = failed to pull and unpack image "{ns.IMAGE}": not found'
PROBE = ("Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 503")
LIVE = ("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 503")
READY = ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
TRACE = "goroutine 1 [running]:"
MOUNT = 'MountVolume.SetUp failed for volume "secrets" : secret "api-secret-1f2e3d4c" not found'
# What the pod says, label, words of the evidence, words of the next command.
OF_A_POD = [
    (with_pod(ns.waits("ErrImagePull", NOT_FOUND)), "image cannot be pulled", [ns.IMAGE, "not found"], "grep image"),
    (
        with_pod(
            ns.waits("ImagePullBackOff", f'Back-off pulling image "{ns.IMAGE}"'),
            ("Failed", f'Failed to pull image "{ns.IMAGE}": {NOT_FOUND}'),
        ),
        "image cannot be pulled",
        ["code = NotFound", "3 times, last 5s ago"],
        "./slipway config show -s dev | grep image",
    ),
    (with_pod(ns.waits("InvalidImageName", "couldn't parse image")), "image cannot be pulled", ["parse"], "image"),
    (
        with_pod(ns.crashed(2), lines=("panic: no", TRACE)),
        "crash loop",
        ["exit code 2", "started again 4 times", "panic: no", TRACE],
        "./slipway logs -s dev api --previous",
    ),
    (with_pod(ns.crashed(139), lines=("x",)), "crash loop", ["exit code 139 (signal SEGV)"], "--previous"),
    (
        with_pod(ns.crashed(128, "StartError", message='exec: "/no": stat /no: no such file')),
        "crash loop",
        ["StartError", 'exec: "/no"'],
        "--previous",
    ),
    (
        with_pod(ns.crashed(137, "OOMKilled")),
        "out of memory",
        ["memory limit 64Mi", "OOMKilled, exit code 137 (signal KILL)"],
        "grep services.api.resources",
    ),
    (
        with_pod(ns.crashed(128, "StartError", message="container init was OOM-killed (memory limit too low?)")),
        "out of memory",
        ["memory limit 64Mi"],
        "services.api.resources",
    ),
    (
        with_pod(ns.crashed(2), PROBE, ("Killing", "Container api failed startup probe, will be restarted")),
        "startup probe",
        ["Startup probe failed: HTTP probe failed with statuscode: 503", "failed startup probe"],
        "./slipway logs -s dev api --previous",
    ),
    (
        with_pod(ns.unready(ns.ran(ready=False, started=False, seconds=75)), PROBE),
        "startup probe",
        ["GET :admin/startupz", "has not answered for 75s"],
        "./slipway logs -s dev api",
    ),
    (
        with_pod(ns.unready(ns.ran(ready=False)), READY, lines=("the store cannot be used",)),
        "readiness probe",
        ["GET :admin/readyz", "Readiness probe failed", "the store cannot be used"],
        "./slipway logs -s dev api",
    ),
    (
        with_pod(
            ns.unready(ns.ran(ready=False, restartCount=2, lastState=ns.ended(0, "Completed"))),
            LIVE,
            READY,
            ("Killing", "Container api failed liveness probe, will be restarted"),
        ),
        "liveness probe",
        ["Liveness probe failed"],
        "--previous",
    ),
    (
        with_pod(
            ns.unready(ns.ran(ready=False, seconds=35), since=10),
            ("Killing", "Container api failed liveness probe, will be restarted"),
        ),
        "liveness probe",
        ["will be restarted"],
        "./slipway logs -s dev api",
    ),
    (
        with_pod(ns.crashed(), lines=("the configuration is not valid:", SIGNING_KEY)),
        "missing config key",
        ["the configuration is not valid:", SIGNING_KEY],
        "./slipway config show -s dev | grep services.api",
    ),
    (
        with_pod(ns.waits("CreateContainerConfigError", "couldn't find key url in ConfigMap slipway-dev/api-env")),
        "missing config key",
        ["couldn't find key url"],
        "grep services.api.env",
    ),
    (
        with_pod(ns.crashed(), lines=("the configuration is not valid:", 'LOG_LEVEL: "nonsense" is not a log level')),
        "bad configuration",
        ['LOG_LEVEL: "nonsense" is not a log level', "exit code 1"],
        "config show",
    ),
    (
        with_pod(ns.waits("CreateContainerConfigError", 'configmap "api-env-1f2e3d4c" not found')),
        "missing object",
        ["configmap api-env-1f2e3d4c is not there"],
        "pulumi up -s dev --refresh",
    ),
    (
        with_pod(ns.waits("ContainerCreating"), ("FailedMount", MOUNT)),
        "missing object",
        ["secret api-secret-1f2e3d4c is not there", "FailedMount (3 times"],
        "pulumi up -s dev --refresh",
    ),
    (
        with_pod(ns.unscheduled("0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available.")),
        "unschedulable",
        ["Insufficient cpu", "container api requests cpu 50m, memory 64Mi"],
        "kubectl --context dev describe nodes",
    ),
    (
        with_pod(ns.unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.")),
        "volume",
        ["unbound immediate"],
        "describe pod",
    ),
    (
        with_pod(
            ns.waits("ContainerCreating"),
            ("FailedAttachVolume", 'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) mysql-0'),
        ),
        "volume",
        ["Multi-Attach error"],
        "describe pod",
    ),
    (
        with_pod(ns.waits("CreateContainerConfigError", "container has runAsNonRoot and image will run as root")),
        "policy refused",
        ["runAsNonRoot"],
        "describe pod",
    ),
]


@pytest.mark.feature("D2", part="from what the API server says")
@pytest.mark.parametrize(("snapshot", "label", "evidence", "command"), OF_A_POD)
def test_a_pod_that_does_not_come_up_is_labelled_with_evidence_and_the_next_command(
    snapshot: ClusterSnapshot, label: str, evidence: list[str], command: str
):
    cause = only(snapshot)
    assert cause.label.value == label
    assert cause.object.startswith(POD)
    text = "\n".join(cause.evidence)
    assert [words for words in evidence if words not in text] == []
    assert command in cause.next


FORBIDDEN = 'pods "api-6f9c8d5b4-" is forbidden:'
OF_THE_SERVER = [
    (f"{FORBIDDEN} exceeded quota: quota, requested: pods=1, used: pods=2, limited: pods=2", "quota", "describe quota"),
    (
        f'{FORBIDDEN} violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
        "policy refused",
        "get namespace slipway-dev",
    ),
    (
        f"{FORBIDDEN} ValidatingAdmissionPolicy 'no-pods' with binding 'no-pods' denied request: not today",
        "policy refused",
        "get validatingadmissionpolicies",
    ),
    ('admission webhook "check.example.com" denied the request: unsigned', "policy refused", "webhookconfigurations"),
    (
        'Internal error occurred: failed calling webhook "check.example.com": connection refused',
        "admission",
        "get events",
    ),
    (f"{FORBIDDEN} maximum memory usage per Container is 32Mi, but limit is 64Mi", "admission", "get events"),
    (
        f'{FORBIDDEN} error looking up service account slipway-dev/api: serviceaccount "api" not found',
        "missing object",
        "pulumi up -s dev --refresh",
    ),
]


@pytest.mark.parametrize(("message", "label", "command"), OF_THE_SERVER)
def test_a_pod_that_the_api_server_refuses_to_create_is_labelled_by_its_message(message: str, label: str, command: str):
    cause = only(refused(message))
    assert cause.label.value == label
    assert cause.object == f"ReplicaSet/{NEW}"
    assert f"ReplicaFailure: FailedCreate: {message}" in cause.evidence
    assert command in cause.next


def test_a_full_quota_is_shown_with_what_is_used():
    cause = only(refused(OF_THE_SERVER[0][0]))
    assert "ResourceQuota/quota: pods: 2 of 2 used" in cause.evidence


WELL = {
    "two pods that serve": make_snapshot(),
    "a rollout in its first seconds": make_snapshot(
        deployments=[ns.deployment("api", condition("Progressing", "True", "ReplicaSetUpdated"), updatedReplicas=1)],
        replica_sets=[ns.replica_set("old"), ns.replica_set("new", replicas=1)],
        pods=[ns.pod("a", age="old"), ns.pod(**ns.unready(ns.ran(ready=False, started=False, seconds=3), since=3))],
    ),
    "a container that is being made": make_snapshot(
        pods=[ns.pod("a", age="old"), ns.pod(**ns.waits("ContainerCreating"))]
    ),
    "a pod the scheduler has just been given": make_snapshot(
        pods=[ns.pod(**ns.unscheduled("0/1 nodes: busy", since=2))]
    ),
    "a broken pod of the former version": make_snapshot(pods=[ns.pod("a"), ns.pod("b", age="old", **ns.crashed())]),
    "a pod that ran out of memory long ago and serves since": make_snapshot(
        pods=[ns.pod(containerStatuses=[ns.ran(restartCount=1, lastState=ns.ended(137, "OOMKilled", seconds=900))])]
    ),
    "a pod that crashed once and serves again": make_snapshot(
        pods=[ns.pod(containerStatuses=[ns.ran(restartCount=1, lastState=ns.ended(1))])]
    ),
    "an evicted pod that has a successor": make_snapshot(
        pods=[ns.pod("a"), ns.pod("b", phase="Failed", containerStatuses=[ns.ran(ready=False, state=ns.ended(137))])]
    ),
    "a mount that failed before the kubelet knew the pod": make_snapshot(
        pods=[new := ns.pod(**ns.waits("ContainerCreating"))],
        events=[ns.event(new, "Pod", "FailedMount", 'object "slipway-dev"/"api-file" not registered')],
    ),
    "a claim that waits for its first pod": make_snapshot(claims=[ns.claim("mysql-data", "Pending")]),
    "a migration that has ended well, at the second try": make_snapshot(
        jobs=[made := ns.job("api-migration-1a2b3c4d", "api-migration", condition("Complete", "True"))],
        pods=[ns.pod("a"), ns.job_pod(made, 1)],
    ),
    "a job that failed once and ended well the next time": make_snapshot(
        jobs=[
            ns.job("mysql-backup-2", "mysql-backup", condition("Complete", "True"), seconds=10),
            ns.job("mysql-backup-1", "mysql-backup", condition("Failed", "True", "BackoffLimitExceeded"), seconds=999),
        ]
    ),
}


@pytest.mark.parametrize("snapshot", WELL.values(), ids=WELL.keys())
def test_a_healthy_or_progressing_workload_has_no_cause(snapshot: ClusterSnapshot):
    assert causes(snapshot, LOCATION) == []


def test_a_missed_deadline_is_a_consequence_of_what_keeps_the_pod_from_starting():
    cause = only(with_pod(ns.waits("ErrImagePull", NOT_FOUND)))
    assert cause.consequences == (
        f'Deployment/api: ProgressDeadlineExceeded: ReplicaSet "{NEW}" has timed out progressing.',
    )


def test_a_missed_deadline_that_nothing_explains_is_a_cause_of_its_own():
    snapshot = with_pod(ns.unready(ns.ran(ready=False, seconds=3), since=3))
    cause = only(snapshot)
    assert (cause.label.value, cause.object) == ("deadline exceeded", "Deployment/api")
    assert "no progress for 120 s" in cause.evidence[0]
    assert cause.next == "kubectl --context dev -n slipway-dev describe deployment api"


def test_a_broken_pod_of_the_old_version_is_no_cause_of_the_new_one_s_failure():
    sets = [ns.replica_set("old"), ns.replica_set("new", replicas=1)]
    pods = [ns.pod("old", age="old", **ns.unready(ns.ran(ready=False))), ns.pod(**ns.crashed(137, "OOMKilled"))]
    cause = only(make_snapshot(deployments=[LATE], replica_sets=sets, pods=pods))
    assert cause.label.value == "out of memory"
    assert cause.object == f"{POD}, container api"


def test_two_pods_with_the_same_trouble_are_one_cause():
    pods = [ns.pod(name, **ns.crashed(137, "OOMKilled")) for name in ("aaaaa", "bbbbb")]
    assert only(make_snapshot(pods=pods)).label.value == "out of memory"


def test_a_container_that_restarts_again_and_again_is_in_a_crash_loop_even_while_it_is_ready():
    sick = ns.ran(restartCount=3, lastState=ns.ended(1, seconds=60))
    assert only(make_snapshot(pods=[ns.pod(containerStatuses=[sick])])).label.value == "crash loop"


@pytest.mark.feature("L3", part="pods that ran out of memory and serve again")
def test_pods_that_ran_out_of_memory_minutes_ago_are_not_healthy_though_they_serve_again():
    killed = ns.ran(restartCount=2, lastState=ns.ended(137, "OOMKilled", seconds=30))
    cause = only(make_snapshot(pods=[ns.pod(name, containerStatuses=[killed]) for name in ("aaaaa", "bbbbb")]))
    assert cause.label.value == "out of memory"
    assert "memory limit 64Mi" in cause.evidence


def test_only_the_last_twenty_lines_are_shown():
    lines = tuple(f"line {number}" for number in range(40))
    shown = only(with_pod(ns.crashed(), lines=lines)).evidence
    assert [line for line in shown if line.startswith("  line")] == [f"  line {number}" for number in range(20, 40)]
