"""`./slipway adopt`: what it takes over from Helm and kubectl, what it refuses, and whose the fields are afterwards.

The engine is a script. Objects are as an API server 1.36 gives them, cut to what is read of them.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import adoption
import httpx2
import pytest
from kinds import plural

from ops import adopt, cluster, engine_state, ownership, up
from ops.cluster import Object
from ops.recorder import Program
from tests import api_server
from tests.conftest import API_ONLY, WITHOUT_STORES, declared, recorded

NAMESPACE = "slipway-dev"
BEFORE = {"app.kubernetes.io/instance": "reviews", "app.kubernetes.io/name": "a-chart"}
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Deployment": f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments",
    "Service": f"/api/v1/namespaces/{NAMESPACE}/services",
    "Ingress": f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/ingresses",
    "ConfigMap": f"/api/v1/namespaces/{NAMESPACE}/configmaps",
    "HorizontalPodAutoscaler": f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers",
    "PersistentVolumeClaim": f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims",
    "NetworkPolicy": f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies",
}


def owned(manager: str, fields: Object, operation: str = "Update", version: str = "apps/v1", **more: str) -> Object:
    entry = {"manager": manager, "operation": operation, "apiVersion": version, "time": "2026-11-21T08:00:00Z"}
    return {**entry, "fieldsType": "FieldsV1", "fieldsV1": fields, **more}


def made(kind: str, name: str, spec: Object, manager: str = "helm", **metadata: Any) -> Object:
    """An object of Helm's release `reviews`, unless somebody else made it."""
    release = {"annotations": {"meta.helm.sh/release-name": "reviews"}} if manager == "helm" else {}
    version = PATHS[kind].removeprefix("/apis/").removeprefix("/api/").partition("/namespaces")[0]
    entries = {"resourceVersion": "7", "managedFields": [owned(manager, {"f:spec": {}}, version=version)]}
    found = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{kind}", **release, **entries, **metadata}
    return {"apiVersion": version, "kind": kind, "metadata": found, "spec": spec}


CONTAINER = {"name": "app", "image": "old", "ports": [{"name": "http", "containerPort": 8080}]}
DEPLOYMENT = made(
    "Deployment",
    "api",
    {
        "replicas": 3,
        "selector": {"matchLabels": BEFORE},
        "template": {"metadata": {"labels": BEFORE}, "spec": {"containers": [CONTAINER]}},
    },
)
SERVICE = made("Service", "api", {"selector": BEFORE, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]})
PATH = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "api", "port": {"number": 80}}}}
INGRESS = made("Ingress", "api", {"rules": [{"host": "api.dev.example.com", "http": {"paths": [PATH]}}]})
CONFIG = made("ConfigMap", "api-config", {})
RELEASE = [DEPLOYMENT, SERVICE, INGRESS, CONFIG]


class Namespace:
    """An API server that holds one namespace, and changes it by JSON patches."""

    def __init__(self, *objects: Object) -> None:
        self.objects = {f"{PATHS[one['kind']]}/{one['metadata']['name']}": copy.deepcopy(one) for one in objects}
        self.patched: list[str] = []
        self.changes_meanwhile = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if request.method == "PATCH":
            return self._patch(path, json.loads(request.content))
        if path in self.objects:
            return httpx2.Response(200, json=self.objects[path])
        if path.rpartition("/")[2] in map(plural, adopt.LOOKED_THROUGH):
            return httpx2.Response(
                200, json={"items": [one for at, one in self.objects.items() if at.rpartition("/")[0] == path]}
            )
        return httpx2.Response(404, json={"message": "not found"})

    def _patch(self, path: str, patch: list[Object]) -> httpx2.Response:
        metadata = self.objects[path]["metadata"]
        if self.changes_meanwhile:
            self.changes_meanwhile -= 1
            metadata["resourceVersion"] += "1"
        test, replace = patch
        if test["value"] != metadata["resourceVersion"]:
            return httpx2.Response(422, json={"message": "the server rejected our request: test failed"})
        self.patched.append(path)
        metadata["managedFields"] = replace["value"]
        return httpx2.Response(200, json=self.objects[path])

    def managers(self, kind: str, name: str = "api") -> list[tuple[str, str]]:
        entries = self.objects[f"{PATHS[kind]}/{name}"]["metadata"]["managedFields"]
        return [(one["manager"], one["operation"]) for one in entries]


