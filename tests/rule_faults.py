"""Faults that break each house rule, in the objects of tests/faults.py.

tests/rules/test_policies.py checks that the rule reports its faults, and tests/changes/test_security.py that a change
with a fault against security is classed as one that weakens security.
"""

from __future__ import annotations

from typing import Any

from slipway.objects import Object
from tests.faults import GONE, Fault, add, both, drop, named, put

TEMPLATE = "Deployment/api spec.template"
POD = f"{TEMPLATE}.spec"
CONTAINER = f"{POD}.containers[0]"
JOB = "Job/api-migration spec"
CRON = "CronJob/api-report spec"
SCALER = "HorizontalPodAutoscaler/api spec"
BUDGET = "PodDisruptionBudget/api spec"
OPEN = "NetworkPolicy/api spec"
KEEPS = {"failureThreshold": 3, "replicas": 2, "behavior": "currentReplicasIfHigher"}
DIGEST = f"registry.example.com/api@sha256:{'0' * 64}"
LABELS = "app.kubernetes.io"
NGINX, TRAEFIK = "nginx.ingress.kubernetes.io", "traefik.ingress.kubernetes.io"


def _rename(objects: list[Object], name: str, to: str) -> None:
    """Rename an object, and every reference to it."""
    old = named(objects, name)["metadata"]["name"]

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: walk(item) for key, item in value.items()}
        return [walk(item) for item in value] if isinstance(value, list) else to if value == old else value

    objects[:] = walk(objects)


RULE_FAULTS: list[tuple[str, Fault]] = [
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
    ("SW016", put(f"{POD}.priorityClassName", "system-node-critical")),
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
    ("SW131", put(f"{TEMPLATE}.metadata.annotations", {"slipway/shared-probe": "true"})),
    (
        "SW132",
        both(
            put(f"{TEMPLATE}.metadata.annotations", {"slipway/secret-variables": "A,B"}),
            put(f"{CONTAINER}.env[2]", {"name": "B", "valueFrom": {"secretKeyRef": {"name": "a", "key": "a"}}}),
        ),
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
    ("SW303", add("ScaledObject", "jobs", spec={"advanced": {"horizontalPodAutoscalerConfig": {"name": "jobs"}}})),
    ("SW304", add("ScaledObject", "jobs", spec={"triggers": []})),
    ("SW305", put("Deployment/api spec.replicas", 2)),
    (
        "SW305",
        both(
            drop("HorizontalPodAutoscaler/api"),
            add("ScaledObject", "api", spec={"scaleTargetRef": {"name": "api"}, "minReplicaCount": 2}),
            put("Deployment/api spec.replicas", 2),
        ),
    ),
    ("SW306", drop("PodDisruptionBudget/api")),
    ("SW306", add("PodDisruptionBudget", "again", spec={"maxUnavailable": 1, "selector": {}})),
    ("SW306", put(f"{BUDGET}.maxUnavailable", 0)),
    ("SW306", put(f"{BUDGET}.maxUnavailable", "100%")),
    ("SW306", both(put(f"{BUDGET}.minAvailable", 2), put(f"{BUDGET}.maxUnavailable", GONE))),
    ("SW306", both(put(f"{BUDGET}.minAvailable", "100%"), put(f"{BUDGET}.maxUnavailable", GONE))),
    ("SW306", put(f"{BUDGET}.maxUnavailable", GONE)),
    ("SW306", put(f"{BUDGET}.unhealthyPodEvictionPolicy", GONE)),
    ("SW307", add("ScaledObject", "jobs", spec={})),
    ("SW307", add("ScaledObject", "jobs", spec={"fallback": {"behavior": "static"}})),
    (
        "SW307",
        add("ScaledObject", "jobs", spec={"fallback": KEEPS, "triggers": [{"type": "prometheus", "metadata": {}}]}),
    ),
    ("SW307", add("ScaledObject", "jobs", spec={"fallback": KEEPS, "idleReplicaCount": 0})),
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
    ("SW408", lambda objects: objects.append({**named(objects, "Ingress/api"), "metadata": {"name": "second"}})),
    ("SW409", put(f"{OPEN}.egress[0].to[0]", {"ipBlock": {"cidr": "0.0.0.0/0"}})),
    ("SW409", put(f"{OPEN}.egress[0].to[0]", {"ipBlock": {"cidr": "169.254.169.254/32"}})),
    ("SW409", put(f"{OPEN}.egress[0].to[0]", {"ipBlock": {"cidr": "fd00::/8"}})),
    (
        "SW409",
        put(f"{OPEN}.egress[0].to[0]", {"ipBlock": {"cidr": "169.254.0.0/16", "except": ["169.254.169.254/32"]}}),
    ),
    ("SW410", put(f"Ingress/api metadata.annotations.'{NGINX}/ssl-redirect'", "false")),
    ("SW410", put(f"Ingress/api metadata.annotations.'{NGINX}/configuration-snippet'", "return 200;\n")),
    ("SW410", put(f"Ingress/api metadata.annotations.'{TRAEFIK}/router.tls'", "False")),
    ("SW410", put(f"Ingress/api metadata.annotations.'{TRAEFIK}/router.entrypoints'", "websecure, web")),
    ("SW501", put("ConfigMap/api-env data.DB_PASSWORD", "hunter2")),
    ("SW501", put("ConfigMap/api-env data.apiToken", "12345678")),
    ("SW501", put("ConfigMap/api-env data.DATABASE_URL", "postgres://api:hunter2@db:5432/api")),
    ("SW501", put("ConfigMap/api-env data.DSN", "api:hunter2@tcp(db:3306)/api")),
    ("SW501", put("ConfigMap/api-file data.config", "database:\n  password: hunter2\n")),
    ("SW501", put("ConfigMap/api-file data.config", "users:\n- {name: api, token: hunter2}\n")),
    ("SW501", put("ConfigMap/api-file data.key", "-----BEGIN PRIVATE KEY-----\nMIIE\n")),
    ("SW501", put(f"{CONTAINER}.env[2]", {"name": "API_KEY", "value": "hunter2"})),
    ("SW501", put(f"{CONTAINER}.args", ["serve", "--db-password=hunter2"])),
    ("SW501", put(f"{CONTAINER}.args", ["-c", "PGPASSWORD=hunter2 exec app"])),
    ("SW501", put("ConfigMap/api-env data.SMTP_PASS", "hunter2")),
    ("SW501", put("ConfigMap/api-env data.SECRET_KEY_BASE", "hunter2")),
    ("SW501", put("ConfigMap/api-env data.DSN", "host=db user=api password=hunter2 dbname=api")),
    ("SW501", put("ConfigMap/api-env data.JDBC_URL", "jdbc:postgresql://db/api?user=api&password=hunter2")),
    ("SW501", put("ConfigMap/api-env data.CONFIG", '{"password": "hunter2"}')),
    ("SW502", put("Secret/api-secret stringData", {"signing-key": "hunter2"})),
    ("SW502", put("Secret/api-secret stringData", GONE)),
    ("SW503", put("ConfigMap/api-env data.LOG_LEVEL", "debug")),
    ("SW503", put("ConfigMap/api-env immutable", GONE)),
    ("SW503", put("Secret/api-secret immutable", False)),
    ("SW503", put("ConfigMap/api-file immutable", True)),
    ("SW503", lambda objects: _rename(objects, "ConfigMap/api-env", "api-env")),
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
