"""`./slipway attest --new-key`: where the two keys go, and that nothing is lost or shown."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from slipway import __main__ as slipway
from slipway.ops.supply_chain import cosign, signing_key
from slipway.ops.supply_chain.cosign import EvidenceError
from slipway.settings import source_files

PASSWORD = "canary of a password"
# Encrypts a number with the password, as cosign does a key: each run makes another one.
COSIGN = r"""#!/bin/sh
echo "$*" >> "$LOG"
case $1 in
generate-key-pair)
    printf '%s %s' "$COSIGN_PASSWORD" "$$" > "$3.key"
    chmod 644 "$3.key"
    echo public > "$3.pub" ;;
public-key)
    grep -q "^$COSIGN_PASSWORD " "$3" || { echo 'Error: decrypt: encrypted: decryption failed' >&2; exit 1; }
    echo "public $(sed "s/$COSIGN_PASSWORD //" "$3")" ;;
esac
"""


class Keys:
    """A project with stacks/, a folder for the key, and a cosign that notes its arguments."""

    def __init__(self, root: Path) -> None:
        self.folder, self.stacks, self.log = root / "home" / "keys", root / "project" / "stacks", root / "log"
        self.private, self.public = self.folder / "cosign.key", self.stacks / "cosign.pub"

    def make(self, folder: Path | None = None) -> Result:
        return CliRunner().invoke(slipway.app, ["attest", "--new-key", str(folder or self.folder)])


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    keys = Keys(tmp_path)
    keys.stacks.mkdir(parents=True)
    program = tmp_path / "cosign"
    program.write_text(COSIGN)
    program.chmod(0o755)
    monkeypatch.setattr(cosign, "compiled", lambda _: program)
    monkeypatch.setattr(source_files, "STACKS", keys.stacks)
    monkeypatch.setattr(signing_key, "ROOT", keys.stacks.parent)
    monkeypatch.setenv("COSIGN_PASSWORD", PASSWORD)
    monkeypatch.setenv("LOG", str(keys.log))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return keys


@pytest.mark.feature("A10", part="a key pair by one command")
def test_the_private_key_is_for_its_owner_only_and_the_public_one_is_in_the_project(keys: Keys):
    made = keys.make()
    assert made.exit_code == 0, made.exception
    assert (keys.private.stat().st_mode & 0o777, keys.folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [file.name for file in keys.folder.iterdir()] == ["cosign.key"]
    assert keys.public.read_text().startswith("public ")
    assert "slipway:evidence: {publicKey: stacks/cosign.pub}" in made.stdout
    assert f"export SLIPWAY_SIGNING_KEY={keys.private}" in made.stdout


def test_the_password_is_no_argument_and_is_not_shown(keys: Keys):
    made = keys.make()
    assert PASSWORD not in keys.log.read_text()
    assert PASSWORD not in made.output


def test_making_it_again_keeps_the_key(keys: Keys):
    keys.make()
    before = (keys.private.read_text(), keys.public.read_text())
    assert keys.make().exit_code == 0
    assert (keys.private.read_text(), keys.public.read_text()) == before


def test_a_run_that_was_killed_before_the_public_key_is_completed_with_the_same_key(keys: Keys):
    keys.make()
    before = (keys.private.read_text(), keys.public.read_text())
    keys.public.unlink()
    assert keys.make().exit_code == 0
    assert (keys.private.read_text(), keys.public.read_text()) == before


def refused(keys: Keys, folder: Path | None = None) -> str:
    """Make a key; return the message of the refusal, after which nothing has changed."""
    before = sorted(path for path in keys.stacks.parent.parent.rglob("*") if path != keys.log)
    made = keys.make(folder)
    assert isinstance(made.exception, EvidenceError)
    assert sorted(path for path in keys.stacks.parent.parent.rglob("*") if path != keys.log) == before
    return str(made.exception)


def test_another_key_of_the_project_is_not_replaced(keys: Keys):
    keys.public.write_text("public 1\n")
    assert "stacks/cosign.pub is there already" in refused(keys)
    keys.folder.mkdir(parents=True)
    keys.private.write_text(f"{PASSWORD} 2")
    assert "stacks/cosign.pub is not the public key of" in refused(keys)
    assert (keys.public.read_text(), keys.private.read_text()) == ("public 1\n", f"{PASSWORD} 2")


def test_a_key_that_another_password_encrypts_is_not_replaced(keys: Keys):
    keys.folder.mkdir(parents=True)
    keys.private.write_text("another password 2")
    assert "cannot be read with the password in COSIGN_PASSWORD: decrypt: encrypted: decryption failed" in refused(keys)


@pytest.mark.parametrize("password", ["", "short"])
def test_without_a_good_password_nothing_is_made(keys: Keys, monkeypatch: pytest.MonkeyPatch, password: str):
    monkeypatch.setenv("COSIGN_PASSWORD", password)
    message = refused(keys)
    assert "of 12 characters or more. `read -rs COSIGN_PASSWORD && export" in message


def test_a_folder_in_git_is_refused(keys: Keys, tmp_path: Path):
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "other")], check=True)
    for folder in (keys.stacks, tmp_path / "other", tmp_path / "other" / "new" / "keys"):
        assert f"--new-key {folder}: is in a git repository" in refused(keys, folder)


def test_a_disk_that_is_full_leaves_no_half_of_a_key(keys: Keys, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28), str(keys.private))

    monkeypatch.setattr(signing_key.os, "link", full)
    assert keys.make().exit_code == 1
    assert list(keys.folder.iterdir()) == []
    assert not keys.public.exists()


@pytest.mark.parametrize("given", [[], ["-s", "dev", "--new-key", "keys"]])
def test_attest_takes_a_stack_or_a_folder_for_a_key(given: list[str]):
    assert CliRunner().invoke(slipway.app, ["attest", *given]).exit_code == 2
