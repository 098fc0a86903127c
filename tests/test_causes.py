"""Why a stack does not run: each label from what the API server says, and nothing where nothing is wrong."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from ops.ailments import Cause, Place
from ops.causes import causes
from ops.cluster import Object
from ops.held import Held
from ops.masking import Mask, secret_values
from tests import namespace as ns
from tests.namespace import condition, held

PLACE = Place("dev", "dev", "slipway-dev")
NEW = f"api-{ns.POD_HASHES['new']}"
POD = f"Pod/{NEW}-x2x4k"
OVERDUE = condition(
    "Progressing", "False", "ProgressDeadlineExceeded", f'ReplicaSet "{NEW}" has timed out progressing.'
)
LATE = ns.deployment("api", condition("Available", "True"), OVERDUE, updatedReplicas=1, replicas=3)


def only(found: Held, needs: dict[str, list[str]] | None = None) -> Cause:
    [cause] = causes(found, PLACE, needs)
    return cause


def with_pod(status: Object, *events: tuple[str, str], lines: tuple[str, ...] = ()) -> Held:
    """A rollout that has missed its deadline: an old pod serves, the new one has this status and these events."""
    sick = ns.pod(**status)
    told = [ns.event(sick, "Pod", reason, message) for reason, message in events]
    sets = [ns.replica_set("old", replicas=2), ns.replica_set("new", replicas=1)]
    pods = [ns.pod("aaaaa", age="old"), sick]
    return held(*lines, deployments=[LATE], replica_sets=sets, pods=pods, events=told)


def refused(message: str) -> Held:
    failure = condition("ReplicaFailure", "True", "FailedCreate", message)
    sets = [ns.replica_set("old"), ns.replica_set("new", failure, replicas=1)]
    events = [ns.event(sets[1], "ReplicaSet", "FailedCreate", f"Error creating: {message}", count=7)]
    quotas = [
        {
            "metadata": {"name": "quota"},
            "status": {"hard": {"pods": "2", "requests.cpu": "1"}, "used": {"pods": "2", "requests.cpu": "100m"}},
        }
    ]
    return held(deployments=[LATE], replica_sets=sets, pods=[ns.pod("a", age="old")], events=events, quotas=quotas)


NOT_FOUND = f'rpc error: code = NotFound desc = failed to pull and unpack image "{ns.IMAGE}": not found'
PROBE = ("Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 503")
LIVE = ("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 503")
READY = ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
TRACE = "goroutine 1 [running]:"
SIGNING_KEY = "SECRETS_DIR: read signing-key: open /run/secrets/slipway/signing-key: no such file or directory"
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
@pytest.mark.parametrize(("found", "label", "evidence", "command"), OF_A_POD)
def test_a_pod_that_does_not_come_up_is_labelled_with_evidence_and_the_next_command(
    found: Held, label: str, evidence: list[str], command: str
):
    cause = only(found)
    assert cause.label.value == label
    assert cause.object.startswith(POD)
    told = "\n".join(cause.evidence)
    assert [words for words in evidence if words not in told] == []
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
def test_a_pod_that_is_not_even_made_is_labelled_by_the_server_s_words(message: str, label: str, command: str):
    cause = only(refused(message))
    assert cause.label.value == label
    assert cause.object == f"ReplicaSet/{NEW}"
    assert f"ReplicaFailure: FailedCreate: {message}" in cause.evidence
    assert command in cause.next


def test_a_full_quota_is_shown_with_what_is_used():
    cause = only(refused(OF_THE_SERVER[0][0]))
    assert "ResourceQuota/quota: pods: 2 of 2 used" in cause.evidence


# The other way round


WELL = {
    "two pods that serve": held(),
    "a rollout in its first seconds": held(
        deployments=[ns.deployment("api", condition("Progressing", "True", "ReplicaSetUpdated"), updatedReplicas=1)],
        replica_sets=[ns.replica_set("old"), ns.replica_set("new", replicas=1)],
        pods=[ns.pod("a", age="old"), ns.pod(**ns.unready(ns.ran(ready=False, started=False, seconds=3), since=3))],
    ),
    "a container that is being made": held(pods=[ns.pod("a", age="old"), ns.pod(**ns.waits("ContainerCreating"))]),
    "a pod the scheduler has just been given": held(pods=[ns.pod(**ns.unscheduled("0/1 nodes: busy", since=2))]),
    "a broken pod of the former version": held(pods=[ns.pod("a"), ns.pod("b", age="old", **ns.crashed())]),
    "a pod that ran out of memory long ago and serves since": held(
        pods=[ns.pod(containerStatuses=[ns.ran(restartCount=1, lastState=ns.ended(137, "OOMKilled", seconds=900))])]
    ),
    "a pod that crashed once and serves again": held(
        pods=[ns.pod(containerStatuses=[ns.ran(restartCount=1, lastState=ns.ended(1))])]
    ),
    "an evicted pod that has a successor": held(
        pods=[ns.pod("a"), ns.pod("b", phase="Failed", containerStatuses=[ns.ran(ready=False, state=ns.ended(137))])]
    ),
    "a mount that failed before the kubelet knew the pod": held(
        pods=[new := ns.pod(**ns.waits("ContainerCreating"))],
        events=[ns.event(new, "Pod", "FailedMount", 'object "slipway-dev"/"api-file" not registered')],
    ),
    "a claim that waits for its first pod": held(claims=[ns.claim("mysql-data", "Pending")]),
    "a migration that has ended well, at the second try": held(
        jobs=[made := ns.job("api-migration-1a2b3c4d", "api-migration", condition("Complete", "True"))],
        pods=[ns.pod("a"), ns.job_pod(made, 1)],
    ),
    "a job that failed once and ended well the next time": held(
        jobs=[
            ns.job("mysql-backup-2", "mysql-backup", condition("Complete", "True"), seconds=10),
            ns.job("mysql-backup-1", "mysql-backup", condition("Failed", "True", "BackoffLimitExceeded"), seconds=999),
        ]
    ),
}


@pytest.mark.parametrize("found", WELL.values(), ids=WELL.keys())
def test_what_is_well_or_on_its_way_has_no_cause(found: Held):
    assert causes(found, PLACE) == []


def test_a_missed_deadline_is_a_consequence_of_what_keeps_the_pod_from_starting():
    cause = only(with_pod(ns.waits("ErrImagePull", NOT_FOUND)))
    assert cause.consequences == (
        f'Deployment/api: ProgressDeadlineExceeded: ReplicaSet "{NEW}" has timed out progressing.',
    )


def test_a_missed_deadline_that_nothing_explains_is_told_by_itself():
    found = with_pod(ns.unready(ns.ran(ready=False, seconds=3), since=3))
    cause = only(found)
    assert (cause.label.value, cause.object) == ("deadline exceeded", "Deployment/api")
    assert "no progress for 120 s" in cause.evidence[0]
    assert cause.next == "kubectl --context dev -n slipway-dev describe deployment api"


def test_a_broken_pod_of_the_old_version_is_no_cause_of_the_new_one_s_failure():
    sets = [ns.replica_set("old"), ns.replica_set("new", replicas=1)]
    pods = [ns.pod("old", age="old", **ns.unready(ns.ran(ready=False))), ns.pod(**ns.crashed(137, "OOMKilled"))]
    cause = only(held(deployments=[LATE], replica_sets=sets, pods=pods))
    assert cause.label.value == "out of memory"
    assert cause.object == f"{POD}, container api"


def test_two_pods_with_the_same_trouble_are_one_cause():
    pods = [ns.pod(name, **ns.crashed(137, "OOMKilled")) for name in ("aaaaa", "bbbbb")]
    assert only(held(pods=pods)).label.value == "out of memory"


def test_a_container_that_is_started_again_and_again_is_in_a_loop_even_while_it_is_ready():
    sick = ns.ran(restartCount=3, lastState=ns.ended(1, seconds=60))
    assert only(held(pods=[ns.pod(containerStatuses=[sick])])).label.value == "crash loop"


@pytest.mark.feature("L3", part="pods that ran out of memory and serve again")
def test_pods_that_ran_out_of_memory_minutes_ago_are_not_healthy_though_they_serve_again():
    killed = ns.ran(restartCount=2, lastState=ns.ended(137, "OOMKilled", seconds=30))
    cause = only(held(pods=[ns.pod(name, containerStatuses=[killed]) for name in ("aaaaa", "bbbbb")]))
    assert cause.label.value == "out of memory"
    assert "memory limit 64Mi" in cause.evidence


# Jobs, nodes, volumes, stores


@pytest.mark.feature("D6", part="the label of a failed migration")
def test_a_failed_migration_says_what_the_job_printed():
    failed = condition("Failed", "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    broken = ns.job("api-migration-1a2b3c4d", "api-migration", failed)
    earlier = ns.job("api-migration-99999999", "api-migration", condition("Complete", "True"), seconds=5000)
    found = held("migration 00099_bad.sql failed", jobs=[broken, earlier], pods=[ns.pod("a"), ns.job_pod(broken, 1)])
    cause = only(found)
    assert cause.label.value == "migration failed"
    assert "  migration 00099_bad.sql failed" in cause.evidence
    assert cause.next == "./slipway logs -s dev api-migration"
    assert cause.consequences == (
        "Job/api-migration-1a2b3c4d: BackoffLimitExceeded: Job has reached the specified backoff limit",
    )


def test_a_migration_that_cannot_read_its_settings_is_labelled_by_those():
    running = ns.job("api-migration-1a2b3c4d", "api-migration")
    lines = ("the configuration is not valid:", 'LOG_LEVEL: "x" is not a log level')
    cause = only(held(*lines, jobs=[running], pods=[ns.job_pod(running, 1)]))
    assert cause.label.value == "bad configuration"
    assert cause.next == "./slipway config show -s dev | grep services.api"


def test_a_migration_that_takes_too_long_has_exceeded_its_deadline():
    failed = condition("Failed", "True", "DeadlineExceeded", "Job was active longer than specified deadline")
    cause = only(held(jobs=[ns.job("api-migration-1a2b3c4d", "api-migration", failed)]))
    assert (cause.label.value, cause.object) == ("deadline exceeded", "Job/api-migration-1a2b3c4d")


def test_a_migration_whose_pod_the_quota_refuses_is_labelled_quota():
    waiting = ns.job("api-migration-1a2b3c4d", "api-migration")
    message = 'Error creating: pods "x" is forbidden: exceeded quota: quota, requested: pods=1, used: pods=2'
    cause = only(held(jobs=[waiting], events=[ns.event(waiting, "Job", "FailedCreate", message)]))
    assert (cause.label.value, cause.object) == ("quota", "Job/api-migration-1a2b3c4d")


def test_a_failed_backup_is_a_failed_job():
    broken = ns.job("mysql-backup-29384756", "mysql-backup", owner="mysql-backup")
    cause = only(held("no space left on device", jobs=[broken], pods=[ns.job_pod(broken, 2)]))
    assert cause.label.value == "job failed"


def test_a_node_that_is_not_ready_is_one_cause_for_all_pods_on_it():
    sick = ns.node("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
    pods = [ns.pod("a", **ns.unready(ns.ran(ready=False))), ns.store_pod("mysql")]
    cause = only(held(nodes=[sick], pods=pods, stateful_sets=[ns.stateful_set("mysql")]))
    assert (cause.label.value, cause.object) == ("node not ready", "Node/node-1")
    assert "Kubelet stopped posting node status." in cause.evidence[0]
    assert cause.next == "kubectl --context dev describe node node-1"


def test_a_pod_that_only_a_sick_node_could_take_leads_to_the_node():
    taint = "0/1 nodes are available: 1 node(s) had untolerated taint(s) {node.kubernetes.io/not-ready: }."
    found = with_pod(ns.unscheduled(taint))
    del found.pods[1]["spec"]["nodeName"]
    sick = ns.node("False", "KubeletNotReady", "container runtime network not ready")
    assert only(replace(found, nodes=[sick])).label.value == "node not ready"


def test_a_pod_that_waits_for_its_claim_leads_to_the_claim():
    pending = ns.claim("mysql-data", "Pending")
    waiting = ns.store_pod("mysql", **ns.unscheduled("pod has unbound immediate PersistentVolumeClaims"))
    waiting["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "mysql-data"}}]
    event = ns.event(pending, "PersistentVolumeClaim", "ProvisioningFailed", 'storageclass "fast" not found')
    cause = only(held(stateful_sets=[ns.stateful_set("mysql", 0)], pods=[waiting], claims=[pending], events=[event]))
    assert cause.label.value == "volume"
    assert "PersistentVolumeClaim/mysql-data is Pending" in cause.evidence
    assert cause.next == "kubectl --context dev -n slipway-dev describe pvc mysql-data"


def test_a_lost_volume_is_a_cause_while_the_pod_still_runs():
    assert only(held(claims=[ns.claim("mysql-data", "Lost")])).object == "PersistentVolumeClaim/mysql-data"


def test_what_fails_for_want_of_a_store_is_a_consequence_of_the_store():
    mysql = ns.store_pod(
        "mysql",
        containerStatuses=[ns.ran("mysql", ready=False, state={"waiting": {"reason": "ErrImagePull", "message": "x"}})],
    )
    api = ns.pod(**ns.unready(ns.ran(ready=False)))
    found = held(stateful_sets=[ns.stateful_set("mysql", 0)], pods=[mysql, api])
    cause = only(found, {"api": ["mysql"]})
    assert (cause.label.value, cause.object) == ("image cannot be pulled", "Pod/mysql-0, container mysql")
    assert cause.consequences == (f"{POD}, container api: readiness probe",)
    assert [cause.label.value for cause in causes(found, PLACE)] == ["image cannot be pulled", "readiness probe"]


# Secrets


SECRET = "q7wLrT2vN8xZ"
LEAKS = [
    (f"logged in with {SECRET}", "logged in with ***"),
    ("password=hunter22 user=bob", "password=*** user=bob"),
    ('{"refreshToken":"abc.def","user":"bob"}', '{"refreshToken":***,"user":"bob"}'),
    ("token: abcdef", "token: ***"),
    (r'msg="sent {\"apiKey\": \"12345\"}"', r'msg="sent {\"apiKey\": ***}"'),
    ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer ***"),
    ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "got ***"),
    ("dial mysql://slipway:s3cr3t@mysql:3306", "dial mysql://slipway:***@mysql:3306"),
    ("slipway:s3cr3t@tcp(mysql:3306)/slipway", "slipway:***@tcp(mysql:3306)/slipway"),
]
HARMLESS = [
    "GET /v1/sessions 200 12ms",
    SIGNING_KEY,
    "the password comes from the file mysql-password in it",
    "2026-11-21T12:00:00Z level=INFO msg=ready",
    "see https://example.com:8443/a@b",
]


@pytest.mark.parametrize(("line", "masked"), LEAKS)
def test_a_secret_in_a_log_line_is_masked(line: str, masked: str):
    assert Mask([SECRET, "abc"]).line(line) == masked


@pytest.mark.parametrize("line", HARMLESS)
def test_a_line_without_a_secret_stays_as_it_is(line: str):
    assert Mask([SECRET]).line(line) == line


def test_the_password_in_the_login_of_a_registry_is_masked():
    login = json.dumps({"auths": {"registry.example.com": {"username": "puller", "password": SECRET}}})
    mask = Mask(secret_values([{"data": {".dockerconfigjson": base64.b64encode(login.encode()).decode()}}]))
    assert mask.line(f"puller failed with {SECRET}") == "puller failed with ***"


def test_a_key_of_several_lines_is_masked_line_by_line():
    assert Mask(["first-half\nsecond-half\n"]).line("is second-half") == "is ***"


@pytest.mark.feature("B10", part="evidence of a cause")
def test_no_evidence_holds_a_secret():
    events = ("Failed", f"pull of {SECRET} failed"), ("Killing", f"Container api failed liveness probe {SECRET}")
    for status in (ns.crashed(message=SECRET), ns.waits("ErrImagePull", SECRET)):
        found = with_pod(status, *events, lines=(f"key {SECRET}", "token=abcdef"))
        cause = only(replace(found, mask=Mask([SECRET])))
        assert SECRET not in str(cause)
        assert "abcdef" not in str(cause)


def test_only_the_last_twenty_lines_are_shown():
    lines = tuple(f"line {number}" for number in range(40))
    told: Any = only(with_pod(ns.crashed(), lines=lines)).evidence
    assert [line for line in told if line.startswith("  line")] == [f"  line {number}" for number in range(20, 40)]
