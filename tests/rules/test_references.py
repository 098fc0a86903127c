"""References lead somewhere; each wrong name is found by its rule."""

from __future__ import annotations

import pytest

from slipway.objects import Object
from slipway.project import ROOT
from slipway.rules import references
from slipway.rules.house_rules import check
from tests.faults import GONE, Fault, add, both, drop, named, objects, put

POD = "Deployment/api spec.template.spec"
CONTAINER = f"{POD}.containers[0]"
JOB = "Job/api-migration spec.template.spec"
LABELS = {"app.kubernetes.io/name": "other", "app.kubernetes.io/instance": "slipway-prod"}
OWN = {"matchLabels": {**LABELS, "app.kubernetes.io/name": "api"}}
NOBODY = {"matchLabels": {"slipway/service": "nobody"}}


def _report_reads_as_migration(found: list[Object]) -> None:
    """Have the pods of a schedule log in with the account of migrations."""
    pod = named(found, "CronJob/api-report")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    of_migration = named(found, "Job/api-migration")["spec"]["template"]["spec"]
    pod["volumes"] = of_migration["volumes"]
    pod["containers"][0]["envFrom"] = of_migration["containers"][0]["envFrom"]


FAULTS: list[tuple[str, Fault]] = [
    ("SR001", put("Deployment/api spec.selector.matchLabels", {"app.kubernetes.io/instance": "slipway-prod"})),
    ("SR002", put("Service/api spec.selector", LABELS)),
    ("SR002", put("Service/api spec.selector", GONE)),
    ("SR003", put("Service/api spec.ports[0].targetPort", "htttp")),
    ("SR003", put("Service/api spec.ports[0].targetPort", 8081)),
    ("SR003", put("Service/api spec.ports[0].targetPort", GONE)),
    ("SR003", put(f"{CONTAINER}.ports", GONE)),
    ("SR004", put(f"{CONTAINER}.readinessProbe.httpGet.port", "amin")),
    ("SR004", put(f"{CONTAINER}.livenessProbe.httpGet.port", 8081)),
    ("SR004", put(f"{CONTAINER}.lifecycle.preStop.httpGet", {"path": "/", "port": "stop"})),
    ("SR005", put(f"{CONTAINER}.ports[0].containerPort", 8081)),
    ("SR007", put("HorizontalPodAutoscaler/api spec.scaleTargetRef.name", "apii")),
    ("SR007", put("HorizontalPodAutoscaler/api spec.scaleTargetRef.kind", "StatefulSet")),
    ("SR007", put("HorizontalPodAutoscaler/web spec.scaleTargetRef.name", "api")),
    ("SR007", add("ScaledObject", "jobs", spec={"scaleTargetRef": {"name": "jobs"}})),
    ("SR007", add("ScaledObject", "web", spec={"scaleTargetRef": {"name": "api"}})),
    (
        "SR010",
        add("ScaledObject", "api", spec={"triggers": [{"type": "redis", "authenticationRef": {"name": "gone"}}]}),
    ),
    ("SR021", add("TriggerAuthentication", "api", spec={"secretTargetRef": [{"name": "gone", "key": "password"}]})),
    ("SR008", put("PodDisruptionBudget/api spec.selector.matchLabels", LABELS)),
    ("SR008", put("PodDisruptionBudget/api spec.selector", {})),
    ("SR009", add("PodMonitor", "api", spec={"selector": {"matchLabels": LABELS}})),
    ("SR009", add("PodMonitor", "api", spec={"selector": OWN, "podMetricsEndpoints": [{"port": "http-admin"}]})),
    ("SR011", put("Ingress/api spec.rules[0].http.paths[0].backend.service.name", "apii")),
    ("SR011", put("Ingress/api spec.rules[0].http.paths[0].backend.service.port", {"name": "https"})),
    ("SR011", put("Ingress/api spec.rules[0].http.paths[0].backend.service.port", {"number": 8080})),
    ("SR011", drop("Service/api")),
    ("SR011", put("Ingress/api spec.rules[0].http.paths[0].path", GONE)),
    ("SR012", put("HTTPRoute/web spec.rules[0].backendRefs[0].name", "webb")),
    ("SR012", put("HTTPRoute/web spec.rules[0].backendRefs[0].port", 8080)),
    ("SR012", put("HTTPRoute/web spec.rules[0].backendRefs", [])),
    ("SR013", add("Secret", "api-tls", type="Opaque", stringData={"tls.crt": "***", "tls.key": "***"})),
    ("SR013", add("Secret", "api-tls", type="kubernetes.io/tls", stringData={"tls.crt": "***"})),
    ("SR021", put(f"{CONTAINER}.envFrom[0].configMapRef.name", "api-env")),
    ("SR021", put(f"{POD}.volumes[0].configMap.name", "api-files")),
    ("SR021", put(f"{POD}.volumes[1].secret.secretName", "api-secret")),
    ("SR021", put("CronJob/api-report spec.jobTemplate.spec.template.spec.volumes[1].secret.secretName", "gone")),
    ("SR021", put(f"{POD}.volumes[2]", {"name": "p", "projected": {"sources": [{"secret": {"name": "gone"}}]}})),
    ("SR021", drop("Secret/web-secret")),
    ("SR022", put(f"{POD}.volumes[0].configMap.items", [{"key": "config.yml", "path": "config.yaml"}])),
    ("SR022", put(f"{POD}.volumes[1].secret.items", [{"key": "signing", "path": "signing-key"}])),
    (
        "SR022",
        put(f"{CONTAINER}.env[2]", {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "api-file", "key": "a"}}}),
    ),
    ("SR023", put(f"{CONTAINER}.volumeMounts[0].name", "secrets")),
    ("SR023", put(f"{CONTAINER}.volumeMounts", [])),
    ("SR024", put(f"{CONTAINER}.volumeMounts[0].mountPath", "/etc/slipway/config")),
    ("SR024", put(f"{CONTAINER}.volumeMounts[1].mountPath", "/run/secrets")),
    ("SR024", put("ConfigMap/api-env data.CONFIG_FILE", "/etc/slipway/config.yml")),
    ("SR024", put("ConfigMap/api-env data.CONFIG_FILE", "")),
    ("SR024", put("ConfigMap/api-env data.SECRETS_DIR", "")),
    ("SR024", put("ConfigMap/api-file data", {"config.yml": "pageSize: {max: 1}"})),
    ("SR025", put(f"{POD}.serviceAccountName", "apii")),
    ("SR025", drop("ServiceAccount/web")),
    ("SR026", put("ServiceAccount/api imagePullSecrets[0].name", "registri")),
    ("SR026", drop("Secret/registry")),
    ("SR026", put("Secret/registry type", "Opaque")),
    ("SR026", put("ServiceAccount/api imagePullSecrets", GONE)),
    ("SR026", put("Secret/registry stringData", {"auth": "***"})),
    ("SR027", put(f"{POD}.volumes[2]", {"name": "data", "persistentVolumeClaim": {"claimName": "data"}})),
    ("SR028", put("Deployment/web spec.template.spec.containers[0].envFrom", GONE)),
    ("SR028", add("ConfigMap", "left-over", data={})),
    ("SR028", add("ServiceAccount", "left-over", automountServiceAccountToken=False)),
    ("SR028", add("ExternalSecret", "left-over", spec={"target": {"name": "left-over"}})),
    ("SR029", add("RoleBinding", "api", roleRef={"kind": "Role", "name": "gone"})),
    (
        "SR029",
        both(
            add("Role", "reader", rules=[]),
            add(
                "RoleBinding",
                "api",
                roleRef={"kind": "Role", "name": "reader"},
                subjects=[{"kind": "ServiceAccount", "name": "gone"}],
            ),
        ),
    ),
    ("SR030", put(f"{CONTAINER}.envFrom", GONE)),
    ("SR030", put(f"{JOB}.containers[0].image", f"registry.example.com/slipway/api@sha256:{'1' * 64}")),
    ("SR030", put(f"{JOB}.serviceAccountName", "web")),
    ("SR030", put(f"{JOB}.volumes", [])),
    ("SR030", put("ConfigMap/api-migration-env data.MYSQL_HOST", "elsewhere.example.com")),
    ("SR030", put("ConfigMap/api-migration-env data.MYSQL_USER", "slipway")),
    ("SR030", put("ConfigMap/api-migration-env data.MYSQL_USER", GONE)),
    ("SR030", put("Secret/api-migration-secret stringData.another-key", "***")),
    ("SR030", put(f"{JOB}.volumes[0].configMap.name", "api-migration-env-2")),
    ("SR030", put(f"{JOB}.containers[0].env[2]", {"name": "MYSQL_USER", "value": "root"})),
    ("SR030", _report_reads_as_migration),
    ("SR031", put("NetworkPolicy/api spec.podSelector", NOBODY)),
    ("SR031", put("NetworkPolicy/web spec.egress[0].to[0].podSelector", NOBODY)),
    ("SR031", put("NetworkPolicy/api spec.ingress[0].from[0].podSelector", NOBODY)),
    ("SR031", put("Job/api-migration spec.template.metadata.labels.'slipway/service'", GONE)),
    ("SR032", put("NetworkPolicy/api spec.ingress[0].ports[0].port", 8081)),
    ("SR032", put("NetworkPolicy/web spec.egress[0].ports[0].port", "htttp")),
    ("SR033", put("NetworkPolicy/web spec.egress", [])),
    ("SR033", lambda found: named(found, "NetworkPolicy/api")["spec"]["ingress"][0]["from"].pop(0)),
    ("SR033", put("NetworkPolicy/web spec.egress[0].ports[0].port", 9090)),
    ("SR034", lambda found: named(found, "NetworkPolicy/api")["spec"]["ingress"][0]["from"].pop(1)),
    ("SR034", drop("NetworkPolicy/web")),
    ("SR035", put("NetworkPolicy/default-deny spec.egress", [])),
    ("SR035", put("NetworkPolicy/default-deny spec.egress[0].ports[1].port", 54)),
    ("SR041", put("Service/api metadata.namespace", "other")),
    ("SR041", put("Service/api metadata.namespace", GONE)),
    ("SR051", put(f"{CONTAINER}.env[0]", GONE)),
    ("SR051", put("ConfigMap/api-env data.SHUTDOWN_TIMEOUT", GONE)),
]


