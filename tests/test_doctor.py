"""`./slipway doctor`: what it finds after an update that was killed, and what it makes of it.

The engine is a script; states and locks are what pulumi 3.259.0 writes, cut to what is read of them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from socket import gethostname
from typing import Any

import httpx2
import pytest

from ops import cluster, doctor, engine_state
from ops.doctor import Lock, Pending
from ops.engine_state import NoState
from tests import api_server

URN = "urn:pulumi:dev::slipway::slipway:index:WebService${type}::api"
SERVICE = URN.format(type="kubernetes:core/v1:Service")
JOB = URN.format(type="kubernetes:batch/v1:Job")
INPUTS = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api", "namespace": "slipway-dev"}}
HERE = {
    "metadata": {"name": "api", "namespace": "slipway-dev", "labels": {"app.kubernetes.io/instance": "slipway-dev"}}
}


def operation(type_: str, urn: str = SERVICE, inputs: dict[str, Any] = INPUTS) -> dict[str, Any]:
    return {"type": type_, "resource": {"urn": urn, "type": urn.split("::")[2].rpartition("$")[2], "inputs": inputs}}


def state(*operations: dict[str, Any], resources: tuple[dict[str, Any], ...] = ()) -> engine_state.State:
    return {"version": 3, "deployment": {"resources": list(resources), "pending_operations": list(operations)}}


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        (httpx2.Response(200, json=HERE), "slipway-dev/api"),
        (httpx2.Response(404), None),
        (httpx2.Response(200, json={"metadata": {"name": "api", "labels": {}}}), None),
    ],
    ids=["it is there", "it is not", "somebody else's"],
)
def test_an_object_is_taken_into_the_state_only_if_it_is_there_and_of_this_stack(
    answer: httpx2.Response, known: str | None
):
    found = api_server.cluster(lambda _: answer)
    assert doctor.pending(state(operation("creating")), found) == [Pending("creating", SERVICE, known)]


def test_an_image_or_an_update_without_an_end_is_not_asked_for():
    def nobody(request: httpx2.Request) -> httpx2.Response:
        raise AssertionError(str(request.url))

    image = operation("creating", URN.format(type="docker:index/image:Image"), {"imageName": "api"})
    waiting = doctor.pending(state(image, operation("updating")), api_server.cluster(nobody))
    assert [one.id for one in waiting] == [None, None]


def test_what_was_made_is_in_the_state_and_no_operation_is_left():
    settled = engine_state.settled(
        state(operation("creating"), operation("updating", JOB)), {SERVICE: "slipway-dev/api"}
    )
    assert "pending_operations" not in settled["deployment"]
    [made] = settled["deployment"]["resources"]
    assert (made["urn"], made["id"], made["inputs"]) == (SERVICE, "slipway-dev/api", INPUTS)


def test_what_was_made_in_place_of_another_leaves_the_other_to_be_deleted():
    former = {"urn": JOB, "id": "slipway-dev/former"}
    before = state(operation("creating", JOB), resources=(former,))
    settled = engine_state.settled(before, {JOB: "slipway-dev/latter"})
    assert [(one["id"], one.get("delete", False)) for one in settled["deployment"]["resources"]] == [
        ("slipway-dev/former", True),
        ("slipway-dev/latter", False),
    ]
    assert former == {"urn": JOB, "id": "slipway-dev/former"}, "the state before was changed"


def lock(folder: Path, pid: int, host: str) -> None:
    file = folder / ".pulumi" / "locks" / "organization" / "slipway" / "dev" / "1.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"pid": pid, "username": "ada", "hostname": host, "timestamp": "2026-11-21T08:00:00Z"}))


@pytest.mark.parametrize(
    ("pid", "host", "left_behind"),
    [(2**22 + 1, gethostname(), True), (os.getpid(), gethostname(), True), (2**22 + 1, "another", False)],
    ids=["no such process", "another program has the number", "of another machine"],
)
def test_a_lock_is_left_behind_if_its_engine_is_gone_from_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pid: int, host: str, left_behind: bool
):
    monkeypatch.setattr(doctor, "backend", lambda: f"file://{tmp_path}")
    lock(tmp_path, pid, host)
    [found] = doctor.held("dev")
    assert found == Lock("ada", host, pid, "2026-11-21T08:00:00Z")
    assert found.is_left_behind == left_behind


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
def test_a_damaged_lock_is_one_message_with_its_file_and_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, damage: str
):
    monkeypatch.setattr(doctor, "backend", lambda: f"file://{tmp_path}")
    file = damaged(tmp_path, content)
    with pytest.raises(NoState) as refused:
        doctor.held("dev")
    message = str(refused.value)
    assert message.startswith(f"the lock {file} of stack dev cannot be read: {damage}. ")
    assert message.endswith(": `pulumi cancel -s dev`, then ./slipway doctor -s dev")


def test_a_damaged_lock_is_left_alone_by_fix_too_as_an_update_may_run(engine: Engine, tmp_path: Path):
    damaged(tmp_path, b"")
    with pytest.raises(NoState, match="it is empty"):
        doctor.command("dev", fix=True)
    assert engine.asked == ["whoami"]


def test_a_folder_among_the_locks_is_no_lock_as_the_engine_sees_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(doctor, "backend", lambda: f"file://{tmp_path}")
    file = damaged(tmp_path, b"")
    file.unlink()
    file.mkdir()
    assert doctor.held("dev") == []


def test_only_locks_in_files_are_looked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "backend", lambda: "s3://bucket")
    assert doctor.held("dev") == []


class Engine:
    """Answers what the doctor asks of `pulumi`, and remembers it."""

    def __init__(self, folder: Path, found: engine_state.State) -> None:
        self.answers = {"whoami": json.dumps({"url": f"file://{folder}"}), "stack export": json.dumps(found)}
        self.asked: list[str] = []
        self.restored: list[engine_state.State] = []

    def __call__(self, *arguments: str, given: str | None = None) -> str:
        if given:
            self.restored.append(json.loads(given))
        self.asked.append(" ".join(word for word in arguments if not word.startswith("-") and word != "dev"))
        return self.answers.get(self.asked[-1], "")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A killed update of stack dev: locked, and a Service that was just being made."""
    found = Engine(tmp_path, state(operation("creating")))
    monkeypatch.setattr(engine_state, "pulumi", found)
    there = api_server.cluster(lambda _: httpx2.Response(200, json=HERE))
    monkeypatch.setattr(cluster, "connect", lambda *_: there)
    return found


