"""The offline kubernetes plugin without a cluster: its rules as functions, and the whole of it over gRPC."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from google.protobuf import json_format, struct_pb2
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import CreateRequest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc
from pulumi.runtime.rpc import _special_secret_sig  # pyright: ignore[reportPrivateUsage]

from local.plugins import kubernetes_await
from local.plugins.kubernetes_await import NotUsable
from local.plugins.kubernetes_diff import differences, format_path, keep_live, observed, parse_path
from local.plugins.kubernetes_kinds import kind_of
from local.plugins.kubernetes_owner import field_manager, inherited_fields, may_be_overruled, owns
from local.plugins.kubernetes_provider import KubernetesPlugin
from local.plugins.kubernetes_secrets import Secrets, mark
from local.plugins.provider import UNKNOWN, Refused, wrap
from tests.watchdog import child

SCRIPT = Path(__file__).parents[2] / "local/plugins/kubernetes.py"


# --- differences ------------------------------------------------------------------------------------------------------


def changes(old: Any, new: Any) -> dict[str, str]:
    return {format_path(path): change.value for path, change in differences(old, new)}


def test_a_difference_is_named_by_its_deepest_path() -> None:
    old = {"spec": {"containers": [{"name": "a", "image": "x:1"}], "gone": 1}}
    new = {"spec": {"containers": [{"name": "a", "image": "x:2"}, {"name": "b"}]}}
    assert changes(old, new) == {
        "spec.containers[0].image": "update",
        "spec.containers[1]": "add",
        "spec.gone": "delete",
    }


@pytest.mark.parametrize(
    "text",
    ["spec.replicas", 'metadata.annotations["example.com/a.b"]', "spec.containers[0].env[12].value", 'data["a\\"b"]'],
)
def test_property_paths_survive_reading_and_writing(text: str) -> None:
    assert format_path(parse_path(text)) == text


def test_what_the_cluster_added_or_wrote_in_another_way_is_no_drift() -> None:
    inputs = {"spec": {"cpu": "1000m", "ports": [{"port": 80}]}}
    live = {"spec": {"cpu": "1", "ports": [{"port": 80, "protocol": "TCP"}], "clusterIP": "10.0.0.1"}, "status": {}}
    assert observed(inputs, live, live | {"status": {"ready": True}}) == inputs


def test_a_value_changed_by_others_takes_the_place_of_the_input() -> None:
    inputs = {"data": {"a": "1", "b": "2", "c": "3"}}
    live = {"data": {"a": "1", "b": "changed", "d": "new"}}
    assert observed(inputs, inputs, live) == {"data": {"a": "1", "b": "changed"}}


def test_elements_that_others_add_to_a_named_list_are_theirs() -> None:
    ours = [{"name": "main", "image": "x:1"}]
    live = [{"name": "sidecar", "image": "s"}, {"name": "main", "image": "x:1", "imagePullPolicy": "Always"}]
    assert observed(ours, ours, live) == ours
    assert observed(["a"], ["a"], ["a", "b"]) == ["a", "b"], "a plain list belongs to the program as a whole"


def test_ignored_values_are_sent_as_they_are_in_the_cluster() -> None:
    inputs = {"spec": {"replicas": 2, "containers": [{"image": "x:1"}, {"image": "y:1"}]}}
    live = {"spec": {"replicas": 5, "containers": [{"image": "x:2"}, {"image": "y:2"}]}}
    for path in ("spec.replicas", "spec.containers[*].image", "spec.absent.field"):
        keep_live(inputs, live, parse_path(path))
    assert inputs == live


# --- kinds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    [
        "kubernetes:core/v1:Pod",
        "kubernetes:apps/v1:DaemonSet",
        "kubernetes:apps/v1:DeploymentPatch",
        "kubernetes:helm.sh/v3:Release",
        "kubernetes:yaml/v2:ConfigGroup",
        "kubernetes:storage.k8s.io/v1:StorageClass",
    ],
)
def test_kinds_that_are_not_covered_are_refused_with_a_way_out(token: str) -> None:
    with pytest.raises(Refused, match=f"{token} is not known .* official plugin") as refused:
        kind_of(token)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("token", ["kubernetes:gateway.networking.k8s.io/v1:HTTPRoute", "kubernetes:acme.io/v2:Thing"])
def test_custom_resources_are_taken_as_they_are(token: str) -> None:
    assert kind_of(token).plural == ""


@pytest.mark.parametrize(
    ("token", "path", "fixed"),
    [
        ("apps/v1:Deployment", "spec.selector.matchLabels.app", True),
        ("apps/v1:Deployment", "spec.template.spec.containers[0].image", False),
        ("apps/v1:StatefulSet", "spec.volumeClaimTemplates[0]", True),
        ("apps/v1:StatefulSet", "spec.replicas", False),
        ("core/v1:Service", "spec.clusterIP", True),
        ("core/v1:PersistentVolumeClaim", "spec.storageClassName", True),
        ("core/v1:PersistentVolumeClaim", "spec.resources.requests.storage", False),
        ("rbac.authorization.k8s.io/v1:RoleBinding", "roleRef.name", True),
        ("rbac.authorization.k8s.io/v1:RoleBinding", "subjects[0].name", False),
        ("networking.k8s.io/v1:Ingress", "spec.rules[0].host", False),
        ("acme.io/v2:Thing", "metadata.name", True),
        ("acme.io/v2:Thing", "metadata.labels.name", False),
    ],
)
def test_only_fields_that_kubernetes_cannot_change_replace(token: str, path: str, fixed: bool) -> None:
    assert kind_of(f"kubernetes:{token}").is_fixed(parse_path(path)) is fixed


# --- owners -----------------------------------------------------------------------------------------------------------


def managed(manager: str, operation: str, fields: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": fields} | more


def test_an_interrupted_create_knows_its_own_object_again() -> None:
    manager = field_manager("urn:pulumi:dev::p::kubernetes:core/v1:ConfigMap::a")
    mine = {"metadata": {"managedFields": [managed(manager, "Apply", {})]}}
    assert owns(manager, mine)
    assert not owns(field_manager("urn:pulumi:dev::p::kubernetes:core/v1:ConfigMap::b"), mine)
    assert not owns(manager, {"metadata": {}})


def test_what_the_official_plugin_created_is_inherited() -> None:
    live = {
        "metadata": {
            "managedFields": [
                managed("pulumi-kubernetes", "Update", {"f:data": {"f:a": {}}}),
                managed("kubectl-create", "Update", {"f:status": {}}, subresource="status"),
                managed("ours", "Apply", {"f:data": {"f:b": {}}}),
            ]
        }
    }
    ours, other = inherited_fields(live, "ours")
    assert ours["fieldsV1"] == {"f:data": {"f:a": {}, "f:b": {}}}
    assert (ours["manager"], ours["operation"]) == ("ours", "Apply")
    assert other["subresource"] == "status", "a status is nobody's to inherit"
    assert inherited_fields({"metadata": {"managedFields": [ours, other]}}, "ours") == []


def test_a_name_the_program_gives_takes_the_place_of_the_former_one() -> None:
    live = {
        "metadata": {"managedFields": [managed("random", "Apply", {"f:data": {"f:a": {}}}), managed("b", "Update", {})]}
    }
    ours, other = inherited_fields(live, "given", "random")
    assert (ours["manager"], ours["fieldsV1"], other["manager"]) == ("given", {"f:data": {"f:a": {}}}, "b")
    assert inherited_fields({"metadata": {"managedFields": [ours, other]}}, "given", "given") == []


def test_changes_by_hand_are_overruled_and_controllers_are_not() -> None:
    by_hand = {"message": 'conflict with "kubectl-edit" using v1'}
    by_controller = {"message": 'conflict with "kube-controller-manager" with subresource "scale" using apps/v1'}
    assert may_be_overruled([by_hand])
    assert not may_be_overruled([by_hand, by_controller])
    assert not may_be_overruled([{"message": 'conflict with "pulumi-kubernetes-12345678" using v1'}])
    assert not may_be_overruled([])


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_known_secrets_are_masked_in_every_form() -> None:
    secrets = Secrets()
    data = {"pem": base64.b64encode(b"-----first line\nsecond line").decode()}
    secrets.learn({"kind": "Secret", "data": data}, {"other": PropertyValue("hidden-value", is_secret=True)})
    text = f"log: second line, {data['pem']}, hidden-value, {base64.b64encode(b'hidden-value').decode()} end"
    assert secrets.mask(text) == "log: ***, ***, ***, *** end"


def test_a_secret_in_a_list_hides_the_whole_list_and_nothing_else() -> None:
    kind = kind_of("kubernetes:apps/v1:Deployment")
    inputs = {"spec": wrap({"a": "plain", "env": [{"name": "T", "value": "x"}]})}
    env = PropertyValue([PropertyValue({"name": PropertyValue("T"), "value": PropertyValue("x", is_secret=True)})])
    inputs["spec"] = PropertyValue({"a": PropertyValue("plain"), "env": env})
    live = {"spec": {"a": "plain", "env": [{"name": "INJECTED"}, {"name": "T", "value": "x"}]}}
    marked: Any = mark(kind, live, inputs)["spec"].value
    assert marked["env"].is_secret
    assert not marked["a"].is_secret


# --- waits ------------------------------------------------------------------------------------------------------------


class FakeCluster:
    """Answers with one version of the object after the other, and with lists by the last word of their path."""

    def __init__(self, *versions: dict[str, Any] | None, **lists: list[dict[str, Any]]) -> None:
        self.versions = list(versions)
        self.lists = lists
        self.cancelled = False

    async def get(self, *_: Any) -> dict[str, Any] | None:
        return self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]

    async def items(self, path: str, **_: str) -> list[dict[str, Any]]:
        return self.lists.get(path.rpartition("/")[2], [])

    async def log_tail(self, *_: Any, **__: Any) -> str:
        return "starting\npanic: no database"

    async def pause(self, seconds: float) -> bool:
        return not self.cancelled


def await_(cluster: Any, token: str, obj: dict[str, Any], timeout: float = 60) -> tuple[dict[str, Any], list[str]]:
    said: list[str] = []

    async def report(message: str) -> None:
        said.append(message)

    live = asyncio.run(kubernetes_await.usable(cluster, kind_of(f"kubernetes:{token}"), obj, timeout, report))
    return live, said


def deployment(
    *, seen: int = 1, condition: str = "", annotations: dict[str, str] | None = None, **status: int
) -> dict[str, Any]:
    metadata = {"name": "web", "namespace": "shop", "uid": "u1", "generation": 1, "annotations": annotations or {}}
    spec = {"replicas": 2, "progressDeadlineSeconds": 60, "selector": {"matchLabels": {"app": "web"}}}
    progress = {"type": "Progressing", "reason": condition, "message": "ReplicaSet timed out", "status": "False"}
    return {
        "kind": "Deployment",
        "metadata": metadata,
        "spec": spec,
        "status": {"observedGeneration": seen, "conditions": [progress] if condition else [], **status},
    }


def test_a_deployment_is_usable_once_only_new_pods_run_and_all_are_available() -> None:
    done = deployment(updatedReplicas=2, replicas=2, availableReplicas=2)
    cluster = FakeCluster(
        deployment(seen=0, updatedReplicas=2, replicas=2, availableReplicas=2),
        deployment(updatedReplicas=1, replicas=3, availableReplicas=2),
        deployment(updatedReplicas=2, replicas=3, availableReplicas=3),
        deployment(updatedReplicas=2, replicas=2, availableReplicas=1),
        done,
    )
    live, said = await_(cluster, "apps/v1:Deployment", deployment())
    assert live == done
    assert said == [
        "waiting for the Deployment controller",
        "1 of 2 new pods started",
        "2 new pods started, 1 old pods still running",
        "1 of 2 new pods available",
    ]


POD = {
    "metadata": {"name": "web-1-x", "namespace": "shop", "uid": "p1", "ownerReferences": [{"uid": "r1"}]},
    "status": {
        "containerStatuses": [
            {
                "name": "api",
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                "lastState": {"terminated": {"exitCode": 2, "reason": "Error"}},
            }
        ]
    },
}
REPLICA_SET = {"metadata": {"name": "web-1", "namespace": "shop", "uid": "r1", "ownerReferences": [{"uid": "u1"}]}}


def test_a_missed_progress_deadline_fails_at_once_with_reason_and_log() -> None:
    cluster = FakeCluster(deployment(condition="ProgressDeadlineExceeded"), replicasets=[REPLICA_SET], pods=[POD])
    with pytest.raises(NotUsable) as failed:
        await_(cluster, "apps/v1:Deployment", deployment())
    assert failed.value.reasons == [
        "Deployment shop/web made no progress for 60 s: ReplicaSet timed out",
        "Pod shop/web-1-x, container api: CrashLoopBackOff: last run ended with Error, exit code 2",
        "last lines of Pod shop/web-1-x, container api:\n    starting\n    panic: no database",
    ]


def test_a_deadline_missed_before_does_not_fail_the_next_try() -> None:
    stuck = deployment(condition="ProgressDeadlineExceeded")
    done = deployment(updatedReplicas=2, replicas=2, availableReplicas=2)
    assert await_(FakeCluster(stuck, stuck, done), "apps/v1:Deployment", stuck)[0] == done


def test_waits_end_when_the_user_cancels_and_when_the_time_is_over() -> None:
    cluster = FakeCluster(deployment(updatedReplicas=1))
    cluster.cancelled = True
    with pytest.raises(NotUsable, match="interrupted while waiting for Deployment shop/web: 1 of 2 new pods started"):
        await_(cluster, "apps/v1:Deployment", deployment())
    with pytest.raises(NotUsable, match="not usable after 0 s: 1 of 2 new pods started"):
        await_(FakeCluster(deployment(updatedReplicas=1)), "apps/v1:Deployment", deployment(), timeout=0)


def test_an_object_can_ask_not_to_be_awaited() -> None:
    unready = deployment(annotations={"pulumi.com/skipAwait": "true"})
    assert await_(FakeCluster(None), "apps/v1:Deployment", unready)[0] == unready


def service(**spec: Any) -> dict[str, Any]:
    return {"kind": "Service", "metadata": {"name": "web", "namespace": "shop", "uid": "u"}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "endpoints"),
    [
        ({"clusterIP": "None", "selector": {"a": "b"}}, []),
        ({"type": "ExternalName", "externalName": "example.com"}, []),
        ({}, []),
        ({"selector": {"a": "b"}}, [{"conditions": {"ready": False}}, {"conditions": {"ready": True}}]),
        ({"selector": {"a": "b"}}, [{"addresses": ["10.0.0.1"]}]),
    ],
)
def test_a_service_is_usable_when_something_can_answer(spec: Any, endpoints: Any) -> None:
    live = service(**spec)
    cluster = FakeCluster(live, endpointslices=[{"endpoints": endpoints}])
    assert await_(cluster, "core/v1:Service", live)[0] == live


@pytest.mark.parametrize(
    ("spec", "endpoints", "awaited"),
    [
        ({"selector": {"a": "b"}}, [{"conditions": {"ready": False}}], "none of the 1 pods it selects is ready"),
        ({"selector": {"a": "b"}}, [], "waiting for pods that match the selector"),
        ({"type": "LoadBalancer"}, [], "waiting for a load balancer address"),
    ],
)
def test_a_service_nothing_can_answer_for_is_waited_for(spec: Any, endpoints: Any, awaited: str) -> None:
    cluster = FakeCluster(service(**spec), endpointslices=[{"endpoints": endpoints}])
    with pytest.raises(NotUsable, match=awaited):
        await_(cluster, "core/v1:Service", service(**spec), timeout=0)


def test_a_job_fails_with_its_condition_and_its_pods_end() -> None:
    spec = {"selector": {"matchLabels": {"job": "j"}}}
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often"}
    job = {
        "kind": "Job",
        "metadata": {"name": "j", "namespace": "shop", "uid": "u1"},
        "spec": spec,
        "status": {"conditions": [failed]},
    }
    ended = {"name": "main", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
    pod = {"metadata": POD["metadata"] | {"ownerReferences": [{"uid": "u1"}]}, "status": {"containerStatuses": [ended]}}
    with pytest.raises(NotUsable) as raised:
        await_(FakeCluster(job, pods=[pod]), "batch/v1:Job", job)
    assert raised.value.reasons[0] == "Job shop/j failed: BackoffLimitExceeded: too often"
    assert "OOMKilled, exit code 137" in raised.value.reasons[1]


def test_warning_events_explain_pods_that_are_missing_or_not_ready() -> None:
    event = {
        "type": "Warning",
        "reason": "FailedCreate",
        "message": "exceeded quota: compute",
        "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
        "involvedObject": {"kind": "ReplicaSet", "name": "web-1"},
    }
    cluster: Any = FakeCluster(None, replicasets=[REPLICA_SET], events=[event])
    found = asyncio.run(kubernetes_await.problems(cluster, deployment()))
    assert found == ["ReplicaSet web-1: FailedCreate: exceeded quota: compute"]


def test_a_deletion_that_hangs_names_what_holds_it() -> None:
    held = {
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "s", "uid": "u", "finalizers": ["example.com/x"]},
    }
    remaining = {"type": "NamespaceContentRemaining", "status": "True", "message": "pods. has 1 resource instances"}
    namespace = {"kind": "Namespace", "metadata": {"name": "s", "uid": "u"}, "status": {"conditions": [remaining]}}

    async def report(_: str) -> None: ...

    for obj, reason in ((held, "held by finalizers example.com/x"), (namespace, "pods. has 1 resource instances")):
        kind = kind_of("kubernetes:core/v1:ConfigMap")
        cluster: Any = FakeCluster(obj)
        with pytest.raises(NotUsable, match=reason):
            asyncio.run(kubernetes_await.gone(cluster, kind, ("s", "c"), 0, report))


# --- what was there before --------------------------------------------------------------------------------------------

CONFIG_MAP = "urn:pulumi:dev::p::kubernetes:core/v1:ConfigMap::web"


class Applied(FakeCluster):
    """Keeps the name under which something was applied."""

    manager = ""

    async def apply(self, kind: Any, obj: dict[str, Any], manager: str, **_: Any) -> dict[str, Any]:
        self.manager = manager
        return obj


def create(cluster: FakeCluster, annotations: dict[str, str] | None = None, **options: bool) -> Any:
    plugin: Any = KubernetesPlugin(cast("Any", None))
    plugin._cluster, plugin._options = cluster, options
    inputs: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", **named(data={"a": "1"})}
    inputs["metadata"] |= {"annotations": annotations or {}}
    properties = {key: wrap(value) for key, value in inputs.items()}
    return asyncio.run(plugin.create(CreateRequest(CONFIG_MAP, properties, 60, False)))


HELM_S = {"kind": "ConfigMap", **{"metadata": {"name": "web", "namespace": "shop", "managedFields": []}}}


def test_what_others_made_is_taken_over_only_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="ConfigMap shop/web already exists"):
        create(Applied(HELM_S))
    assert create(Applied(HELM_S), upsertExistingObjects=True).resource_id == "shop/web"
    monkeypatch.setenv("PULUMI_K8S_UPSERT_EXISTING_OBJECTS", "true")
    assert create(Applied(HELM_S)).resource_id == "shop/web"
    with pytest.raises(Refused):
        create(Applied(HELM_S), upsertExistingObjects=False)


def test_the_program_may_say_under_which_name_fields_are_owned() -> None:
    cluster = Applied(None)
    made = create(cluster, {"pulumi.com/patchFieldManager": "given"})
    assert cluster.manager == "given"
    assert made.properties["__fieldManager"].value == "given", "an update without the annotation keeps the name"


# --- the plugin, as the engine sees it --------------------------------------------------------------------------------

URN = "urn:pulumi:dev::p::slipway:index:WebService$kubernetes:{type}::{name}"


class Engine:
    """The engine's side of the plugin protocol."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.stub: Any = provider_pb2_grpc.ResourceProviderStub(channel)

    def configure(self, **options: Any) -> None:
        request = provider_pb2.ConfigureRequest(args=struct(options), acceptSecrets=True)
        self.stub.Configure(request)

    def check(self, token: str, new: Any, old: Any = None, name: str = "web", seed: bytes = b"seed") -> Any:
        urn = URN.format(type=token, name=name)
        request = provider_pb2.CheckRequest(urn=urn, olds=struct(old or {}), news=struct(new), randomSeed=seed)
        return self.stub.Check(request)

    def checked(self, token: str, new: Any, old: Any = None, **more: Any) -> dict[str, Any]:
        answer = self.check(token, new, old, **more)
        assert not answer.failures
        return json_format.MessageToDict(answer.inputs)

    def diff(self, token: str, old: Any, new: Any, ignore: tuple[str, ...] = ()) -> Any:
        urn = URN.format(type=token, name="web")
        request = provider_pb2.DiffRequest(
            urn=urn, id="x", olds=struct(old), old_inputs=struct(old), news=struct(new), ignoreChanges=ignore
        )
        return self.stub.Diff(request)


