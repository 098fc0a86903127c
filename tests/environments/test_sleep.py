"""`./slipway env sleep` and `wake`: what stops, in which order, and that all is as it was afterwards."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from slipway.naming import ASLEEP, INSTANCE
from slipway.objects import Object, asleep_since
from slipway.ops.cluster.connection import StackCluster
from slipway.ops.cluster.sleep_mark import as_awake, merged, sleep_change
from slipway.ops.cluster.snapshot import take_snapshot
from slipway.ops.diagnosis import drift, status
from slipway.ops.environments import sleep
from slipway.ops.environments.errors import EnvError
from slipway.ops.releases import up
from slipway.rollout import completion
from slipway.rollout.completion import IncompleteRolloutError
from tests import api_server
from tests import namespace as ns
from tests.environments.fake_cluster import FakeCluster, named


@pytest.fixture
def server() -> FakeCluster:
    return FakeCluster()


def cluster(server: FakeCluster, changes: dict[str, Any] | None = None) -> StackCluster:
    return api_server.cluster(server, changes)


@pytest.mark.feature("P5", part="what stops, and what comes back")
def test_asleep_no_pod_runs_and_all_volumes_stay(server: FakeCluster, capsys: pytest.CaptureFixture[str]):
    sleep.sleep(cluster(server))
    assert [pod["metadata"]["name"] for pod in cluster(server).items("pods")] == ["done"]
    assert list(server.objects["persistentvolumeclaims"]) == ["mysql-data"]
    assert "asleep, 0 pods. Volumes kept: mysql-data" in capsys.readouterr().err


def test_schedules_stop_before_services_and_services_before_their_stores(server: FakeCluster):
    sleep.sleep(cluster(server))
    assert server.changes == ["mysql-backup True", "api 0", "web 0", "mysql 0", "redis 0"]


@pytest.mark.feature("P5", part="what stops, and what comes back")
def test_waking_starts_the_stores_first_and_brings_back_exactly_what_was(server: FakeCluster):
    before = copy.deepcopy(server.objects)
    sleep.sleep(cluster(server))
    server.changes.clear()
    sleep.wake(cluster(server))
    assert server.changes == ["mysql 1", "redis 1", "api 3", "web 1", "mysql-backup False"]
    for kind, objects in before.items():
        for name, obj in objects.items():
            now = server.objects[kind][name]
            assert (now.get("spec"), now.get("status")) == (obj.get("spec"), obj.get("status"))
            assert not now["metadata"].get("annotations")


def test_a_schedule_that_was_suspended_before_stays_suspended(server: FakeCluster):
    server.objects["cronjobs"]["mysql-backup"]["spec"]["suspend"] = True
    sleep.sleep(cluster(server))
    sleep.wake(cluster(server))
    assert server.objects["cronjobs"]["mysql-backup"]["spec"] == {"suspend": True}


def test_sleeping_twice_keeps_the_first_record_of_what_was(server: FakeCluster):
    sleep.sleep(cluster(server))
    sleep.sleep(cluster(server))
    sleep.wake(cluster(server))
    assert server.objects["deployments"]["api"]["spec"]["replicas"] == 3


def test_what_somebody_has_started_in_a_stack_that_sleeps_is_stopped_by_the_next_sleep(server: FakeCluster):
    """`kubectl scale`, or an update of the engine that got as far as the stores and schedules, which it declares."""
    sleep.sleep(cluster(server))
    server.objects["deployments"]["api"] |= {"spec": {"replicas": 2}, "status": {"readyReplicas": 2}}
    server.objects["statefulsets"]["mysql"] |= {"spec": {"replicas": 1}, "status": {"readyReplicas": 1}}
    server.objects["cronjobs"]["mysql-backup"]["spec"] = {"suspend": False}
    server.changes.clear()
    sleep.sleep(cluster(server))
    assert server.changes == ["mysql-backup True", "api 0", "mysql 0"]
    sleep.wake(cluster(server))
    assert server.objects["deployments"]["api"]["spec"]["replicas"] == 2


def test_a_stack_that_is_awake_is_not_touched_by_waking(server: FakeCluster, capsys: pytest.CaptureFixture[str]):
    sleep.wake(cluster(server))
    assert server.changes == []
    assert capsys.readouterr().err == "dev: is awake\n"


def test_an_autoscaler_of_keda_is_paused_and_resumes(server: FakeCluster):
    by_clock = {
        "services.api.autoscaling": {"by": "keda", "schedule": [{"cron": "0 8 * * *", "until": "0 18 * * *", "min": 3}]}
    }
    found = cluster(server, by_clock)
    server.objects["scaledobjects"] = {"api": named("api", spec={"minReplicaCount": 1})}
    sleep.sleep(found)
    assert server.objects["scaledobjects"]["api"]["metadata"]["annotations"][sleep.PAUSED] == "true"
    sleep.wake(found)
    assert not server.objects["scaledobjects"]["api"]["metadata"]["annotations"]


@pytest.mark.feature("P5", part="prod refuses it")
def test_prod_never_sleeps(server: FakeCluster):
    found = cluster(server)
    settings = found.settings.model_copy(update={"tier": "prod"})
    with pytest.raises(EnvError, match="stack shop is of tier prod, which never sleeps"):
        sleep.sleep(StackCluster("shop", settings, found.access, found.transport))
    assert server.changes == []


def test_a_job_that_runs_is_waited_for_and_nothing_is_stopped_if_it_does_not_end(
    server: FakeCluster, monkeypatch: pytest.MonkeyPatch
):
    server.objects["jobs"]["mysql-backup-1"] = named("mysql-backup-1", status={"active": 1})
    monkeypatch.setattr(sleep, "JOB_SECONDS", 0)
    with pytest.raises(EnvError, match="after 0 s these still run, and no service was stopped: Job/mysql-backup-1"):
        sleep.sleep(cluster(server))
    assert server.changes == ["mysql-backup True", "mysql-backup False"]
    assert not sleep.is_asleep(cluster(server)), "backups would stay suspended, and nothing would say so"


def test_ctrl_c_while_a_job_runs_leaves_the_stack_awake(server: FakeCluster, monkeypatch: pytest.MonkeyPatch):
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    server.objects["jobs"]["mysql-backup-1"] = named("mysql-backup-1", status={"active": 1})
    monkeypatch.setattr(sleep.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        sleep.sleep(cluster(server))
    assert not sleep.is_asleep(cluster(server))


def test_a_job_of_a_stack_whose_services_sleep_wakes_nothing(server: FakeCluster, monkeypatch: pytest.MonkeyPatch):
    sleep.sleep(cluster(server))
    server.changes.clear()
    server.objects["jobs"]["by-hand"] = named("by-hand", status={"active": 1})
    monkeypatch.setattr(sleep, "JOB_SECONDS", 0)
    with pytest.raises(EnvError, match="Job/by-hand"):
        sleep.sleep(cluster(server))
    assert server.changes == []


def test_pods_that_do_not_get_ready_are_named_and_the_wake_can_be_repeated(
    server: FakeCluster, monkeypatch: pytest.MonkeyPatch
):
    sleep.sleep(cluster(server))
    server.is_stuck = True
    monkeypatch.setattr(sleep, "START_SECONDS", 0)
    with pytest.raises(EnvError, match="after 0 s these are not ready: StatefulSet/mysql, StatefulSet/redis"):
        sleep.wake(cluster(server))
    assert asleep_since(server.objects["deployments"]["api"])
    server.is_stuck = False
    for store in server.objects["statefulsets"].values():
        store["status"] = {"readyReplicas": 1}
    sleep.wake(cluster(server))
    assert server.objects["deployments"]["api"]["status"] == {"readyReplicas": 3}


BROKEN = ["true", "[]", "{}", '{"since": "2026-11-21T20:00:00Z"}', '{"since": 1, "wake": "replicas"}']


@pytest.mark.parametrize("mark", BROKEN)
def test_an_object_whose_mark_is_damaged_is_named_and_nothing_is_started(server: FakeCluster, mark: str):
    sleep.sleep(cluster(server))
    server.objects["deployments"]["api"]["metadata"]["annotations"][ASLEEP] = mark
    server.changes.clear()
    with pytest.raises(EnvError) as error:
        sleep.wake(cluster(server))
    first, second = str(error.value).splitlines()
    assert first == "dev: nothing was started"
    assert second.startswith(
        f"  Deployment/api: its annotation slipway/asleep is {mark!r}, which `./slipway env sleep`"
    )
    assert second.endswith("-n slipway-dev annotate deployment api slipway/asleep-")
    assert server.changes == []


@pytest.mark.parametrize("mark", BROKEN[:3])
def test_an_object_whose_mark_is_damaged_is_asleep_since_an_unknown_time(mark: str):
    deployment: Object = {"metadata": {"name": "api", "annotations": {ASLEEP: mark}}, "spec": {"replicas": 0}}
    assert asleep_since(deployment) == "an unknown time"
    assert as_awake(deployment) == deployment


def test_jobs_and_pods_of_others_in_the_namespace_are_not_waited_for(
    server: FakeCluster, monkeypatch: pytest.MonkeyPatch
):
    server.objects["jobs"]["by-hand"] = {"metadata": {"name": "by-hand"}, "status": {"active": 1}}
    server.objects["jobs"]["of-another"] = named("of-another", "pr-7", status={"active": 1})
    server.objects["deployments"]["tool"] = named("tool", "pr-7", spec={"replicas": 1}, status={"readyReplicas": 1})
    for limit in ("JOB_SECONDS", "STOP_SECONDS"):
        monkeypatch.setattr(sleep, limit, 0)
    sleep.sleep(cluster(server))
    assert [pod["metadata"]["name"] for pod in cluster(server).items("pods")] == ["done", "tool-0"]


def test_a_job_of_a_schedule_is_known_by_the_label_of_its_pods(server: FakeCluster, monkeypatch: pytest.MonkeyPatch):
    pods = {"metadata": {"labels": {INSTANCE: "slipway-dev"}}}
    job = {"metadata": {"name": "mysql-backup-1"}, "spec": {"template": pods}, "status": {"active": 1}}
    server.objects["jobs"]["mysql-backup-1"] = job
    monkeypatch.setattr(sleep, "JOB_SECONDS", 0)
    with pytest.raises(EnvError, match="Job/mysql-backup-1"):
        sleep.sleep(cluster(server))


def slept(obj: Object, wake: Object, **spec: Any) -> Object:
    """Return an object of tests/namespace.py as `env sleep` leaves it: without pods."""
    asleep = merged(obj, sleep_change({"spec": spec}, wake, "2026-11-21T20:00:00Z"))
    return asleep | {"status": {"observedGeneration": 3}}


@pytest.mark.feature("P5", part="status, drift and up of a stack that sleeps")
def test_the_status_of_a_stack_that_sleeps_says_so_and_is_healthy():
    one, stores = {"spec": {"replicas": 1}}, ("mysql", "redis")
    objects: dict[str, Any] = {
        "deployments": [slept(ns.deployment(), one, replicas=0)],
        "statefulsets": [slept(ns.stateful_set(name), one, replicas=0) for name in stores],
    }
    found = api_server.cluster(api_server.ApiServer(objects))
    snapshot = take_snapshot(found)
    report = status.read(found, snapshot)
    assert (report.healthy, report.asleep) == (True, "2026-11-21T20:00:00Z")
    screen = status.screen(report, snapshot)
    assert screen.splitlines()[0] == "asleep since 2026-11-21T20:00:00Z; to wake it: ./slipway env wake dev"
    assert "\tasleep\t" in screen


def test_a_service_that_is_missing_beside_one_that_sleeps_is_reported():
    sleeping = slept(ns.stateful_set("mysql"), {"spec": {"replicas": 1}}, replicas=0)
    found = api_server.cluster(api_server.ApiServer({"statefulsets": [sleeping]}))
    report = status.read(found, take_snapshot(found))
    assert report.lacking == ["api is not deployed", "redis has 0 of 1 pods"]


@pytest.mark.feature("P5", part="status, drift and up of a stack that sleeps")
def test_what_sleep_has_stopped_is_no_drift_and_any_other_change_is():
    declared = {"replicas": 1, "serviceName": "mysql", "minReadySeconds": 5}
    applied = {"kind": "StatefulSet", "apiVersion": "apps/v1", "metadata": {"name": "mysql"}, "spec": declared}
    present = applied | {"spec": {**declared, "minReadySeconds": 0}}
    sleeping = slept(present, {"spec": {"replicas": 1}}, replicas=0)
    server = FakeCluster({"statefulsets": {"mysql": sleeping}})
    state = {"deployment": {"resources": [{"type": "kubernetes:apps/v1:StatefulSet", "inputs": applied}]}}
    [change] = list(drift.drifts(cluster(server), state))
    assert change.field == "spec.minReadySeconds"


@pytest.mark.feature("P5", part="status, drift and up of a stack that sleeps")
def test_up_of_a_stack_that_sleeps_says_so_and_starts_nothing(server: FakeCluster, monkeypatch: pytest.MonkeyPatch):
    found = cluster(server)
    sleep.sleep(found)
    monkeypatch.setattr(up.connection, "connect", lambda *_: found)
    monkeypatch.setattr(up.engine_state, "export", lambda _: {"deployment": {}})
    monkeypatch.setattr(up.locks, "state_locks", lambda _: [])
    with pytest.raises(up.AsleepError, match=r"stack dev is asleep since .* Wake it first: ./slipway env wake dev"):
        up.command("dev", yes=True, rolls_back=True)


def test_an_update_of_the_engine_says_that_the_stack_is_asleep_instead_of_waiting(server: FakeCluster):
    found = cluster(server)
    sleep.sleep(found)
    with pytest.raises(IncompleteRolloutError, match=r"Deployment/api is asleep since .* First: ./slipway env wake "):
        completion.wait(found.client, "api", found.settings.services["api"])
