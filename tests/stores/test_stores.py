"""MySQL and Redis, in the cluster or managed: the same for the app, and reachable only for services that need them."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from slipway.ops.program import recorder
from slipway.ops.program.recorder import Program, declare
from tests.conftest import Changed, with_changes
from tests.program.test_network import policy
from tests.settings.test_settings import refusal
from tests.stores.declared import CLUSTER, IMAGE, MANAGED, SERVERS, env, pod, secret

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
    (
        {"mysql": None, "services.api.needs": ["mysql"]},
        "services.api.needs.0",
        "this stack has no mysql; declare it under",
    ),
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
        patch.setattr(recorder, "SERVERS", ())
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
