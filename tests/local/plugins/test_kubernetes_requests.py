"""The kubernetes plugin as the engine runs it: a process that answers requests over gRPC."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, cast

import grpc
import pytest
from google.protobuf import json_format
from pulumi.provider.experimental.provider import CreateRequest
from pulumi.runtime.proto import provider_pb2
from pulumi.runtime.rpc import _special_secret_sig  # pyright: ignore[reportPrivateUsage]

from local.plugins.kubernetes.inputs import Options
from local.plugins.kubernetes.provider import KubernetesPlugin
from local.plugins.provider import ProviderError, wrap
from slipway.objects import UNKNOWN
from tests.local.plugins.kubernetes_plugin import URN, EngineClient, FakeApi, named, struct

CONFIG_MAP = "urn:pulumi:dev::p::kubernetes:core/v1:ConfigMap::web"


class Applied(FakeApi):
    """Keeps the name under which something was applied."""

    manager = ""

    async def apply(self, kind: Any, obj: dict[str, Any], manager: str, **_: Any) -> dict[str, Any]:
        self.manager = manager
        return obj


def create(api: FakeApi, annotations: dict[str, str] | None = None, **options: bool) -> Any:
    plugin: Any = KubernetesPlugin(cast("Any", None))
    plugin._api, plugin._options = api, Options(options)
    inputs: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", **named(data={"a": "1"})}
    inputs["metadata"] |= {"annotations": annotations or {}}
    properties = {key: wrap(value) for key, value in inputs.items()}
    return asyncio.run(plugin.create(CreateRequest(CONFIG_MAP, properties, 60, False)))


HELM_S = {"kind": "ConfigMap", **{"metadata": {"name": "web", "namespace": "shop", "managedFields": []}}}


def test_existing_objects_are_taken_over_only_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProviderError, match="ConfigMap shop/web already exists"):
        create(Applied(HELM_S))
    assert create(Applied(HELM_S), upsertExistingObjects=True).resource_id == "shop/web"
    monkeypatch.setenv("PULUMI_K8S_UPSERT_EXISTING_OBJECTS", "true")
    assert create(Applied(HELM_S)).resource_id == "shop/web"
    with pytest.raises(ProviderError):
        create(Applied(HELM_S), upsertExistingObjects=False)


def test_the_program_can_set_the_field_manager() -> None:
    api = Applied(None)
    made = create(api, {"pulumi.com/patchFieldManager": "given"})
    assert api.manager == "given"
    assert made.properties["__fieldManager"].value == "given", "an update without the annotation keeps the name"


def test_generated_names_are_kept(engine: EngineClient) -> None:
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
def test_unsupported_metadata_is_refused(engine: EngineClient, wish: dict[str, Any]) -> None:
    (failure,) = engine.check("core/v1:ConfigMap", {"metadata": wish}).failures
    assert failure.property.startswith("metadata.")


def test_a_name_stays_while_annotations_are_unknown(engine: EngineClient) -> None:
    first = engine.checked("core/v1:ConfigMap", {})
    again = engine.checked("core/v1:ConfigMap", {"metadata": {"annotations": UNKNOWN}}, first, seed=b"other")
    assert again["metadata"] == {"name": first["metadata"]["name"], "annotations": UNKNOWN}


def test_nulls_are_dropped_and_integers_stay_integers(engine: EngineClient) -> None:
    new = named(spec={"replicas": 2.0, "paused": None})
    answer = engine.checked("apps/v1:Deployment", new)
    assert json.dumps(answer["spec"]) in ('{"replicas": 2.0}', '{"replicas": 2}')


def test_the_namespace_of_the_provider_is_the_default(engine: EngineClient) -> None:
    engine.configure(namespace="team")
    assert engine.checked("core/v1:ConfigMap", {"metadata": {"name": "a"}})["metadata"]["namespace"] == "team"
    assert "namespace" not in engine.checked("core/v1:Namespace", {"metadata": {"name": "a"}})["metadata"]


def test_the_data_of_a_secret_is_secret_even_if_the_program_does_not_mark_it(engine: EngineClient) -> None:
    answer = engine.checked("core/v1:Secret", named(stringData={"token": "plain"}, data={"other": "eA=="}))
    secret = answer["data"]
    assert _special_secret_sig in secret.values()
    assert secret["value"] == {"token": "cGxhaW4=", "other": "eA=="}
    assert "stringData" not in answer


def test_equal_inputs_are_no_change_whatever_the_namespace_is_called(engine: EngineClient) -> None:
    old = {"metadata": {"name": "web"}, "data": {"a": "1"}}
    new = {"metadata": {"name": "web", "namespace": "default"}, "data": {"a": "1"}}
    answer = engine.diff("core/v1:ConfigMap", old, new)
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE
    assert not answer.detailedDiff


def test_changed_config_data_replaces_the_object_unless_it_is_mutable(engine: EngineClient) -> None:
    old, new = named(data={"a": "1"}), named(data={"a": "2"})
    assert list(engine.diff("core/v1:ConfigMap", old, new).replaces) == ["data.a"]
    assert engine.diff("core/v1:ConfigMap", old, new).deleteBeforeReplace
    engine.configure(enableConfigMapMutable="true")
    assert not engine.diff("core/v1:ConfigMap", old, new).replaces
    frozen = engine.diff("core/v1:ConfigMap", old | {"immutable": True}, new | {"immutable": True})
    assert list(frozen.replaces) == ["data.a"]
    assert list(engine.diff("core/v1:ConfigMap", old, new | {"immutable": True}).replaces) == ["data.a"]
    assert engine.diff("core/v1:Secret", old, new).replaces


def test_objects_that_pulumi_named_are_replaced_without_a_gap(engine: EngineClient) -> None:
    old = engine.checked("core/v1:ConfigMap", {"data": {"a": "1"}})
    new = engine.checked("core/v1:ConfigMap", {"data": {"a": "2"}}, old)
    answer = engine.diff("core/v1:ConfigMap", old, new)
    assert answer.replaces
    assert not answer.deleteBeforeReplace


def test_unknown_values_count_as_changed_in_place(engine: EngineClient) -> None:
    answer = engine.diff("core/v1:ServiceAccount", named(secrets=["a"]), named(secrets=[UNKNOWN]))
    assert list(answer.detailedDiff) == ["secrets[0]"]
    assert not answer.replaces


def test_ignored_changes_are_no_changes(engine: EngineClient) -> None:
    old, new = named(spec={"replicas": 1}), named(spec={"replicas": 2})
    answer = engine.diff("apps/v1:Deployment", old, new, ignore=("spec.replicas",))
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_only_another_cluster_identifier_replaces_the_objects(engine: EngineClient) -> None:
    def diff_config(old: Any, new: Any) -> Any:
        return engine.stub.DiffConfig(provider_pb2.DiffRequest(urn="u", id="i", olds=struct(old), news=struct(new)))

    same = diff_config({"clusterIdentifier": "a", "context": "x"}, {"clusterIdentifier": "a", "context": "y"})
    assert not same.replaces
    assert same.changes != provider_pb2.DiffResponse.DIFF_NONE
    assert not diff_config({}, {"clusterIdentifier": "a"}).replaces
    assert list(diff_config({"clusterIdentifier": "a"}, {"clusterIdentifier": "b"}).replaces) == ["clusterIdentifier"]


def test_unknown_options_are_refused_by_name(engine: EngineClient) -> None:
    request = provider_pb2.CheckRequest(urn="u", news=struct({"context": "c", "renderYamlToDirectory": "/tmp/x"}))
    (failure,) = engine.stub.CheckConfig(request).failures
    assert failure.property == "renderYamlToDirectory"
    assert "enableSecretMutable" in failure.reason


def test_functions_and_unknown_kinds_are_refused(engine: EngineClient) -> None:
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
def test_without_a_cluster_updates_fail_soon_and_previews_succeed(
    engine: EngineClient, options: Any, reason: str
) -> None:
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
