"""`./slipway adopt`: what it takes over from Helm and kubectl, and whose the fields are afterwards.

The engine is a class that remembers how it was run.
"""

from __future__ import annotations

import copy
import json

import pytest

from slipway.ops.cluster import connection, ownership
from slipway.ops.diagnosis import locks
from slipway.ops.program import engine_run, engine_state
from slipway.ops.program.engine_run import Outcome
from slipway.ops.releases import adopt
from slipway.ops.releases.trials import first_request
from slipway.rollout import adoption
from tests import api_server
from tests.conftest import declared
from tests.releases.helm_release import (
    BEFORE,
    CHANGES,
    DEPLOYMENT,
    INGRESS,
    PATHS,
    RELEASE,
    SERVICE,
    Namespace,
    existing,
    made,
    owned,
    program,
    state,
)

# --- what is taken over -----------------------------------------------------------------------------------------------


@pytest.mark.feature("O2", part="what is found")
def test_what_the_program_declares_and_the_cluster_holds_is_to_be_adopted_with_who_made_it():
    by_hand = made("HorizontalPodAutoscaler", "api", {}, "kubectl-client-side-apply")
    assert [one.description for one in existing(*RELEASE, by_hand)] == [
        "Deployment/api (Helm release reviews)",
        "HorizontalPodAutoscaler/api (kubectl-client-side-apply)",
        "Service/api (Helm release reviews)",
        "Ingress/api (Helm release reviews)",
    ]


def test_what_the_state_knows_is_not_adopted_unless_an_adoption_was_not_complete():
    urns = {one.kind: one.urn for one in program().resources}
    pending = {"metadata": {"annotations": {adoption.ANNOTATION: adoption.MANAGER}}}
    known = state((urns["Deployment"], {"metadata": {}}), (urns["Service"], pending))
    assert [one.title for one in existing(*RELEASE, known=known)] == ["Service/api", "Ingress/api"]


def test_what_is_on_its_way_out_is_not_adopted():
    gone = copy.deepcopy(SERVICE)
    gone["metadata"]["deletionTimestamp"] = "2026-11-21T08:00:00Z"
    assert existing(gone) == []


def test_what_is_named_by_its_content_is_the_stack_s_own_from_before():
    name = program().manifests()["ConfigMap", "api-env"]["metadata"]["name"]
    assert existing(made("ConfigMap", name, {}, "pulumi-kubernetes-1a2b3c4d")) == []


def test_an_annotation_that_the_stack_does_not_keep_is_told():
    annotations = {"nginx.ingress.kubernetes.io/rewrite-target": "/", "meta.helm.sh/release-name": "reviews"}
    [one] = existing(made("Ingress", "api", INGRESS["spec"], annotations=annotations))
    assert (
        one.description == "Ingress/api (Helm release reviews; without its nginx.ingress.kubernetes.io/rewrite-target)"
    )


def test_a_port_that_gets_another_name_is_told_with_what_that_may_cost():
    [one] = existing(made("Service", "api", {"selector": BEFORE, "ports": [{"port": 80, "targetPort": "http"}]}))
    assert "the name of its port '' becomes 'http': for a fraction of a second" in one.description


def test_what_people_made_beside_it_stays_and_a_second_autoscaler_is_named():
    record = {**made("ConfigMap", "sh.helm.release.v1.reviews.v1", {}), "type": "helm.sh/release.v1"}
    of_cluster = made("ConfigMap", "kube-root-ca.crt", {}, "kube-controller-manager")
    second = made("HorizontalPodAutoscaler", "second", {"scaleTargetRef": {"name": "api"}}, "kubectl-create")
    server = Namespace(*RELEASE, record, of_cluster, second)
    assert list(adopt.left_alone(program(), api_server.cluster(server))) == [
        "HorizontalPodAutoscaler/second (kubectl-create; scales Deployment/api, too: delete it afterwards)",
        "ConfigMap/api-config (Helm release reviews)",
    ]


# --- whose the fields are ---------------------------------------------------------------------------------------------

