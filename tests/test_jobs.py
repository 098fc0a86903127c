"""Jobs share a service's image, configuration and identity, and take no part in its traffic."""

from __future__ import annotations

from typing import Any

import jobs
import pytest

from ops.recorder import Program
from tests.conftest import Changed, declared
from tests.lightkube_server import Server, named

JOBS = {
    "services.api.migration": {"args": ["migrate"]},
    "services.api.schedules": {"report": {"args": ["report", "--day"], "cron": "30 3 * * *", "timeZone": "Asia/Tokyo"}},
}


def templates(program: Program) -> dict[str, dict[str, Any]]:
    objects = program.manifests()
    return {
        "service": objects["Deployment", "api"]["spec"]["template"],
        "migration": objects["Job", "api-migration"]["spec"]["template"],
        "report": objects["CronJob", "api-report"]["spec"]["jobTemplate"]["spec"]["template"],
    }


@pytest.mark.feature("C6")
def test_all_pods_of_a_service_share_digest_configuration_secrets_and_identity(changed: Changed):
    specs = [template["spec"] for template in templates(changed("dev", JOBS)).values()]
    containers = [spec["containers"][0] for spec in specs]
    assert "@sha256:" in containers[0]["image"]
    for shared in ("image", "envFrom", "env", "volumeMounts", "resources", "securityContext"):
        assert [container[shared] for container in containers] == [containers[0][shared]] * 3
    for shared in ("serviceAccountName", "volumes", "securityContext", "automountServiceAccountToken"):
        assert [spec[shared] for spec in specs] == [specs[0][shared]] * 3


@pytest.mark.feature("C6")
def test_no_service_budget_or_autoscaler_counts_a_job_s_pods(changed: Changed):
    program = changed("dev", JOBS)
    selector = program.manifests()["Service", "api"]["spec"]["selector"].items()
    found = {name for name, t in templates(program).items() if selector <= t["metadata"]["labels"].items()}
    assert found == {"service"}


def test_a_job_runs_its_arguments_and_is_asked_nothing(changed: Changed):
    pods = templates(changed("dev", JOBS))
    container = pods["report"]["spec"]["containers"][0]
    assert container["args"] == ["report", "--day"]
    assert not {"ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle"} & set(container)
    assert pods["migration"]["spec"]["restartPolicy"] == "Never"


def test_a_schedule_never_overlaps_itself_and_survives_missed_runs(changed: Changed):
    spec = changed("dev", JOBS).manifests()["CronJob", "api-report"]["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("30 3 * * *", "Asia/Tokyo")
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] == 300


@pytest.mark.feature("D6", part="declared")
def test_each_image_and_each_setting_gets_a_migration_of_its_own(changed: Changed):
    def name(program: Program) -> str:
        return program.manifests()["Job", "api-migration"]["metadata"]["name"]

    others: list[dict[str, Any]] = [{"services.api.env.LOG_LEVEL": "warn"}, {"image.platform": "linux/arm64"}]
    names = [name(changed("dev", {**JOBS, **changes})) for changes in ({}, *others)]
    assert len(set(names)) == 3
    assert name(declared("dev", JOBS)) == names[0]


@pytest.mark.feature("D6", part="declared")
def test_the_pods_wait_for_the_migration(changed: Changed):
    deployment = next(r for r in changed("dev", JOBS).resources if (r.kind, r.name) == ("Deployment", "api"))
    assert any(urn.endswith("batch/v1:Job::api-migration") for urn in deployment.options["depends_on"])


def test_the_quota_leaves_room_for_jobs(changed: Changed):
    before, after = (
        changed("dev", changes).manifests()["ResourceQuota", "quota"]
        for changes in ({"services.api.migration": None}, JOBS)
    )
    assert int(after["spec"]["hard"]["pods"]) - int(before["spec"]["hard"]["pods"]) == 2


FAILED = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}
DONE = {"conditions": [{"type": "Complete", "status": "True"}]}
# The engine hands numbers over as floats.
INPUTS: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "api-migration-0a1b2c3d", "namespace": "slipway-dev"},
    "spec": {"backoffLimit": 3.0, "template": {"spec": {"containers": [{"name": "api"}], "restartPolicy": "Never"}}},
    "__fieldManager": "pulumi",
}
PATH = "jobs/api-migration-0a1b2c3d"


@pytest.mark.feature("D6", part="a failed migration is run again by the next update")
@pytest.mark.parametrize("before", [named("api-migration-0a1b2c3d", status=FAILED), None], ids=["failed", "gone"])
def test_a_migration_that_failed_is_run_again_by_the_next_update(before: dict[str, Any] | None):
    server = Server({PATH: before} if before else {})
    jobs.retry_failed(server.client(), INPUTS)
    assert "status" not in server.objects[PATH]
    assert server.objects[PATH]["spec"]["backoffLimit"] == 3


@pytest.mark.parametrize("status", [DONE, {"active": 1}], ids=["complete", "running"])
def test_a_migration_that_is_done_or_still_runs_is_left_alone(status: dict[str, Any]):
    server = Server({PATH: named("api-migration-0a1b2c3d", status=status)})
    jobs.retry_failed(server.client(), INPUTS)
    assert server.objects[PATH]["status"] == status