@pytest.mark.feature("N2", part="each wrong reference is found")
@pytest.mark.parametrize(("rule", "fault"), FAULTS, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(FAULTS)])
def test_a_reference_to_nothing_is_found_by_its_rule(rule: str, fault: Fault):
    found = objects()
    fault(found)
    reported = {finding.rule for finding in check(found, "prod")}
    assert rule in reported


def test_each_rule_has_a_wrong_reference_that_breaks_it():
    registered = [rule.id for rule in references.RULES]
    assert registered
    assert sorted({rule for rule, _ in FAULTS}) == sorted(registered)


@pytest.mark.feature("B7", part="references")
def test_a_secret_from_an_external_store_is_one_the_pods_can_name():
    found = objects(external=True)
    assert check(found, "prod") == []
    put("ExternalSecret/api-secret spec.target.name", "elsewhere")(found)
    assert {finding.rule for finding in check(found, "prod")} == {"SR021", "SR028", "SR030"}


def test_a_key_of_an_external_secret_is_followed():
    found = objects(external=True)
    volumes = named(found, "Deployment/web")["spec"]["template"]["spec"]["volumes"]
    [secret] = [volume["secret"] for volume in volumes if "secret" in volume]
    secret["items"] = [{"key": "session-key", "path": "session-key"}]
    assert check(found, "prod") == []
    named(found, "ExternalSecret/web-secret")["spec"]["data"][0]["secretKey"] = "another-key"
    assert [finding.rule for finding in check(found, "prod")] == ["SR022"]