WANTED = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"}, "spec": {}}
CONTAINERS = {"f:template": {"f:spec": {"f:containers": {'k:{"name":"app"}': {".": {}, "f:image": {}}}}}}
APPLIED = owned("helm", {"f:spec": {**CONTAINERS, "f:replicas": {}}})
EDITED = owned("kubectl-edit", {"f:metadata": {"f:labels": {"f:team": {}}}})
STATUS = owned("kube-controller-manager", {"f:status": {}}, subresource="status")
BOUND = owned("kube-controller-manager", {"f:spec": {"f:volumeName": {}}})
ADDRESS = owned("ingress-nginx", {"f:status": {}}, subresource="status")
SCALED = owned("kube-controller-manager", {"f:spec": {"f:replicas": {}}}, subresource="scale")


@pytest.mark.feature("O2", part="fields of former managers")
def test_fields_of_people_and_their_tools_become_ours_and_those_of_controllers_stay():
    ours, *others = ownership.transferred([APPLIED, STATUS, EDITED, BOUND, ADDRESS], WANTED)
    assert (ours["manager"], ours["operation"], ours["apiVersion"]) == (adoption.MANAGER, "Apply", "apps/v1")
    assert ours["fieldsV1"] == {"f:spec": CONTAINERS, "f:metadata": {"f:labels": {"f:team": {}}}}
    assert others[1:] == [STATUS, BOUND, ADDRESS]


def test_the_number_of_pods_stays_with_somebody_else_where_the_stack_declares_none():
    _, kept = ownership.transferred([APPLIED], WANTED)
    assert (kept["manager"], kept["operation"]) == (ownership.PLACEHOLDER_MANAGER, "Update")
    assert kept["fieldsV1"] == {"f:spec": {"f:replicas": {}}}


def test_the_number_of_pods_is_ours_where_the_stack_declares_one_even_if_an_autoscaler_has_set_it():
    wanted = {**WANTED, "spec": {"replicas": 3}}
    [ours] = ownership.transferred([owned("helm", {"f:spec": CONTAINERS}), SCALED], wanted)
    assert ours["fieldsV1"] == {"f:spec": {**CONTAINERS, "f:replicas": {}}}


def test_fields_of_another_version_of_the_kind_are_nobody_s_and_the_object_still_has_owners():
    [kept] = ownership.transferred([owned("kubectl-autoscale", {"f:spec": {}}, version="apps/v1beta1")], WANTED)
    assert (kept["manager"], kept["apiVersion"]) == (ownership.PLACEHOLDER_MANAGER, "apps/v1")
    assert kept["fieldsV1"] == {"f:metadata": {"f:labels": {".": {}}}}


def test_what_is_ours_already_is_left_as_it_is():
    once = ownership.transferred([APPLIED, STATUS], WANTED)
    assert ownership.transferred(once, WANTED) == once


def test_an_object_that_changes_meanwhile_is_read_again():
    server = Namespace(DEPLOYMENT)
    server.changes_meanwhile = 2
    ownership.take_over(api_server.cluster(server), WANTED)
    assert server.managers("Deployment") == [(adoption.MANAGER, "Apply")]
    server = Namespace(DEPLOYMENT)
    server.changes_meanwhile = 99
    with pytest.raises(connection.RefusedError, match="test failed"):
        ownership.take_over(api_server.cluster(server), WANTED)


# --- the verb ---------------------------------------------------------------------------------------------------------


class Engine:
    """Remembers how `pulumi up` was run, and plays what it does to the cluster."""

    def __init__(self, server: Namespace) -> None:
        self.server = server
        self.runs: list[tuple[list[str], dict[str, str]]] = []
        self.code, self.replaces = 0, ""

    def run(self, command: list[str], *, variables: dict[str, str] | None = None) -> Outcome:
        self.runs.append((command, dict(variables or {})))
        if self.replaces:
            self.server.objects[self.replaces]["metadata"]["uid"] = "another"
        return Outcome(self.code, False, [])

    def excluded(self, run: int) -> list[str]:
        command = self.runs[run][0]
        return [
            command[at + 1].split("::", 2)[2].rpartition(":")[2]
            for at, word in enumerate(command)
            if word == "--exclude"
        ]


@pytest.fixture
def server() -> Namespace:
    return Namespace(*RELEASE)


