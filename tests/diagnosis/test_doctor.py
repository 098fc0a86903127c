"""`./slipway doctor`: what it finds after an update that was killed, and what it makes of it.

The engine is a script; states and locks are what pulumi 3.259.0 writes, cut to what is read of them.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from socket import gethostname
from typing import Any

import httpx2
import pytest

from slipway.ops.cluster import connection, dev_build
from slipway.ops.diagnosis import doctor
from slipway.ops.diagnosis.doctor import PendingOperation
from slipway.ops.program import engine_state
from slipway.ops.program.engine_state import EngineError
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
def test_a_pending_object_is_added_to_the_state_only_if_it_exists_and_belongs_to_this_stack(
    answer: httpx2.Response, known: str | None
):
    found = api_server.cluster(lambda _: answer)
    assert doctor.pending(state(operation("creating")), found) == [PendingOperation("creating", SERVICE, known)]


def test_a_pending_image_or_update_is_not_looked_up_in_the_cluster():
    def nobody(request: httpx2.Request) -> httpx2.Response:
        raise AssertionError(str(request.url))

    image = operation("creating", URN.format(type="docker:index/image:Image"), {"imageName": "api"})
    waiting = doctor.pending(state(image, operation("updating")), api_server.cluster(nobody))
    assert [one.id for one in waiting] == [None, None]


def test_a_created_object_is_added_to_the_state_and_no_operation_stays_pending():
    settled = engine_state.resolve_pending(
        state(operation("creating"), operation("updating", JOB)), {SERVICE: "slipway-dev/api"}
    )
    assert "pending_operations" not in settled["deployment"]
    [made] = settled["deployment"]["resources"]
    assert (made["urn"], made["id"], made["inputs"]) == (SERVICE, "slipway-dev/api", INPUTS)


def test_a_created_replacement_marks_its_predecessor_for_deletion():
    former = {"urn": JOB, "id": "slipway-dev/former"}
    before = state(operation("creating", JOB), resources=(former,))
    settled = engine_state.resolve_pending(before, {JOB: "slipway-dev/latter"})
    assert [(one["id"], one.get("delete", False)) for one in settled["deployment"]["resources"]] == [
        ("slipway-dev/former", True),
        ("slipway-dev/latter", False),
    ]
    assert former == {"urn": JOB, "id": "slipway-dev/former"}, "the state before was changed"


def lock(folder: Path, pid: int, host: str) -> Path:
    """Lock stack dev in a folder of states."""
    file = folder / ".pulumi" / "locks" / "organization" / "slipway" / "dev" / "1.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"pid": pid, "username": "ada", "hostname": host, "timestamp": "2026-11-21T08:00:00Z"}))
    return file


def test_fix_leaves_a_damaged_lock_alone_because_an_update_may_run(engine: FakePulumi, tmp_path: Path):
    lock(tmp_path, 1, "another").write_bytes(b"")
    with pytest.raises(EngineError, match="it is empty"):
        doctor.command("dev", fix=True)
    assert engine.asked == ["whoami"]


class FakePulumi:
    """Answers the doctor's `pulumi` commands, and records them."""

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
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePulumi:
    """A killed update of stack dev: locked, and a Service that was just being made."""
    found = FakePulumi(tmp_path, state(operation("creating")))
    monkeypatch.setattr(engine_state, "pulumi", found)
    there = api_server.cluster(lambda _: httpx2.Response(200, json={**HERE, "items": []}))
    monkeypatch.setattr(connection, "connect", lambda *_: there)
    return found


