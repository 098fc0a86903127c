"""The locks on the state of a stack: found in each of the engine's backends, or reported as unknown.

The engine is a script; locks and messages are what pulumi 3.259.0 writes. tests/neighbours/test_s3_backend.py has the
real ones.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest

from slipway.ops.diagnosis import locks
from slipway.ops.diagnosis.locks import CloudLock, Lock
from slipway.ops.program import engine_state
from slipway.ops.program.engine_state import EngineError
from slipway.project import ROOT


def lock(folder: Path, pid: int, host: str) -> None:
    file = folder / ".pulumi" / "locks" / "organization" / "slipway" / "dev" / "1.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"pid": pid, "username": "ada", "hostname": host, "timestamp": "2026-11-21T08:00:00Z"}))


@pytest.mark.parametrize(
    ("pid", "host", "stale"),
    [(2**22 + 1, gethostname(), True), (os.getpid(), gethostname(), True), (2**22 + 1, "another", False)],
    ids=["no such process", "another program has the number", "of another machine"],
)
def test_a_lock_is_stale_if_its_process_on_this_machine_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pid: int, host: str, stale: bool
):
    monkeypatch.setattr(locks, "backend", lambda: f"file://{tmp_path}")
    lock(tmp_path, pid, host)
    [held] = locks.state_locks("dev")
    assert held == Lock("ada", host, pid, "2026-11-21T08:00:00Z")
    assert held.is_stale == stale


@pytest.mark.parametrize(
    "url", ["file://~", "file://~/states", "file://./states", "file://states", "file:///a%20b?x=y"]
)
def test_a_folder_is_the_one_that_the_engine_takes_the_address_for(monkeypatch: pytest.MonkeyPatch, url: str):
    """`pulumi login --local` is `file://~`, and `whoami` prints an address as it was given."""
    folders = {
        "file://~": Path.home(),
        "file://~/states": Path.home() / "states",
        "file://./states": ROOT / "states",
        "file://states": ROOT / "states",
        "file:///a%20b?x=y": Path("/a b"),
    }
    assert locks.folder_of(url) == folders[url]


def test_a_lock_in_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(locks, "backend", lambda: "file://~")
    lock(tmp_path, 1, "another")
    assert [held.host for held in locks.state_locks("dev") if isinstance(held, Lock)] == ["another"]


@pytest.mark.parametrize(
    "ps", ["", '#!/bin/sh\necho "ps: unrecognized option: p" >&2\nexit 1\n'], ids=["none", "busybox"]
)
@pytest.mark.parametrize(("pid", "stale"), [(2**22 + 1, True), (os.getpid(), False)])
def test_without_a_ps_that_tells_a_lock_is_stale_only_if_no_process_has_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ps: str, pid: int, stale: bool
):
    monkeypatch.setenv("PATH", str(tmp_path))
    if ps:
        (tmp_path / "ps").write_text(ps)
        (tmp_path / "ps").chmod(0o755)
    assert Lock("ada", gethostname(), pid, "").is_stale == stale


def damaged(folder: Path, content: bytes) -> Path:
    lock(folder, 1, "another")
    [file] = (folder / ".pulumi" / "locks").rglob("*.json")
    file.write_bytes(content)
    return file


@pytest.mark.parametrize(
    ("content", "damage"),
    [
        (b"", "it is empty"),
        (b'{"pid": 1, "usern', "no lock that the engine writes"),
        (b"\xff\xfe\x00", "no lock that the engine writes"),
        (b"[]", "no lock that the engine writes"),
        (b"[" * 100_000, "no lock that the engine writes"),
        (b'{"pid": 1, "username": "ada", "timestamp": ""}', "no 'hostname' in it"),
        (b'{"pid": "x", "username": "ada", "hostname": "b", "timestamp": ""}', "no lock that the engine writes"),
    ],
    ids=["empty", "cut off", "no text", "a list", "too deep", "without a field", "no process"],
)
def test_a_damaged_lock_is_reported_in_one_message_with_its_file_and_the_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, damage: str
):
    monkeypatch.setattr(locks, "backend", lambda: f"file://{tmp_path}")
    file = damaged(tmp_path, content)
    with pytest.raises(EngineError) as refused:
        locks.state_locks("dev")
    message = str(refused.value)
    assert message.startswith(f"the lock {file} of stack dev cannot be read: {damage}. ")
    assert message.endswith(": `pulumi cancel -s dev`, then ./slipway doctor -s dev")


def test_a_folder_among_the_locks_is_ignored_as_the_engine_ignores_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(locks, "backend", lambda: f"file://{tmp_path}")
    file = damaged(tmp_path, b"")
    file.unlink()
    file.mkdir()
    assert locks.state_locks("dev") == []


def test_the_lock_of_another_project_with_a_stack_of_this_name_is_not_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(locks, "backend", lambda: f"file://{tmp_path}")
    ours = damaged(tmp_path, b"")
    ours.parent.parent.rename(ours.parent.parent.with_name("hello"))
    assert locks.state_locks("dev") == []


# Buckets and Pulumi Cloud ---------------------------------------------------------------------------------------------

BUCKET = "s3://states?region=eu-central-1&awssdk=v2"
LOCKED = """error: could not create stack: the stack is currently locked by 2 lock(s). Either wait for the other \
process(es) to end or delete the lock file with `pulumi cancel`.
  s3://states/.pulumi/locks/organization/slipway/dev/1.json?region=eu-central-1: created by ada@build-7 (pid 41) at \
