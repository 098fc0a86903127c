"""A rollback of an update that failed between an HPA and KEDA leaves the service an autoscaler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from slipway.ops.cluster import connection
from slipway.ops.cluster.connection import ClusterError, StackCluster
from slipway.ops.diagnosis import autoscalers
from slipway.ops.program import engine_state
from slipway.ops.program.engine_state import State
from slipway.ops.releases import rollback
from slipway.releases import Release
from tests import api_server

URN = "urn:pulumi:dev::slipway::slipway:index:WebService$kubernetes:"
SCALED, HPA = f"{URN}keda.sh/v1alpha1:ScaledObject::api", f"{URN}autoscaling/v2:HorizontalPodAutoscaler::api"
DEPLOYMENT = f"{URN}apps/v1:Deployment::api"
KEDA_S = {"metadata": {"ownerReferences": [{"kind": "ScaledObject", "name": "api"}]}}
OWN: dict[str, Any] = {"metadata": {"name": "api"}}
LEAVING = {"metadata": {"name": "api", "deletionTimestamp": "2026-11-30T12:00:00Z"}}


def state(*urns: str) -> State:
    """Return a state with these objects and a Deployment."""
    resources = [
        {"urn": urn, "type": urn.split("::")[2].rpartition("$")[2], "id": f"slipway-dev/{urn.rpartition('::')[2]}"}
        for urn in (DEPLOYMENT, *urns)
    ]
    return {"deployment": {"resources": resources}}


def urns(found: State) -> list[str]:
    return [resource["urn"] for resource in found["deployment"]["resources"]]


def cluster(scaled: Any = None, autoscaler: Any = None) -> Callable[[], StackCluster]:
    """Return the connection to a cluster that has these two; None is one that is missing."""

    def server(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/deployments"):
            return httpx2.Response(200, json={"items": []})
        found = {"scaledobjects": scaled, "horizontalpodautoscalers": autoscaler}[request.url.path.split("/")[-2]]
        assert request.url.path.endswith("/api")
        return httpx2.Response(200, json=found) if found else httpx2.Response(404, json={"message": "not found"})

    return lambda: api_server.cluster(server)


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> list[State]:
    """The states that the engine was given."""
    states: list[State] = []
    monkeypatch.setattr(engine_state, "restore", lambda _, state: states.append(state))
    return states


@pytest.mark.feature("F6", part="a rollback in between")
@pytest.mark.parametrize(
    ("scaled", "autoscaler", "lost"),
    [
        (OWN, KEDA_S, [HPA]),
        (OWN, OWN, [HPA]),
        (None, OWN, [SCALED]),
        (LEAVING, KEDA_S, [SCALED, HPA]),
        (None, KEDA_S, [SCALED, HPA]),
        (None, None, [SCALED, HPA]),
    ],
    ids=["to KEDA", "to KEDA, not yet taken over", "from KEDA", "KEDA stopped", "deleted just now", "both deleted"],
)
def test_an_autoscaler_that_keda_owns_or_deletes_is_made_again(
    restored: list[State], capsys: pytest.CaptureFixture[str], scaled: Any, autoscaler: Any, lost: list[str]
):
    found = autoscalers.forget_lost("dev", state(SCALED, HPA), cluster(scaled, autoscaler))
    assert urns(found) == [urn for urn in (DEPLOYMENT, SCALED, HPA) if urn not in lost]
    assert restored == [found]
    assert "dev: left from an update between an HPA and KEDA, and taken out of the state: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("before", "scaled"), [(state(SCALED), OWN), (state(HPA), None)], ids=["KEDA's", "an HPA of the stack"]
)
def test_a_state_with_one_autoscaler_stays_as_it_is(restored: list[State], before: State, scaled: Any):
    assert autoscalers.forget_lost("dev", before, cluster(scaled)) == before
    assert restored == []


def test_a_stack_without_keda_sends_no_request():
    def connect() -> StackCluster:
        raise AssertionError

    assert autoscalers.forget_lost("dev", state(HPA), connect) == state(HPA)


def test_a_cluster_that_cannot_be_read_leaves_the_state_as_it_is():
    def connect() -> StackCluster:
        raise ClusterError("no answer")

    assert autoscalers.forget_lost("dev", state(SCALED, HPA), connect) == state(SCALED, HPA)


def test_a_state_holds_no_reference_to_what_was_taken_out():
    whole = state(HPA)
    whole["deployment"]["resources"][0] |= {
        "dependencies": [HPA, SCALED],
        "propertyDependencies": {"spec": [HPA], "metadata": [SCALED]},
    }
    [deployment] = engine_state.forget(whole, [HPA])["deployment"]["resources"]
    assert deployment["dependencies"] == [SCALED]
    assert deployment["propertyDependencies"] == {"spec": [], "metadata": [SCALED]}
    assert urns(whole) == [DEPLOYMENT, HPA]


@pytest.mark.feature("F6", part="a rollback in between")
def test_a_rollback_repairs_the_state_before_the_engine_reads_it(
    restored: list[State], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    given: list[list[str]] = []
    (tmp_path / "pulumi").write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/commands"\n')
    (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(engine_state, "export", lambda _: restored[-1] if restored else state(SCALED, HPA))
    monkeypatch.setattr(connection, "connect", lambda *_: cluster(OWN, KEDA_S)())

    def restore(_: str, state: State) -> None:
        given.append(urns(state))
        restored.append(state)
        assert not (tmp_path / "commands").exists(), "the engine has started before"

    monkeypatch.setattr(engine_state, "restore", restore)
    release = Release("0a1b2c3d", {"cluster": {"context": "dev"}, "services": {"api": {}}}, "r.example.com/a:1")
    assert rollback.roll_back("dev", release, state(SCALED, HPA)) == 0
    assert given == [[DEPLOYMENT, SCALED]]
    assert "up -s dev --yes --skip-preview --config-file" in (tmp_path / "commands").read_text()
