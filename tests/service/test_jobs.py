"""Jobs share a service's image, configuration and identity, but receive no requests."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.ops.changes import stack_models
from slipway.ops.changes.classify import classify_all
from slipway.ops.changes.comparison import compare
from slipway.ops.changes.verdict import Class, forbidden_in
from slipway.ops.program import recorder
from slipway.ops.program.recorder import Program
from slipway.service import jobs
from slipway.settings.names import MIGRATION_PASSWORD
from tests.conftest import Changed, declared
from tests.lightkube_server import LightkubeServer, named

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
    one_account = {**JOBS, "mysql.migrationUser": None}
    specs = [template["spec"] for template in templates(changed("dev", one_account)).values()]
    containers = [spec["containers"][0] for spec in specs]
    assert "@sha256:" in containers[0]["image"]
    for shared in ("image", "envFrom", "env", "volumeMounts", "resources", "securityContext"):
        assert [container[shared] for container in containers] == [containers[0][shared]] * 3
    for shared in ("serviceAccountName", "volumes", "securityContext", "automountServiceAccountToken"):
        assert [spec[shared] for spec in specs] == [specs[0][shared]] * 3


def reads(template: dict[str, Any]) -> tuple[str, str]:
    """Return the names of the ConfigMap and the Secret of a pod."""
    [source] = template["spec"]["containers"][0]["envFrom"]
    [secret] = [volume["secret"]["secretName"] for volume in template["spec"]["volumes"] if "secret" in volume]
    return source["configMapRef"]["name"], secret


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_migration_reads_variables_and_secrets_of_its_own_that_name_another_account(changed: Changed, stack: str):
    program = changed(stack, JOBS)
    manifests, pods = program.manifests(), templates(program)

    def named(config: str, secret: str) -> tuple[str, str]:
        return manifests["ConfigMap", config]["metadata"]["name"], manifests["Secret", secret]["metadata"]["name"]

    assert reads(pods["migration"]) == named("api-migration-env", "api-migration-secret")
    assert reads(pods["report"]) == reads(pods["service"]) == named("api-env", "api-secret")
    env, of_migration = manifests["ConfigMap", "api-env"]["data"], manifests["ConfigMap", "api-migration-env"]["data"]
    assert (env["MYSQL_USER"], of_migration["MYSQL_USER"]) == ("slipway", "slipway_migrator")
    assert {**of_migration, "MYSQL_USER": "slipway"} == env


def test_the_password_of_migrations_reaches_their_pods_and_the_server_s_only(monkeypatch: pytest.MonkeyPatch):
    values = dict.fromkeys(("signing-key", "mysql-password", "redis-password", MIGRATION_PASSWORD), "0123456789" * 4)
    monkeypatch.setattr(recorder, "_secret_values", lambda _: values)
    before = declared("dev", JOBS).manifests()
    values[MIGRATION_PASSWORD] = "another password altogether"
    after = declared("dev", JOBS).manifests()
    assert {name for name in before if before[name] != after[name]} == {
        *(("Secret", "api-migration-secret"), ("Job", "api-migration")),
        *(("Secret", "mysql-secret"), ("StatefulSet", "mysql"), ("CronJob", "mysql-backup")),
    }
    # The app reads every password under the same name.
    keys = before["Secret", "api-migration-secret"]["stringData"].keys()
    assert keys == before["Secret", "api-secret"]["stringData"].keys() == values.keys() - {MIGRATION_PASSWORD}


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_without_an_account_of_their_own_migrations_use_that_of_the_service(changed: Changed, stack: str):
    program = changed(stack, {**JOBS, "mysql.migrationUser": None})
    assert [name for _, name in program.manifests() if "migration" in name] == ["api-migration"]
    secrets = [manifest["stringData"] for (kind, _), manifest in program.manifests().items() if kind == "Secret"]
    assert MIGRATION_PASSWORD not in repr(secrets)


def test_a_migration_of_a_service_that_needs_no_mysql_has_no_account_there(changed: Changed):
    pods = templates(changed("dev", {**JOBS, "services.api.needs": []}))
    assert reads(pods["migration"]) == reads(pods["service"])


def test_the_password_of_migrations_may_come_from_an_external_store(changed: Changed):
    store = {"name": "vault", "entries": "values", "versions": {MIGRATION_PASSWORD: "4"}}
    order = changed("prod", {**JOBS, "secretStore": store}).manifests()["ExternalSecret", "api-migration-secret"]
    reference = {"key": MIGRATION_PASSWORD, "version": "4"}
    assert {"secretKey": "mysql-password", "remoteRef": reference} in order["spec"]["data"]


@pytest.mark.feature("D6", part="declared")
def test_the_migration_waits_for_the_server_and_the_pods_wait_for_the_migration(changed: Changed):
    program = changed("dev", JOBS)
    waits = {f"{r.kind}/{r.name}": [_kind_and_name(urn) for urn in r.options["depends_on"]] for r in program.resources}
    # The server creates the account when it starts, and any change of it restarts the pod.
    manifests = program.manifests()
    server = manifests["StatefulSet", "mysql"]["spec"]["template"]["spec"]
    assert manifests["Secret", "mysql-secret"]["metadata"]["name"] in repr(server["volumes"])
    assert {"name": "MYSQL_MIGRATION_USER", "value": "slipway_migrator"} in server["containers"][0]["env"]
    # The engine waits for a StatefulSet until its new pod is ready.
    assert "StatefulSet/mysql" in waits["Service/mysql"]
    assert "Service/mysql" in waits["Job/api-migration"]
    assert "Job/api-migration" in waits["Deployment/api"]


def _kind_and_name(urn: str) -> str:
    """`...$kubernetes:batch/v1:Job::api-migration` -> `Job/api-migration`."""
    type_, _, name = urn.rpartition("::")
    return f"{type_.rpartition(':')[2]}/{name}"


@pytest.mark.feature("C6")
def test_no_service_budget_or_autoscaler_counts_a_job_s_pods(changed: Changed):
    program = changed("dev", JOBS)
    selector = program.manifests()["Service", "api"]["spec"]["selector"].items()
    selected = {name for name, t in templates(program).items() if selector <= t["metadata"]["labels"].items()}
    assert selected == {"service"}


def test_a_job_runs_its_arguments_and_has_no_probes(changed: Changed):
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
def test_another_image_or_setting_gets_another_migration(changed: Changed):
    def name(program: Program) -> str:
        return program.manifests()["Job", "api-migration"]["metadata"]["name"]

    others: list[dict[str, Any]] = [{"services.api.env.LOG_LEVEL": "warn"}, {"image.platform": "linux/arm64"}]
    names = [name(changed("dev", {**JOBS, **changes})) for changes in ({}, *others)]
    assert len(set(names)) == 3
    assert name(declared("dev", JOBS)) == names[0]


def migration(program: Program) -> dict[str, Any]:
    return program.manifests()["Job", "api-migration"]


@pytest.mark.parametrize(
    "changes",
    [
        {"services.api.migration.args": ["migrate -v"]},
        {"services.api.migration.args": ["migrate", "-v"]},
        {"services.api.resources.memory": "96Mi"},
        {"services.api.resources.cpuLimit": "2"},
        {"services.api.file": None},
        {"services.api.needs": ["mysql"]},
    ],
    ids=str,
)
def test_whatever_changes_in_the_pods_of_a_migration_makes_a_new_job(changed: Changed, changes: dict[str, Any]):
    """The pods of a Job are immutable: under its old name the Job would be deleted and created again."""
    base = {**JOBS, "services.api.migration.args": ["migrate"]}
    before, after = migration(changed("dev", base)), migration(changed("dev", {**base, **changes}))
    assert before["spec"]["template"] != after["spec"]["template"]
    assert before["metadata"]["name"] != after["metadata"]["name"]


def test_two_lists_of_arguments_that_read_alike_are_two_jobs(changed: Changed):
    one, two = ({**JOBS, "services.api.migration.args": args} for args in (["migrate -v"], ["migrate", "-v"]))
    assert migration(changed("dev", one))["metadata"]["name"] != migration(changed("dev", two))["metadata"]["name"]


def test_other_retries_or_deadlines_make_no_new_migration(changed: Changed):
    """Both can be changed in place, and need no new run of a finished migration."""
    patient = {**JOBS, "services.api.migration": {"args": ["migrate"], "retries": 5, "deadlineSeconds": 900}}
    before, after = migration(changed("dev", JOBS)), migration(changed("dev", patient))
    assert before["spec"] != after["spec"]
    assert before["metadata"]["name"] == after["metadata"]["name"]


def test_the_verdict_of_a_migration_that_runs_again_is_no_downtime(changed: Changed):
    """prod forbids what replaces; a change of a service's memory or arguments is none of that."""
    models_of = [
        stack_models.of_program(
            changed("prod", {"services.api.migration": {"args": args}, "services.api.resources": size})
        )
        for args, size in (
            (["migrate", "-v"], {"cpu": "250m", "memory": "256Mi"}),
            (["migrate -v"], {"cpu": "250m", "memory": "300Mi"}),
        )
    ]
    verdicts = {verdict.change.name: verdict for verdict in classify_all(compare(*models_of))}
    assert verdicts["Job/api-migration"].classes == [Class.ROLLS_PODS]
    assert not {class_ for verdict in verdicts.values() for class_ in verdict.classes} & forbidden_in("prod")


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
# The engine passes numbers as floats.
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
    server = LightkubeServer({PATH: before} if before else {})
    jobs.retry_failed(server.client(), INPUTS)
    assert "status" not in server.objects[PATH]
    assert server.objects[PATH]["spec"]["backoffLimit"] == 3


@pytest.mark.parametrize("status", [DONE, {"active": 1}], ids=["complete", "running"])
def test_a_migration_that_is_complete_or_running_is_left_alone(status: dict[str, Any]):
    server = LightkubeServer({PATH: named("api-migration-0a1b2c3d", status=status)})
    jobs.retry_failed(server.client(), INPUTS)
    assert server.objects[PATH]["status"] == status