CHANGES: dict[str, Any] = {
    **API_ONLY,
    **WITHOUT_STORES,
    "services.api.selector": BEFORE,
    "services.api.ingress.tls": None,
}


def program(changes: dict[str, Any] | None = None) -> Program:
    return recorded("dev", {**CHANGES, **(changes or {})})


def state(*inputs_by_urn: tuple[str, Object]) -> engine_state.State:
    return {
        "version": 3,
        "deployment": {"resources": [{"urn": urn, "inputs": inputs} for urn, inputs in inputs_by_urn]},
    }


def found(*objects: Object, known: engine_state.State | None = None) -> list[adopt.Adopted]:
    return list(adopt.to_adopt(program(), known or state(), api_server.cluster(Namespace(*objects))))


def told(*objects: Object, changes: dict[str, Any] | None = None) -> list[str]:
    """The problems with these objects."""
    there = adopt.to_adopt(program(changes), state(), api_server.cluster(Namespace(*objects)))
    return [problem.told for problem in adopt.problems(list(there), "dev")]


def with_spec(found: Object, **spec: Any) -> Object:
    return {**found, "spec": {**found["spec"], **spec}}


# --- what is taken over -----------------------------------------------------------------------------------------------


@pytest.mark.feature("O2", part="what is found")
def test_what_the_program_declares_and_the_cluster_holds_is_to_be_adopted_with_who_made_it():
    by_hand = made("HorizontalPodAutoscaler", "api", {}, "kubectl-client-side-apply")
    assert [one.told for one in found(*RELEASE, by_hand)] == [
        "Deployment/api (Helm release reviews)",
        "HorizontalPodAutoscaler/api (kubectl-client-side-apply)",
        "Service/api (Helm release reviews)",
        "Ingress/api (Helm release reviews)",
    ]


def test_what_the_state_knows_is_not_adopted_unless_an_adoption_was_not_complete():
    urns = {one.kind: one.urn for one in program().resources}
    pending = {"metadata": {"annotations": {adoption.ANNOTATION: adoption.MANAGER}}}
    known = state((urns["Deployment"], {"metadata": {}}), (urns["Service"], pending))
    assert [one.title for one in found(*RELEASE, known=known)] == ["Service/api", "Ingress/api"]


def test_what_is_on_its_way_out_is_not_adopted():
    gone = copy.deepcopy(SERVICE)
    gone["metadata"]["deletionTimestamp"] = "2026-11-21T08:00:00Z"
    assert found(gone) == []


def test_what_is_named_by_its_content_is_the_stack_s_own_from_before():
    name = program().manifests()["ConfigMap", "api-env"]["metadata"]["name"]
    assert found(made("ConfigMap", name, {}, "pulumi-kubernetes-1a2b3c4d")) == []


def test_an_annotation_that_the_stack_does_not_keep_is_told():
    annotations = {"nginx.ingress.kubernetes.io/rewrite-target": "/", "meta.helm.sh/release-name": "reviews"}
    [one] = found(made("Ingress", "api", INGRESS["spec"], annotations=annotations))
    assert one.told == "Ingress/api (Helm release reviews; without its nginx.ingress.kubernetes.io/rewrite-target)"


def test_a_port_that_gets_another_name_is_told_with_what_that_may_cost():
    [one] = found(made("Service", "api", {"selector": BEFORE, "ports": [{"port": 80, "targetPort": "http"}]}))
    assert "the name of its port '' becomes 'http': for a fraction of a second" in one.told


def test_what_people_made_beside_it_stays_and_a_second_autoscaler_is_named():
    record = {**made("ConfigMap", "sh.helm.release.v1.reviews.v1", {}), "type": "helm.sh/release.v1"}
    of_cluster = made("ConfigMap", "kube-root-ca.crt", {}, "kube-controller-manager")
    second = made("HorizontalPodAutoscaler", "second", {"scaleTargetRef": {"name": "api"}}, "kubectl-create")
    server = Namespace(*RELEASE, record, of_cluster, second)
    assert list(adopt.left_alone(program(), api_server.cluster(server))) == [
        "HorizontalPodAutoscaler/second (kubectl-create; scales Deployment/api, too: delete it afterwards)",
        "ConfigMap/api-config (Helm release reviews)",
    ]


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_release_that_the_stack_file_describes_has_no_problems():
    assert told(*RELEASE) == []


