"""`./slipway destroy` and `refresh` reach the cluster that the stack file accepts, and no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from slipway.cluster.exec_credential import pinned
from slipway.cluster.kubeconfig import Access
from slipway.ops.cluster import connection
from slipway.ops.cluster.connection import ClusterError
from slipway.ops.program import engine_state
from slipway.ops.program.engine_state import State
from slipway.ops.releases import destroy
from tests import api_server
from tests.api_server import URL

OTHER = "https://10.9.9.9:6443"
PROVIDER = "urn:pulumi:dev::slipway::pulumi:providers:kubernetes::cluster"
NAMESPACE = "urn:pulumi:dev::slipway::slipway:index:Environment$kubernetes:core/v1:Namespace::slipway-dev"


def state(server: str = URL, protect: bool = False) -> State:
    """Return the state of a stack that was last updated on a server."""
    inputs = {"context": "dev", "kubeconfig": pinned(Access("dev", {"server": server}))}
    provider = {"urn": PROVIDER, "type": "pulumi:providers:kubernetes", "inputs": inputs, "outputs": dict(inputs)}
    namespace = {"urn": NAMESPACE, "type": "kubernetes:core/v1:Namespace", "protect": protect}
    return {"deployment": {"resources": [provider, namespace]}}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`run("destroy", state, ...)`: its exit code, what the engine was called with, and the states it was given."""

    def command(operation: Any, known: State, settings: dict[str, Any] | None = None, code: int = 200):
        program = tmp_path / "pulumi"
        program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        restored: list[State] = []
        monkeypatch.setattr(engine_state, "export", lambda _: known)
        monkeypatch.setattr(engine_state, "restore", lambda _, repaired: restored.append(repaired))
        found = api_server.cluster(lambda _: httpx2.Response(code, json={}), settings)
        monkeypatch.setattr(connection, "connect", lambda *_: found)
        (tmp_path / "calls").write_text("")
        try:
            return (
                destroy.command(operation, "dev", yes=True),
                (tmp_path / "calls").read_text().split("\n")[:-1],
                restored,
            )
        except ClusterError as error:
            return str(error), (tmp_path / "calls").read_text().split("\n")[:-1], restored

    return command


@pytest.mark.parametrize("operation", ["destroy", "refresh"])
def test_on_the_stacks_own_cluster_the_engine_does_it(run: Any, operation: str):
    assert run(operation, state()) == (0, [f"{operation} -s dev --yes"], [])


@pytest.mark.parametrize("operation", ["destroy", "refresh"])
def test_another_server_than_that_of_the_last_update_is_refused(run: Any, operation: str):
    message, calls, restored = run(operation, state(OTHER))
    assert f"the state says that the stack is on {OTHER}, and context 'dev' leads to {URL}" in message
    assert "Nothing was changed" in message
    assert (calls, restored) == ([], [])


def test_a_cluster_that_has_moved_is_taken_where_the_stack_file_names_its_new_address(run: Any):
    code, calls, [repaired] = run("destroy", state(OTHER), {"cluster.server": "https://10\\.0\\.0\\.1:6443"})
    assert (code, calls) == (0, ["destroy -s dev --yes"])
    provider = repaired["deployment"]["resources"][0]
    assert json.loads(provider["inputs"]["kubeconfig"])["clusters"][0]["cluster"]["server"] == URL
    assert provider["outputs"] == provider["inputs"]


def test_a_protected_stack_is_not_destroyed_and_the_way_to_do_it_on_purpose_is_named(
    run: Any, capsys: pytest.CaptureFixture[str]
):
    assert run("destroy", state(protect=True)) == (1, [], [])
    error = capsys.readouterr().err
    assert "protected, so nothing was deleted: Namespace/slipway-dev" in error
    assert "pulumi state unprotect --all -s dev" in error
    assert run("refresh", state(protect=True))[0] == 0


def test_a_server_that_does_not_know_us_is_told_before_anything_is_done(run: Any):
    message, calls, _ = run("refresh", state(), code=401)
    assert f"{URL} (context 'dev', stack dev) does not accept the credentials of the kubeconfig (401)" in message
    assert calls == []


def test_a_context_that_leads_elsewhere_is_refused_by_the_verbs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(pinned(Access("slipway-local", {"server": OTHER})))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    for operation in ("destroy", "refresh"):
        with pytest.raises(ClusterError, match=f"context 'slipway-local' leads to {OTHER}, which does not match"):
            destroy.command(operation, "local", yes=True)  # pyright: ignore[reportArgumentType]
