"""Promises every environment keeps: each test runs the whole program for each file in stacks/."""

from __future__ import annotations

import re
from typing import Any

import pytest

from slipway import naming
from slipway.objects import SECRET
from slipway.ops.program.recorder import Program, stacks
from tests.conftest import Changed, Declare

every_stack = pytest.mark.parametrize("stack", stacks())


def pod(program: Any) -> dict[str, Any]:
    return program.manifests()["Deployment", "api"]["spec"]["template"]["spec"]


def test_there_are_four_environments():
    assert stacks() == ["local", "dev", "staging", "prod"]


@every_stack
@pytest.mark.feature("J1", part="program")
def test_an_environment_is_namespace_config_secret_pods_address_and_autoscaling(program: Declare, stack: str):
    declared = {kind for kind, _ in program(stack).manifests()}
    stores = {"StatefulSet", "PersistentVolumeClaim", "CronJob"} if stack in ("local", "dev") else set[str]()
    assert declared - stores == {
        "Namespace",
        "ServiceAccount",
        "ConfigMap",
        "Secret",
        "Deployment",
        "Service",
        "Ingress",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "ResourceQuota",
        "LimitRange",
        "Job",
    }
    assert stores <= declared


@every_stack
@pytest.mark.feature("A2")
def test_pods_name_their_image_by_digest(program: Declare, stack: str):
    images = [container["image"] for container in pod(program(stack))["containers"]]
    assert images
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", image) for image in images)


@every_stack
def test_references_between_objects_lead_to_objects_that_exist(program: Declare, stack: str):
    objects = program(stack).manifests().values()
    names = {(o["kind"], o["metadata"]["name"]) for o in objects}
    spec = pod(program(stack))
    container = spec["containers"][0]
    ingress = program(stack).manifests()["Ingress", "api"]["spec"]
    scaler = program(stack).manifests()["HorizontalPodAutoscaler", "api"]["spec"]
    wanted = {
        ("ConfigMap", container["envFrom"][0]["configMapRef"]["name"]),
        ("ServiceAccount", spec["serviceAccountName"]),
        ("Service", ingress["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"]),
        (scaler["scaleTargetRef"]["kind"], scaler["scaleTargetRef"]["name"]),
    }
    for volume in spec["volumes"]:
        wanted |= {("ConfigMap", volume["configMap"]["name"])} if "configMap" in volume else set()
        wanted |= {("Secret", volume["secret"]["secretName"])} if "secret" in volume else set()
    assert len(wanted) == 6
    assert wanted <= names


@every_stack
def test_service_disruption_budget_and_deployment_select_the_same_pods(program: Declare, stack: str):
    manifests = program(stack).manifests()
    labels = manifests["Deployment", "api"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        manifests["Deployment", "api"]["spec"]["selector"]["matchLabels"],
        manifests["Service", "api"]["spec"]["selector"],
        manifests["PodDisruptionBudget", "api"]["spec"]["selector"]["matchLabels"],
    ]
    assert selectors == [selectors[0]] * 3
    assert selectors[0].items() <= labels.items()


