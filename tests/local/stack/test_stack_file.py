"""The salt that Pulumi writes into the stack file stays out of git, and one of another clone is removed."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import pytest

from local.stack import secrets, stack_file

# Made by Pulumi 3.259.0 with the passphrase "correct horse".
SALT = "v1:Ym0kY9KpQ3Y=:v1:PJ/LiXnUYP58JUn7:7B4+OF/S6qMB+8uPCD5rVKFtHrp4uw=="
# Trying a passphrase takes half a second, on purpose.
matches = functools.cache(secrets.matches)
TEXT = "# local\nconfig:\n  slipway:cluster:\n    context: slipway-local\n"


@pytest.mark.parametrize(
    "text",
    [
        "config:\n  slipway:cluster:\n    context: kind-kind\n",
        "config:\n  slipway:cluster: {context: kind-kind, server: x}\n",
        'config:\n  slipway:cluster:\n    server: x\n    context: "kind-kind" # ours\n  slipway:image: {}\n',
    ],
)
def test_the_context_is_read_in_every_yaml_notation(text: str) -> None:
    assert stack_file.context(text) == "kind-kind"


def test_a_context_of_another_section_is_ignored() -> None:
    assert stack_file.context("config:\n  slipway:cluster: {}\n  slipway:other:\n    context: x\n") == ""


def test_a_salt_matches_its_own_passphrase_only() -> None:
    assert matches("correct horse", SALT)
    assert not matches("wrong horse", SALT)
    assert not matches("correct horse", "v1:broken")


def test_a_salt_of_another_clone_is_removed_and_ours_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "matches", matches)
    file, passphrase = tmp_path / "Pulumi.local.yaml", tmp_path / "passphrase"
    file.write_text(f"{TEXT}encryptionsalt: {SALT}\n")
    passphrase.write_text("correct horse")
    assert not secrets.drop_foreign_salt(file, passphrase)
    passphrase.write_text("wrong horse")
    assert secrets.drop_foreign_salt(file, passphrase)
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


def test_a_clone_without_git_works(tmp_path: Path) -> None:
    stack_file.hide_salt(tmp_path)
    stack_file.stop_hiding_salt(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_secret_is_created_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "signing-key"
    assert secrets.create_secret(path)
    first = path.read_text()
    assert not secrets.create_secret(path)
    assert path.read_text() == first
    assert len(first) == 44 and "\n" not in first
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_secrets_of_all_services_are_created(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text("config: {slipway:services: {api: {secrets: [signing-key]}, web: {secrets: [session-key]}}}")
    (tmp_path / "defaults.yaml").write_text("config: {slipway:service: {secrets: [shared-key]}}")
    assert secrets.secret_names(file) == {"signing-key", "session-key", "shared-key"}


def test_a_stack_without_secrets_needs_none(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text("config: {slipway:services: {api: {}}}")
    assert secrets.secret_names(file) == set()
