"""`./slipway env create --data`: a backup of the base is copied, and restored by the verb for it."""

from __future__ import annotations

import gzip
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from lightkube import Client

from slipway.ops.environments import data
from slipway.ops.environments.errors import EnvError
from slipway.ops.releases import backup
from slipway.ops.releases.backup import Database
from tests import api_server

DUMP = gzip.compress(b"INSERT INTO `shops` VALUES (1);\n" * 10_000)


@pytest.fixture
def volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the volume of each stack; a `kubectl` works on them."""
    for stack in ("dev", "pr-1"):
        (tmp_path / stack).mkdir()
    for name in ("20261129T020000Z", "20261130T020000Z", "20261130T090000Z-before-restore"):
        (tmp_path / "dev" / f"{name}.sql.gz").write_bytes(DUMP)
        (tmp_path / "dev" / f"{name}.sha256").write_text("0" * 64)
    kubectl = tmp_path / "kubectl"
    # The pod has the name of its stack.
    kubectl.write_text(
        f'#!/bin/sh\nwhile [ "$1" != --quiet ]; do shift; done\nvolume={tmp_path}/$2\nshift 3\n'
        'if [ "$1" = sh ]; then exec sh -c "$(echo "$3" | sed "s|/backup|$volume|")"; fi\n'
        'exec "$1" "$(echo "$2" | sed "s|/backup|$volume|")"\n'
    )
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    @contextmanager
    def pod(database: Database) -> Generator[list[str]]:
        yield ["kubectl", "exec", "--stdin", "--quiet", database.stack, "--"]

    monkeypatch.setattr(data, "_pod", pod)
    monkeypatch.setattr(
        backup, "database_of", lambda stack: Database(stack, api_server.settings(), cast("Client", None))
    )
    monkeypatch.setattr(
        backup, "restore", lambda database, name: (tmp_path / "restored").write_text(f"{database.stack} {name}")
    )
    return tmp_path


@pytest.mark.feature("J5", part="with data")
def test_a_backup_of_the_base_is_copied_byte_by_byte_and_restored(volumes: Path):
    data.restore("dev", "pr-1", "20261129T020000Z")
    assert (volumes / "pr-1" / "20261129T020000Z.sql.gz").read_bytes() == DUMP
    assert (volumes / "pr-1" / "20261129T020000Z.sha256").read_text() == "0" * 64
    assert (volumes / "restored").read_text() == "pr-1 20261129T020000Z"


def test_the_newest_backup_is_none_of_those_before_a_restore(volumes: Path):
    data.restore("dev", "pr-1", "newest")
    assert (volumes / "restored").read_text() == "pr-1 20261130T020000Z"


def test_a_backup_that_is_not_there_is_named_and_nothing_is_restored(volumes: Path):
    with pytest.raises(EnvError, match=r"backup 2025 of dev was not copied: .*No such file.* backup --list -s dev"):
        data.restore("dev", "pr-1", "2025")
    assert not (volumes / "restored").exists()


def test_without_any_backup_the_message_says_how_to_make_one(volumes: Path):
    for file in (volumes / "dev").iterdir():
        file.unlink()
    with pytest.raises(EnvError, match=r"stack dev has no backup to copy. Make one: ./slipway backup -s dev"):
        data.restore("dev", "pr-1", "newest")


def test_without_kubectl_nothing_is_started(volumes: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EnvError, match="kubectl is not on the PATH"):
        data.restore("dev", "pr-1", "newest")