@every_stack
def test_ports_are_named_the_same_from_ingress_to_container(program: Declare, stack: str):
    manifests = program(stack).manifests()
    ingress = manifests["Ingress", "api"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"]["name"]
    [service] = manifests["Service", "api"]["spec"]["ports"]
    container = {port["name"] for port in pod(program(stack))["containers"][0]["ports"]}
    assert ingress == service["name"]
    assert service["targetPort"] in container


@every_stack
@pytest.mark.feature("D8", part="selector")
def test_a_selector_holds_name_and_instance_and_nothing_one_would_edit(program: Declare, stack: str):
    selector = program(stack).manifests()["Deployment", "api"]["spec"]["selector"]["matchLabels"]
    assert set(selector) == {"app.kubernetes.io/name", "app.kubernetes.io/instance"}


@every_stack
@pytest.mark.feature("I1", part="declared")
def test_the_namespace_enforces_restricted_and_the_pod_keeps_to_it(program: Declare, stack: str):
    [namespace] = [o for o in program(stack).manifests().values() if o["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    spec = pod(program(stack))
    context = spec["containers"][0]["securityContext"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] >= 10000
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}


@every_stack
@pytest.mark.feature("I2")
def test_no_service_account_token_reaches_the_pod(program: Declare, stack: str):
    assert pod(program(stack))["automountServiceAccountToken"] is False
    assert program(stack).manifests()["ServiceAccount", "api"]["automountServiceAccountToken"] is False


@every_stack
@pytest.mark.feature("C1")
def test_startup_readiness_and_liveness_ask_three_endpoints_of_the_admin_port(program: Declare, stack: str):
    container = pod(program(stack))["containers"][0]
    probes = [container[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert [probe["path"] for probe in probes] == ["/startupz", "/readyz", "/livez"]
    assert {probe["port"] for probe in probes} == {"admin"}


@every_stack
@pytest.mark.feature("C3")
def test_requests_and_limits_are_set_and_memory_cannot_burst(program: Declare, stack: str):
    resources = pod(program(stack))["containers"][0]["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    assert resources["requests"]["cpu"]
    assert resources["limits"]["ephemeral-storage"]


@every_stack
def test_a_rollout_never_takes_a_serving_pod_away(program: Declare, stack: str):
    strategy = program(stack).manifests()["Deployment", "api"]["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


@every_stack
@pytest.mark.feature("C5", part="computed")
def test_the_grace_period_outlasts_pre_stop_drain_and_open_requests(program: Declare, stack: str):
    spec = pod(program(stack))
    env = program(stack).manifests()["ConfigMap", "api-env"]["data"]
    pre_stop = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    inside = sum(int(env[name].removesuffix("s")) for name in ("DRAIN_DELAY", "SHUTDOWN_TIMEOUT"))
    assert spec["terminationGracePeriodSeconds"] > pre_stop + inside


@every_stack
@pytest.mark.feature("F5", part="autoscaler on")
def test_the_autoscaler_alone_owns_the_number_of_replicas(program: Declare, stack: str):
    assert "replicas" not in program(stack).manifests()["Deployment", "api"]["spec"]


@every_stack
@pytest.mark.feature("F4")
def test_the_autoscaler_grows_at_once_and_shrinks_slowly(program: Declare, stack: str):
    behavior = program(stack).manifests()["HorizontalPodAutoscaler", "api"]["spec"]["behavior"]
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 300


@pytest.mark.parametrize(
    ("stack", "bounds"), [("local", (2, 4)), ("dev", (1, 2)), ("staging", (2, 4)), ("prod", (2, 10))]
)
def test_each_environment_scales_within_its_own_bounds(program: Declare, stack: str, bounds: tuple[int, int]):
    scaler = program(stack).manifests()["HorizontalPodAutoscaler", "api"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == bounds
    assert scaler["metrics"][0]["resource"]["target"]["averageUtilization"] == 80


@every_stack
def test_a_disruption_budget_slows_a_drain_and_never_blocks_it(program: Declare, stack: str):
    budget = program(stack).manifests()["PodDisruptionBudget", "api"]["spec"]
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@every_stack
def test_secrets_reach_the_pod_as_files_and_never_as_variables(program: Declare, stack: str):
    container = pod(program(stack))["containers"][0]
    assert all("valueFrom" not in variable for variable in container["env"])
    assert all("secretRef" not in source for source in container["envFrom"])
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts["secrets"]["readOnly"] is True


@every_stack
def test_what_a_secret_holds_is_marked_secret_for_the_engine(program: Declare, stack: str):
    secrets = [resource for resource in program(stack).resources if resource.kind == "Secret"]
    assert secrets
    assert {value for secret in secrets for value in secret.inputs["stringData"].values()} == {SECRET}


@every_stack
def test_the_reloadable_file_is_mounted_as_a_directory(program: Declare, stack: str):
    mounts = pod(program(stack))["containers"][0]["volumeMounts"]
    assert "config" in {mount["name"] for mount in mounts}
    assert all("subPath" not in mount for mount in mounts)


@every_stack
def test_variables_and_secrets_are_immutable_and_the_reloadable_file_is_not(program: Declare, stack: str):
    manifests = program(stack).manifests()
    assert manifests["ConfigMap", "api-env"]["immutable"] is True
    assert manifests["Secret", "api-secret"]["immutable"] is True
    assert "immutable" not in manifests["ConfigMap", "api-file"]


@every_stack
@pytest.mark.feature("C4", part="declared")
def test_the_go_runtime_is_told_what_the_pod_may_use(program: Declare, stack: str):
    container = pod(program(stack))["containers"][0]
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    limit = int(container["resources"]["limits"]["memory"].removesuffix("Mi"))
    assert 0.85 * limit < int(env["GOMEMLIMIT"].removesuffix("MiB")) <= 0.9 * limit
    assert int(env["GOMAXPROCS"]) == 1


@every_stack
def test_every_object_carries_the_recommended_labels(program: Declare, stack: str):
    for manifest in program(stack).manifests().values():
        labels = manifest["metadata"]["labels"]
        assert {
            f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "part-of", "managed-by")
        } <= set(labels)


@every_stack
def test_only_the_pod_template_carries_the_version_so_that_a_new_image_changes_nothing_else(
    program: Declare, stack: str
):
    manifests = program(stack).manifests().values()
    assert all("app.kubernetes.io/version" not in manifest["metadata"]["labels"] for manifest in manifests)
    template = program(stack).manifests()["Deployment", "api"]["spec"]["template"]
    assert template["metadata"]["labels"]["app.kubernetes.io/version"]


@every_stack
@pytest.mark.feature("E1", part="declared")
def test_the_ingress_serves_its_host_over_tls(program: Declare, stack: str):
    ingress = program(stack).manifests()["Ingress", "api"]["spec"]
    [rule], [tls] = ingress["rules"], ingress["tls"]
    assert tls["hosts"] == [rule["host"]]
    assert tls["secretName"] == "api-tls"


@every_stack
def test_the_outputs_are_the_contract_others_read(program: Declare, stack: str):
    outputs = program(stack).outputs
    assert set(outputs) == {"url", "image", "images", "version", "namespace", "services"}
    assert outputs["url"].startswith("https://api.")


def test_prod_takes_the_image_of_staging_which_takes_that_of_dev(program: Declare):
    kinds = {stack: {resource.kind for resource in program(stack).resources} for stack in stacks()}
    assert {stack for stack in kinds if "Image" in kinds[stack]} == {"local", "dev"}
    assert "organization/slipway/staging" in {resource.name for resource in program("prod").resources}
    assert "organization/slipway/dev" in {resource.name for resource in program("staging").resources}


def test_the_namespace_of_prod_is_protected_and_no_other(program: Declare):
    protected = {
        stack for stack in stacks() for r in program(stack).resources if r.kind == "Namespace" and r.options["protect"]
    }
    assert protected == {"prod"}


@every_stack
@pytest.mark.feature("K2", part="under mocks")
def test_every_object_goes_to_the_stack_s_own_cluster(program: Declare, stack: str):
    resources = [resource for resource in program(stack).resources if resource.is_manifest]
    assert resources
    own = ("pulumi:providers:kubernetes::cluster::", "pulumi:providers:kubernetes::retained::")
    assert all(any(provider in resource.options["provider"] for provider in own) for resource in resources)


@every_stack
@pytest.mark.feature("C7")
def test_pods_are_spread_over_nodes_and_zones(program: Declare, stack: str):
    constraints = pod(program(stack))["topologySpreadConstraints"]
    labels = program(stack).manifests()["Deployment", "api"]["spec"]["template"]["metadata"]["labels"]
    assert {c["topologyKey"] for c in constraints} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert all(c["labelSelector"]["matchLabels"].items() <= labels.items() for c in constraints)


@pytest.mark.feature("D8")
def test_a_new_label_on_everything_leaves_every_selector_as_it_was(changed: Changed, monkeypatch: pytest.MonkeyPatch):
    def selectors(program: Program) -> list[Any]:
        found = program.manifests()
        return [
            found["Deployment", "api"]["spec"]["selector"],
            found["Service", "api"]["spec"]["selector"],
            found["PodDisruptionBudget", "api"]["spec"]["selector"],
            found["NetworkPolicy", "api"]["spec"]["podSelector"],
        ]

    before = changed("dev", {})
    for module in ("scope", "service.pod", "network", "environment"):
        monkeypatch.setattr(f"slipway.{module}.labels", lambda *name: {**naming.labels(*name), "team": "payments"})
    after = changed("dev", {})
    assert after.manifests()["Deployment", "api"]["metadata"]["labels"]["team"] == "payments"
    assert selectors(after) == selectors(before)


@pytest.mark.feature("E3", part="rendered")
@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_the_certificate_that_is_asked_for_is_the_one_the_ingress_serves(program: Declare, stack: str):
    ingress = program(stack).manifests()["Ingress", "api"]
    # cert-manager makes the Certificate from these: the issuer by annotation, host and Secret by the tls entry.
    assert ingress["metadata"]["annotations"]["cert-manager.io/cluster-issuer"]
    [tls] = ingress["spec"]["tls"]
    assert (tls["hosts"], tls["secretName"]) == ([ingress["spec"]["rules"][0]["host"]], "api-tls")