def test_the_other_end_of_an_edge_is_named_in_full():
    found = objects()
    put("NetworkPolicy/web spec.egress", [])(found)
    [finding] = [finding for finding in check(found, "prod") if "Deployment/web -> Deployment/api" in finding.message]
    assert finding.object == "NetworkPolicy/api"
    assert finding.message == "open Deployment/web -> Deployment/api:8080, but no NetworkPolicy lets it out; add one"


@pytest.mark.feature("N2", part="variables the app knows")
def test_a_variable_that_the_app_does_not_say_it_reads_is_named():
    stated = {"api": (ROOT / "app" / "variables.txt").read_text().split()}
    found = objects()
    assert check(found, "prod", variables=stated) == []
    put("ConfigMap/api-env data.LOG_LEVL", "debug")(found)
    [reported] = {finding.message for finding in check(found, "prod", variables=stated) if finding.rule == "SR051"}
    assert reported.startswith("holds LOG_LEVL; the app reads ADMIN_PORT, ")
    assert "SR051" not in {finding.rule for finding in check(found, "prod")}


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "no_proxy", "SSL_CERT_DIR", "TZ", "GOGC", "OTEL_SERVICE_NAME"])
def test_what_the_libraries_of_an_app_read_need_not_be_stated(name: str):
    stated = {"api": (ROOT / "app" / "variables.txt").read_text().split()}
    found = objects()
    put(f"ConfigMap/api-env data.{name}", "1")(found)
    assert "SR051" not in {finding.rule for finding in check(found, "prod", variables=stated)}
