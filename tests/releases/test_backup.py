"""`./slipway backup` and `restore`: whose database, what is stopped meanwhile, and what a failure leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from lightkube import Client
from lightkube.models.apps_v1 import DeploymentSpec
from lightkube.models.batch_v1 import CronJobSpec, JobSpec, JobTemplateSpec
from lightkube.models.core_v1 import (
    Container,
    ContainerState,
    ContainerStateTerminated,
    ContainerStatus,
    PodCondition,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
)
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.batch_v1 import CronJob, Job
from lightkube.resources.core_v1 import Pod
from lightkube.types import CascadeType

from slipway.cluster.kubeconfig import Kubeconfig
from slipway.ops.cluster import connection
from slipway.ops.cluster.connection import ClusterError
from slipway.ops.program import config
from slipway.ops.releases import backup
from slipway.ops.releases.backup import BackupError, Database
from slipway.settings.engine_yaml import Node
from slipway.settings.source_files import StackFile, read_defaults
from tests.conftest import with_changes

IMAGE = "registry.example.com/mysql@sha256:" + "1" * 64
CLUSTER: dict[str, Any] = {
    "mysql": {"image": IMAGE},
    "services.api.needs": ["mysql"],
    "services.web": {},
    "cluster.server": "https://10\\.0\\.0\\.1",
}


@dataclass
class Cluster:
    """A cluster that ends each job at once, and remembers what it was asked for."""

    exit_code: int = 0
    replicas: int = 2
    requests: list[str] = field(default_factory=list[str])
    jobs: list[Job] = field(default_factory=list[Job])

    def get(self, kind: type, name: str) -> Any:
        if kind is Deployment:
            selector = LabelSelector()
            return Deployment(spec=DeploymentSpec(selector, PodTemplateSpec(), replicas=self.replicas))
        container = Container(name=name, image=IMAGE, args=["backup"])
        template = PodTemplateSpec(spec=PodSpec(containers=[container]))
        return CronJob(spec=CronJobSpec(JobTemplateSpec(spec=JobSpec(template)), schedule="30 3 * * *"))

    def patch(self, kind: type, name: str, change: dict[str, Any]) -> None:
        if kind is CronJob:
            self.requests.append(f"{name} {change['metadata']['annotations']}")
            return
        self.replicas = change["spec"]["replicas"]
        self.requests.append(f"{name} {self.replicas}")

    def create(self, job: Job) -> Job:
        assert job.spec and job.spec.template.spec and job.metadata
        self.requests.append(" ".join(job.spec.template.spec.containers[0].args or []))
        self.jobs.append(job)
        job.metadata.name = "mysql-backup-1"
        return job

    def list(self, kind: type, labels: dict[str, str]) -> list[Pod]:
        if "batch.kubernetes.io/job-name" not in labels:
            return [Pod()] * self.replicas
        ended = ContainerState(terminated=ContainerStateTerminated(exitCode=self.exit_code))
        statuses = [ContainerStatus(image="", imageID="", name="", ready=False, restartCount=0, state=ended)]
        return [Pod(metadata=ObjectMeta(name="p"), status=PodStatus(phase="Succeeded", containerStatuses=statuses))]

    def log(self, name: str, follow: bool) -> list[str]:
        proof = ["restored 20261130T090000Z: same rows, same checksum\n"] if "prove" in self.requests else []
        return ["backup 20261130T090000Z\n", "sha256 0\n", *proof]

    def delete(self, kind: type, name: str, cascade: CascadeType) -> None:
        self.requests.append(f"delete {kind.__name__}/{name} {cascade.value}")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch):
    """`opened(changes)`: the store of the dev stack after these changes, whose context leads to 10.0.0.1."""
    kubeconfig = Kubeconfig({"dev": {"cluster": "dev"}}, {"dev": {"server": "https://10.0.0.1"}})
    monkeypatch.setattr("slipway.cluster.connection.load", lambda: kubeconfig)
    monkeypatch.setattr(connection.StackCluster, "client", property(lambda _: cast("Client", Cluster())))

    def open_database(changes: dict[str, Any]) -> tuple[Database, Cluster]:
        own = StackFile(Node.of(with_changes("dev", changes)), [])
        monkeypatch.setattr(config, "read_files", lambda _: (own, read_defaults()))
        database = backup.database_of("dev")
        return database, cast("Cluster", database.client)

    return open_database


REFUSED = [
    ({"mysql": None, "services.api.needs": []}, "there is no slipway:mysql"),
    (
        {"mysql": {"source": "managed", "host": "db.example.com", "cidr": "10.0.0.0/8"}},
        "db.example.com is operated",
    ),
    ({**CLUSTER, "mysql": {"image": IMAGE, "backup": None}}, "backup is null"),
    ({**CLUSTER, "cluster.server": "https://10\\.0\\.0\\.2"}, "leads to https://10.0.0.1, which does not match"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_a_store_that_is_not_ours_to_dump_is_refused(opened: Any, changes: dict[str, Any], message: str):
    with pytest.raises((BackupError, ClusterError), match=message):
        opened(changes)


def test_a_backup_is_the_scheduled_pod_run_now_with_its_output_shown(opened: Any, capsys: pytest.CaptureFixture[str]):
    database, cluster = opened(CLUSTER)
    backup.backup(database)
    assert cluster.requests == ["backup"]
    assert capsys.readouterr().out == "backup 20261130T090000Z\nsha256 0\n"
    [job] = cluster.jobs
    assert (job.spec.backoffLimit, job.metadata.generateName) == (0, "mysql-backup-backup-")


@pytest.mark.feature("J2", part="a backup that was proved by a restore is noted")
def test_a_proof_is_noted_on_the_schedule_with_the_name_of_the_backup_while_all_services_run(opened: Any):
    database, cluster = opened(CLUSTER)
    backup.prove(database)
    assert cluster.requests == ["prove", "mysql-backup {'slipway/proved-backup': '20261130T090000Z'}"]
    assert f"{backup.taken_at('20261130T090000Z'):%Y-%m-%d %H:%M}" == "2026-11-30 09:00"


def test_a_proof_that_fails_is_not_noted(opened: Any):
    database, cluster = opened(CLUSTER)
    cluster.exit_code = 3
    with pytest.raises(BackupError, match=r"the proof ended with 3; .* The database itself is untouched"):
        backup.prove(database)
    assert cluster.requests == ["prove"]


@pytest.mark.parametrize("log", [[], ["backup 20261130T090000Z\n"]], ids=["an older schedule", "a log that broke off"])
def test_without_the_line_that_says_so_nothing_is_proved(opened: Any, monkeypatch: pytest.MonkeyPatch, log: list[str]):
    database, cluster = opened(CLUSTER)
    monkeypatch.setattr(cluster, "log", lambda *_, **__: log)
    with pytest.raises(BackupError, match=r"counts as no proof: .* CronJob mysql-backup is of an older release"):
        backup.prove(database)
    assert cluster.requests == ["prove"]


def test_a_pod_that_has_ended_and_is_gone_a_moment_later_keeps_its_exit_code(
    opened: Any, monkeypatch: pytest.MonkeyPatch
):
    database, cluster = opened(CLUSTER)
    codes = iter([3])
    monkeypatch.setattr(backup, "_exit_code", lambda *_: next(codes, None))
    with pytest.raises(BackupError, match="the proof ended with 3"):
        backup.prove(database)
    assert cluster.requests == ["prove"]


def test_a_pod_without_a_volume_is_not_left_to_run_later_and_the_reason_is_named(
    opened: Any, monkeypatch: pytest.MonkeyPatch
):
    database, cluster = opened(CLUSTER)
    why = 'persistentvolumeclaim "mysql-backup" not found'
    condition = PodCondition(type="PodScheduled", status="False", message=why)
    monkeypatch.setattr(
        cluster, "list", lambda *_, **__: [Pod(status=PodStatus(phase="Pending", conditions=[condition]))]
    )
    monkeypatch.setattr(backup, "START_SECONDS", 0)
    with pytest.raises(BackupError, match=f"start of the pod of job mysql-backup-1: not within 0 s; .*says: {why}"):
        backup.prove(database)
    assert cluster.requests == ["prove", "delete Job/mysql-backup-1 Background"]


def test_a_job_goes_with_the_schedule_it_is_a_run_of(opened: Any):
    database, cluster = opened(CLUSTER)
    backup.backup(database)
    [owner] = cluster.jobs[0].metadata.ownerReferences
    assert (owner.kind, owner.name, owner.controller) == ("CronJob", "mysql-backup", True)


def test_a_restore_runs_while_nobody_is_connected(opened: Any):
    database, cluster = opened(CLUSTER)
    backup.restore(database, "20260101T000000Z")
    assert cluster.requests == ["api 0", "restore 20260101T000000Z", "api 2"]


@pytest.mark.parametrize(
    ("exit_code", "after", "message"),
    [(3, ["api 2"], "nothing changed"), (1, [], "api stay stopped")],
)
def test_after_a_failed_restore_only_untouched_data_are_served_again(
    opened: Any, exit_code: int, after: list[str], message: str
):
    database, cluster = opened(CLUSTER)
    cluster.exit_code = exit_code
    with pytest.raises((BackupError, ClusterError), match=message):
        backup.restore(database, None)
    assert cluster.requests == ["api 0", "restore", *after]


def test_the_restore_that_follows_starts_as_many_pods_as_there_should_be(opened: Any):
    database, cluster = opened(CLUSTER)
    cluster.replicas = 0
    backup.restore(database, None)
    assert cluster.requests[-1] == "api 1"


def test_a_failed_backup_is_an_error(opened: Any):
    database, cluster = opened(CLUSTER)
    cluster.exit_code = 2
    with pytest.raises(BackupError, match="ended with 2"):
        backup.backup(database)
