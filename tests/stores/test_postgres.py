"""A managed PostgreSQL: variables of which a URL can be made, the password, the connection, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from local.node.certificates import CertificateFolder
from slipway.rules.house_rules import check
from slipway.settings import checks, settings
from tests.api_server import settings as settings_of
from tests.conftest import API_ONLY, WITHOUT_STORES, Changed
from tests.settings.test_settings import refusal
from tests.stores.declared import env, secret

SERVER: dict[str, Any] = {
    "source": "managed",
    "host": "postgres.example.com",
    "database": "shop",
    "user": "shop-app",
    "cidr": "10.20.2.0/24",
}


def postgres(**keys: Any) -> dict[str, Any]:
    return {**API_ONLY, **WITHOUT_STORES, "services.api.needs": ["postgres"], "postgres": {**SERVER, **keys}}


@pytest.mark.feature("G3", part="PostgreSQL")
def test_a_service_that_needs_postgres_gets_all_parts_of_its_url(changed: Changed):
    variables = {name: value for name, value in env(changed("dev", postgres())).items() if name.startswith("POSTGRES_")}
    assert variables == {
        "POSTGRES_HOST": "postgres.example.com",
        "POSTGRES_PORT": "5432",
        "POSTGRES_DATABASE": "shop",
        "POSTGRES_USER": "shop-app",
        "POSTGRES_TLS": "verified",
        "POSTGRES_SSLMODE": "verify-full",
    }


def test_a_service_that_does_not_need_postgres_gets_nothing_of_it(changed: Changed):
    program = changed("dev", {**postgres(), "services.api.needs": []})
    assert not [name for name in env(program) if name.startswith("POSTGRES_")]
    assert "postgres-password" not in secret(program)


@pytest.mark.parametrize(("tls", "mode"), [("unverified", "require"), ("disabled", "disable")])
def test_the_mode_of_tls_is_in_the_words_of_postgres_too(changed: Changed, tls: str, mode: str):
    variables = env(changed("dev", postgres(tls=tls)))
    assert (variables["POSTGRES_TLS"], variables["POSTGRES_SSLMODE"]) == (tls, mode)


def test_the_password_is_a_secret_that_the_service_reads_as_a_file(changed: Changed):
    assert "postgres-password" in secret(changed("dev", postgres()))


def test_the_connection_is_open_to_its_addresses_only_and_every_rule_is_kept(changed: Changed):
    program = changed("dev", postgres())
    [rule] = program.manifests()["NetworkPolicy", "api"]["spec"]["egress"]
    assert rule == {"to": [{"ipBlock": {"cidr": "10.20.2.0/24"}}], "ports": [{"port": 5432, "protocol": "TCP"}]}
    assert check(list(program.manifests().values()), "dev") == []


def test_the_authority_of_a_private_certificate_reaches_the_pod_as_a_file(
    changed: Changed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    CertificateFolder(tmp_path).authority("ca", "test")
    for module in (settings, checks):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    program = changed("dev", {**postgres(ca="ca.crt"), "services.api.variables": None})
    assert env(program)["POSTGRES_CA_FILE"] == "/etc/slipway-authorities/postgres.pem"
    authorities = program.manifests()["ConfigMap", "api-authorities"]["data"]
    assert authorities == {"postgres.pem": (tmp_path / "ca.crt").read_text()}


def test_the_stack_runs_no_server_of_its_own_for_it():
    stack = settings_of("dev", postgres())
    assert list(stack.stores) == ["postgres"]
    assert stack.servers == {}


def test_all_three_stores_stand_side_by_side(changed: Changed):
    all_three = {"services.api.needs": ["mysql", "postgres", "redis"], "postgres": SERVER}
    variables = env(changed("dev", {**API_ONLY, **all_three}))
    assert variables.keys() >= {"MYSQL_HOST", "POSTGRES_HOST", "REDIS_HOST"}


PASSWORD = {"services.api.secretEnv": {"POSTGRES_PASSWORD": "postgres-password"}}
URL = (
    "postgres://$(POSTGRES_USER):$(POSTGRES_PASSWORD)@$(POSTGRES_HOST):$(POSTGRES_PORT)/$(POSTGRES_DATABASE)"
    "?sslmode=$(POSTGRES_SSLMODE)"
)


def test_an_app_that_wants_a_url_gets_one_of_the_parts_and_the_password(changed: Changed):
    """Kubernetes fills in what a ConfigMap (`envFrom`) and earlier entries hold, so the URL comes last."""
    changes = {**postgres(), **PASSWORD, "services.api.env.DATABASE_URL": URL, "services.api.variables": None}
    program = changed("dev", changes)
    [container] = program.manifests()["Deployment", "api"]["spec"]["template"]["spec"]["containers"]
    *earlier, last = container["env"]
    assert last == {"name": "DATABASE_URL", "value": URL}
    given = {variable["name"] for variable in earlier} | env(program).keys()
    assert set(re.findall(r"\$\((\w+)\)", URL)) <= given


WRONG: list[tuple[dict[str, Any], str, str]] = [
    (postgres(source="cluster"), "postgres.source", "should be 'managed'"),
    (postgres(source=None), "postgres.source", "has no value"),
    (postgres(host=None), "postgres", "source: managed needs host and cidr"),
    (postgres(storage="1Gi"), "postgres.storage", "unknown key"),
    (postgres(user="two words"), "postgres.user", "should be a name of letters"),
    (postgres(tls="disabled", ca="ca.pem"), "postgres", "nobody would read it with tls: disabled"),
    (
        {**API_ONLY, "services.api.needs": ["postgres"]},
        "services.api.needs.0",
        "this stack has no postgres; declare it under slipway:postgres",
    ),
    (
        {**API_ONLY, **WITHOUT_STORES, "services.api.env.URL": "postgres://$(POSTGRES_HOST)"},
        "services.api",
        "URL refers to $(POSTGRES_HOST), which is no variable of secretEnv",
    ),
    ({**API_ONLY, "services.api.env.POSTGRES_HOST": "db"}, "services.api", "POSTGRES_HOST is set by the program"),
]


@pytest.mark.parametrize(("changes", "key", "word"), WRONG, ids=lambda value: str(value)[-60:])
def test_an_error_is_named_with_its_key_and_rule(changes: dict[str, Any], key: str, word: str):
    message = refusal("dev", changes)
    assert f"slipway:{key}: " in message
    assert word in message