@pytest.mark.feature("O2", part="nothing that would be replaced")
def test_another_selector_is_told_once_with_the_lines_for_the_stack_file():
    [problem] = told(*RELEASE, changes={"services.api.selector": None})
    assert "Deployment/api: spec.selector is" in problem
    assert problem.endswith(
        "write into stacks/Pulumi.dev.yaml, under slipway:services:\n"
        "    api:\n"
        "      selector:\n"
        '        app.kubernetes.io/instance: "reviews"\n'
        '        app.kubernetes.io/name: "a-chart"'
    )


EXPRESSIONS = {"matchExpressions": [{"key": "app", "operator": "Exists"}]}
TLS = [{"hosts": ["api.dev.example.com"], "secretName": "old"}]
BY_NAME = {**PATH, "backend": {"service": {"name": "api", "port": {"name": "web"}}}}
OTHER_HOST = {"host": "www.example.com", "http": {"paths": [PATH]}}
FIXED: list[tuple[Object, str]] = [
    (with_spec(DEPLOYMENT, selector=EXPRESSIONS), "no setting can say it"),
    (with_spec(SERVICE, selector={**BEFORE, "track": "stable"}), "spec.selector .* The new pods lack a label"),
    (with_spec(SERVICE, ports=[{"port": 80, "targetPort": 5000}]), "leads to port 5000 of the pods"),
    (with_spec(SERVICE, ports=[{"port": 8000, "targetPort": 8080}]), "port 8000 would no longer be answered"),
    (with_spec(SERVICE, type="NodePort"), r"port 80 \(NodePort, for the nodes\) would no longer be answered"),
    (with_spec(INGRESS, rules=[*INGRESS["spec"]["rules"], OTHER_HOST]), "www.example.com/ would no longer be answered"),
    (with_spec(INGRESS, rules=[{**INGRESS["spec"]["rules"][0], "http": {"paths": [BY_NAME]}}]), "leads to port 'web'"),
    (with_spec(INGRESS, ingressClassName="nginx"), 'spec.ingressClassName is "nginx", .* `className: nginx`'),
    (with_spec(INGRESS, tls=TLS), "spec.tls is .* the stack wants \\(none\\)"),
    (made("Service", "api", SERVICE["spec"], ownerReferences=[{"kind": "Shop", "name": "x"}]), "again by Shop/x"),
    (made("Service", "api", SERVICE["spec"], "argocd-controller"), "again and again by argocd-controller"),
    (made("Service", "api", SERVICE["spec"], "pulumi-kubernetes-1a2b3c4d"), "again by another Pulumi stack"),
]


@pytest.mark.parametrize(("changed", "problem"), FIXED, ids=[problem for _, problem in FIXED])
def test_what_would_be_replaced_fought_over_or_lose_requests_is_told(changed: Object, problem: str):
    others = [one for one in RELEASE if one["kind"] != changed["kind"]]
    [one] = told(*others, changed)
    assert one.startswith(f"{changed['kind']}/api: ")
    assert re.search(problem, one, re.DOTALL), one


def test_what_this_stack_itself_has_lost_from_its_state_is_nobody_else_s():
    labels = {"app.kubernetes.io/instance": "slipway-dev"}
    lost = made("Service", "api", SERVICE["spec"], "pulumi-kubernetes-1a2b3c4d", labels=labels)
    assert told(DEPLOYMENT, lost) == []


