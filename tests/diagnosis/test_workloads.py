"""Causes of jobs, nodes, volumes and stores that fail, and what follows from them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slipway.ops.diagnosis.causes import causes
from tests import namespace as ns
from tests.diagnosis.broken_pods import LOCATION, POD, only, with_pod
from tests.namespace import condition, make_snapshot


@pytest.mark.feature("D6", part="the label of a failed migration")
def test_a_failed_migration_says_what_the_job_printed():
    failed = condition("Failed", "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    broken = ns.job("api-migration-1a2b3c4d", "api-migration", failed)
    earlier = ns.job("api-migration-99999999", "api-migration", condition("Complete", "True"), seconds=5000)
    snapshot = make_snapshot(
        "migration 00099_bad.sql failed", jobs=[broken, earlier], pods=[ns.pod("a"), ns.job_pod(broken, 1)]
    )
    cause = only(snapshot)
    assert cause.label.value == "migration failed"
    assert "  migration 00099_bad.sql failed" in cause.evidence
    assert cause.next == "./slipway logs -s dev api-migration"
    assert cause.consequences == (
        "Job/api-migration-1a2b3c4d: BackoffLimitExceeded: Job has reached the specified backoff limit",
    )


def test_a_migration_with_invalid_settings_is_labelled_bad_configuration():
    running = ns.job("api-migration-1a2b3c4d", "api-migration")
    lines = ("the configuration is not valid:", 'LOG_LEVEL: "x" is not a log level')
    cause = only(make_snapshot(*lines, jobs=[running], pods=[ns.job_pod(running, 1)]))
    assert cause.label.value == "bad configuration"
    assert cause.next == "./slipway config show -s dev | grep services.api"


def test_a_migration_that_takes_too_long_is_labelled_deadline_exceeded():
    failed = condition("Failed", "True", "DeadlineExceeded", "Job was active longer than specified deadline")
    cause = only(make_snapshot(jobs=[ns.job("api-migration-1a2b3c4d", "api-migration", failed)]))
    assert (cause.label.value, cause.object) == ("deadline exceeded", "Job/api-migration-1a2b3c4d")


def test_a_migration_whose_pod_the_quota_refuses_is_labelled_quota():
    waiting = ns.job("api-migration-1a2b3c4d", "api-migration")
    message = 'Error creating: pods "x" is forbidden: exceeded quota: quota, requested: pods=1, used: pods=2'
    cause = only(make_snapshot(jobs=[waiting], events=[ns.event(waiting, "Job", "FailedCreate", message)]))
    assert (cause.label.value, cause.object) == ("quota", "Job/api-migration-1a2b3c4d")


def test_a_failed_backup_is_a_failed_job():
    broken = ns.job("mysql-backup-29384756", "mysql-backup", owner="mysql-backup")
    cause = only(make_snapshot("no space left on device", jobs=[broken], pods=[ns.job_pod(broken, 2)]))
    assert cause.label.value == "job failed"


def test_a_node_that_is_not_ready_is_one_cause_for_all_pods_on_it():
    sick = ns.node("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
    pods = [ns.pod("a", **ns.unready(ns.ran(ready=False))), ns.store_pod("mysql")]
    cause = only(make_snapshot(nodes=[sick], pods=pods, stateful_sets=[ns.stateful_set("mysql")]))
    assert (cause.label.value, cause.object) == ("node not ready", "Node/node-1")
    assert "Kubelet stopped posting node status." in cause.evidence[0]
    assert cause.next == "kubectl --context dev describe node node-1"


def test_a_pod_that_only_an_unready_node_could_run_is_caused_by_the_node():
    taint = "0/1 nodes are available: 1 node(s) had untolerated taint(s) {node.kubernetes.io/not-ready: }."
    snapshot = with_pod(ns.unscheduled(taint))
    del snapshot.pods[1]["spec"]["nodeName"]
    sick = ns.node("False", "KubeletNotReady", "container runtime network not ready")
    assert only(replace(snapshot, nodes=[sick])).label.value == "node not ready"


def test_a_pod_that_waits_for_its_claim_suggests_to_describe_the_claim():
    pending = ns.claim("mysql-data", "Pending")
    waiting = ns.store_pod("mysql", **ns.unscheduled("pod has unbound immediate PersistentVolumeClaims"))
    waiting["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "mysql-data"}}]
    event = ns.event(pending, "PersistentVolumeClaim", "ProvisioningFailed", 'storageclass "fast" not found')
    cause = only(
        make_snapshot(stateful_sets=[ns.stateful_set("mysql", 0)], pods=[waiting], claims=[pending], events=[event])
    )
    assert cause.label.value == "volume"
    assert "PersistentVolumeClaim/mysql-data is Pending" in cause.evidence
    assert cause.next == "kubectl --context dev -n slipway-dev describe pvc mysql-data"


def test_a_lost_volume_is_a_cause_while_the_pod_still_runs():
    assert only(make_snapshot(claims=[ns.claim("mysql-data", "Lost")])).object == "PersistentVolumeClaim/mysql-data"


def test_a_service_that_fails_without_a_store_is_a_consequence_of_the_store():
    mysql = ns.store_pod(
        "mysql",
        containerStatuses=[ns.ran("mysql", ready=False, state={"waiting": {"reason": "ErrImagePull", "message": "x"}})],
    )
    api = ns.pod(**ns.unready(ns.ran(ready=False)))
    snapshot = make_snapshot(stateful_sets=[ns.stateful_set("mysql", 0)], pods=[mysql, api])
    cause = only(snapshot, {"api": ["mysql"]})
    assert (cause.label.value, cause.object) == ("image cannot be pulled", "Pod/mysql-0, container mysql")
    assert cause.consequences == (f"{POD}, container api: readiness probe",)
    assert [cause.label.value for cause in causes(snapshot, LOCATION)] == ["image cannot be pulled", "readiness probe"]