@pytest.fixture
def engine(server: Namespace, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Stack dev without a resource in its state, and the release in its namespace."""
    played, there = Engine(server), api_server.cluster(server)
    declared = program()
    monkeypatch.setattr(engine_state, "export", lambda _: state())
    monkeypatch.setattr(locks, "state_locks", lambda _: [])
    monkeypatch.setattr(connection, "connect", lambda *_: there)
    monkeypatch.setattr(adopt, "declare", lambda _: declared)
    monkeypatch.setattr(engine_run, "run", played.run)
    monkeypatch.setattr(first_request, "record", lambda _: None)
    return played


@pytest.mark.feature("O2", part="the verb")
def test_everything_is_applied_to_what_is_there_and_connections_are_closed_last(
    engine: Engine, server: Namespace, capsys: pytest.CaptureFixture[str]
):
    assert adopt.command("dev", yes=True) == 0
    (first, variables), (last, plain) = engine.runs
    assert first[:5] == ["pulumi", "up", "-s", "dev", "--yes"]
    assert variables == {
        "SLIPWAY_ADOPT": "kubernetes:apps/v1:Deployment::api kubernetes:core/v1:Service::api "
        "kubernetes:networking.k8s.io/v1:Ingress::api",
        "PULUMI_K8S_UPSERT_EXISTING_OBJECTS": "true",
    }
    assert sorted(engine.excluded(0)) == ["api", "default-deny", "release"]
    assert (last, plain) == (["pulumi", "up", "-s", "dev", "--yes"], {})
    assert server.managers("Deployment") == [(adoption.MANAGER, "Apply")]
    assert server.managers("ConfigMap", "api-config") == [("helm", "Update")]
    report = capsys.readouterr().err
    assert "dev: adopted 3 objects, 0 replaced" in report
    assert "delete secret -l owner=helm,name=reviews" in report
    assert "never run `helm uninstall`" in report


def test_a_network_policy_that_was_there_is_taken_over_once_the_pods_are_rolled(engine: Engine, server: Namespace):
    policy = made("NetworkPolicy", "api", {})
    server.objects[f"{PATHS['NetworkPolicy']}/api"] = policy
    assert adopt.command("dev", yes=True) == 0
    assert [variables.get("SLIPWAY_ADOPT", "").count("NetworkPolicy") for _, variables in engine.runs] == [0, 1, 0]
    assert engine.excluded(1) == []


def test_what_cannot_be_adopted_changes_nothing(engine: Engine, server: Namespace, capsys: pytest.CaptureFixture[str]):
    server.objects[f"{PATHS['Service']}/api"]["spec"]["ports"][0]["targetPort"] = 5000
    assert adopt.command("dev", yes=True) == 1
    assert (engine.runs, server.patched) == ([], [])
    assert "nothing was changed" in capsys.readouterr().err


def test_nothing_to_adopt_is_said_and_is_no_failure(
    engine: Engine, server: Namespace, capsys: pytest.CaptureFixture[str]
):
    server.objects.clear()
    assert adopt.command("dev", yes=True) == 0
    assert engine.runs == []
    assert "dev: nothing to adopt" in capsys.readouterr().err


def test_an_adoption_that_fails_closes_no_connection_and_says_how_to_go_on(
    engine: Engine, capsys: pytest.CaptureFixture[str]
):
    engine.code = 1
    assert adopt.command("dev", yes=True) == 1
    assert len(engine.runs) == 1
    assert "continue: ./slipway adopt -s dev" in capsys.readouterr().err


def test_an_object_that_is_not_the_same_afterwards_is_a_failure(engine: Engine, capsys: pytest.CaptureFixture[str]):
    engine.replaces = f"{PATHS['Service']}/api"
    assert adopt.command("dev", yes=True) == 1
    assert "dev: adopted 3 objects, 1 replaced: Service/api" in capsys.readouterr().err


def test_the_engine_gets_the_variables_of_one_run_and_no_other():
    command = ["sh", "-c", f'test "${adoption.OBJECTS}" = them']
    assert engine_run.run(command, variables={adoption.OBJECTS: "them"}).code == 0
    assert engine_run.run(command).code == 1


def test_the_program_names_the_manager_of_just_those_objects(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(adoption.OBJECTS, "kubernetes:apps/v1:Deployment::api")
    found = declared("dev", CHANGES).manifests()
    assert found["Deployment", "api"]["metadata"]["annotations"][adoption.ANNOTATION] == adoption.MANAGER
    assert adoption.ANNOTATION not in json.dumps([one for key, one in found.items() if key != ("Deployment", "api")])