def test_a_volume_is_neither_moved_nor_made_smaller():
    has = {"accessModes": ["ReadWriteOnce"], "storageClassName": "slow", "resources": {"requests": {"storage": "9Gi"}}}
    claim = made("PersistentVolumeClaim", "redis-data", has)
    redis = {"image": f"registry.example.com/redis@sha256:{'0' * 64}", "storageClass": "fast", "storage": "1Gi"}
    fields = sorted(problem.partition(" is ")[0] for problem in told(claim, changes={"redis": redis}))
    assert fields == [
        "PersistentVolumeClaim/redis-data: spec.resources.requests.storage",
        "PersistentVolumeClaim/redis-data: spec.storageClassName",
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
    ours, *others = ownership.taken_over([APPLIED, STATUS, EDITED, BOUND, ADDRESS], WANTED)
    assert (ours["manager"], ours["operation"], ours["apiVersion"]) == (adoption.MANAGER, "Apply", "apps/v1")
    assert ours["fieldsV1"] == {"f:spec": CONTAINERS, "f:metadata": {"f:labels": {"f:team": {}}}}
    assert others[1:] == [STATUS, BOUND, ADDRESS]


def test_the_number_of_pods_stays_with_somebody_else_where_the_stack_declares_none():
    _, kept = ownership.taken_over([APPLIED], WANTED)
    assert (kept["manager"], kept["operation"]) == (ownership.KEEPER, "Update")
    assert kept["fieldsV1"] == {"f:spec": {"f:replicas": {}}}


def test_the_number_of_pods_is_ours_where_the_stack_declares_one_even_if_an_autoscaler_has_set_it():
    wanted = {**WANTED, "spec": {"replicas": 3}}
    [ours] = ownership.taken_over([owned("helm", {"f:spec": CONTAINERS}), SCALED], wanted)
    assert ours["fieldsV1"] == {"f:spec": {**CONTAINERS, "f:replicas": {}}}


def test_fields_of_another_version_of_the_kind_are_nobody_s_and_the_object_still_has_owners():
    [kept] = ownership.taken_over([owned("kubectl-autoscale", {"f:spec": {}}, version="apps/v1beta1")], WANTED)
    assert (kept["manager"], kept["apiVersion"]) == (ownership.KEEPER, "apps/v1")
    assert kept["fieldsV1"] == {"f:metadata": {"f:labels": {".": {}}}}


def test_what_is_ours_already_is_left_as_it_is():
    once = ownership.taken_over([APPLIED, STATUS], WANTED)
    assert ownership.taken_over(once, WANTED) == once


def test_an_object_that_changes_meanwhile_is_read_again():
    server = Namespace(DEPLOYMENT)
    server.changes_meanwhile = 2
    ownership.take(api_server.cluster(server), WANTED)
    assert server.managers("Deployment") == [(adoption.MANAGER, "Apply")]
    server = Namespace(DEPLOYMENT)
    server.changes_meanwhile = 99
    with pytest.raises(cluster.Refused, match="test failed"):
        ownership.take(api_server.cluster(server), WANTED)


# --- the verb ---------------------------------------------------------------------------------------------------------


class Engine:
    """Remembers how `pulumi up` was run, and plays what it does to the cluster."""

    def __init__(self, server: Namespace) -> None:
        self.server = server
        self.runs: list[tuple[list[str], dict[str, str]]] = []
        self.code, self.replaces = 0, ""

    def run(self, command: list[str], *, variables: dict[str, str] | None = None) -> up.Outcome:
        self.runs.append((command, dict(variables or {})))
        if self.replaces:
            self.server.objects[self.replaces]["metadata"]["uid"] = "another"
        return up.Outcome(self.code, False, [])

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
    monkeypatch.setattr(cluster, "connect", lambda *_: there)
    monkeypatch.setattr(adopt, "declare", lambda _: declared)
    monkeypatch.setattr(up, "run", played.run)
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
    said = capsys.readouterr().err
    assert "dev: adopted 3 objects, 0 replaced" in said
    assert "delete secret -l owner=helm,name=reviews" in said
    assert "never `helm uninstall`" in said


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
    assert "go on: ./slipway adopt -s dev" in capsys.readouterr().err


def test_an_object_that_is_not_the_same_afterwards_is_a_failure(engine: Engine, capsys: pytest.CaptureFixture[str]):
    engine.replaces = f"{PATHS['Service']}/api"
    assert adopt.command("dev", yes=True) == 1
    assert "dev: adopted 3 objects, 1 replaced: Service/api" in capsys.readouterr().err


def test_the_engine_gets_the_variables_of_one_run_and_no_other():
    command = ["sh", "-c", f'test "${adoption.OBJECTS}" = them']
    assert up.run(command, variables={adoption.OBJECTS: "them"}).code == 0
    assert up.run(command).code == 1


def test_the_program_names_the_manager_of_just_those_objects(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(adoption.OBJECTS, "kubernetes:apps/v1:Deployment::api")
    found = declared("dev", CHANGES).manifests()
    assert found["Deployment", "api"]["metadata"]["annotations"][adoption.ANNOTATION] == adoption.MANAGER
    assert adoption.ANNOTATION not in json.dumps([one for key, one in found.items() if key != ("Deployment", "api")])
