"""The secrets that `make up` creates for the local stack."""

from __future__ import annotations

from pathlib import Path

import yaml

from local.paths import ClonePaths
from local.stack import secrets


def clone(tmp_path: Path, config: dict[str, object]) -> ClonePaths:
    paths = ClonePaths(tmp_path / "clone", tmp_path / "cache")
    (paths.clone / "stacks").mkdir(parents=True)
    paths.stack_file.write_text(yaml.safe_dump({"config": config}))
    return paths


def test_every_secret_of_a_service_is_created_once(tmp_path: Path) -> None:
    paths = clone(tmp_path, {"slipway:services": {"api": {"secrets": ["signing-key"]}, "web": {"secrets": ["x"]}}})
    assert secrets.create_secrets(paths) == ["passphrase", "signing-key", "x"]
    assert secrets.create_secrets(paths) == []


def test_a_store_gets_its_own_password(tmp_path: Path) -> None:
    services = {"api": {"secrets": ["signing-key"]}}
    paths = clone(tmp_path, {"slipway:mysql": {"source": "managed"}, "slipway:redis": {}, "slipway:services": services})
    assert secrets.create_secrets(paths) == ["passphrase", "mysql-password", "redis-password", "signing-key"]
    password = paths.secrets / "mysql-password"
    assert len(password.read_text()) >= 32
    assert password.stat().st_mode & 0o777 == 0o600


def test_migrations_get_a_password_where_they_have_an_account(tmp_path: Path) -> None:
    paths = clone(tmp_path, {"slipway:mysql": {"migrationUser": "slipway_migrator"}})
    assert secrets.create_secrets(paths) == ["passphrase", "mysql-migration-password", "mysql-password"]


def test_a_secret_variable_gets_its_secret_too(tmp_path: Path) -> None:
    paths = clone(tmp_path, {"slipway:services": {"api": {"secretEnv": {"API_TOKEN": "api-token"}}}})
    assert secrets.create_secrets(paths) == ["passphrase", "api-token"]
