"""Settings of a service, one by one: what each changes in the dev stack."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from slipway.ops.program.recorder import Program
from slipway.rules.house_rules import check
from tests.conftest import API_ONLY, WITHOUT_STORES, Changed


@pytest.fixture
def changed(changed: Changed) -> Changed:
    """Return the program of a stack with one service and no stores, which is recorded faster."""
    return lambda stack, changes: changed(stack, {**API_ONLY, **WITHOUT_STORES, **changes})


def pod(program: Program, service: str = "api") -> dict[str, Any]:
    return program.manifests()["Deployment", service]["spec"]["template"]["spec"]


def test_a_service_without_ingress_has_no_address_outside(changed: Changed):
    program = changed("dev", {"services.api.ingress": None})
    assert ("Ingress", "api") not in program.manifests()
    assert program.outputs["services"] == {}


def test_a_service_without_file_and_secrets_mounts_nothing(changed: Changed):
    program = changed("dev", {"services.api.file": None, "services.api.secrets": None})
    assert "volumes" not in pod(program) or pod(program)["volumes"] == []
    data = program.manifests()["ConfigMap", "api-env"]["data"]
    assert (data["CONFIG_FILE"], data["SECRETS_DIR"]) == ("", "")


def test_two_services_run_one_image_with_different_arguments(changed: Changed):
    program = changed("dev", {"services.web": {"args": ["web"]}})
    api, web = (pod(program, name)["containers"][0] for name in ("api", "web"))
    assert api["image"] == web["image"]
    assert (api.get("args"), web["args"]) == (None, ["web"])


def test_a_rollout_fails_a_minute_after_the_longest_start_unless_the_stack_file_says_otherwise(
    changed: Changed,
):
    def deadline(changes: dict[str, Any]) -> int:
        return changed("dev", changes).manifests()["Deployment", "api"]["spec"]["progressDeadlineSeconds"]

    assert deadline({}) == 60 + 60
    assert deadline({"services.api.startupSeconds": 10, "services.api.progressSeconds": 15}) == 15


def test_pulumi_waits_for_a_rollout_as_long_as_kubernetes_may_take_for_all_its_pods(changed: Changed):
    quick = {"services.api.startupSeconds": 10, "services.api.progressSeconds": 15}
    program = changed("dev", {**quick, "services.api.autoscaling": {"min": 2, "max": 4}})
    [deployment] = [one for one in program.resources if (one.kind, one.name) == ("Deployment", "api")]
    assert deployment.options["update_timeout"] == f"{4 * 15 + 30}s"


@pytest.mark.feature("B3", part="name of the env object")
def test_a_changed_variable_makes_a_new_object_and_a_changed_file_does_not(changed: Changed):
    def names(program: Program) -> dict[str, str]:
        return {name: program.manifests()["ConfigMap", name]["metadata"]["name"] for name in ("api-env", "api-file")}

    before = names(changed("dev", {}))
    after = names(changed("dev", {"services.api.env.LOG_LEVEL": "warn", "services.api.file.notice": "hello"}))
    assert before["api-env"] != after["api-env"]
    assert before["api-file"] == after["api-file"]


def test_the_ingress_asks_cert_manager_for_a_certificate_of_the_issuer(changed: Changed):
    ingress = changed("dev", {"services.api.ingress.tls": {"issuer": "letsencrypt"}}).manifests()["Ingress", "api"]
    assert ingress["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] == "letsencrypt"


def test_an_existing_certificate_is_referenced_and_not_declared(changed: Changed):
    program = changed("dev", {"services.api.ingress.tls": {"secretName": "wildcard"}})
    assert program.manifests()["Ingress", "api"]["spec"]["tls"][0]["secretName"] == "wildcard"
    assert ("Secret", "api-tls") not in program.manifests()


def test_the_local_stack_declares_its_own_certificate(changed: Changed):
    program = changed("local", {})
    assert program.manifests()["Secret", "api-tls"]["type"] == "kubernetes.io/tls"
    assert program.manifests()["Ingress", "api"]["spec"]["tls"][0]["secretName"] == "api-tls"


def test_a_cluster_that_publishes_no_addresses_is_not_waited_for(changed: Changed):
    ingress = changed("dev", {"services.api.ingress.awaitSeconds": 0}).manifests()["Ingress", "api"]
    assert ingress["metadata"]["annotations"]["pulumi.com/skipAwait"] == "true"


def test_two_services_share_the_image_and_nothing_else(changed: Changed):
    program = changed("dev", {"services.web": {"ingress": {"host": "web.dev.example.com"}}})
    assert pod(program, "web")["containers"][0]["image"] == pod(program)["containers"][0]["image"]
    selectors = [program.manifests()["Service", name]["spec"]["selector"] for name in ("api", "web")]
    assert selectors[0] != selectors[1]
    assert set(program.outputs["services"]) == {"api", "web"}


@pytest.mark.parametrize(
    ("cpu", "limit", "threads"), [("50m", None, "1"), ("1500m", None, "2"), ("100m", "3", "3"), ("100m", "500m", "1")]
)
def test_go_runs_as_many_threads_as_the_pod_has_cpus(changed: Changed, cpu: str, limit: str | None, threads: str):
    changes = {"services.api.resources.cpu": cpu, "services.api.resources.cpuLimit": limit}
    env = {variable["name"]: variable["value"] for variable in pod(changed("dev", changes))["containers"][0]["env"]}
    assert env["GOMAXPROCS"] == threads


def test_the_grace_period_follows_the_drain(changed: Changed):
    drain = {"preStopSeconds": 10, "delaySeconds": 3, "shutdownSeconds": 60}
    assert pod(changed("dev", {"services.api.drain": drain}))["terminationGracePeriodSeconds"] == 78


@pytest.mark.parametrize(("cpu", "limit", "cap"), [("50m", None, "1"), ("1500m", None, "1500m"), ("100m", "3", "3")])
def test_the_cpu_limit_is_one_core_unless_the_stack_file_says_more(
    changed: Changed, cpu: str, limit: str | None, cap: str
):
    changes = {"services.api.resources.cpu": cpu, "services.api.resources.cpuLimit": limit}
    assert pod(changed("dev", changes))["containers"][0]["resources"]["limits"]["cpu"] == cap


@pytest.mark.feature("F5")
def test_a_service_with_a_fixed_number_of_replicas_has_no_autoscaler(changed: Changed):
    program = changed("dev", {"services.api.autoscaling": None, "services.api.replicas": 3})
    assert program.manifests()["Deployment", "api"]["spec"]["replicas"] == 3
    assert ("HorizontalPodAutoscaler", "api") not in program.manifests()
    scaled = changed("dev", {})
    assert "replicas" not in scaled.manifests()["Deployment", "api"]["spec"]
    assert ("HorizontalPodAutoscaler", "api") in scaled.manifests()


@pytest.mark.feature("E2", part="rendered")
def test_one_key_turns_the_ingress_into_a_route_of_a_gateway(changed: Changed):
    gateway = {"name": "public", "namespace": "ingress"}
    changes = {"services.api.ingress.tls": None, "services.api.ingress.gateway": gateway}
    program = changed("prod", changes)
    assert ("Ingress", "api") not in program.manifests()
    route = program.manifests()["HTTPRoute", "api"]
    assert route["spec"]["parentRefs"] == [{**gateway, "sectionName": "https"}]
    assert route["spec"]["hostnames"] == ["api.example.com"]
    [rule] = route["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": "api", "port": 80}]
    assert program.outputs["url"] == "https://api.example.com"


@pytest.mark.feature("E6", part="several services, one host")
def test_services_share_a_host_by_their_paths(changed: Changed):
    api = {"host": "www.dev.example.com", "path": "/v1"}
    web = {"host": "www.dev.example.com"}
    program = changed("dev", {"services.api.ingress": api, "services.web": {"ingress": web}})
    rules = [program.manifests()["Ingress", name]["spec"]["rules"][0] for name in ("api", "web")]
    assert [rule["host"] for rule in rules] == ["www.dev.example.com"] * 2
    assert [rule["http"]["paths"][0]["path"] for rule in rules] == ["/v1", "/"]


@pytest.mark.feature("E6")
def test_two_services_may_not_have_the_same_host_and_path(changed: Changed):
    api = {"host": "www.dev.example.com", "path": "/v1/"}
    web = {"host": "www.dev.example.com", "path": "/v1"}
    with pytest.raises(pulumi.RunError, match=r"services\.web\.ingress\.path: .*/v1 is already served by api"):
        changed("dev", {"services.api.ingress": api, "services.web": {"ingress": web}})


@pytest.mark.parametrize(("name", "hint"), [("apii", 'did you mean "api"'), ("mongo", "services here: api, web")])
def test_a_need_that_nothing_provides_is_refused(changed: Changed, name: str, hint: str):
    with pytest.raises(pulumi.RunError, match=rf"services\.web\.needs\.0: no such service; {hint}"):
        changed("dev", {"services.web": {"needs": [name]}})


def test_a_quota_too_small_for_a_rollout_is_refused_with_the_number_that_is_needed(changed: Changed):
    with pytest.raises(
        pulumi.RunError, match=r"quota\.pods: is less than the services need .* \(5\).*Example: pods: 5"
    ):
        changed("dev", {"quota": {"pods": 3}})


BEFORE = {"app": "reviews", "app.kubernetes.io/instance": "reviews"}


@pytest.mark.feature("O2", part="a selector that was there before")
def test_adopted_and_new_pods_are_selected_by_the_labels_from_before_the_stack(changed: Changed):
    manifests = changed("dev", {"services.api.selector": BEFORE}).manifests()
    labels = manifests["Deployment", "api"]["spec"]["template"]["metadata"]["labels"]
    assert labels.items() >= {**BEFORE, "app.kubernetes.io/name": "api", "slipway/service": "api"}.items()
    assert manifests["Service", "api"]["spec"]["selector"] == BEFORE
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert manifests[kind, "api"]["spec"]["selector"] == {"matchLabels": BEFORE}
    spread = manifests["Deployment", "api"]["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [one["labelSelector"]["matchLabels"] for one in spread] == [BEFORE, BEFORE]
    assert check(list(manifests.values()), "prod") == check(list(changed("dev", {}).manifests().values()), "prod")


@pytest.mark.parametrize("key", ["app.kubernetes.io/version", "pod-template-hash", "slipway/service"])
def test_a_label_that_changes_with_each_version_selects_nothing(changed: Changed, key: str):
    with pytest.raises(pulumi.RunError, match=rf"services\.api: selector: {key} changes with each version"):
        changed("dev", {"services.api.selector": {key: "1"}})
