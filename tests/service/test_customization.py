"""What a stack file adds to the pods of a service: identity, nodes, containers and volumes, under the house rules."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
import yaml

from slipway.objects import Object, dig
from slipway.ops.program.recorder import Program
from slipway.rules.house_rules import RULES, check
from tests.conftest import API_ONLY, WITHOUT_STORES, Changed
from tests.docs.pages import Page
from tests.paths import REPOSITORY

DIGEST = f"@sha256:{'0' * 64}"
PROXY = {"image": f"registry.example.com/proxy{DIGEST}", "resources": {"cpu": "20m", "memory": "32Mi"}}
JOBS: dict[str, Any] = {
    "services.api.migration": {"args": ["migrate"]},
    "services.api.schedules": {"report": {"args": ["report"], "cron": "30 3 * * *"}},
}
EXAMPLES = [
    yaml.safe_load(block.replace("sha256:...", f"sha256:{'0' * 64}"))["services"]["api"]
    for block in Page(REPOSITORY / "docs" / "customizing-pods.md").blocks("yaml")
]
EVERY_POD = [("Deployment", "api"), ("Job", "api-migration"), ("CronJob", "api-report")]


@pytest.fixture
def changed(changed: Changed) -> Changed:
    """Return the program of a stack with one service and no stores, which is recorded faster."""
    return lambda stack, changes: changed(stack, {**API_ONLY, **WITHOUT_STORES, **changes})


def pod(program: Program, kind: str = "Deployment", name: str = "api") -> dict[str, Any]:
    at = "spec.jobTemplate.spec.template.spec" if kind == "CronJob" else "spec.template.spec"
    return dig(program.manifests()[kind, name], at)


def container(program: Program, name: str) -> dict[str, Any]:
    [found] = [each for each in pod(program)["initContainers"] if each["name"] == name]
    return found


def broken(program: Program) -> list[str]:
    return [finding.text for finding in check(list(program.manifests().values()), "prod")]


def refusal(changed: Changed, changes: dict[str, Any]) -> str:
    with pytest.raises(pulumi.RunError) as refused:
        changed("prod", changes)
    return str(refused.value)


def test_pods_and_jobs_run_on_the_nodes_that_the_stack_file_chooses(changed: Changed):
    taint = {"key": "dedicated", "operator": "Equal", "value": "api", "effect": "NoSchedule"}
    program = changed(
        "prod",
        {
            **JOBS,
            "services.api.nodeSelector": {"disk": "ssd"},
            "services.api.tolerations": [{key: taint[key] for key in ("key", "value", "effect")}],
            "services.api.priorityClass": "high",
        },
    )
    for kind, name in EVERY_POD:
        spec = pod(program, kind, name)
        assert (spec["nodeSelector"], spec["tolerations"]) == ({"disk": "ssd"}, [taint])
        assert spec["priorityClassName"] == "high"
    assert broken(program) == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: next(iter(example)))
def test_the_examples_of_the_page_keep_every_rule(changed: Changed, example: dict[str, Any]):
    assert broken(changed("prod", {f"services.api.{key}": value for key, value in example.items()})) == []


def test_a_priority_of_the_cluster_s_own_is_refused(changed: Changed):
    assert "SW016" in refusal(changed, {"services.api.priorityClass": "system-cluster-critical"})


def test_a_cloud_identity_is_an_annotation_of_the_service_account(changed: Changed):
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/api"}
    program = changed("prod", {"services.api.serviceAccount": {"annotations": role}})
    account = program.manifests()["ServiceAccount", "api"]
    assert account["metadata"]["annotations"] == role
    assert account["automountServiceAccountToken"] is False
    assert broken(program) == []


def test_a_service_pulls_with_several_passwords(changed: Changed):
    program = changed("prod", {"registry": {"username": "puller"}, "services.api.pullSecrets": ["hub", "quay"]})
    names = [entry["name"] for entry in program.manifests()["ServiceAccount", "api"]["imagePullSecrets"]]
    assert names == ["registry", "hub", "quay"]
    assert broken(program) == []


def test_a_sidecar_is_native_restricted_and_sized(changed: Changed):
    sidecar = {**PROXY, "args": ["--quiet"], "env": {"MODE": "fast"}, "ports": {"proxy": 9901}}
    program = changed("prod", {"services.api.sidecars": {"proxy": sidecar}})
    proxy = container(program, "proxy")
    assert (proxy["restartPolicy"], proxy["image"]) == ("Always", PROXY["image"])
    assert (proxy["args"], proxy["env"]) == (["--quiet"], [{"name": "MODE", "value": "fast"}])
    assert proxy["ports"] == [{"name": "proxy", "containerPort": 9901}]
    assert proxy["securityContext"] == pod(program)["containers"][0]["securityContext"]
    assert proxy["resources"]["requests"] == {"cpu": "20m", "memory": "32Mi", "ephemeral-storage": "64Mi"}
    assert broken(program) == []


def test_the_app_waits_for_a_sidecar_with_a_probe(changed: Changed):
    probe = {"path": "/ready", "port": 9901}
    sidecar = {**PROXY, "ports": {"proxy": 9901}, "probe": probe}
    proxy = container(changed("prod", {"services.api.sidecars": {"proxy": sidecar}}), "proxy")
    assert proxy["startupProbe"]["httpGet"] == proxy["livenessProbe"]["httpGet"] == probe
    assert "readinessProbe" not in proxy, "a sidecar would take the app out of its Service"


def test_init_containers_end_before_the_sidecars_start(changed: Changed):
    program = changed(
        "prod", {"services.api.sidecars": {"proxy": PROXY}, "services.api.initContainers": {"fill": PROXY}}
    )
    names = [(each["name"], each.get("restartPolicy")) for each in pod(program)["initContainers"]]
    assert names == [("fill", None), ("proxy", "Always")]


def test_jobs_have_the_containers_and_volumes_of_their_service(changed: Changed):
    volumes = {"spool": {"mountPath": "/var/spool", "emptyDir": "64Mi"}}
    program = changed("prod", {**JOBS, "services.api.sidecars": {"proxy": PROXY}, "services.api.volumes": volumes})
    first = pod(program)
    for kind, name in EVERY_POD:
        spec = pod(program, kind, name)
        assert (spec["initContainers"], spec["volumes"]) == (first["initContainers"], first["volumes"])
    assert broken(program) == [], "SR030 among them: a job runs what its service runs"


@pytest.mark.parametrize(("key", "millicores"), [("sidecars", 50 + 500), ("initContainers", 500)])
def test_the_quota_counts_a_sidecar_beside_the_app_and_an_init_container_before_it(
    changed: Changed, key: str, millicores: int
):
    def quota(changes: dict[str, Any]) -> Object:
        fixed = {"services.api.replicas": 2, "services.api.autoscaling": None, "services.api.resources.cpu": "50m"}
        return changed("dev", {**fixed, **changes}).manifests()["ResourceQuota", "quota"]["spec"]["hard"]

    large = {**PROXY, "resources": {"cpu": "500m", "memory": "32Mi"}}
    more = int(quota({f"services.api.{key}": {"helper": large}})["requests.cpu"].removesuffix("m"))
    before = int(quota({})["requests.cpu"].removesuffix("m"))
    assert more - before == 2 * 2 * (millicores - 50), "two pods, each twice during a rollout"


def test_a_quota_without_room_for_a_sidecar_is_refused(changed: Changed):
    large = {**PROXY, "resources": {"cpu": "20m", "memory": "4Gi"}}
    program = changed("dev", {})
    memory = program.manifests()["ResourceQuota", "quota"]["spec"]["hard"]["requests.memory"]
    message = refusal(changed, {"services.api.sidecars": {"proxy": large}, "quota": {"memory": memory}})
    assert "slipway:quota.memory: is less than the services need" in message


@pytest.mark.parametrize(("first", "millicores"), [(["fill", "proxy"], 500), (["proxy", "fill"], 700)])
def test_the_rule_about_the_quota_counts_as_kubernetes_does(first: list[str], millicores: int):
    # An init container runs beside the sidecars before it. Two pods: the one that is there, and its successor.
    sizes = {"fill": "500m", "proxy": "200m", "api": "100m"}
    containers = {
        name: {
            "name": name,
            "resources": {"requests": {"cpu": cpu}},
            "restartPolicy": "Always" if name == "proxy" else None,
        }
        for name, cpu in sizes.items()
    }
    spec = {"containers": [containers["api"]], "initContainers": [containers[name] for name in first]}
    deployment = {
        "kind": "Deployment",
        "metadata": {"name": "api"},
        "spec": {"replicas": 1, "template": {"spec": spec}},
    }

    def fits(quota: int) -> bool:
        hard = {"kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"requests.cpu": f"{quota}m"}}}
        return check([deployment, hard], "prod", rules=[RULES["SW603"]]) == []

    assert (fits(2 * millicores), fits(2 * millicores - 1)) == (True, False)


def test_volumes_of_each_kind_are_mounted_in_the_app(changed: Changed):
    volumes = {
        "geo": {"mountPath": "/var/geo", "configMap": "geo-database"},
        "uploads": {"mountPath": "/var/uploads", "claim": "uploads"},
        "spool": {"mountPath": "/var/spool", "emptyDir": "128Mi", "readOnly": True},
    }
    program = changed("prod", {"services.api.volumes": volumes})
    spec = pod(program)
    assert [volume for volume in spec["volumes"] if volume["name"] in volumes] == [
        {"name": "geo", "configMap": {"name": "geo-database"}},
        {"name": "uploads", "persistentVolumeClaim": {"claimName": "uploads"}},
        {"name": "spool", "emptyDir": {"sizeLimit": "128Mi"}},
    ]
    mounts = {each["name"]: each for each in spec["containers"][0]["volumeMounts"] if each["name"] in volumes}
    assert {name: mount["mountPath"] for name, mount in mounts.items()} == {
        name: volume["mountPath"] for name, volume in volumes.items()
    }
    assert [name for name, mount in mounts.items() if mount.get("readOnly")] == ["geo", "spool"]
    assert broken(program) == []


def test_an_empty_dir_counts_as_disk_of_the_app(changed: Changed):
    volumes = {"spool": {"mountPath": "/var/spool", "emptyDir": "128Mi"}}
    resources = pod(changed("prod", {"services.api.volumes": volumes}))["containers"][0]["resources"]
    assert [resources[side]["ephemeral-storage"] for side in ("requests", "limits")] == ["192Mi", "192Mi"]


def test_a_sidecar_mounts_the_volumes_it_names_and_no_other(changed: Changed):
    volumes = {name: {"mountPath": f"/var/{name}", "emptyDir": "64Mi"} for name in ("spool", "cache")}
    sidecars = {"shipper": {**PROXY, "mounts": {"spool": "/in"}}}
    program = changed("prod", {"services.api.volumes": volumes, "services.api.sidecars": sidecars})
    assert container(program, "shipper")["volumeMounts"] == [{"name": "spool", "mountPath": "/in"}]


def test_an_object_of_others_is_not_missed_by_the_rules_and_any_other_one_is(changed: Changed):
    program = changed("prod", {"services.api.volumes": {"geo": {"mountPath": "/geo", "configMap": "geo"}}})
    objects = list(program.manifests().values())
    assert broken(program) == []
    [deployment] = [each for each in objects if each["kind"] == "Deployment"]
    unmarked = {**deployment, "metadata": {**deployment["metadata"], "annotations": {}}}
    others = [each for each in objects if each is not deployment]
    assert [finding.rule for finding in check([*others, unmarked], "prod")] == ["SR021"]


def test_a_volume_of_others_needs_no_config_file(changed: Changed):
    volumes = {"geo": {"mountPath": "/geo", "configMap": "geo"}}
    assert broken(changed("prod", {"services.api.file": None, "services.api.volumes": volumes})) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sidecars": {"api": PROXY}}, "sidecars.api: is the name of the app's container"),
        ({"migration": {"args": ["m"]}, "sidecars": {"api-migration": PROXY}}, "is the name of a job's container"),
        ({"sidecars": {"a": {**PROXY, "ports": {"a": 8080}}}}, "sidecars.a.ports.a: is the app's port http already"),
        (
            {"sidecars": {"a": {**PROXY, "ports": {"a": 7000}}, "b": {**PROXY, "ports": {"b": 7000}}}},
            "sidecars.b.ports.b: is a port of the sidecar a already; the containers of a pod share their ports",
        ),
        (
            {"sidecars": {"a": {**PROXY, "image": "proxy@sha256:..."}}},
            "hexadecimal digits (found: 'proxy@sha256:...')",
        ),
        (
            {"initContainers": {"a": PROXY}, "sidecars": {"a": PROXY}},
            "sidecars.a: is the name of a container under initContainers",
        ),
        (
            {"sidecars": {"a": {**PROXY, "mounts": {"spool": "/s"}}}},
            "sidecars.a.mounts.spool: the service has no volume",
        ),
        ({"sidecars": {"a": {**PROXY, "image": "proxy:1"}}}, "sidecars.a.image: should be an image by digest"),
        ({"sidecars": {"a": {**PROXY, "probe": {"port": 1}}}}, "sidecars.a.probe: give just one of path, tcp"),
        ({"sidecars": {"a": {**PROXY, "probe": {"port": 1, "tcp": True}}}}, "probe.port (1) is none of ports"),
        ({"sidecars": {"a": {**PROXY, "privileged": True}}}, "sidecars.a.privileged: unknown key"),
        ({"volumes": {"v": {"mountPath": "/v"}}}, "volumes.v: give just one of configMap, claim, emptyDir"),
        ({"volumes": {"v": {"mountPath": "v", "claim": "v"}}}, "volumes.v.mountPath: should be an absolute path"),
        ({"volumes": {"config": {"mountPath": "/v", "claim": "v"}}}, "volumes.config: is the name of a volume"),
        (
            {"volumes": {"v": {"mountPath": "/etc/slipway/more", "claim": "v"}}},
            "volumes.v.mountPath: is a folder of the app's own configuration",
        ),
        (
            {"volumes": {name: {"mountPath": "/v", "claim": "v"} for name in ("one", "two")}},
            "volumes.two.mountPath: one is mounted there already",
        ),
        (
            {"scratch": {"/v": "8Mi"}, "volumes": {"v": {"mountPath": "/v", "claim": "v"}}},
            "volumes.v.mountPath: is one of the `scratch` folders already",
        ),
        ({"tolerations": [{"operator": "Exists"}]}, "tolerations.0.key: is required"),
        ({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}, "operator: Exists takes no value"),
        ({"tolerations": [{"key": "a", "tolerationSeconds": 5}]}, "tolerationSeconds goes with effect: NoExecute"),
    ],
)
def test_a_key_that_contradicts_another_one_is_refused(changed: Changed, changes: dict[str, Any], words: str):
    message = refusal(changed, {f"services.api.{key}": value for key, value in changes.items()})
    assert "stacks/Pulumi.prod.yaml has 1 mistake" in message
    assert words in message
