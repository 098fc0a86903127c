"""Every house rule, with what keeps it and what breaks it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import api_validation
import connections
import pod_rules
import policies
import pytest
import references
import stack_rules
from policies import RULES, Finding, check
from rules import UNKNOWN

from ops.recorder import stacks
from tests.conftest import API_ONLY, Changed, Declare
from tests.faults import GONE, Fault, Object, add, both, drop, named, objects, put

POD = "Deployment/api spec.template.spec"
CONTAINER = f"{POD}.containers[0]"
JOB = "Job/api-migration spec"
CRON = "CronJob/api-report spec"
SCALER = "HorizontalPodAutoscaler/api spec"
BUDGET = "PodDisruptionBudget/api spec"
OPEN = "NetworkPolicy/api spec"
DIGEST = f"registry.example.com/api@sha256:{'0' * 64}"
LABELS = "app.kubernetes.io"

FAULTS: list[tuple[str, Fault]] = [
    ("SW001", put(f"{CONTAINER}.securityContext.privileged", True)),
    ("SW001", put(f"{JOB}.template.spec.containers[0].securityContext.privileged", True)),
    ("SW001", put(f"{POD}.initContainers", [{"name": "first", "securityContext": {"privileged": True}}])),
    ("SW002", put(f"{CONTAINER}.securityContext.capabilities.drop", ["NET_RAW"])),
    ("SW002", put(f"{CONTAINER}.securityContext.capabilities.add", ["SYS_ADMIN"])),
    ("SW003", put(f"{CONTAINER}.securityContext.allowPrivilegeEscalation", GONE)),
    ("SW004", put(f"{CONTAINER}.securityContext.readOnlyRootFilesystem", False)),
    ("SW005", put(f"{CONTAINER}.securityContext.runAsNonRoot", False)),
    ("SW005", both(put(f"{CONTAINER}.securityContext.runAsNonRoot", GONE), put(f"{POD}.securityContext", {}))),
    ("SW006", put(f"{POD}.securityContext.runAsUser", 1000)),
    ("SW006", put(f"{POD}.securityContext.runAsGroup", 0)),
    ("SW006", put(f"{CONTAINER}.securityContext.runAsUser", 0)),
    ("SW007", put(f"{POD}.securityContext.seccompProfile", GONE)),
    ("SW007", put(f"{CONTAINER}.securityContext.seccompProfile", {"type": "Unconfined"})),
    ("SW008", put(f"{POD}.hostNetwork", True)),
    ("SW008", put(f"{CRON}.jobTemplate.spec.template.spec.hostPID", True)),
    ("SW009", put(f"{CONTAINER}.ports[0].hostPort", 8080)),
    ("SW010", put(f"{POD}.volumes[0].hostPath", {"path": "/"})),
    ("SW011", put(f"{POD}.securityContext.sysctls", [{"name": "net.core.somaxconn", "value": "1024"}])),
    ("SW011", put(f"{CONTAINER}.securityContext.procMount", "Unmasked")),
    ("SW011", put(f"{CONTAINER}.securityContext.appArmorProfile", {"type": "Unconfined"})),
    ("SW012", put(f"{CONTAINER}.image", "registry.example.com/slipway/api:latest")),
    ("SW012", put(f"{CONTAINER}.image", "registry.example.com/slipway/api@sha256:0000")),
    ("SW013", put(f"{CONTAINER}.imagePullPolicy", GONE)),
    ("SW013", put(f"{CONTAINER}.imagePullPolicy", "Always")),
    ("SW014", put(f"{POD}.automountServiceAccountToken", True)),
    ("SW014", put(f"{POD}.volumes[0].projected", {"sources": [{"serviceAccountToken": {"path": "token"}}]})),
    ("SW015", put(f"{POD}.serviceAccountName", "default")),
    ("SW015", put(f"{POD}.serviceAccountName", GONE)),
    ("SW101", put(f"{CONTAINER}.resources.limits.ephemeral-storage", GONE)),
    ("SW101", put(f"{CONTAINER}.resources.requests", GONE)),
    ("SW102", put(f"{CONTAINER}.resources.requests.memory", "64Mi")),
    ("SW104", put(f"{CONTAINER}.env[0].value", "1GiB")),
    ("SW104", put(f"{CONTAINER}.env[1].value", "16")),
    ("SW111", put(f"{CONTAINER}.startupProbe", GONE)),
    ("SW111", put(f"{CONTAINER}.livenessProbe", GONE)),
    ("SW111", put(f"{CONTAINER}.readinessProbe.httpGet.path", GONE)),
    ("SW111", put(f"{CONTAINER}.startupProbe.httpGet", GONE)),
    ("SW112", put(f"{CONTAINER}.livenessProbe.httpGet.path", "/readyz")),
    ("SW113", put(f"{CONTAINER}.lifecycle", GONE)),
    ("SW113", put(f"{CONTAINER}.lifecycle.preStop", {"exec": {"command": ["sleep", "5"]}})),
    ("SW114", put(f"{POD}.terminationGracePeriodSeconds", 26)),
    ("SW114", put("ConfigMap/api-env data.DRAIN_DELAY", "1m")),
    ("SW114", put(f"{CONTAINER}.lifecycle.preStop.sleep.seconds", 60)),
    ("SW118", put(f"{CONTAINER}.lifecycle.preStop.sleep.seconds", 0)),
    ("SW118", put("ConfigMap/api-env data.HTTP_WRITE_TIMEOUT", "30s")),
    ("SW118", put("ConfigMap/api-env data.HTTP_WRITE_TIMEOUT", "0s")),
    ("SW115", put("Deployment/api spec.strategy.rollingUpdate.maxUnavailable", "100%")),
    ("SW115", put("Deployment/api spec.strategy.type", "Recreate")),
    ("SW115", put("Deployment/api spec.strategy", GONE)),
    ("SW115", put("Deployment/api spec.strategy.rollingUpdate.maxSurge", 0)),
    ("SW116", put("Deployment/api spec.progressDeadlineSeconds", 30)),
    ("SW117", put(f"{POD}.topologySpreadConstraints", GONE)),
    ("SW117", put(f"{POD}.topologySpreadConstraints[0].labelSelector.matchLabels", {"app": "api"})),
    (
        "SW121",
        put(f"{CONTAINER}.env[2]", {"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "a"}}}),
    ),
    ("SW117", put(f"{POD}.topologySpreadConstraints[1].topologyKey", "rack")),
    ("SW117", put(f"{POD}.topologySpreadConstraints[0].labelSelector", GONE)),
    ("SW121", put(f"{CONTAINER}.envFrom[1]", {"secretRef": {"name": "registry"}})),
    ("SW122", put(f"{CONTAINER}.volumeMounts[0].subPath", "config.yaml")),
    ("SW123", put(f"{CONTAINER}.env[2]", {"name": "GOMAXPROCS", "value": "1"})),
    ("SW123", put(f"{CONTAINER}.env[2]", {"name": "LOG_LEVEL", "value": "debug"})),
    ("SW124", put(f"{POD}.enableServiceLinks", GONE)),
    ("SW125", put(f"{POD}.volumes[1].secret.defaultMode", 0o444)),
    ("SW125", put(f"{POD}.volumes[1].secret.defaultMode", GONE)),
    ("SW125", put(f"{POD}.securityContext.fsGroup", GONE)),
    ("SW201", put(f"{JOB}.template.spec.containers[0].args", GONE)),
    ("SW201", put(f"{JOB}.template.spec.restartPolicy", "Always")),
    ("SW201", put(f"{JOB}.backoffLimit", GONE)),
    ("SW201", put(f"{CRON}.jobTemplate.spec.activeDeadlineSeconds", GONE)),
    ("SW202", put(f"{CRON}.concurrencyPolicy", "Allow")),
    ("SW203", put(f"{CRON}.failedJobsHistoryLimit", GONE)),
    ("SW203", put(f"{CRON}.startingDeadlineSeconds", GONE)),
    ("SW203", put(f"{CRON}.timeZone", GONE)),
    ("SW204", put(f"{JOB}.template.metadata.labels", {f"{LABELS}/name": "api", f"{LABELS}/instance": "slipway-prod"})),
    ("SW205", add("Pod", "bare", spec={})),
    ("SW302", put(f"{SCALER}.minReplicas", 1)),
    ("SW302", both(drop("HorizontalPodAutoscaler/api"), put("Deployment/api spec.replicas", 1))),
    ("SW303", put(f"{SCALER}.behavior", GONE)),
    ("SW303", put(f"{SCALER}.behavior.scaleDown.stabilizationWindowSeconds", 0)),
    ("SW304", put(f"{SCALER}.metrics", [])),
    ("SW304", put(f"{SCALER}.metrics[0].resource.target", {})),
    ("SW305", put("Deployment/api spec.replicas", 2)),
    ("SW306", drop("PodDisruptionBudget/api")),
    ("SW306", add("PodDisruptionBudget", "again", spec={"maxUnavailable": 1, "selector": {}})),
    ("SW306", put(f"{BUDGET}.maxUnavailable", 0)),
    ("SW306", put(f"{BUDGET}.maxUnavailable", "100%")),
    ("SW306", both(put(f"{BUDGET}.minAvailable", 2), put(f"{BUDGET}.maxUnavailable", GONE))),
    ("SW306", both(put(f"{BUDGET}.minAvailable", "100%"), put(f"{BUDGET}.maxUnavailable", GONE))),
    ("SW306", put(f"{BUDGET}.maxUnavailable", GONE)),
    ("SW306", put(f"{BUDGET}.unhealthyPodEvictionPolicy", GONE)),
    ("SW401", drop("NetworkPolicy/default-deny")),
    ("SW401", put("NetworkPolicy/default-deny spec.policyTypes", ["Ingress"])),
    ("SW401", put("NetworkPolicy/default-deny spec.podSelector", {"matchLabels": {"slipway/service": "api"}})),
    ("SW402", put(f"{OPEN}.ingress[0]", {})),
    ("SW402", put(f"{OPEN}.ingress[0].from", GONE)),
    ("SW402", put(f"{OPEN}.ingress[0].ports", GONE)),
    ("SW402", put(f"{OPEN}.ingress[0].from[0]", {"namespaceSelector": {}})),
    ("SW402", put(f"{OPEN}.ingress[0].from[0]", {"ipBlock": {"cidr": "0.0.0.0/0"}})),
    ("SW402", put(f"{OPEN}.ingress[0].from[0]", {"namespaceSelector": {"matchLabels": {}}})),
    ("SW402", put(f"{OPEN}.ingress[0].ports[0]", {"protocol": "TCP"})),
    ("SW403", put(f"{OPEN}.policyTypes", ["Ingress"])),
    ("SW404", put("Service/api spec.type", "NodePort")),
    ("SW404", put("Service/api spec.externalIPs", ["192.0.2.1"])),
    ("SW405", put("Ingress/api spec.tls", GONE)),
    ("SW405", put("Ingress/api spec.tls[0].hosts", ["www.example.com"])),
    ("SW405", put("Ingress/api spec.tls[0].secretName", GONE)),
    ("SW406", put("HTTPRoute/web spec.parentRefs[0].sectionName", "http")),
    ("SW406", put("HTTPRoute/web spec.parentRefs", GONE)),
    ("SW407", put("Ingress/api spec.rules[0].host", GONE)),
    ("SW407", put("Ingress/api spec.rules[0].host", "API.example.com")),
    ("SW407", put("HTTPRoute/web spec.hostnames", ["www"])),
    ("SW407", put("HTTPRoute/web spec.hostnames", GONE)),
    ("SW408", lambda found: found.append({**named(found, "Ingress/api"), "metadata": {"name": "second"}})),
    ("SW501", put("ConfigMap/api-env data.DB_PASSWORD", "hunter2")),
    ("SW501", put("ConfigMap/api-env data.apiToken", "12345678")),
    ("SW501", put("ConfigMap/api-env data.DATABASE_URL", "postgres://api:hunter2@db:5432/api")),
    ("SW501", put("ConfigMap/api-env data.DSN", "api:hunter2@tcp(db:3306)/api")),
    ("SW501", put("ConfigMap/api-file data.config", "database:\n  password: hunter2\n")),
    ("SW501", put("ConfigMap/api-file data.config", "users:\n- {name: api, token: hunter2}\n")),
    ("SW501", put("ConfigMap/api-file data.key", "-----BEGIN PRIVATE KEY-----\nMIIE\n")),
    ("SW501", put(f"{CONTAINER}.env[2]", {"name": "API_KEY", "value": "hunter2"})),
    ("SW501", put(f"{CONTAINER}.args", ["serve", "--db-password=hunter2"])),
    ("SW502", put("Secret/api-secret stringData", {"signing-key": "hunter2"})),
    ("SW502", put("Secret/api-secret stringData", GONE)),
    ("SW503", put("ConfigMap/api-env data.LOG_LEVEL", "debug")),
    ("SW503", put("ConfigMap/api-env immutable", GONE)),
    ("SW503", put("Secret/api-secret immutable", False)),
    ("SW503", put("ConfigMap/api-file immutable", True)),
    ("SW503", lambda found: _renamed(found, "ConfigMap/api-env", "api-env")),
    ("SW601", put("Namespace/slipway-prod metadata.labels", {})),
    ("SW602", drop("ResourceQuota/quota")),
    ("SW602", drop("LimitRange/defaults")),
    ("SW602", put("LimitRange/defaults spec.limits[0].default", GONE)),
    ("SW602", put("LimitRange/defaults spec.limits[0].defaultRequest.memory", GONE)),
    ("SW603", put("ResourceQuota/quota spec.hard", {"pods": "3", "requests.cpu": "9", "requests.memory": "9Gi"})),
    ("SW604", put("Service/api metadata.labels", {})),
    ("SW604", put(f"{CRON}.jobTemplate.spec.template.metadata.labels", {"slipway/service": "api"})),
    ("SW605", put("Service/api spec.selector.version", "1")),
    ("SW605", put("Deployment/api spec.selector.matchLabels.version", "1")),
    ("SW606", put("Service/api metadata.namespace", "default")),
    ("SW606", put("Namespace/slipway-prod metadata.name", "kube-system")),
    ("SW607", put("ServiceAccount/api automountServiceAccountToken", True)),
    ("SW608", add("Role", "api", rules=[{"apiGroups": [""], "resources": ["*"], "verbs": ["get"]}])),
    ("SW608", add("ClusterRole", "api", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["escalate"]}])),
    ("SW609", add("ClusterRoleBinding", "api", roleRef={"kind": "ClusterRole", "name": "cluster-admin"})),
]


def _renamed(found: list[Object], name: str, to: str) -> None:
    """Another name, for the object and for all who name it."""
    old = named(found, name)["metadata"]["name"]

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: walk(item) for key, item in value.items()}
        return [walk(item) for item in value] if isinstance(value, list) else to if value == old else value

    found[:] = walk(found)


@pytest.mark.feature("J3", part="house rules")
@pytest.mark.feature("N2")
@pytest.mark.parametrize("stack", stacks())
def test_each_environment_keeps_every_rule(program: Declare, stack: str):
    manifests = list(program(stack).manifests().values())
    assert len(manifests) > 10
    assert check(manifests, stack) == []


@pytest.mark.parametrize("stack", ["dev", "prod"])
@pytest.mark.parametrize("external", [False, True])
def test_jobs_routes_connections_and_an_external_store_keep_every_rule(stack: str, external: bool):
    found = objects(stack, external=external)
    assert {"Job", "CronJob", "HTTPRoute", "ExternalSecret" if external else "Secret"} <= {o["kind"] for o in found}
    assert check(found, stack) == []


@pytest.mark.feature("I4", part="each rule finds what breaks it")
@pytest.mark.feature("C5", part="house rule")
@pytest.mark.parametrize(("rule", "fault"), FAULTS, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(FAULTS)])
def test_a_fault_is_found_by_its_rule(rule: str, fault: Fault):
    found = objects()
    fault(found)
    told = [finding.told for finding in check(found, "prod", rules=[RULES[rule]])]
    assert told, f"nothing found; others: {[f.rule for f in check(found, 'prod')]}"
    assert "hunter2" not in "".join(told)


def test_each_rule_has_a_fault_that_breaks_it():
    registered = [rule.id for module in (pod_rules, stack_rules) for rule in module.RULES]
    registered += [rule.id for rule in connections.RULES if rule.id.startswith("SW")]
    assert registered
    assert sorted({rule for rule, _ in FAULTS}) == sorted(registered)


def test_a_rule_has_an_id_of_its_own_and_says_what_it_is_for():
    modules = (api_validation, pod_rules, stack_rules, connections, references)
    assert len(RULES) == sum(len(module.RULES) for module in modules)
    assert [rule.id for rule in RULES.values() if not rule.title or not rule.reason] == []


def privileged(stack: str) -> list[Object]:
    found = objects(stack)
    put(f"{CONTAINER}.securityContext.privileged", True)(found)
    return found


@pytest.mark.feature("I4", part="advice in local and dev, mandatory elsewhere")
@pytest.mark.parametrize(("stack", "level"), [("local", "advisory"), ("dev", "advisory"), ("qa", "mandatory")])
def test_a_finding_is_advice_in_local_and_dev_and_mandatory_everywhere_else(stack: str, level: str):
    [finding] = check(privileged("prod"), stack)
    assert finding.level == level
    assert (finding.rule, finding.object) == ("SW001", "Deployment/api")
    assert finding.path == "spec.template.spec.containers[0].securityContext.privileged"
    assert (
        finding.told == f"SW001 Deployment/api: {finding.path} is true; take it out (it could do anything on its node)"
    )


def test_one_pod_is_enough_where_findings_are_advice():
    found = objects()
    put(f"{SCALER}.minReplicas", 1)(found)
    assert check(found, "dev") == []
    assert [finding.rule for finding in check(found, "staging")] == ["SW302"]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in an object, from the outside in."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*at, key)
        yield from places(item, (*at, key))


def replaced(found: list[Object], number: int, at: tuple[Any, ...], value: Any) -> list[Object]:
    """The objects with another value at one place, sharing all that stays."""

    def copied(part: Any, path: tuple[Any, ...]) -> Any:
        if not path:
            return value
        changed = part.copy()
        changed[path[0]] = copied(part[path[0]], path[1:])
        return changed

    return [copied(o, at) if index == number else o for index, o in enumerate(found)]


def test_a_value_that_only_the_update_will_tell_breaks_no_rule(changed: Changed):
    found = list(changed("prod", API_ONLY).manifests().values())
    texts = [
        (number, at)
        for number, o in enumerate(found)
        for at in places(o)
        if at[-1] not in ("kind", "apiVersion") and isinstance(value_at(o, at), str)
    ]
    assert len(texts) > 200
    told = [finding.told for number, at in texts for finding in check_one(replaced(found, number, at, UNKNOWN), number)]
    assert told == []


def check_one(found: list[Any], number: int) -> list[Finding]:
    """What a change of this object breaks: rules about single objects need to look at no other."""
    alone = [rule for rule in RULES.values() if rule.alone]
    together = [rule for rule in RULES.values() if not rule.alone]
    return check([found[number]], "prod", rules=alone) + check(found, "prod", rules=together)


def value_at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def test_no_object_is_so_broken_that_it_cannot_be_judged(changed: Changed):
    found = list(changed("dev", API_ONLY).manifests().values())
    everywhere = [(number, at) for number, o in enumerate(found) for at in places(o)]
    nonsense = itertools.cycle([None, "text", 7, [], {}, [None], {"a": 1}])
    # Each third place: all of them would take longer than all other tests.
    broken = [check_one(replaced(found, number, at, next(nonsense)), number) for number, at in everywhere[::3]]
    assert sum(map(bool, broken)) > 100


@dataclass(frozen=True)
class Waiver:
    rule: str = "SW001"
    object: str | None = None
    reason: str = "the vendor's agent needs it, ticket 1234"
    until: date = date(2030, 1, 31)


@pytest.mark.parametrize("today", [date(2030, 1, 1), date(2030, 1, 31)])
@pytest.mark.parametrize("waived", [None, "Deployment/api"])
def test_a_waived_rule_is_not_told_until_its_last_day_is_over(today: date, waived: str | None):
    assert check(privileged("prod"), "prod", [Waiver(object=waived)], today) == []


def test_a_waiver_holds_for_its_object_and_rule_only():
    waivers = [Waiver(object="Deployment/web"), Waiver(rule="SW002")]
    assert [finding.rule for finding in check(privileged("prod"), "prod", waivers)] == ["SW001"]


def test_an_expired_waiver_is_told_and_the_rule_holds_again():
    findings = check(privileged("prod"), "prod", [Waiver()], today=date(2030, 2, 1))
    assert [finding.rule for finding in findings] == ["SW001", "SW903"]
    assert "slipway:waivers[0]: until was 2030-01-31" in findings[1].told


@pytest.mark.parametrize(
    ("waiver", "rule", "words"),
    [
        (Waiver(rule="SW999"), "SW901", "rule is SW999; there is no such rule"),
        (Waiver(reason=" "), "SW902", "reason is empty"),
    ],
)
def test_a_waiver_names_a_rule_and_a_reason(waiver: Waiver, rule: str, words: str):
    [finding] = check(objects(), "prod", [waiver], date(2030, 1, 1))
    assert (finding.rule, finding.level) == (rule, "mandatory")
    assert words in finding.told


def test_a_waiver_of_the_stack_file_reaches_the_rules(changed: Changed):
    waiver = {"rule": "SW302", "reason": "one pod is enough for a week", "until": "2999-12-31"}
    one_pod = {"services.api.autoscaling.min": 1}
    program = changed("staging", {**one_pod, "waivers": [waiver]})
    assert program.manifests()["HorizontalPodAutoscaler", "api"]["spec"]["minReplicas"] == 1


def test_the_table_of_rules_is_up_to_date():
    document = Path(__file__).parents[1] / "docs" / "policies.md"
    assert document.read_text() == policies.document(), "run `./slipway policies --write`"