2026-11-21T08:00:00Z
  s3://states/.pulumi/locks/organization/slipway/dev/2.json?region=eu-central-1: created by CORP\\bob@desk (pid 7) at \
2026-11-21T09:00:00+01:00"""


class Engine:
    """Answers `pulumi` commands by their first two words; a text that begins with `error` is an error."""

    def __init__(self, url: str, **answers: str) -> None:
        self.answers = {"whoami": json.dumps({"url": url}), **answers}
        self.asked: list[str] = []
        self.variables: Mapping[str, str] = {}
        self.project: dict[str, Any] = {}

    def __call__(self, *arguments: str, variables: Mapping[str, str] | None = None) -> str:
        words = [word for word in arguments if not word.startswith("-")][:2]
        self.asked.append(" ".join(words))
        if "--cwd" in arguments:
            folder = Path(arguments[arguments.index("--cwd") + 1])
            self.variables = variables or {}
            self.project = {file.name: json.loads(file.read_text()) for file in folder.iterdir()}
        answer = self.answers.get("_".join(words), "")
        if answer.startswith("error"):
            raise EngineError(answer)
        return answer


def engine(monkeypatch: pytest.MonkeyPatch, url: str, **answers: str) -> Engine:
    fake = Engine(url, **answers)
    monkeypatch.setattr(engine_state, "pulumi", fake)
    return fake


@pytest.mark.parametrize("url", [BUCKET, "gs://states", "azblob://states", "postgres://db.example.com/states"])
def test_the_locks_in_a_bucket_are_those_that_the_engine_names(monkeypatch: pytest.MonkeyPatch, url: str):
    asked = engine(monkeypatch, url, stack_export="{}", stack_init=LOCKED)
    assert locks.state_locks("dev") == [
        Lock("ada", "build-7", 41, "2026-11-21T08:00:00Z"),
        Lock("CORP\\bob", "desk", 7, "2026-11-21T09:00:00+01:00"),
    ]
    assert asked.asked == ["whoami", "stack export", "stack init"]


def test_a_bucket_without_a_lock_has_none(monkeypatch: pytest.MonkeyPatch):
    message = "error: stack 'organization/slipway/dev' already exists"
    engine(monkeypatch, BUCKET, stack_export="{}", stack_init=message)
    assert locks.state_locks("dev") == []


def test_the_engine_is_asked_outside_of_the_project_and_without_the_key_of_its_secrets(monkeypatch: pytest.MonkeyPatch):
    asked = engine(monkeypatch, BUCKET, stack_export="{}", stack_init=LOCKED)
    locks.state_locks("dev")
    assert asked.project == {"Pulumi.yaml": {"name": "slipway", "runtime": "python"}}
    assert asked.variables == {"PULUMI_BACKEND_URL": BUCKET, "PULUMI_CONFIG_PASSPHRASE": "for no secret"}


def test_a_stack_that_does_not_exist_is_not_created_by_the_question(monkeypatch: pytest.MonkeyPatch):
    asked = engine(monkeypatch, BUCKET, stack_export="error: no stack named 'dev' found")
    with pytest.raises(EngineError, match="no stack named"):
        locks.state_locks("dev")
    assert asked.asked == ["whoami", "stack export"]


@pytest.mark.parametrize(
    "message",
    [
        "error: could not create stack: unexpected end of JSON input",
        "error: could not create stack: the stack is currently locked by 1 lock(s). Ask the office.",
    ],
    ids=["damaged", "in other words"],
)
def test_a_lock_in_a_bucket_that_does_not_say_whose_it_is_is_reported_with_the_fix(
    monkeypatch: pytest.MonkeyPatch, message: str
):
    engine(monkeypatch, "s3://key:word@states?endpoint=s3.example.com", stack_export="{}", stack_init=message)
    with pytest.raises(locks.DamagedLockError) as refused:
        locks.state_locks("dev")
    text = str(refused.value)
    assert text.startswith(f"cannot find out whether stack dev is locked in s3://states: {message}. ")
    assert text.endswith("`pulumi cancel -s dev`, then ./slipway doctor -s dev")
    assert "word" not in text.replace("words", "")


@pytest.mark.parametrize(
    ("listed", "held"),
    [
        ([{"name": "dev", "updateInProgress": True}], [CloudLock("dev")]),
        ([{"name": "acme/dev", "updateInProgress": True}], [CloudLock("dev")]),
        ([{"name": "dev", "updateInProgress": False}, {"name": "prod", "updateInProgress": True}], []),
        ([{"name": "dev"}], []),
    ],
    ids=["running", "of an organization", "another stack's", "never updated"],
)
def test_pulumi_cloud_says_only_whether_an_update_runs(
    monkeypatch: pytest.MonkeyPatch, listed: list[dict[str, Any]], held: list[CloudLock]
):
    engine(monkeypatch, "https://app.pulumi.com/ada", stack_ls=json.dumps(listed))
    assert locks.state_locks("dev") == held


def test_an_update_of_pulumi_cloud_is_never_stale_and_its_message_says_where_to_look():
    lock = CloudLock("dev")
    assert not lock.is_stale
    assert "`pulumi stack -s dev` shows whose" in lock.text