def struct(value: Any) -> struct_pb2.Struct:
    return json_format.ParseDict(value, struct_pb2.Struct())


@pytest.fixture(scope="module")
def plugin_process() -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with child([sys.executable, SCRIPT, "127.0.0.1:9"], text=True, stdin=pipe, stdout=pipe) as process:
        yield process
        assert process.stdin
        process.stdin.close()
        assert process.wait(timeout=10) == 0, "the plugin ends with its engine"


@pytest.fixture(scope="module")
def address(plugin_process: subprocess.Popen[str]) -> str:
    assert plugin_process.stdout
    return f"127.0.0.1:{plugin_process.stdout.readline().strip()}"


@pytest.fixture
def engine(address: str) -> Iterator[Engine]:
    with grpc.insecure_channel(address) as channel:
        engine = Engine(channel)
        engine.configure(context="none")
        yield engine


def named(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", "namespace": "shop"}} | fields


def test_names_are_made_up_once_and_kept(engine: Engine) -> None:
    first = engine.checked("core/v1:ConfigMap", {"data": {"a": "1"}})
    assert first["kind"] == "ConfigMap"
    assert first["apiVersion"] == "v1"
    name = first["metadata"]["name"]
    assert name.startswith("web-")
    assert len(name) == len("web-") + 8
    assert engine.checked("core/v1:ConfigMap", {}, first, seed=b"other")["metadata"]["name"] == name
    assert engine.checked("core/v1:ConfigMap", {}, seed=b"other")["metadata"]["name"] != name
    given = engine.checked("core/v1:ConfigMap", {"metadata": {"name": "mine"}}, first)
    assert given["metadata"] == {"name": "mine"}


@pytest.mark.parametrize("wish", [{"generateName": "a-"}, {"annotations": {"pulumi.com/waitFor": "condition=Ready"}}])
def test_wishes_it_cannot_fulfil_are_refused(engine: Engine, wish: dict[str, Any]) -> None:
    (failure,) = engine.check("core/v1:ConfigMap", {"metadata": wish}).failures
    assert failure.property.startswith("metadata.")


def test_a_name_stays_while_annotations_are_unknown(engine: Engine) -> None:
    first = engine.checked("core/v1:ConfigMap", {})
    again = engine.checked("core/v1:ConfigMap", {"metadata": {"annotations": UNKNOWN}}, first, seed=b"other")
    assert again["metadata"] == {"name": first["metadata"]["name"], "annotations": UNKNOWN}


def test_nulls_are_left_out_and_numbers_stay_whole(engine: Engine) -> None:
    new = named(spec={"replicas": 2.0, "paused": None})
    answer = engine.checked("apps/v1:Deployment", new)
    assert json.dumps(answer["spec"]) in ('{"replicas": 2.0}', '{"replicas": 2}')


def test_the_namespace_of_the_provider_is_the_default(engine: Engine) -> None:
    engine.configure(namespace="team")
    assert engine.checked("core/v1:ConfigMap", {"metadata": {"name": "a"}})["metadata"]["namespace"] == "team"
    assert "namespace" not in engine.checked("core/v1:Namespace", {"metadata": {"name": "a"}})["metadata"]


def test_the_data_of_a_secret_is_marked_as_secret_even_when_the_program_forgot(engine: Engine) -> None:
    answer = engine.checked("core/v1:Secret", named(stringData={"token": "plain"}, data={"other": "eA=="}))
    secret = answer["data"]
    assert _special_secret_sig in secret.values()
    assert secret["value"] == {"token": "cGxhaW4=", "other": "eA=="}
    assert "stringData" not in answer


def test_equal_inputs_are_no_change_whatever_the_namespace_is_called(engine: Engine) -> None:
    old = {"metadata": {"name": "web"}, "data": {"a": "1"}}
    new = {"metadata": {"name": "web", "namespace": "default"}, "data": {"a": "1"}}
    answer = engine.diff("core/v1:ConfigMap", old, new)
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE
    assert not answer.detailedDiff


def test_config_data_replaces_unless_it_is_mutable(engine: Engine) -> None:
    old, new = named(data={"a": "1"}), named(data={"a": "2"})
    assert list(engine.diff("core/v1:ConfigMap", old, new).replaces) == ["data.a"]
    assert engine.diff("core/v1:ConfigMap", old, new).deleteBeforeReplace
    engine.configure(enableConfigMapMutable="true")
    assert not engine.diff("core/v1:ConfigMap", old, new).replaces
    frozen = engine.diff("core/v1:ConfigMap", old | {"immutable": True}, new | {"immutable": True})
    assert list(frozen.replaces) == ["data.a"]
    assert list(engine.diff("core/v1:ConfigMap", old, new | {"immutable": True}).replaces) == ["data.a"]
    assert engine.diff("core/v1:Secret", old, new).replaces


def test_objects_that_pulumi_named_are_replaced_without_a_gap(engine: Engine) -> None:
    old = engine.checked("core/v1:ConfigMap", {"data": {"a": "1"}})
    new = engine.checked("core/v1:ConfigMap", {"data": {"a": "2"}}, old)
    answer = engine.diff("core/v1:ConfigMap", old, new)
    assert answer.replaces
    assert not answer.deleteBeforeReplace


def test_unknown_values_count_as_changed_in_place(engine: Engine) -> None:
    answer = engine.diff("core/v1:ServiceAccount", named(secrets=["a"]), named(secrets=[UNKNOWN]))
    assert list(answer.detailedDiff) == ["secrets[0]"]
    assert not answer.replaces


def test_ignored_changes_are_no_changes(engine: Engine) -> None:
    old, new = named(spec={"replicas": 1}), named(spec={"replicas": 2})
    answer = engine.diff("apps/v1:Deployment", old, new, ignore=("spec.replicas",))
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_only_another_cluster_identifier_replaces_what_is_in_the_cluster(engine: Engine) -> None:
    def diff_config(old: Any, new: Any) -> Any:
        return engine.stub.DiffConfig(provider_pb2.DiffRequest(urn="u", id="i", olds=struct(old), news=struct(new)))

    same = diff_config({"clusterIdentifier": "a", "context": "x"}, {"clusterIdentifier": "a", "context": "y"})
    assert not same.replaces
    assert same.changes != provider_pb2.DiffResponse.DIFF_NONE
    assert not diff_config({}, {"clusterIdentifier": "a"}).replaces
    assert list(diff_config({"clusterIdentifier": "a"}, {"clusterIdentifier": "b"}).replaces) == ["clusterIdentifier"]


def test_options_it_does_not_know_are_refused_by_name(engine: Engine) -> None:
    request = provider_pb2.CheckRequest(urn="u", news=struct({"context": "c", "renderYamlToDirectory": "/tmp/x"}))
    (failure,) = engine.stub.CheckConfig(request).failures
    assert failure.property == "renderYamlToDirectory"
    assert "enableSecretMutable" in failure.reason


def test_functions_and_unknown_kinds_are_refused_as_they_stand(engine: Engine) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        engine.stub.Invoke(provider_pb2.InvokeRequest(tok="kubernetes:yaml:decode"))
    assert "has no functions, so no kubernetes:yaml:decode" in refused.value.details()  # type: ignore[attr-defined]
    with pytest.raises(grpc.RpcError, match="kubernetes:apps/v1:DaemonSet is not known"):
        engine.check("apps/v1:DaemonSet", {})


UNREACHABLE = {
    "apiVersion": "v1",
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}],
    "contexts": [{"name": "there", "context": {"cluster": "c", "user": "u"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"kubeconfig": json.dumps(UNREACHABLE), "context": "there"},
            r"https://127.0.0.1:9 \(context there\) does not",
        ),
        (
            {"kubeconfig": json.dumps(UNREACHABLE), "context": "typo"},
            r"context 'typo' is not in the given kubeconfig \(contexts there: there\)",
        ),
        ({"kubeconfig": "/none/such"}, "there is no kubeconfig /none/such"),
        ({"kubeconfig": "a: [\n"}, "the given kubeconfig is not a kubeconfig: it is not YAML, line 2"),
    ],
)
def test_without_a_cluster_changes_fail_soon_and_previews_go_on(engine: Engine, options: Any, reason: str) -> None:
    engine.configure(**options)
    urn = URN.format(type="core/v1:ConfigMap", name="web")
    inputs = struct(named(apiVersion="v1", kind="ConfigMap"))
    started = time.monotonic()
    preview = engine.stub.Create(provider_pb2.CreateRequest(urn=urn, properties=inputs, preview=True))
    assert json_format.MessageToDict(preview.properties)["metadata"]["name"] == "web"
    calls = {
        engine.stub.Create: provider_pb2.CreateRequest(urn=urn, properties=inputs),
        engine.stub.Update: provider_pb2.UpdateRequest(urn=urn, id="shop/web", olds=inputs, news=inputs),
        engine.stub.Read: provider_pb2.ReadRequest(urn=urn, id="shop/web", properties=inputs, inputs=inputs),
        engine.stub.Delete: provider_pb2.DeleteRequest(urn=urn, id="shop/web", properties=inputs),
    }
    for call, request in calls.items():
        with pytest.raises(grpc.RpcError, match=reason):
            call(request)
    assert time.monotonic() - started < 10
