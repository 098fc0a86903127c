"""What Pulumi writes into the local stack's file stays out of git, and a salt of another clone is found out."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import pytest

from local import secrets, stack_file

# Made by Pulumi 3.259.0 with the passphrase "correct horse".
SALT = "v1:Ym0kY9KpQ3Y=:v1:PJ/LiXnUYP58JUn7:7B4+OF/S6qMB+8uPCD5rVKFtHrp4uw=="
# Trying a passphrase takes half a second, on purpose.
fits = functools.cache(secrets.fits)
TEXT = "# local\nconfig:\n  slipway:cluster:\n    context: slipway-local\n"


@pytest.mark.parametrize(
    "text",
    [
        "config:\n  slipway:cluster:\n    context: kind-kind\n",
        "config:\n  slipway:cluster: {context: kind-kind, server: x}\n",
        'config:\n  slipway:cluster:\n    server: x\n    context: "kind-kind" # ours\n  slipway:image: {}\n',
    ],
)
def test_the_context_is_read_in_every_way_it_can_be_written(text: str) -> None:
    assert stack_file.context(text) == "kind-kind"


def test_a_context_of_another_section_is_not_taken() -> None:
    assert stack_file.context("config:\n  slipway:cluster: {}\n  slipway:other:\n    context: x\n") == ""


def test_the_shipped_stack_names_the_native_cluster() -> None:
    shipped = Path(__file__).resolve().parents[2] / "stacks" / "Pulumi.local.yaml"
    assert stack_file.context(shipped.read_text()) == "slipway-local"


def test_a_salt_fits_its_own_passphrase_only() -> None:
    assert fits("correct horse", SALT)
    assert not fits("wrong horse", SALT)
    assert not fits("correct horse", "v1:broken")


def test_a_salt_of_another_clone_is_dropped_and_ours_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "fits", fits)
    file, passphrase = tmp_path / "Pulumi.local.yaml", tmp_path / "passphrase"
    file.write_text(f"{TEXT}encryptionsalt: {SALT}\n")
    passphrase.write_text("correct horse")
    assert not secrets.repair(file, passphrase)
    passphrase.write_text("wrong horse")
    assert secrets.repair(file, passphrase)
    assert file.read_text() == TEXT


def test_git_does_not_see_the_salt(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@t", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    file = tmp_path / "stacks" / "Pulumi.local.yaml"
    file.parent.mkdir()
    file.write_text(TEXT)
    (tmp_path / ".gitattributes").write_text("stacks/Pulumi.local.yaml filter=slipway-local\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    file.write_text(f"{TEXT}encryptionsalt: {SALT}\n")
    assert "Pulumi.local.yaml" in git("status", "--short")
    stack_file.hide_salt(tmp_path)
    assert git("status", "--short") == ""
    assert git("diff") == ""
    stack_file.drop_salt(file)
    stack_file.stop_hiding_salt(tmp_path)
    assert git("status", "--short") == ""
    assert "slipway" not in (tmp_path / ".git" / "config").read_text()


def test_a_clone_without_git_is_no_problem(tmp_path: Path) -> None:
    stack_file.hide_salt(tmp_path)
    stack_file.stop_hiding_salt(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_secret_is_made_once_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "signing-key"
    assert secrets.make_one(path)
    first = path.read_text()
    assert not secrets.make_one(path)
    assert path.read_text() == first
    assert len(first) == 44 and "\n" not in first
    assert path.stat().st_mode & 0o777 == 0o600


def test_every_secret_some_service_of_the_stack_names_is_made(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text("config: {slipway:services: {api: {secrets: [signing-key]}, web: {secrets: [session-key]}}}")
    (tmp_path / "defaults.yaml").write_text("config: {slipway:service: {secrets: [shared-key]}}")
    assert secrets.named(file) == {"signing-key", "session-key", "shared-key"}


def test_a_stack_without_secrets_needs_none(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text("config: {slipway:services: {api: {}}}")
    assert secrets.named(file) == set()
