"""Managed MySQL and Redis: TLS, certificate authorities, users, and the number of connections of each pod."""

from __future__ import annotations

from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from local.node.certificates import CertificateFolder
from slipway.ops.program.recorder import Program
from slipway.settings import checks, settings
from tests.conftest import Changed
from tests.paths import PROJECT
from tests.settings.test_settings import refusal
from tests.stores.declared import MANAGED, env


def managed(server: str, **keys: Any) -> dict[str, Any]:
    return {**MANAGED, server: {**MANAGED[server], **keys}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a certificate in the file ca.pem."""
    CertificateFolder(tmp_path).authority("ca", "test")
    (tmp_path / "ca.crt").rename(tmp_path / "ca.pem")
    (tmp_path / "app").mkdir()
    copy(PROJECT / "app" / "variables.txt", tmp_path / "app")
    for module in (settings, checks):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    return tmp_path


def pod_of(program: Program, kind: str, name: str) -> dict[str, Any]:
    return program.manifests()[kind, name]["spec"]["template"]["spec"]


def test_the_certificate_of_a_managed_server_is_verified_unless_the_stack_file_says_otherwise(changed: Changed):
    variables = env(changed("dev", MANAGED))
    assert (variables["MYSQL_TLS"], variables["REDIS_TLS"]) == ("verified", "verified")
    assert "MYSQL_CA_FILE" not in variables
    assert env(changed("dev", managed("redis", tls="disabled")))["REDIS_TLS"] == "disabled"


def test_a_server_of_the_stack_itself_is_reached_without_tls(changed: Changed):
    assert not env(changed("dev", {})).keys() & {"MYSQL_TLS", "REDIS_TLS", "REDIS_USER"}


def test_the_certificates_of_a_private_authority_reach_pods_and_jobs_as_a_file(changed: Changed, project: Path):
    program = changed("dev", managed("mysql", ca="ca.pem"))
    config = program.manifests()["ConfigMap", "api-authorities"]
    assert config["data"] == {"mysql.pem": (project / "ca.pem").read_text()}
    assert env(program)["MYSQL_CA_FILE"] == "/etc/slipway-authorities/mysql.pem"
    for kind, name in (("Deployment", "api"), ("Job", "api-migration")):
        pod = pod_of(program, kind, name)
        volume = {"name": "authorities", "configMap": {"name": config["metadata"]["name"]}}
        mount = {"name": "authorities", "mountPath": "/etc/slipway-authorities", "readOnly": True}
        assert volume in pod["volumes"]
        assert mount in pod["containers"][0]["volumeMounts"]


def test_another_certificate_rolls_the_pods(changed: Changed, project: Path):
    def volume() -> Any:
        return pod_of(changed("dev", managed("mysql", ca="ca.pem")), "Deployment", "api")["volumes"]

    before = volume()
    (project / "ca.key").unlink()
    CertificateFolder(project).authority("ca", "test")
    (project / "ca.crt").rename(project / "ca.pem")
    assert volume() != before


def test_the_user_of_a_managed_redis_reaches_the_app(changed: Changed):
    assert env(changed("dev", managed("redis", user="Shop-1")))["REDIS_USER"] == "Shop-1"


WRONG: list[tuple[dict[str, Any], str, str]] = [
    (managed("mysql", tls="on"), "mysql.tls", "'verified', 'unverified' or 'disabled'"),
    (managed("mysql", tls="unverified", ca="ca.pem"), "mysql", "nobody would read it with tls: unverified"),
    (managed("mysql", ca="none.pem"), "mysql.ca", "cannot be used: No such file"),
    (managed("redis", ca="text.pem"), "redis.ca", "cannot be used: no certificates in PEM form"),
    (managed("redis", ca="/etc/ca.pem"), "redis.ca", "should be a file of this project"),
    (managed("redis", user="two words"), "redis.user", "should be a user name without spaces"),
    ({"redis.user": "shop"}, "redis", "user: only with source: managed"),
    ({"mysql.tls": "verified"}, "mysql", "tls: only with source: managed"),
    ({"mysql.maxConnections": 20}, "mysql.maxConnections", "each of the 5 pods that a rollout has at the most opens"),
    ({"mysql.connections": 40}, "mysql.maxConnections", "opens 40 connections"),
]


@pytest.mark.parametrize(("changes", "key", "word"), WRONG, ids=lambda value: str(value)[-60:])
def test_a_mistake_is_named_with_its_key_and_rule(changes: dict[str, Any], key: str, word: str, project: Path):
    (project / "text.pem").write_text("no certificate")
    message = refusal("dev", changes)
    assert f"slipway:{key}: " in message
    assert word in message


@pytest.mark.parametrize(
    ("most", "rollout", "max_connections"), [(2, "rolling", 151), (10, "rolling", 151), (30, "canary", 500)]
)
def test_the_connections_of_all_pods_of_a_rollout_and_its_canary_fit_the_server(
    changed: Changed, most: int, rollout: str, max_connections: int
):
    changes = {
        **managed("mysql", maxConnections=max_connections),
        "services.api.autoscaling": {"min": min(most, 10), "max": most},
        "services.api.rollout": rollout,
    }
    if rollout == "canary":
        changes["services.api.canary"] = {"percent": 10}
    program = changed("prod", changes)
    each = int(env(program)["MYSQL_CONNECTIONS"])
    # Old and new pods of a rollout, the canary's one pod, and a migration of each.
    pods = 2 * most + 1 + (2 if rollout == "canary" else 0)
    assert 4 <= each <= 10
    assert each * pods + 11 <= max_connections
    assert (each + 1) * pods + 11 > max_connections or each == 10


def test_more_pods_do_not_change_a_number_of_connections_in_the_stack_file(changed: Changed):
    def connections(most: int) -> str:
        changes = {**managed("mysql", connections=6), "services.api.autoscaling": {"min": 2, "max": most}}
        return env(changed("prod", changes))["MYSQL_CONNECTIONS"]

    assert connections(5) == connections(10) == "6"


def test_a_server_of_the_stack_accepts_all_connections_that_its_pods_may_open(changed: Changed):
    program = changed("dev", {"mysql.maxConnections": 300})
    assert "max-connections = 300\n" in program.manifests()["ConfigMap", "mysql-files"]["data"]["my.cnf"]
