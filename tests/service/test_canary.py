"""Canaries: declared beside an unchanged release in force, and never with more than their share of the requests."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pulumi
import pytest

from slipway.ops.program.recorder import Program, declare
from slipway.ops.releases import rollback
from slipway.ops.releases.canary_plan import CanaryPlan
from slipway.releases import Release
from slipway.settings import source_files
from slipway.settings.engine_yaml import Node
from slipway.settings.layers import effective
from slipway.settings.sections.pods import Autoscaling
from slipway.settings.sections.service import Canary, Service
from slipway.settings.source_files import read_defaults
from slipway.settings.stack_file import validated_settings
from tests.conftest import API_ONLY, Changed, Declare, with_changes
from tests.faults import Fault, put
from tests.mutants import seeding

CANARY: dict[str, Any] = {"services.api.rollout": "canary", "services.api.canary": {"percent": 34}}
GATEWAY = {"host": "api.example.com", "gateway": {"name": "public", "namespace": "ingress"}}
ROUTED: dict[str, Any] = {"services.api.ingress": GATEWAY}
NEXT = {"image": {"source": "prebuilt", "digest": f"sha256:{'1' * 64}", "tag": "src-1"}}


def recorded(program: Program) -> Release:
    record = program.manifests()["ConfigMap", "release"]
    return Release.of(record["metadata"]["name"], record["data"], {})


def tried(stack: str, in_force: dict[str, Any], changes: dict[str, Any], *names: str) -> tuple[Program, Program]:
    """Return what the program declares for a release, and for the first step of a canary of these services."""
    config = with_changes(stack, {**in_force, **CANARY, **changes})
    own = Node.of({key.removeprefix("slipway:"): value for key, value in config.items()})
    settings = validated_settings(stack, effective(own, read_defaults().settings), [])
    before = declare(stack, with_changes(stack, in_force))
    trial = CanaryPlan(stack, recorded(before), settings, list(names or ["api"]), [])
    return before, declare(stack, rollback.stack_file_of(stack, trial.release, trial.candidate)["config"])


def selects(manifest: dict[str, Any], labels: dict[str, str]) -> bool:
    chosen: dict[str, Any] = manifest["spec"]["selector"]
    return chosen.get("matchLabels", chosen).items() <= labels.items()


def pod_labels(program: Program, name: str) -> dict[str, str]:
    return program.manifests()["Deployment", name]["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_canary_changes_nothing_of_the_release_in_force_but_the_quota(stack: str):
    before, during = tried(stack, {"services.api.autoscaling": {"min": 2, "max": 4}}, NEXT)
    manifests = during.manifests()
    differ = [name for name, manifest in before.manifests().items() if manifests[name] != manifest]
    assert differ == [("ResourceQuota", "quota")]
    assert {name for _, name in manifests.keys() - before.manifests().keys()} == {
        *("api-canary", "api-canary-env", "api-canary-file", "api-canary-secret"),
        *("api-canary-migration", "api-canary-migration-env", "api-canary-migration-secret"),
    }


def test_a_canary_runs_the_new_image_with_the_new_settings_and_its_own_configuration():
    _, during = tried("prod", {}, {**NEXT, "services.api.env.LOG_LEVEL": "warn", "services.api.resources.cpu": "300m"})
    manifests = during.manifests()
    spec = manifests["Deployment", "api-canary"]["spec"]
    [container] = spec["template"]["spec"]["containers"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert container["image"] == f"registry.example.com/slipway/api:src-1@sha256:{'1' * 64}"
    assert container["resources"]["requests"]["cpu"] == "300m"
    config = manifests["ConfigMap", "api-canary-env"]
    assert container["envFrom"] == [{"configMapRef": {"name": config["metadata"]["name"]}}]
    assert config["data"]["LOG_LEVEL"] == "warn"
    assert manifests["Deployment", "api"]["spec"]["template"]["spec"]["containers"][0]["image"] != container["image"]


def test_a_canary_has_the_nodes_and_the_patch_of_the_new_version_and_the_release_beside_it_its_own():
    patch = {"Deployment": {"spec": {"template": {"spec": {"hostname": "tried"}}}}}
    changes = {"services.api.nodeSelector": {"disk": "ssd"}, "services.api.patch": patch}
    _, during = tried("prod", {"services.api.nodeSelector": {"disk": "hdd"}}, {**NEXT, **changes})
    specs = [during.manifests()["Deployment", name]["spec"]["template"]["spec"] for name in ("api-canary", "api")]
    assert [spec["nodeSelector"] for spec in specs] == [{"disk": "ssd"}, {"disk": "hdd"}]
    assert [spec.get("hostname") for spec in specs] == ["tried", None]


def test_without_a_gateway_the_service_selects_the_pods_of_a_canary_and_the_deployment_does_not():
    _, during = tried("prod", {}, NEXT)
    labels = pod_labels(during, "api-canary")
    assert labels["slipway/track"] == "canary"
    assert selects(during.manifests()["Service", "api"], labels)
    assert selects(during.manifests()["Deployment", "api-canary"], labels)
    assert not selects(during.manifests()["Deployment", "api-canary"], pod_labels(during, "api"))


@pytest.mark.parametrize(
    ("replicas", "percent", "pods"),
    [(2, 34, 1), (9, 10, 1), (9, 20, 2), (10, 20, 2), (20, 10, 2), (1, 50, 1), (8, 30, 3)],
)
def test_a_canary_has_as_many_pods_as_its_share_allows(replicas: int, percent: int, pods: int):
    service = Service(autoscaling=Autoscaling(min=replicas, max=20))
    assert service.canary_pods(Canary(percent=percent)) == pods
    assert pods / (replicas + pods) <= percent / 100 < (pods + 1) / (replicas + pods + 1)


def test_a_share_that_allows_two_pods_gets_two():
    _, during = tried("prod", {"services.api.autoscaling": {"min": 4, "max": 8}}, NEXT)
    assert during.manifests()["Deployment", "api-canary"]["spec"]["replicas"] == 2


def test_behind_a_gateway_the_route_has_a_weight_and_the_service_does_not_select_the_pods_of_a_canary():
    _, during = tried("prod", ROUTED, {**NEXT, "services.api.canary": {"percent": 10}})
    manifests = during.manifests()
    [rule] = manifests["HTTPRoute", "api"]["spec"]["rules"]
    assert rule["backendRefs"] == [
        {"name": "api", "port": 80, "weight": 90},
        {"name": "api-canary", "port": 80, "weight": 10},
    ]
    labels = pod_labels(during, "api-canary")
    assert selects(manifests["Service", "api-canary"], labels)
    others = [manifests["Service", "api"], manifests["Deployment", "api"], manifests["PodDisruptionBudget", "api"]]
    assert [selects(other, labels) for other in others] == [False, False, False]
    assert not selects(manifests["Service", "api-canary"], pod_labels(during, "api"))


@pytest.mark.parametrize("in_force", [{}, ROUTED], ids=["ingress", "gateway"])
def test_schemas_and_house_rules_hold_for_a_stack_with_a_canary(in_force: dict[str, Any]):
    _, during = tried("prod", in_force, {**NEXT, "services.api.needs": ["mysql", "redis", "web"]})
    assert seeding.detect(list(during.manifests().values())) == []


SELECTOR = "spec.selector.matchLabels"
OTHER = f"registry.example.com/slipway/api@sha256:{'2' * 64}"


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("SR001", put(f"Deployment/api-canary {SELECTOR}", {"app.kubernetes.io/name": "api"})),
        ("SW605", put(f"Deployment/api-canary {SELECTOR}.version", "1")),
        ("SR001", put("Deployment/api-canary spec.template.metadata.labels.'slipway/service'", "web")),
        ("SR030", put("Job/api-canary-migration spec.template.spec.containers[0].image", OTHER)),
        ("SW603", put("Deployment/api-canary spec.replicas", 40)),
    ],
)
def test_faults_of_a_canary_are_found_as_those_of_any_other_object(rule: str, fault: Fault):
    objects = list(copy.deepcopy(_beside()).manifests().values())
    fault(objects)
    assert rule in seeding.detect(objects)


@functools.cache
def _beside() -> Program:
    return tried("prod", {}, NEXT)[1]


def test_a_canary_may_open_connections_that_only_the_candidate_needs_and_receives_all_that_the_service_does():
    _, during = tried("prod", {}, {**NEXT, "services.api.needs": ["mysql", "redis", "web"]})
    manifests, own = during.manifests(), {"slipway/service": "api", "slipway/track": "canary"}
    assert own.items() <= pod_labels(during, "api-canary").items()
    out = manifests["NetworkPolicy", "api-canary"]["spec"]
    assert out["podSelector"]["matchLabels"] == own
    assert {"podSelector": {"matchLabels": {"slipway/service": "web"}}} in [p for r in out["egress"] for p in r["to"]]
    into = manifests["NetworkPolicy", "api-canary-web"]["spec"]
    assert into["podSelector"]["matchLabels"] == {"slipway/service": "web"}
    assert into["ingress"] == [
        {"from": [{"podSelector": {"matchLabels": own}}], "ports": [{"port": 8080, "protocol": "TCP"}]}
    ]
    assert manifests["NetworkPolicy", "api"]["spec"]["podSelector"]["matchLabels"] == {"slipway/service": "api"}


def test_a_canary_starts_after_its_migration():
    _, during = tried("dev", {"services.api.autoscaling": {"min": 2, "max": 2}}, NEXT)
    [deployment] = [one for one in during.resources if (one.kind, one.name) == ("Deployment", "api-canary")]
    [job] = [one for one in during.resources if (one.kind, one.name) == ("Job", "api-canary-migration")]
    assert job.urn in deployment.options["depends_on"]
    assert job.inputs["spec"]["template"]["spec"]["containers"][0]["image"].endswith("1" * 64)


def test_the_image_of_the_candidate_is_built_under_its_usual_name_and_the_image_in_force_is_only_referenced():
    before, during = tried("dev", {"services.api.autoscaling": {"min": 2, "max": 2}}, {"services.api.env.A": "b"})
    [built] = [one.urn for one in before.resources if one.kind == "Image"]
    assert [one.urn for one in during.resources if one.kind == "Image"] == [built]
    assert during.outputs == before.outputs


def test_a_candidate_may_have_secrets_that_the_release_in_force_does_not_have():
    later = {"services.api.secrets": ["signing-key", "later-key"]}
    before, during = tried("prod", {}, {**NEXT, **later})
    assert "later-key" not in before.manifests()["Secret", "api-secret"]["stringData"]
    assert "later-key" not in during.manifests()["Secret", "api-secret"]["stringData"]
    assert set(during.manifests()["Secret", "api-canary-secret"]["stringData"]) >= {"signing-key", "later-key"}


def test_only_services_that_ask_for_a_canary_get_one():
    both = {"services.web.rollout": "canary", "services.web.canary": {"percent": 34}}
    _, one = tried("prod", {}, {**NEXT, **both}, "web")
    _, none = tried("prod", {}, {**NEXT, "services.later": {"rollout": "canary", "canary": {"percent": 34}}}, "later")
    deployments = [{name for kind, name in run.manifests() if kind == "Deployment"} for run in (one, none)]
    assert deployments == [{"api", "web", "web-canary"}, {"api", "web"}]


def test_a_canary_beside_too_few_pods_is_refused_with_the_fix():
    with pytest.raises(pulumi.RunError) as refused:
        tried("dev", {}, {**NEXT, "services.api.autoscaling": {"min": 9, "max": 9}, "services.api.canary": {}})
    assert "with 1 pod one canary pod gets 50 % of the requests, more than canary.percent: 10" in str(refused.value)
    assert "Roll that out by itself before" in str(refused.value)


def test_canaries_change_a_complete_stack_in_nothing_but_the_quota(changed: Changed):
    settled = changed("prod", CANARY).manifests()
    rolling = changed("prod", {}).manifests()
    assert {name for name in settled if settled[name] != rolling.get(name)} == {
        ("ResourceQuota", "quota"),
        ("ConfigMap", "release"),
    }
    pods = [int(manifests["ResourceQuota", "quota"]["spec"]["hard"]["pods"]) for manifests in (settled, rolling)]
    assert pods[0] - pods[1] == 2  # the canary and its migration


def test_a_quota_without_room_for_a_canary_is_refused(changed: Changed):
    bounds = {"services.api.autoscaling": {"min": 2, "max": 2}, **API_ONLY, "quota": {"pods": 10}}
    assert changed("dev", bounds).resources
    with pytest.raises(pulumi.RunError, match=r"quota\.pods: is less than .*\(12\)"):
        changed("dev", {**bounds, **CANARY})


def test_a_stack_file_cannot_contain_a_candidate(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, program: Declare):
    text = (source_files.STACKS / "Pulumi.dev.yaml").read_text() + "  slipway:candidate: {namespace: other}\n"
    (tmp_path / "Pulumi.dev.yaml").write_text(text)
    (tmp_path / "defaults.yaml").write_text((source_files.STACKS / "defaults.yaml").read_text())
    config = with_changes("dev", {"candidate": {"namespace": "other"}})
    monkeypatch.setattr(source_files, "STACKS", tmp_path)
    with pytest.raises(pulumi.RunError, match=r"slipway:candidate: has no place in a file; `\./slipway up` gives it"):
        declare("dev", config)


@pytest.mark.parametrize(
    "spec",
    [{"replicas": 20}, {"strategy": {"rollingUpdate": {"maxSurge": 3}}}, {"minReadySeconds": 90}],
    ids=["replicas", "strategy", "minReadySeconds"],
)
def test_a_patch_does_not_decide_the_share_of_a_canary(spec: dict[str, Any]):
    _, plain = tried("prod", {}, NEXT)
    _, patched = tried("prod", {}, {**NEXT, "services.api.patch": {"Deployment": {"spec": spec}}})
    key = ("Deployment", "api-canary")
    assert {**patched.manifests()[key]["spec"], "template": {}} == {**plain.manifests()[key]["spec"], "template": {}}


def test_a_patch_of_the_migration_reaches_that_of_a_canary():
    container = {"name": "api-migration", "terminationMessagePolicy": "FallbackToLogsOnError"}
    patch = {"Job": {"spec": {"template": {"spec": {"containers": [container]}}}}}
    _, during = tried("prod", {}, {**NEXT, "services.api.patch": patch})
    [patched] = during.manifests()["Job", "api-canary-migration"]["spec"]["template"]["spec"]["containers"]
    assert patched["terminationMessagePolicy"] == "FallbackToLogsOnError"
