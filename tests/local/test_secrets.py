"""Which secrets `make up` makes for the local stack."""

from __future__ import annotations

from pathlib import Path

import yaml

from local import secrets
from local.places import Places


def clone(tmp_path: Path, config: dict[str, object]) -> Places:
    places = Places(tmp_path / "clone", tmp_path / "cache")
    (places.clone / "stacks").mkdir(parents=True)
    places.stack_file.write_text(yaml.safe_dump({"config": config}))
    return places


def test_every_secret_a_service_names_is_made_once(tmp_path: Path) -> None:
    places = clone(tmp_path, {"slipway:services": {"api": {"secrets": ["signing-key"]}, "web": {"secrets": ["x"]}}})
    assert secrets.make(places) == ["passphrase", "signing-key", "x"]
    assert secrets.make(places) == []


def test_a_backing_service_gets_a_password_of_its_own(tmp_path: Path) -> None:
    services = {"api": {"secrets": ["signing-key"]}}
    places = clone(
        tmp_path, {"slipway:mysql": {"source": "managed"}, "slipway:redis": {}, "slipway:services": services}
    )
    assert secrets.make(places) == ["passphrase", "mysql-password", "redis-password", "signing-key"]
    password = places.secrets / "mysql-password"
    assert len(password.read_text()) >= 32
    assert password.stat().st_mode & 0o777 == 0o600


def test_migrations_get_a_password_where_they_have_an_account(tmp_path: Path) -> None:
    places = clone(tmp_path, {"slipway:mysql": {"migrationUser": "slipway_migrator"}})
    assert secrets.make(places) == ["passphrase", "mysql-migration-password", "mysql-password"]
