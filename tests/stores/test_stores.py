"""MySQL and Redis, in the cluster or managed: the same for the app, and reachable only for services that need them."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pulumi
import pytest

from ops.program import recorder
from ops.program.recorder import Program, declare
from slipway.rules import house_rules
from tests.conftest import WITHOUT_STORES, Changed, with_changes
from tests.program.test_network import policy
from tests.settings.test_settings import refusal

IMAGE = "registry.example.com/server@sha256:" + "1" * 64
CLUSTER: dict[str, Any] = {
    "mysql": {"source": "cluster", "image": IMAGE, "storage": "5Gi", "storageClass": "fast", "backup": {"keep": 3}},
    "redis": {"source": "cluster", "image": IMAGE},
    "services.api.needs": ["mysql", "redis"],
}
NO_JOB: dict[str, Any] = {"services.api.migration": None}
MANAGED: dict[str, Any] = {
    "mysql": {"source": "managed", "host": "mysql.example.com", "port": 3307, "cidr": "10.20.0.0/24"},
    "redis": {"source": "managed", "host": "redis.example.com", "cidr": "10.20.1.0/24"},
    "services.api.needs": ["mysql", "redis"],
}
SERVERS = ("mysql", "redis")


def pod(program: Program, server: str) -> dict[str, Any]:
    return program.manifests()["StatefulSet", server]["spec"]["template"]["spec"]


def backup_pod(program: Program) -> dict[str, Any]:
    spec = program.manifests()["CronJob", "mysql-backup"]["spec"]
    return spec["jobTemplate"]["spec"]["template"]["spec"]


def env(program: Program, service: str = "api") -> dict[str, str]:
    return program.manifests()["ConfigMap", f"{service}-env"]["data"]


def secret(program: Program, service: str = "api") -> dict[str, str]:
    return program.manifests()["Secret", f"{service}-secret"]["stringData"]


# --- in the cluster and managed


@pytest.mark.feature("G3")
def test_the_app_gets_the_same_variables_for_a_store_in_the_cluster_and_a_managed_one(changed: Changed):
    inside, managed = changed("dev", CLUSTER), changed("dev", MANAGED)
    differing = {key for key in env(inside) | env(managed) if env(inside).get(key) != env(managed).get(key)}
    assert differing == {"MYSQL_HOST", "MYSQL_PORT", "MYSQL_TLS", "REDIS_HOST", "REDIS_TLS"}
    assert (env(managed)["MYSQL_HOST"], env(managed)["MYSQL_PORT"]) == ("mysql.example.com", "3307")
    assert (env(inside)["MYSQL_HOST"], env(inside)["MYSQL_PORT"]) == ("mysql", "3306")
    assert (env(inside)["REDIS_HOST"], env(inside)["REDIS_PORT"]) == ("redis", "6379")
    assert (env(inside)["MYSQL_DATABASE"], env(inside)["MYSQL_USER"]) == ("slipway", "slipway")
    assert secret(inside).keys() == secret(managed).keys() == {"signing-key", "mysql-password", "redis-password"}


@pytest.mark.feature("G3")
def test_the_deployment_of_the_app_is_the_same_in_both_modes_but_for_names_of_content(changed: Changed):
    def shape(program: Program) -> str:
        deployment = repr(program.manifests()["Deployment", "api"])
        for kind, name in (("ConfigMap", "api-env"), ("Secret", "api-secret")):
            deployment = deployment.replace(program.manifests()[kind, name]["metadata"]["name"], name)
        return deployment

    assert shape(changed("dev", CLUSTER)) == shape(changed("dev", MANAGED))


@pytest.mark.feature("G1", "G2", part="one key")
def test_nothing_is_declared_of_a_managed_store(changed: Changed):
    kinds = {kind for kind, _ in changed("dev", MANAGED).manifests()}
    assert not kinds & {"StatefulSet", "PersistentVolumeClaim", "CronJob"}
    assert {("StatefulSet", "mysql"), ("StatefulSet", "redis")} <= changed("dev", CLUSTER).manifests().keys()


def test_a_service_without_needs_has_no_addresses_and_no_passwords(changed: Changed):
    program = changed("dev", {**CLUSTER, "services.api.needs": ["mysql"], "services.web": {}})
    assert [key for key in env(program, "web") if "MYSQL" in key or "REDIS" in key] == []
    assert ("Secret", "web-secret") not in program.manifests()
    assert secret(program).keys() == {"signing-key", "mysql-password"}
    assert "REDIS_HOST" not in env(program)


def test_a_service_without_secrets_of_its_own_still_gets_the_password(changed: Changed):
    program = changed("dev", {**MANAGED, "services.api.secrets": None})
    assert secret(program).keys() == {"mysql-password", "redis-password"}
    assert env(program)["SECRETS_DIR"] == "/run/secrets/slipway"


def test_the_passwords_of_servers_may_come_from_an_external_store(changed: Changed):
    program = changed(
        "dev", {**CLUSTER, "secretStore": {"name": "vault", "entries": "values", "versions": {"mysql-password": "4"}}}
    )
    orders = {name: o["spec"]["data"] for (kind, name), o in program.manifests().items() if kind == "ExternalSecret"}
    assert orders["mysql-secret"] == [
        {"secretKey": "mysql-password", "remoteRef": {"key": "mysql-password", "version": "4"}}
    ]
    assert [item["secretKey"] for item in orders["api-secret"]] == ["signing-key", "mysql-password", "redis-password"]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"mysql": {"source": "manged"}}, "mysql.source", "'cluster' or 'managed'"),
    ({"mysql": {"source": "managed", "host": "db.example.com"}}, "mysql", "needs host and cidr"),
    ({"mysql": {"image": IMAGE, "host": "db.example.com"}}, "mysql", "host: only with source: managed"),
    ({"redis": {**MANAGED["redis"], "storage": "1Gi"}}, "redis", "storage: only with source: cluster"),
    ({"mysql": {**MANAGED["mysql"], "backup": None}}, "mysql", "backup: only with source: cluster"),
    ({"mysql": {"image": IMAGE, "migrationUser": "slipway"}}, "mysql", "migrationUser: slipway is user, too"),
    ({"mysql": {"image": IMAGE, "migrationUser": "root"}}, "mysql", "migrationUser: root is one of the server's own"),
    ({"services.api.secrets": ["mysql-migration-password"]}, "services.api.secrets.0", "only migrations get this one"),
    ({"mysql": {"image": IMAGE, "database": "it's"}}, "mysql.database", "should be a name of lower-case"),
    ({"mysql": {"image": "mysql:8.4"}}, "mysql.image", "should be an image by digest"),
    ({"mysql": {"image": IMAGE, "backup": {"cron": "daily"}}}, "mysql.backup.cron", "fields instead of 5"),
    ({"redis": {"source": "cluster"}}, "redis.image", "is required with source: cluster"),
    ({"mysql": None, "services.api.needs": ["mysql"]}, "services.api.needs.0", "say under slipway:mysql where it is"),
    ({"redis": CLUSTER["redis"], "services.api.needs": ["reddis"]}, "services.api.needs.0", 'did you mean "redis"'),
    ({"services.mysql": {}}, "services.mysql", "is the name of a store"),
    ({"services.api.env.REDIS_HOST": "x"}, "services.api", "REDIS_HOST is set by the program"),
]


@pytest.mark.parametrize(("changes", "key", "word"), WRONG, ids=lambda value: str(value)[:60])
def test_a_mistake_is_named_with_its_key_and_rule(changes: dict[str, Any], key: str, word: str):
    message = refusal("dev", changes)
    assert f"slipway:{key}: " in message
    assert word in message


def test_the_stack_has_to_provide_the_password(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recorder, "_secret_values", lambda _: {"signing-key": "x", "redis-password": "y"})
    with pytest.raises(pulumi.RunError, match="pulumi config set --secret mysql-password -s dev"):
        declare("dev", with_changes("dev", MANAGED))


def test_the_stack_has_to_provide_the_password_of_migrations_that_have_an_account(monkeypatch: pytest.MonkeyPatch):
    given = {"signing-key": "0123456789" * 4, "redis-password": "0123456789" * 2, "mysql-password": "9876543210" * 2}
    monkeypatch.setattr(recorder, "_secret_values", lambda _: given)
    with pytest.raises(pulumi.RunError, match="pulumi config set --secret mysql-migration-password -s dev"):
        declare("dev")
    assert declare("dev", with_changes("dev", {"mysql.migrationUser": None}))


def test_an_empty_section_is_a_server_with_all_defaults(changed: Changed):
    program = changed("local", {"imageFiles": "nowhere", "redis": {}})
    assert secret(program, "redis") == {"redis-password": "***"}


def test_images_that_make_up_has_built_are_read_from_files_and_a_missing_file_is_reported(changed: Changed):
    files = {"imageFiles": "nowhere", "mysql": {"source": "cluster"}}
    image = pod(changed("local", files), "mysql")["containers"][0]["image"]
    assert image.startswith("localhost:5000/slipway/mysql@sha256:")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder, "STORES", ())
        with pytest.raises(pulumi.RunError, match=r"imageFiles: \S+/mysql is missing or empty; `make up` makes it"):
            declare("local", with_changes("local", files))


# --- who may connect


@pytest.mark.feature("E5", part="declared")
def test_only_services_that_need_a_server_may_connect_to_it_and_it_connects_to_nothing(changed: Changed):
    program = changed("dev", {**CLUSTER, "services.web": {"needs": ["api"]}})
    [entered] = policy(program, "mysql")["ingress"]
    assert entered["from"] == [
        {"podSelector": {"matchLabels": {"slipway/service": name}}} for name in ("api", "mysql-backup")
    ]
    assert entered["ports"] == [{"port": 3306, "protocol": "TCP"}]
    [entered] = policy(program, "redis")["ingress"]
    assert entered["from"] == [{"podSelector": {"matchLabels": {"slipway/service": "api"}}}]
    for server in SERVERS:
        assert policy(program, server).get("egress") is None  # all egress stays denied
    [left] = policy(program, "mysql-backup")["egress"]
    assert left["to"] == [{"podSelector": {"matchLabels": {"slipway/service": "mysql"}}}]
    assert policy(program, "mysql-backup").get("ingress") is None
    for each in (*SERVERS, "mysql-backup"):
        assert policy(program, each)["policyTypes"] == ["Ingress", "Egress"]


def test_both_ends_of_a_connection_are_open(changed: Changed):
    program = changed("dev", CLUSTER)
    out = [(rule["to"][0]["podSelector"]["matchLabels"], rule["ports"]) for rule in policy(program, "api")["egress"]]
    assert out == [
        ({"slipway/service": "mysql"}, [{"port": 3306, "protocol": "TCP"}]),
        ({"slipway/service": "redis"}, [{"port": 6379, "protocol": "TCP"}]),
    ]
    for server in SERVERS:
        template = program.manifests()["StatefulSet", server]["spec"]["template"]
        assert template["metadata"]["labels"]["slipway/service"] == server


def test_a_managed_server_is_reached_at_its_addresses_and_port_alone(changed: Changed):
    program = changed("dev", MANAGED)
    assert policy(program, "api")["egress"] == [
        {"to": [{"ipBlock": {"cidr": "10.20.0.0/24"}}], "ports": [{"port": 3307, "protocol": "TCP"}]},
        {"to": [{"ipBlock": {"cidr": "10.20.1.0/24"}}], "ports": [{"port": 6379, "protocol": "TCP"}]},
    ]


def test_a_service_waits_until_what_it_needs_answers(changed: Changed):
    program = changed("dev", {**CLUSTER, "services.api.migration": {"args": ["migrate"]}})
    for kind, name in (("Deployment", "api"), ("Job", "api-migration")):
        [resource] = [r for r in program.resources if (r.kind, r.name) == (kind, name)]
        awaited = {urn.rpartition("::")[2] for urn in resource.options["depends_on"] if "core/v1:Service:" in urn}
        assert awaited == {"mysql", "redis"}
    [address] = [r for r in program.resources if r.kind == "Service" and r.name == "mysql"]
    assert any(urn.endswith("apps/v1:StatefulSet::mysql") for urn in address.options["depends_on"])


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


def test_the_quota_leaves_room_for_servers_and_backups(changed: Changed):
    programs = (changed("dev", changes).manifests() for changes in (WITHOUT_STORES, {**CLUSTER, **NO_JOB}))
    before, after = (program["ResourceQuota", "quota"]["spec"]["hard"] for program in programs)
    assert int(after["pods"]) - int(before["pods"]) == 4
    memory = int(after["requests.memory"].removesuffix("Mi")) - int(before["requests.memory"].removesuffix("Mi"))
    assert memory == 512 + 64 + 2 * 128


def test_every_object_of_a_server_carries_the_recommended_labels(changed: Changed):
    objects = changed("dev", CLUSTER).manifests()
    components = {
        name: o["metadata"]["labels"]["app.kubernetes.io/component"]
        for (kind, name), o in objects.items()
        if kind == "StatefulSet"
    }
    assert components == {"mysql": "database", "redis": "cache"}
    assert objects["StatefulSet", "mysql"]["metadata"]["labels"]["app.kubernetes.io/name"] == "mysql"


@pytest.mark.parametrize("stack", ["dev", "prod"])
@pytest.mark.parametrize("mode", [CLUSTER, MANAGED], ids=["cluster", "managed"])
def test_no_house_rule_is_broken(changed: Changed, stack: str, mode: dict[str, Any]):
    objects = [*changed(stack, mode).manifests().values()]
    assert len(objects) > 10
    broken = house_rules.check(objects, "prod")
    # One pod of the API is enough for dev.
    assert [finding for finding in broken if finding.rule != "SW302"] == []
