"""`./slipway access`: a deployer and a previewer may do what their verbs need for the declared objects, and no more."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from typing import Any

import httpx2
import pytest
import yaml

from slipway import releases, retention
from slipway.cluster.kinds import plural
from slipway.ops.access import manifests
from slipway.ops.access.manifests import SubjectError, account_of, grants, parse_subject
from slipway.ops.access.permissions import Permission, granted_by, on, rules
from slipway.ops.access.roles import ROLES, deployer, previewer
from slipway.ops.cluster.refusal import ApiRequest
from slipway.ops.cluster.snapshot import take_snapshot
from slipway.ops.diagnosis import doctor, drift
from slipway.ops.program import engine_state
from slipway.ops.program.recorder import Declared, Program
from slipway.rollout.verification import missing
from slipway.settings.settings import Settings
from tests import api_server, variants
from tests.conftest import WITHOUT_STORES, Changed
from tests.paths import REPOSITORY

NAMESPACE = "slipway-dev"
RBAC = "rbac.authorization.k8s.io"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return api_server.settings("dev")


def kinds(program: Program) -> set[str]:
    """Return what a stack declares in its namespace, by plural and group, such as `deployments.apps`."""
    objects = [resource.inputs for resource in program.resources if resource.is_manifest]
    return {
        full_name(obj["apiVersion"].rpartition("/")[0], plural(obj["kind"]))
        for obj in objects
        if obj["kind"] != "Namespace"
    }


def full_name(group: str, resource: str) -> str:
    return f"{resource}.{group}" if group else resource


def allowed(permissions: Iterable[Permission], *verbs: str) -> set[str]:
    """Return what one of these verbs is allowed on, by plural and group."""
    return {full_name(one.group, one.resource) for one in permissions if one.verb in verbs and one.namespace}


def allows(permissions: set[Permission], request: ApiRequest) -> bool:
    """Return whether RBAC lets a request pass."""
    kind, slash, subresource = request.resource.partition("/")
    resource, _, group = kind.partition(".")
    asked = Permission(request.namespace, group, f"{resource}{slash}{subresource}", request.verb)
    return not permissions.isdisjoint({asked, asked._replace(name=request.name)})


# What is granted ------------------------------------------------------------------------------------------------------


@pytest.mark.feature("I5", part="a deployer changes what the stack declares, and nothing else")
@pytest.mark.parametrize("name", variants.NAMES)
def test_a_deployer_may_change_exactly_the_kinds_that_the_stack_declares(name: str, settings: Settings):
    permissions = deployer(variants.model(name), settings)
    for verb in ("create", "patch", "delete"):
        assert allowed(permissions, verb) == kinds(variants.model(name)), verb
    assert {one.verb for one in permissions} == {"get", "list", "watch", "create", "patch", "delete"}


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        (WITHOUT_STORES, {"statefulsets.apps", "persistentvolumeclaims", "jobs.batch", "cronjobs.batch"}),
        ({"services.api.ingress": None, "services.web.ingress": None}, {"ingresses.networking.k8s.io"}),
    ],
    ids=["stores", "addresses"],
)
def test_the_rule_of_a_kind_goes_with_the_last_object_of_it(
    changed: Changed, settings: Settings, changes: dict[str, Any], gone: set[str]
):
    before, after = deployer(changed("dev", {}), settings), deployer(changed("dev", changes), settings)
    assert allowed(before, "create") - allowed(after, "create") == gone
    assert allowed(after, "create") <= allowed(before, "create")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", variants.NAMES)
def test_no_rule_has_a_wildcard(name: str, role: str, settings: Settings):
    permissions = ROLES[role](variants.model(name), settings)
    assert permissions
    assert [one for one in permissions if "*" in "".join(one)] == []


def test_the_whole_cluster_is_open_for_the_stack_s_namespace_and_the_classes_of_volumes_only(
    changed: Changed, settings: Settings
):
    own = {Permission("", "", "namespaces", verb, NAMESPACE) for verb in ("get", "patch")}
    classes = {Permission("", "storage.k8s.io", "storageclasses", verb) for verb in ("get", "list")}
    for changes, expected in (({}, own | classes), (WITHOUT_STORES, own)):
        permissions = deployer(changed("dev", changes), settings)
        assert {one for one in permissions if not one.namespace} == expected


def test_the_quota_and_the_limits_of_an_administrator_cannot_be_changed(changed: Changed, settings: Settings):
    permissions = deployer(changed("dev", {}), settings)
    writes = [one for one in permissions if one.verb in ("patch", "delete")]
    assert {one.name for one in writes if one.resource == "resourcequotas"} == {"quota"}
    assert {one.name for one in writes if one.resource == "limitranges"} == {"defaults"}


def test_pods_are_read_through_the_api_server_only_where_a_canary_is_measured(changed: Changed, settings: Settings):
    program = changed("dev", {})
    canary = api_server.settings("dev", {"services.api.rollout": "canary", "services.api.canary": {"percent": 50}})
    assert "pods/proxy" not in allowed(deployer(program, settings), "get")
    assert deployer(program, canary) - deployer(program, settings) == on(NAMESPACE, "pods/proxy", ("get",))


def test_prometheus_is_the_only_service_that_is_read_through_the_api_server():
    name, changes = variants.VARIANTS["prometheus"]
    own = {key: value for key, value in changes.items() if key == "monitoring"}
    permissions = deployer(variants.model("prometheus"), api_server.settings(name, own))
    proxied = [one for one in permissions if one.resource == "services/proxy"]
    assert proxied == [Permission(NAMESPACE, "", "services/proxy", "get", "prometheus:9090")]


@pytest.mark.feature("K2", part="a previewer can change nothing, and reads no Secret and no log")
@pytest.mark.parametrize("name", variants.NAMES)
def test_a_previewer_may_list_objects_and_read_no_secret_and_no_log(name: str, settings: Settings):
    permissions = previewer(variants.model(name), settings)
    assert {(one.namespace, one.verb) for one in permissions} == {(NAMESPACE, "list")}
    assert allowed(permissions, "list").isdisjoint({"secrets", "pods/log", "nodes"})


# What verbs ask for ---------------------------------------------------------------------------------------------------


def refused(permissions: set[Permission], requests: Iterable[httpx2.Request]) -> list[str]:
    return sorted({asked.text for asked in map(ApiRequest.of, requests) if not allows(permissions, asked)})


def sent(program: Program) -> list[httpx2.Request]:
    """Return the requests of `status`, `history`, `drift`, `doctor` and the end of an update of stack dev."""
    requests: list[httpx2.Request] = []
    server = api_server.ApiServer(logs={"api-x/api": "started"})

    def recorded(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        return server(request)

    cluster = api_server.cluster(recorded)
    declared = [
        {"urn": resource.urn, "type": resource.type, "id": id_of(resource.inputs), "inputs": resource.inputs}
        for resource in program.resources
        if resource.is_manifest
    ]
    operations = [{"type": "creating", "resource": resource} for resource in declared]
    state = {"deployment": {"resources": declared, "pending_operations": operations}}
    take_snapshot(cluster).log("api-x", "api", False)
    drift.command(cluster, state, as_json=True)
    doctor.pending(state, cluster)
    missing(cluster.client, "dev", engine_state.objects(state).values())
    retention.collect(cluster.client, "dev", set())
    releases.kept(cluster.client, "dev")
    return [request for request in requests if request.url.path != "/version"]


def id_of(manifest: dict[str, Any]) -> str:
    return "/".join(filter(None, (manifest["metadata"].get("namespace"), manifest["metadata"]["name"])))


@pytest.mark.parametrize("changes", [{}, WITHOUT_STORES], ids=["with stores", "without stores"])
def test_every_request_of_the_verbs_is_allowed_to_a_deployer_but_that_for_nodes(
    changed: Changed, settings: Settings, changes: dict[str, Any]
):
    program = changed("dev", changes)
    requests = sent(program)
    assert len(requests) > 50
    assert refused(deployer(program, settings), requests) == [
        "list externalsecrets.external-secrets.io in namespace slipway-dev",  # of a stack that has none: not an error
        "list nodes",
    ]


# Rules and objects ----------------------------------------------------------------------------------------------------


def test_rules_grant_exactly_the_permissions_and_join_what_has_the_same_verbs():
    given = on("shop", "pods", ("get", "list")) | on("shop", "services", ("list", "get"))
    given |= on("shop", "deployments", ("patch",), group="apps", names=("api", "web"))
    written = rules(given)
    assert written == [
        {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["api", "web"], "verbs": ["patch"]},
    ]
    assert set(granted_by("shop", written)) == given


def test_a_permission_for_one_name_is_left_out_where_all_names_are_granted():
    given = on("shop", "secrets", ("get",)) | on("shop", "secrets", ("get",), names=("tls",))
    assert rules(given) == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]


def declaring(*objects: dict[str, Any]) -> Program:
    resources = [Declared("", f"kubernetes:{RBAC}/v1:{obj['kind']}", obj["metadata"]["name"], obj) for obj in objects]
    return Program("dev", resources, {})


def test_who_deploys_a_role_has_its_permissions_because_kubernetes_lets_nobody_hand_on_more(settings: Settings):
    place = {"name": "reader", "namespace": NAMESPACE}
    role = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role",
        "metadata": place,
        "rules": [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["update"]}],
    }
    lease = Permission(NAMESPACE, "coordination.k8s.io", "leases", "update")
    assert lease in deployer(declaring(role), settings)
    assert lease not in deployer(declaring(), settings)
    assert {"escalate", "bind"}.isdisjoint(one.verb for one in deployer(declaring(role), settings))


def test_who_binds_a_role_of_the_cluster_may_bind_that_one_only(settings: Settings):
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "viewers", "namespace": NAMESPACE},
        "roleRef": {"kind": "ClusterRole", "name": "view"},
    }
    bound = [one for one in deployer(declaring(binding), settings) if one.verb == "bind"]
    assert bound == [Permission(NAMESPACE, RBAC, "clusterroles", "bind", "view")]


def test_a_role_is_bound_in_each_namespace_and_in_the_cluster_under_a_name_with_that_of_the_namespace():
    permissions = on("shop", "pods", ("list",)) | on("", "namespaces", ("get",), names=("shop",))
    objects = list(grants(account_of("deployer"), "shop", permissions, parse_subject("Group:ops")))
    assert [(obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace")) for obj in objects] == [
        ("ClusterRole", "slipway-deployer-shop", None),
        ("ClusterRoleBinding", "slipway-deployer-shop", None),
        ("Role", "slipway-deployer", "shop"),
        ("RoleBinding", "slipway-deployer", "shop"),
    ]
    assert all(
        obj["roleRef"]["name"] == role["metadata"]["name"]
        for role, obj in zip(objects[::2], objects[1::2], strict=True)
    )
    assert objects[1]["subjects"] == [{"apiGroup": RBAC, "kind": "Group", "name": "ops"}]


@pytest.mark.parametrize(
    "text",
    [
        "ada",
        "Group:",
        "ServiceAccount:ci",
        "ServiceAccount:ci/a/b",
        "Team:ops",
        "User:a\n---\nkind: ClusterRoleBinding",
    ],
)
def test_a_subject_that_rbac_does_not_know_is_refused_with_the_forms_there_are(text: str):
    with pytest.raises(SubjectError, match="User:NAME, Group:NAME or ServiceAccount:NAMESPACE/NAME"):
        parse_subject(text)


def test_access_prints_what_an_administrator_applies_and_needs_no_cluster():
    command = [REPOSITORY / "slipway", "access", "deployer", "-s", "prod"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"KUBECONFIG": "/nowhere"})
    objects = list(yaml.safe_load_all(done.stdout))
    assert [obj["kind"] for obj in objects] == [
        *("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
    ]
    assert done.stdout == manifests.command("prod", "deployer", None), "two runs differ"


def test_a_ci_system_with_an_identity_of_its_own_gets_no_service_account():
    objects = list(yaml.safe_load_all(manifests.command("prod", "previewer", "Group:pull-requests")))
    assert [obj["kind"] for obj in objects] == ["Role", "RoleBinding"]
    assert objects[1]["subjects"][0]["name"] == "pull-requests"
