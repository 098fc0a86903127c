"""The pods, volumes and backups of MySQL and Redis in the cluster."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest

from slipway.ops.program.recorder import Program
from slipway.rules import house_rules
from tests.conftest import WITHOUT_STORES, Changed
from tests.program.test_network import policy
from tests.stores.declared import CLUSTER, IMAGE, MANAGED, SERVERS, backup_pod, pod

NO_JOB: dict[str, Any] = {"services.api.migration": None}


# --- the pods


@pytest.mark.parametrize("version", ["1.34", "1.37"])
@pytest.mark.feature("N3", part="two versions")
def test_every_object_is_valid_for_the_oldest_and_newest_kubernetes(changed: Changed, version: str):
    manifests = changed("dev", CLUSTER).manifests().values()
    assert {"StatefulSet", "PersistentVolumeClaim", "CronJob"} <= {manifest["kind"] for manifest in manifests}
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.feature("I1", part="declared")
def test_servers_and_backups_keep_to_the_restricted_level(changed: Changed):
    program = changed("dev", CLUSTER)
    pods = [*(pod(program, server) for server in SERVERS), backup_pod(program)]
    for spec in pods:
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] >= 10000
        assert spec["automountServiceAccountToken"] is False
        [container] = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }
        kinds = {kind for volume in spec["volumes"] for kind in volume} - {"name"}
        assert kinds <= {"configMap", "secret", "persistentVolumeClaim", "emptyDir"}
        assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]
        assert container["image"] == IMAGE


@pytest.mark.feature("G2", part="declared")
def test_the_data_is_on_a_volume_of_the_size_and_class_of_the_stack_file(changed: Changed):
    program = changed("dev", CLUSTER)
    claim = program.manifests()["PersistentVolumeClaim", "mysql-data"]["spec"]
    assert claim["resources"]["requests"]["storage"] == "5Gi"
    assert claim["storageClassName"] == "fast"
    assert "storageClassName" not in program.manifests()["PersistentVolumeClaim", "redis-data"]["spec"]
    for server, path in (("mysql", "/var/lib/mysql"), ("redis", "/data")):
        [volume] = [volume for volume in pod(program, server)["volumes"] if "persistentVolumeClaim" in volume]
        assert volume["persistentVolumeClaim"]["claimName"] == f"{server}-data"
        mounts = {mount["name"]: mount["mountPath"] for mount in pod(program, server)["containers"][0]["volumeMounts"]}
        assert mounts[volume["name"]] == path


@pytest.mark.parametrize("server", SERVERS)
def test_a_password_is_in_no_variable_and_on_no_command_line(changed: Changed, server: str):
    program = changed("dev", CLUSTER)
    for spec in (pod(program, server), backup_pod(program)):
        [container] = spec["containers"]
        assert all("valueFrom" not in variable for variable in container["env"])
        assert "envFrom" not in container
        [mounted] = [volume["secret"] for volume in spec["volumes"] if "secret" in volume]
        assert mounted["defaultMode"] == 0o440
    probes = ("readinessProbe", "livenessProbe")
    commands = [pod(program, server)["containers"][0][probe]["exec"]["command"] for probe in probes]
    assert all("***" not in word and "--pass" not in word for command in commands for word in command)


def test_a_new_password_or_setting_restarts_the_server_that_reads_it_and_no_other(changed: Changed):
    def read(program: Program, server: str) -> set[str]:
        secrets = [volume["secret"]["secretName"] for volume in pod(program, server)["volumes"] if "secret" in volume]
        files = [volume["configMap"]["name"] for volume in pod(program, server)["volumes"] if "configMap" in volume]
        return {*secrets, *files}

    before = changed("dev", CLUSTER)
    after = changed("dev", {**CLUSTER, "mysql": {**CLUSTER["mysql"], "resources": {"memory": "1Gi"}}})
    assert read(before, "redis") == read(after, "redis")
    assert len(read(before, "mysql") & read(after, "mysql")) == 1
    assert "innodb-buffer-pool-size = 512M" in after.manifests()["ConfigMap", "mysql-files"]["data"]["my.cnf"]


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_that_cannot_start_is_replaced_and_a_drain_is_never_blocked(changed: Changed, server: str):
    objects = changed("dev", CLUSTER).manifests()
    assert objects["StatefulSet", server]["spec"]["replicas"] == 1
    assert objects["StatefulSet", server]["spec"]["podManagementPolicy"] == "Parallel"
    budget = objects["PodDisruptionBudget", server]["spec"]
    assert budget["maxUnavailable"] == 1
    labels = objects["StatefulSet", server]["spec"]["template"]["metadata"]["labels"].items()
    assert budget["selector"]["matchLabels"].items() <= labels
    assert objects["Service", server]["spec"]["selector"].items() <= labels
    assert "clusterIP" not in objects["Service", server]["spec"]


def test_redis_evicts_keys_with_a_time_to_live_before_its_memory_is_full(changed: Changed):
    data = changed("dev", CLUSTER).manifests()["ConfigMap", "redis-files"]["data"]["redis.conf"].splitlines()
    assert {"maxmemory 38mb", "maxmemory-policy volatile-lru", "appendonly yes"} <= set(data)


# --- backups and data


@pytest.mark.feature("G4", part="declared")
def test_backups_run_on_a_schedule_with_a_volume_and_an_identity_of_their_own(changed: Changed):
    program = changed("dev", CLUSTER)
    spec = program.manifests()["CronJob", "mysql-backup"]["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("30 3 * * *", "Etc/UTC", "Forbid")
    assert backup_pod(program)["serviceAccountName"] == "mysql-backup"
    assert ("ServiceAccount", "mysql-backup") in program.manifests()
    claims = [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in backup_pod(program)["volumes"]
        if "persistentVolumeClaim" in volume
    ]
    assert claims == ["mysql-backup"]
    variables = {variable["name"]: variable["value"] for variable in backup_pod(program)["containers"][0]["env"]}
    assert (variables["KEEP"], variables["MYSQL_HOST"]) == ("3", "mysql")
    selector = program.manifests()["Service", "mysql"]["spec"]["selector"].items()
    template = spec["jobTemplate"]["spec"]["template"]
    assert not selector <= template["metadata"]["labels"].items()


def test_backups_can_be_left_out(changed: Changed):
    program = changed("dev", {**CLUSTER, "mysql": {"image": IMAGE, "backup": None}})
    assert not {name for _, name in program.manifests() if name == "mysql-backup"}
    [entered] = policy(program, "mysql")["ingress"]
    assert len(entered["from"]) == 1


@pytest.mark.parametrize(("stack", "safe"), [("prod", True), ("dev", False)])
def test_in_prod_no_volume_is_deleted_by_a_destroy_or_a_changed_setting(changed: Changed, stack: str, safe: bool):
    claims = [r for r in changed(stack, CLUSTER).resources if r.kind == "PersistentVolumeClaim"]
    assert {claim.name for claim in claims} == {"mysql-data", "mysql-backup", "redis-data"}
    for claim in claims:
        assert (claim.options["protect"], claim.options["retain_on_delete"]) == (safe, safe)


def test_every_object_of_a_server_carries_the_recommended_labels(changed: Changed):
    objects = changed("dev", CLUSTER).manifests()
    components = {
        name: o["metadata"]["labels"]["app.kubernetes.io/component"]
        for (kind, name), o in objects.items()
        if kind == "StatefulSet"
    }
    assert components == {"mysql": "database", "redis": "cache"}
    assert objects["StatefulSet", "mysql"]["metadata"]["labels"]["app.kubernetes.io/name"] == "mysql"


def test_the_quota_leaves_room_for_servers_and_backups(changed: Changed):
    programs = (changed("dev", changes).manifests() for changes in (WITHOUT_STORES, {**CLUSTER, **NO_JOB}))
    before, after = (program["ResourceQuota", "quota"]["spec"]["hard"] for program in programs)
    assert int(after["pods"]) - int(before["pods"]) == 4
    memory = int(after["requests.memory"].removesuffix("Mi")) - int(before["requests.memory"].removesuffix("Mi"))
    assert memory == 512 + 64 + 2 * 128


@pytest.mark.parametrize("stack", ["dev", "prod"])
@pytest.mark.parametrize("mode", [CLUSTER, MANAGED], ids=["cluster", "managed"])
def test_no_house_rule_is_broken(changed: Changed, stack: str, mode: dict[str, Any]):
    objects = [*changed(stack, mode).manifests().values()]
    assert len(objects) > 10
    broken = house_rules.check(objects, "prod")
    # One pod of the API is enough for dev.
    assert [finding for finding in broken if finding.rule != "SW302"] == []