def test_without_fix_it_tells_what_is_wrong_and_changes_nothing(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    lock(tmp_path, 2**22 + 1, gethostname())
    assert doctor.command("dev", fix=False) == 1
    assert engine.asked == ["whoami", "stack export"]
    told = capsys.readouterr().err
    assert "dev: locked by an update that is gone: ada@" in told
    assert "dev: creating Service/api: it is there, to be taken into the state" in told
    assert "./slipway doctor --fix -s dev" in told


def test_with_fix_it_unlocks_settles_what_is_open_and_reads_the_cluster(engine: Engine, tmp_path: Path):
    lock(tmp_path, 2**22 + 1, gethostname())
    assert doctor.command("dev", fix=True) == 0
    assert engine.asked == ["whoami", "stack export", "cancel", "stack import", "refresh"]


def test_an_update_that_runs_elsewhere_is_left_alone(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    lock(tmp_path, 1, "another")
    assert doctor.command("dev", fix=True) == 1
    assert engine.asked == ["whoami"]
    assert "dev: locked by an update that is running: ada@another, process 1" in capsys.readouterr().err


def test_a_state_in_order_is_left_as_it_is(engine: Engine, capsys: pytest.CaptureFixture[str]):
    engine.answers["stack export"] = json.dumps(state())
    assert doctor.command("dev", fix=True) == 0
    assert engine.asked == ["whoami", "stack export"]
    assert "the state is in order" in capsys.readouterr().err


def job(name: str, **other: Any) -> dict[str, Any]:
    return {"urn": JOB, "type": "kubernetes:batch/v1:Job", "id": f"slipway-dev/{name}", **other}


def test_of_two_jobs_that_of_the_release_in_force_stays_and_the_other_is_taken_away_when_it_has_ended(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """What an update leaves that was killed after it had made its migration, and then the migration still runs."""
    answers = [{"status": {"active": 1}}, {"status": {"succeeded": 1}}, {}]
    asked: list[tuple[str, str]] = []

    def server(request: httpx2.Request) -> httpx2.Response:
        asked.append((request.method, request.url.path.rpartition("/")[2]))
        return httpx2.Response(200, json=answers.pop(0))

    monkeypatch.setattr(doctor, "POLL_SECONDS", 0)
    monkeypatch.setattr(cluster, "connect", lambda *_: api_server.cluster(server))
    left = state(resources=(job("latter", created="2"), job("former", created="1", delete=True)))
    engine.answers["stack export"] = json.dumps(left)
    assert doctor.command("dev", fix=False) == 1
    assert asked == []
    assert doctor.command("dev", fix=True) == 0
    assert asked == [("GET", "latter"), ("GET", "latter"), ("DELETE", "latter")]
    [restored] = engine.restored
    assert restored["deployment"]["resources"] == [job("former", created="1")]
    assert "dev: Job/latter, of an update without an end, while the one before is there" in capsys.readouterr().err


def test_a_job_that_was_being_made_when_the_update_was_killed_is_taken_away_too():
    begun = operation("creating", JOB) | {"resource": job("latter", created="2")}
    service = {"urn": SERVICE, "type": "kubernetes:core/v1:Service", "id": "slipway-dev/api", "dependencies": [JOB]}
    before = state(begun, resources=(job("former", created="1"), service))
    repaired, latter = engine_state.with_former_jobs(engine_state.settled(before, {JOB: "slipway-dev/latter"}))
    assert latter == ["latter"]
    # In the order of before: the engine refuses a state in which a resource stands before what it depends on.
    assert repaired["deployment"]["resources"] == [job("former", created="1"), service]


def test_only_jobs_are_taken_away_before_their_successor_is_complete():
    secret = {"urn": SERVICE, "type": "kubernetes:core/v1:Secret", "id": "slipway-dev/former", "created": "1"}
    left = state(resources=({**secret, "id": "slipway-dev/latter", "created": "2"}, {**secret, "delete": True}))
    assert engine_state.with_former_jobs(left) == (left, [])


def test_a_migration_that_failed_when_it_was_made_is_reported_with_what_happens_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    failed = {
        "urn": JOB,
        "type": "kubernetes:batch/v1:Job",
        "id": "slipway-dev/api-migration-0a1b2c3d",
        "initErrors": ["Job failed: BackoffLimitExceeded\nlast lines of its pod:"],
    }
    monkeypatch.setattr(engine_state, "pulumi", Engine(tmp_path, state(resources=(failed,))))
    assert doctor.command("dev", fix=False) == 1
    assert capsys.readouterr().err.splitlines() == [
        "dev: Job/api-migration-0a1b2c3d has failed: Job failed: BackoffLimitExceeded",
        "dev: the next ./slipway up -s dev tries that again; the cause is not in the state",
    ]
