"""Whatever happens in a drill, its changes are undone."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import httpx2
import pytest

from slipway.ops.drills import context, faults
from slipway.ops.drills.context import DrillContext, ExpectationError, RestoreError
from slipway.ops.drills.traffic import Target
from tests import namespace as ns
from tests.drills.fake_stack import OWNERS, FakeStack, running_drill

pytestmark = pytest.mark.usefixtures("no_time_passes")

REPLICAS = ("apps/v1", "StatefulSet", "redis", ("spec", "replicas"))
PUT_BACK = [
    'PATCH statefulsets/redis {"spec": {"replicas": 0}}',
    'PATCH statefulsets/redis {"spec": {"replicas": 1}}',
    f"PATCH statefulsets/redis {json.dumps({'metadata': {'managedFields': OWNERS}})}",
]


def test_a_changed_field_gets_its_former_value_and_owner_again():
    server = FakeStack()
    with (running := running_drill(server)).restored(*REPLICAS) as before:
        running.patch(*REPLICAS, 0)
        assert server.changes == PUT_BACK[:1]
    assert before["spec"]["replicas"] == 1
    assert server.changes == PUT_BACK


@pytest.mark.parametrize("error", [ExpectationError, KeyboardInterrupt])
def test_a_changed_field_is_restored_after_a_failure_and_after_ctrl_c(error: type[BaseException]):
    server = FakeStack()
    with pytest.raises(error), (running := running_drill(server)).restored(*REPLICAS):
        running.patch(*REPLICAS, 0)
        raise error
    assert server.changes == PUT_BACK


def test_restoring_is_retried_while_the_api_server_is_away():
    away = iter([True, True])

    def answers(request: httpx2.Request, stack: FakeStack) -> None:
        if len(stack.changes) == 1 and request.method == "PATCH" and next(away, False):
            raise httpx2.ConnectError("[Errno 111] Connection refused")

    server = FakeStack(answers=answers)
    with (running := running_drill(server)).restored(*REPLICAS):
        running.patch(*REPLICAS, 0)
    assert server.changes == PUT_BACK


def test_a_change_that_cannot_be_undone_is_reported_with_where_to_look(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(context, "PUT_BACK_SECONDS", -1)
    server = FakeStack()
    running = running_drill(server)
    with (
        pytest.raises(RestoreError, match=r"StatefulSet/redis: spec.replicas .* See ./slipway drift -s dev"),
        running.restored(*REPLICAS),
    ):
        server.answers = lambda _request, _stack: httpx2.Response(500, text="no")


def test_a_second_ctrl_c_does_not_interrupt_restoring(capsys: pytest.CaptureFixture[str]):
    def answers(request: httpx2.Request, stack: FakeStack) -> None:
        if request.method == "PATCH" and len(stack.changes) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    server = FakeStack(answers=answers)
    with (running := running_drill(server)).restored(*REPLICAS):
        running.patch(*REPLICAS, 0)
    assert server.changes == PUT_BACK
    assert "things are being put back" in capsys.readouterr().err


def test_a_fault_in_an_object_that_does_not_exist_is_refused():
    server = FakeStack(answers=lambda _request, _stack: httpx2.Response(404))
    with (
        pytest.raises(ExpectationError, match="StatefulSet/redis is not there"),
        running_drill(server).restored(*REPLICAS),
    ):
        pass


def test_an_object_that_exists_already_is_neither_changed_nor_deleted():
    server = FakeStack()
    api = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"}}
    with (
        pytest.raises(ExpectationError, match="Deployment/api is there already"),
        running_drill(server).temporary_object(api),
    ):
        pass
    assert server.changes == []


def test_pods_of_an_adopted_service_belong_to_it_under_their_former_name():
    labels = {**ns.labels("shop-backend", owner="api"), "pod-template-hash": "5d8"}
    adopted = ns.owned_pod("shop-backend-5d8-x", ("ReplicaSet", "shop-backend-5d8", "set-x"), labels)
    assert running_drill(FakeStack(pods=[adopted])).ready_pods() == {"shop-backend-5d8-x"}


@pytest.mark.parametrize(("code", "error"), [(0, ""), (1, "ERROR 1044 (42000): Access denied")])
def test_sql_is_run_by_the_client_in_mysql_s_pod(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, error: str
):
    script = f"#!/bin/sh\nprintf '%s\\n' \"$@\" > '{tmp_path}/words'\necho '{error}' >&2\nexit {code}\n"
    (tmp_path / "kubectl").write_text(script)
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    try:
        running_drill(FakeStack()).sql("DO SLEEP(1)")
    except ExpectationError as refused:
        message = str(refused)
    else:
        message = ""
    assert message.removeprefix("MySQL has not run it: ") == error
    words = (tmp_path / "words").read_text().splitlines()
    place = ["--context", "dev", "-n", "slipway-dev", "exec", "mysql-0", "-c", "mysql", "--"]
    assert words == [*place, "mysql", "--defaults-file=/run/mysqld/login.cnf", "--execute=DO SLEEP(1)", "slipway"]


def test_the_test_user_is_deleted_even_if_signing_up_failed(monkeypatch: pytest.MonkeyPatch):
    sent: list[str] = []
    monkeypatch.setattr(DrillContext, "sql", lambda _, statements: sent.append(statements))
    running = running_drill(FakeStack())
    running.traffic.target = Target("http://served.localhost:1/")
    with pytest.raises(ExpectationError, match="POST /v1/users is not answered"), faults.test_user(running):
        pass
    [statements] = sent
    assert re.findall(r"DELETE (?:\w )?FROM (\w+)", statements) == ["reviews", "shops", "users"]
    assert statements.count("drill-") == 3
