"""The rules of the kubernetes plugin, as functions: differences, drift, kinds, field ownership and secrets."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from pulumi.provider.experimental.property_value import PropertyValue

from local.plugins.diff import differences, format_path, parse_path
from local.plugins.kubernetes.drift import keep_live, observed
from local.plugins.kubernetes.kinds import kind_of
from local.plugins.kubernetes.ownership import field_manager, inherited_fields, may_be_overruled, owns
from local.plugins.kubernetes.secrets import Secrets, mark
from local.plugins.provider import ProviderError, wrap

# --- differences ------------------------------------------------------------------------------------------------------


def changes(old: Any, new: Any) -> dict[str, str]:
    return {format_path(path): change.name.lower() for path, change in differences(old, new)}


def test_a_difference_is_reported_at_its_deepest_path() -> None:
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
def test_property_paths_are_parsed_and_formatted_without_loss(text: str) -> None:
    assert format_path(parse_path(text)) == text


def test_defaults_and_normalized_values_are_no_drift() -> None:
    inputs = {"spec": {"cpu": "1000m", "ports": [{"port": 80}]}}
    live = {"spec": {"cpu": "1", "ports": [{"port": 80, "protocol": "TCP"}], "clusterIP": "10.0.0.1"}, "status": {}}
    assert observed(inputs, live, live | {"status": {"ready": True}}) == inputs


def test_a_value_changed_by_others_replaces_the_input() -> None:
    inputs = {"data": {"a": "1", "b": "2", "c": "3"}}
    live = {"data": {"a": "1", "b": "changed", "d": "new"}}
    assert observed(inputs, inputs, live) == {"data": {"a": "1", "b": "changed"}}


def test_elements_that_others_add_to_a_named_list_are_ignored() -> None:
    ours = [{"name": "main", "image": "x:1"}]
    live = [{"name": "sidecar", "image": "s"}, {"name": "main", "image": "x:1", "imagePullPolicy": "Always"}]
    assert observed(ours, ours, live) == ours
    assert observed(["a"], ["a"], ["a", "b"]) == ["a", "b"], "a plain list belongs to the program as a whole"


def test_ignored_changes_keep_the_live_values() -> None:
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
def test_unsupported_kinds_are_refused_with_a_fix(token: str) -> None:
    with pytest.raises(ProviderError, match=f"{token} is not known .* official plugin") as refused:
        kind_of(token)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("token", ["kubernetes:gateway.networking.k8s.io/v1:HTTPRoute", "kubernetes:acme.io/v2:Thing"])
def test_every_custom_resource_is_supported(token: str) -> None:
    assert kind_of(token).plural == ""


@pytest.mark.parametrize(
    ("token", "path", "immutable"),
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
def test_only_changes_of_immutable_fields_replace_the_object(token: str, path: str, immutable: bool) -> None:
    assert kind_of(f"kubernetes:{token}").is_immutable(parse_path(path)) is immutable


# --- owners -----------------------------------------------------------------------------------------------------------


def managed(manager: str, operation: str, fields: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": fields} | more


def test_an_interrupted_create_recognizes_its_own_object() -> None:
    manager = field_manager("urn:pulumi:dev::p::kubernetes:core/v1:ConfigMap::a")
    mine = {"metadata": {"managedFields": [managed(manager, "Apply", {})]}}
    assert owns(manager, mine)
    assert not owns(field_manager("urn:pulumi:dev::p::kubernetes:core/v1:ConfigMap::b"), mine)
    assert not owns(manager, {"metadata": {}})


def test_fields_of_the_official_plugin_are_inherited() -> None:
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


def test_a_new_field_manager_inherits_the_fields_of_the_former_one() -> None:
    live = {
        "metadata": {"managedFields": [managed("random", "Apply", {"f:data": {"f:a": {}}}), managed("b", "Update", {})]}
    }
    ours, other = inherited_fields(live, "given", "random")
    assert (ours["manager"], ours["fieldsV1"], other["manager"]) == ("given", {"f:data": {"f:a": {}}}, "b")
    assert inherited_fields({"metadata": {"managedFields": [ours, other]}}, "given", "given") == []


def test_manual_changes_are_overruled_and_controllers_are_not() -> None:
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
