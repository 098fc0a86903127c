"""The contract of an app: what a stack file says of ports, probes, metrics, variables and folders is what pods get."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from slipway.ops.program.recorder import Program, declare
from slipway.rules.house_rules import check
from slipway.settings.engine_yaml import Node
from slipway.settings.secret_checks import required_secrets
from tests.conftest import Changed, with_changes
from tests.service.foreign import SHOP, WORKER, container_of, objects_of, pod_of, settings_of, template_of


def findings(program: Program) -> set[str]:
    """Return the rules of prod that a stack breaks, apart from the pods that dev does without."""
    return {finding.rule for finding in check(list(program.manifests().values()), "prod")} - {"SW302"}


def refusal(service: dict[str, Any]) -> str:
    with pytest.raises(pulumi.RunError) as refused:
        declare("prod", with_changes("prod", settings_of(service)))
    return str(refused.value)


@pytest.mark.feature("N2", part="an app of anyone keeps every rule")
@pytest.mark.parametrize("service", [SHOP, WORKER], ids=["web", "worker"])
def test_an_app_of_anyone_keeps_every_house_rule_of_prod(changed: Changed, service: dict[str, Any]):
    assert findings(changed("prod", settings_of(service))) == set()


# Variables


def test_an_app_without_a_contract_gets_its_own_variables_and_the_limits_of_the_runtime_only(changed: Changed):
    program = changed("prod", settings_of({**SHOP, "env": {"PORT": "3000", "log.level": "info"}}))
    assert program.manifests()["ConfigMap", "shop-env"]["data"] == {"PORT": "3000", "log.level": "info"}
    assert [entry["name"] for entry in container_of(program)["env"]] == ["GOMEMLIMIT", "GOMAXPROCS"]


def test_without_any_variable_there_is_no_configmap(changed: Changed):
    program = changed("prod", settings_of(SHOP))
    assert ("ConfigMap", "shop-env") not in program.manifests()
    assert "envFrom" not in container_of(program)


@pytest.mark.feature("B8", part="a secret variable rolls the pods")
def test_a_secret_variable_comes_from_the_service_s_own_secret_and_fills_in_others(changed: Changed):
    url = "redis://:$(REDIS_PASSWORD)@redis:6379"
    service = {**SHOP, "secretEnv": {"REDIS_PASSWORD": "cache-password"}, "env": {"CACHE_URL": url, "PORT": "3000"}}
    program = changed("dev", {**settings_of(service), "cache-password": {"secure": "v1:x"}})
    name = program.manifests()["Secret", "shop-secret"]["metadata"]["name"]
    assert container_of(program)["env"][2:] == [
        {"name": "REDIS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": name, "key": "cache-password"}}},
        {"name": "CACHE_URL", "value": url},
    ]
    assert program.manifests()["ConfigMap", "shop-env"]["data"] == {"PORT": "3000"}
    assert findings(program) == {"SW132"}
    assert "volumes" not in pod_of(program) or pod_of(program)["volumes"] == []


def test_a_secret_variable_is_no_file_besides(changed: Changed):
    service = {**SHOP, "secretEnv": {"TOKEN": "token"}, "secrets": ["signing-key"]}
    program = changed("dev", {**settings_of(service), "token": {"secure": "v1:x"}})
    [volume] = pod_of(program)["volumes"]
    assert volume["secret"]["items"] == [{"key": "signing-key", "path": "signing-key"}]
    assert set(program.manifests()["Secret", "shop-secret"]["stringData"]) == {"signing-key", "token"}


def test_a_job_gets_the_variables_of_its_service(changed: Changed):
    service = {**SHOP, "secretEnv": {"TOKEN": "token"}, "migration": {"args": ["migrate"]}, "command": ["/shop"]}
    program = changed("dev", {**settings_of(service), "token": {"secure": "v1:x"}})
    job = program.manifests()["Job", "shop-migration"]["spec"]["template"]["spec"]["containers"][0]
    assert job["env"] == container_of(program)["env"]
    assert (job["command"], job["args"]) == (["/shop"], ["migrate"])
    assert findings(program) == {"SW132"}


@pytest.mark.parametrize(
    ("value", "found"),
    [("redis://:$(TOKEN)@redis:6379", False), ("redis://:hunter22$(TOKEN)@redis:6379", True), ("http://redis", False)],
)
def test_a_password_in_clear_is_found_beside_one_that_kubernetes_fills_in(changed: Changed, value: str, found: bool):
    service = {**SHOP, "secretEnv": {"TOKEN": "token"}, "env": {"CACHE_URL": value}}
    program = changed("dev", {**settings_of(service), "token": {"secure": "v1:x"}})
    assert ("SW501" in findings(program)) == found


def test_a_stack_needs_the_secrets_among_its_variables():
    tree = Node.of({"services": {"shop": {"secretEnv": {"TOKEN": "token"}, "secrets": ["signing-key"]}}})
    assert required_secrets(tree) == {"token", "signing-key"}


# Ports, probes and metrics


def test_an_app_with_one_port_is_probed_and_scraped_there(changed: Changed):
    service = {**SHOP, "metrics": {"codeLabel": "status"}}
    program = changed("prod", {**settings_of(service), "cluster.monitoringNamespace": "monitoring"})
    container = container_of(program)
    assert container["ports"] == [{"name": "http", "containerPort": 3000}]
    assert container["readinessProbe"]["httpGet"] == {"path": "/health", "port": "http"}
    assert container["livenessProbe"]["tcpSocket"] == {"port": "http"}
    assert container["startupProbe"]["tcpSocket"] == {"port": "http"}
    assert container["startupProbe"]["failureThreshold"] == 60
    scraped = objects_of(program, "NetworkPolicy")["shop"]["spec"]["ingress"][-1]
    assert scraped["ports"] == [{"port": 3000, "protocol": "TCP"}]


def test_without_metrics_no_port_is_open_to_monitoring(changed: Changed):
    program = changed("prod", {**settings_of(SHOP), "cluster.monitoringNamespace": "monitoring"})
    rules = objects_of(program, "NetworkPolicy")["shop"]["spec"]["ingress"]
    assert "monitoring" not in str(rules)


def test_extra_ports_are_reached_by_services_that_need_it_and_by_no_controller(changed: Changed):
    extra = {"http": 3000, "extra": {"grpc": {"port": 9999, "appProtocol": "grpc"}}}
    service = {**SHOP, "ports": {**extra, "appProtocol": "kubernetes.io/h2c"}}
    program = changed("prod", {**settings_of(service), "services.caller": {**SHOP, "ingress": None, "needs": ["shop"]}})
    assert objects_of(program, "Service")["shop"]["spec"]["ports"] == [
        {"name": "http", "port": 80, "targetPort": "http", "appProtocol": "kubernetes.io/h2c"},
        {"name": "grpc", "port": 9999, "targetPort": "grpc", "appProtocol": "grpc"},
    ]
    policies = objects_of(program, "NetworkPolicy")
    [out] = policies["caller"]["spec"]["egress"]
    assert [port["port"] for port in out["ports"]] == [3000, 9999]
    http, grpc = policies["shop"]["spec"]["ingress"]
    assert (len(http["from"]), http["ports"][0]["port"]) == (2, 3000)
    assert (len(grpc["from"]), grpc["ports"][0]["port"]) == (1, 9999)
    assert findings(program) == set()


def test_a_probe_may_use_the_grpc_health_protocol_with_its_own_times(changed: Changed):
    ports = {"http": 3000, "extra": {"grpc": {"port": 9999}}}
    ready = {"grpc": "shop", "port": "grpc", "periodSeconds": 5, "failureThreshold": 4, "timeoutSeconds": 1}
    program = changed("prod", settings_of({**SHOP, "ports": ports, "probes": {"ready": ready}}))
    assert container_of(program)["readinessProbe"] == {
        "grpc": {"port": 9999, "service": "shop"},
        "periodSeconds": 5,
        "failureThreshold": 4,
        "timeoutSeconds": 1,
    }
    assert findings(program) == set()


def test_one_health_endpoint_for_all_probes_is_allowed_by_name_and_said_in_each_run(changed: Changed):
    same = {"ready": {"path": "/health"}, "live": {"path": "/health"}}
    assert "live checks the same as ready" in refusal({**SHOP, "probes": same})
    program = changed("prod", settings_of({**SHOP, "probes": {**same, "shared": True}}))
    assert {(finding.rule, finding.level) for finding in check(list(program.manifests().values()), "prod")} == {
        ("SW131", "advisory")
    }


def test_an_app_that_answers_no_path_is_asked_for_connections_only(changed: Changed):
    program = changed("prod", settings_of({**SHOP, "probes": {"ready": {"tcp": True}}}))
    container = container_of(program)
    probes = [container[f"{name}Probe"]["tcpSocket"] for name in ("startup", "readiness", "liveness")]
    assert probes == [{"port": "http"}] * 3
    assert findings(program) == set()


# Size, user, folders, shutdown


def test_scratch_folders_are_sized_counted_and_the_only_ones_that_can_be_written(changed: Changed):
    program = changed("prod", settings_of({**SHOP, "scratch": {"/var/tmp": "100Mi", "/cache": "1Gi"}, "user": 20000}))
    assert pod_of(program)["volumes"] == [
        {"name": "scratch-1", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "scratch-2", "emptyDir": {"sizeLimit": "100Mi"}},
    ]
    container = container_of(program)
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/cache", "/var/tmp"]
    assert container["resources"]["limits"]["ephemeral-storage"] == "1188Mi"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    security = pod_of(program)["securityContext"]
    assert {security[key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {20000}
    assert findings(program) == set()


@pytest.mark.feature("C5", part="without a contract")
def test_the_stated_time_of_an_answer_is_part_of_the_grace_period(changed: Changed):
    program = changed("prod", settings_of({**SHOP, "drain": {"shutdownSeconds": 40}}))
    assert pod_of(program)["terminationGracePeriodSeconds"] == 5 + 0 + 40 + 5
    assert template_of(program)["metadata"]["annotations"] == {
        "slipway/contract": "none",
        "slipway/shutdown-seconds": "40",
    }
    objects = list(program.manifests().values())
    objects_of(program, "Deployment")["shop"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 44
    assert {finding.rule for finding in check(objects, "prod")} == {"SW114"}


# Workers


def test_a_worker_has_pods_and_an_autoscaler_and_no_address(changed: Changed):
    program = changed("prod", settings_of(WORKER))
    kinds = {kind for kind, name in program.manifests() if name == "shop"}
    assert {"Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"} <= kinds
    assert not kinds & {"Service", "Ingress"}
    assert not {"ports", "readinessProbe", "lifecycle"} & container_of(program).keys()
    deployment = objects_of(program, "Deployment")["shop"]
    assert deployment["spec"]["minReadySeconds"] == 10
    assert pod_of(program)["terminationGracePeriodSeconds"] == 0 + 0 + 20 + 5


def test_a_worker_is_told_no_port_and_how_long_it_has_to_end(changed: Changed):
    variables = changed("prod", settings_of(WORKER)).manifests()["ConfigMap", "shop-env"]["data"]
    assert not {"HTTP_PORT", "ADMIN_PORT"} & variables.keys()
    assert (variables["DRAIN_DELAY"], variables["SHUTDOWN_TIMEOUT"]) == ("0s", "20s")


def test_a_worker_may_have_probes_and_metrics_on_a_port_of_its_own(changed: Changed):
    own = {"ports": {"admin": 9090}, "probes": {"live": {"path": "/livez"}}, "metrics": {}}
    program = changed("prod", settings_of({**WORKER, **own}))
    assert container_of(program)["ports"] == [{"name": "admin", "containerPort": 9090}]
    assert container_of(program)["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "admin"}
    assert findings(program) == set()


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ({**WORKER, "ingress": {"host": "shop.example.com"}}, "ingress goes with kind: web"),
        ({**WORKER, "ports": {"http": 3000}}, "ports.http goes with kind: web"),
        ({**WORKER, "check": "/"}, "check goes with kind: web"),
        ({**WORKER, "rollout": "canary"}, "a worker gets none; take rolling"),
        ({**SHOP, "rollout": "canary"}, "judges the new version by its metrics, and there are none here"),
        ({**SHOP, "probes": None}, "contract: none needs probes"),
        ({**SHOP, "probes": {"live": {"tcp": True}}}, "probes: ready is required"),
        ({**SHOP, "probes": {"ready": {"path": "/", "tcp": True}}}, "give just one of path, tcp: true, grpc"),
        ({**SHOP, "probes": {"ready": {"path": "/", "port": "admin"}}}, "probes.ready: there is no port admin"),
        ({**SHOP, "metrics": {"port": "grpc"}}, "metrics: there is no port grpc; ports here: http"),
        ({**SHOP, "ports": {"http": 3000, "extra": {"http": {"port": 1}}}}, "extra: http is a key beside extra"),
        ({"ports": {"http": 9090}}, "9090 is the number of two ports; for an app with one port set admin: null"),
        ({**SHOP, "ports": {"http": 3000, "extra": {"grpc": {"port": 3000}}}}, "3000 is the number of two ports"),
        ({**SHOP, "drain": {"delaySeconds": 1}}, "delaySeconds (1) goes with contract: slipway"),
        ({**SHOP, "drain": {"preStopSeconds": 1}}, "preStopSeconds (1) + delaySeconds (0) = 1 s is less than"),
        ({**SHOP, "env": {"A": "$(B)"}}, "env: A refers to $(B), which is no variable of secretEnv"),
        ({**SHOP, "env": {"GOMEMLIMIT": "1"}}, "env: GOMEMLIMIT is set by the program"),
        ({**SHOP, "env": {"A": "1"}, "secretEnv": {"A": "signing-key"}}, "secretEnv: A is set under env too"),
        ({**SHOP, "scratch": {"/etc/slipway/x": "1Mi"}}, "scratch: /etc/slipway/x is taken (/etc/slipway)"),
        ({**SHOP, "user": 1000}, "should be greater than or equal to 10000"),
        ({**SHOP, "variables": "nowhere.txt"}, "there is no such file; name one that lists the variables"),
        ({**SHOP, "secretEnv": {"A": "mysql-migration-password"}}, "only migrations get this one"),
    ],
)
def test_a_contract_that_cannot_hold_is_refused_with_the_reason(service: dict[str, Any], words: str):
    assert words in refusal(service)


@pytest.mark.parametrize(
    "service",
    [{**SHOP, "ports": {"http": 9090}}, {**WORKER, "ports": {"admin": 8080}}],
    ids=["an app without an admin port", "a worker, which has no http port"],
)
def test_a_port_may_have_the_number_of_one_that_the_app_does_not_have(changed: Changed, service: dict[str, Any]):
    ports = container_of(changed("prod", settings_of(service)))["ports"]
    assert [port["containerPort"] for port in ports] == [*service["ports"].values()]


def test_no_service_needs_a_worker():
    with pytest.raises(pulumi.RunError, match="is a worker, which answers no requests; take it out"):
        declare("prod", with_changes("prod", {**settings_of(WORKER), "services.api.needs": ["shop", "mysql", "redis"]}))


def test_dollars_that_refer_to_nothing_stay_as_they_are(changed: Changed):
    program = changed("prod", settings_of({**SHOP, "env": {"A": "kill $$"}}))
    assert "A" not in [variable["name"] for variable in container_of(program)["env"]]
    configs = [found["data"] for found in objects_of(program, "ConfigMap").values()]
    assert [data["A"] for data in configs if "A" in data] == ["kill $$"]


def test_an_escaped_reference_is_text(changed: Changed):
    program = changed("prod", settings_of({**SHOP, "env": {"A": "$$(B)"}}))
    assert container_of(program)["env"][2:] == [{"name": "A", "value": "$$(B)"}]


def test_null_takes_the_admin_port_and_the_metrics_of_all_services_away(changed: Changed):
    every = {"service": {"ports": {"admin": 9091}, "metrics": {"codeLabel": "status"}}}
    service = {"ports": {"admin": None}, "metrics": None, "probes": {"ready": {"path": "/health"}}, "variables": None}
    program = changed("dev", {**every, **settings_of({**service, "replicas": 1})})
    assert container_of(program)["ports"] == [{"name": "http", "containerPort": 8080}]
    assert "ADMIN_PORT" not in program.manifests()["ConfigMap", "shop-env"]["data"]