def test_without_fix_it_reports_what_is_wrong_and_changes_nothing(
    engine: FakePulumi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    lock(tmp_path, 2**22 + 1, gethostname())
    assert doctor.command("dev", fix=False) == 1
    assert engine.asked == ["whoami", "stack export"]
    messages = capsys.readouterr().err
    assert "dev: locked by an update that is gone: ada@" in messages
    assert "dev: creating Service/api: it exists, to be added to the state" in messages
    assert "./slipway doctor --fix -s dev" in messages


def test_with_fix_it_unlocks_the_state_settles_operations_and_refreshes(engine: FakePulumi, tmp_path: Path):
    lock(tmp_path, 2**22 + 1, gethostname())
    assert doctor.command("dev", fix=True) == 0
    assert engine.asked == ["whoami", "stack export", "cancel", "stack import", "refresh"]


def test_an_update_on_another_machine_is_left_alone(
    engine: FakePulumi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    lock(tmp_path, 1, "another")
    assert doctor.command("dev", fix=True) == 1
    assert engine.asked == ["whoami"]
    assert "dev: locked by an update that is running: ada@another, process 1" in capsys.readouterr().err


def test_a_state_in_order_is_left_as_it_is(engine: FakePulumi, capsys: pytest.CaptureFixture[str]):
    engine.answers["stack export"] = json.dumps(state())
    assert doctor.command("dev", fix=True) == 0
    assert engine.asked == ["whoami", "stack export"]
    assert "the state is in order" in capsys.readouterr().err


def test_a_build_that_a_killed_session_of_dev_has_left_is_reported_with_what_puts_the_release_back(
    engine: FakePulumi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    engine.answers["stack export"] = json.dumps(state())
    mark = dev_build.DevBuild("ada", "laptop", 7, "2026-11-21T08:00:00Z", "r/api:src-0@sha256:1", "src-0")
    annotations = {"slipway/dev-build": json.dumps(asdict(mark))}
    server = api_server.ApiServer({"deployments": [{"metadata": {"name": "api", "annotations": annotations}}]})
    monkeypatch.setattr(connection, "connect", lambda *_: api_server.cluster(server))
    assert doctor.command("dev", fix=False) == 1
    assert capsys.readouterr().err == (
        "dev: Deployment/api runs a build of ./slipway dev (ada@laptop, process 7, since 2026-11-21T08:00:00Z), and "
        "not r/api:src-0 of the release; to put that back: Ctrl-C there, or ./slipway up -s dev\n"
    )


def job(name: str, **other: Any) -> dict[str, Any]:
    return {"urn": JOB, "type": "kubernetes:batch/v1:Job", "id": f"slipway-dev/{name}", **other}


def test_of_two_jobs_the_newer_one_is_deleted_once_it_has_ended(
    engine: FakePulumi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """What an update leaves that was killed after it had made its migration, and then the migration still runs."""
    answers = [{"status": {"active": 1}}, {"status": {"succeeded": 1}}, {}]
    asked: list[tuple[str, str]] = []

    def server(request: httpx2.Request) -> httpx2.Response:
        name = request.url.path.rpartition("/")[2]
        if name == "deployments":
            return httpx2.Response(200, json={"items": []})
        asked.append((request.method, name))
        return httpx2.Response(200, json=answers.pop(0))

    monkeypatch.setattr(doctor, "POLL_SECONDS", 0)
    monkeypatch.setattr(connection, "connect", lambda *_: api_server.cluster(server))
    left = state(resources=(job("latter", created="2"), job("former", created="1", delete=True)))
    engine.answers["stack export"] = json.dumps(left)
    assert doctor.command("dev", fix=False) == 1
    assert asked == []
    assert doctor.command("dev", fix=True) == 0
    assert asked == [("GET", "latter"), ("GET", "latter"), ("DELETE", "latter")]
    [restored] = engine.restored
    assert restored["deployment"]["resources"] == [job("former", created="1")]
    assert "dev: Job/latter is left from an update that did not finish" in capsys.readouterr().err


def test_a_job_whose_creation_was_interrupted_is_deleted_too():
    begun = operation("creating", JOB) | {"resource": job("latter", created="2")}
    service = {"urn": SERVICE, "type": "kubernetes:core/v1:Service", "id": "slipway-dev/api", "dependencies": [JOB]}
    before = state(begun, resources=(job("former", created="1"), service))
    repaired, latter = engine_state.undo_job_replacements(
        engine_state.resolve_pending(before, {JOB: "slipway-dev/latter"})
    )
    assert latter == ["latter"]
    # In the order of before: the engine refuses a state in which a resource stands before what it depends on.
    assert repaired["deployment"]["resources"] == [job("former", created="1"), service]


def test_no_other_kind_is_deleted_before_its_successor_is_complete():
    secret = {"urn": SERVICE, "type": "kubernetes:core/v1:Secret", "id": "slipway-dev/former", "created": "1"}
    left = state(resources=({**secret, "id": "slipway-dev/latter", "created": "2"}, {**secret, "delete": True}))
    assert engine_state.undo_job_replacements(left) == (left, [])


def test_a_migration_that_failed_in_an_update_is_reported_with_what_happens_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    failed = {
        "urn": JOB,
        "type": "kubernetes:batch/v1:Job",
        "id": "slipway-dev/api-migration-0a1b2c3d",
        "initErrors": ["Job failed: BackoffLimitExceeded\nlast lines of its pod:"],
    }
    monkeypatch.setattr(engine_state, "pulumi", FakePulumi(tmp_path, state(resources=(failed,))))
    assert doctor.command("dev", fix=False) == 1
    assert capsys.readouterr().err.splitlines() == [
        "dev: Job/api-migration-0a1b2c3d has failed: Job failed: BackoffLimitExceeded",
        "dev: the next ./slipway up -s dev tries that again; the cause is not in the state",
    ]
