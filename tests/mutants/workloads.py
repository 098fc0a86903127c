"""Defects in workloads: how pods live, scale, what they may do and what they run."""

from __future__ import annotations

from typing import Any

from tests.faults import GONE, add, both, drop, put
from tests.mutants.seeding import again, in_objects

API = "Deployment/api spec"
POD = f"{API}.template.spec"
BOX = f"{POD}.containers[0]"
HPA = "HorizontalPodAutoscaler/api spec"
PDB = "PodDisruptionBudget/api spec"
CRON = "CronJob/api-report spec"
CRON_POD = f"{CRON}.jobTemplate.spec.template.spec"


def rolling(**fields: Any) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": fields}


LIFE = [
    in_objects("no preStop: requests to a leaving pod are lost", put(f"{BOX}.lifecycle", GONE)),
    in_objects("grace period shorter than preStop", put(f"{POD}.terminationGracePeriodSeconds", 3)),
    in_objects("grace period shorter than the app's own drain", put(f"{POD}.terminationGracePeriodSeconds", 20)),
    in_objects("preStop by a shell that is not in the image", put(f"{BOX}.lifecycle", {"preStop": {"exec": {}}})),
    in_objects("preStop longer than the grace period", put(f"{BOX}.lifecycle.preStop.sleep.seconds", 60)),
    in_objects("preStop of no time", put(f"{BOX}.lifecycle.preStop.sleep.seconds", 0)),
    in_objects("maxUnavailable 100 %", put(f"{API}.strategy", rolling(maxUnavailable="100%", maxSurge=1))),
    in_objects("maxUnavailable 1", put(f"{API}.strategy", rolling(maxUnavailable=1, maxSurge=0))),
    in_objects("a rollout that can never begin", put(f"{API}.strategy", rolling(maxUnavailable=0, maxSurge=0))),
    in_objects("strategy left to Kubernetes: 25 % unavailable", put(f"{API}.strategy", GONE)),
    in_objects("strategy Recreate", put(f"{API}.strategy", {"type": "Recreate"})),
    in_objects("a rollout given up before a pod can start", put(f"{API}.progressDeadlineSeconds", 30)),
    in_objects("no readiness probe", put(f"{BOX}.readinessProbe", GONE)),
    in_objects("no liveness probe", put(f"{BOX}.livenessProbe", GONE)),
    in_objects("no startup probe", put(f"{BOX}.startupProbe", GONE)),
    in_objects("liveness asks what readiness asks", put(f"{BOX}.livenessProbe.httpGet.path", "/readyz")),
    in_objects("a probe on a port that is not there", put(f"{BOX}.livenessProbe.httpGet.port", "admn")),
    in_objects("a probe with a misspelt key", put(f"{BOX}.readinessProbe.httpget", {})),
    in_objects("a probe's port as text", put(f"{BOX}.readinessProbe.httpGet.port", "8080")),
]

SCALE = [
    in_objects("autoscaler: min > max", put(f"{HPA}.minReplicas", 20)),
    in_objects("autoscaler: one pod at least, in prod", put(f"{HPA}.minReplicas", 1)),
    in_objects("autoscaler: no minimum", put(f"{HPA}.minReplicas", GONE)),
    in_objects("autoscaler of a Deployment that is not there", put(f"{HPA}.scaleTargetRef.name", "app")),
    in_objects("autoscaler of another kind", put(f"{HPA}.scaleTargetRef.kind", "StatefulSet")),
    in_objects("autoscaler without a metric", put(f"{HPA}.metrics", GONE)),
    in_objects("autoscaler shrinks at once", put(f"{HPA}.behavior.scaleDown.stabilizationWindowSeconds", 0)),
    in_objects("autoscaler without behavior", put(f"{HPA}.behavior", GONE)),
    in_objects("replicas fixed under an autoscaler", put(f"{API}.replicas", 2)),
    in_objects("no autoscaler and no replicas: one pod", drop("HorizontalPodAutoscaler/api")),
    in_objects("two autoscalers of one Deployment", again("HorizontalPodAutoscaler/api", "b")),
    in_objects("autoscaler by CPU, and no CPU request", put(f"{BOX}.resources.requests.cpu", GONE)),
    in_objects("replicas as text", put(f"{API}.replicas", "three"), "fixed-replicas"),
    in_objects("a single replica in staging", put(f"{API}.replicas", 1), "fixed-replicas"),
    in_objects("budget blocks every drain: maxUnavailable 0", put(f"{PDB}.maxUnavailable", 0)),
    in_objects(
        "budget blocks every drain: minAvailable = fewest pods",
        both(put(f"{PDB}.maxUnavailable", GONE), put(f"{PDB}.minAvailable", 2)),
    ),
    in_objects(
        "budget blocks every drain: minAvailable 100 %",
        both(put(f"{PDB}.maxUnavailable", GONE), put(f"{PDB}.minAvailable", "100%")),
    ),
    in_objects("budget lets all pods go at once", put(f"{PDB}.maxUnavailable", "100%")),
    in_objects("budget says nothing", put(f"{PDB}.maxUnavailable", GONE)),
    in_objects("budget: both minAvailable and maxUnavailable", put(f"{PDB}.minAvailable", 1)),
    in_objects("budget keeps a broken pod", put(f"{PDB}.unhealthyPodEvictionPolicy", GONE)),
    in_objects("budget finds no pod", put(f"{PDB}.selector.matchLabels.'app.kubernetes.io/name'", "app")),
    in_objects("no budget", drop("PodDisruptionBudget/api")),
    in_objects("two budgets for one pod", again("PodDisruptionBudget/api", "b")),
    in_objects("pods all on one node", put(f"{POD}.topologySpreadConstraints", GONE)),
    in_objects(
        "pods spread by labels they have not",
        put(f"{POD}.topologySpreadConstraints[0].labelSelector.matchLabels.'app.kubernetes.io/name'", "app"),
    ),
]

RIGHTS = [
    in_objects("privileged", put(f"{BOX}.securityContext.privileged", True)),
    in_objects("a job's pod privileged", put(f"{CRON_POD}.containers[0].securityContext.privileged", True), "jobs"),
    in_objects("privilege escalation", put(f"{BOX}.securityContext.allowPrivilegeEscalation", True)),
    in_objects("capabilities kept", put(f"{BOX}.securityContext.capabilities", GONE)),
    in_objects("a capability added", put(f"{BOX}.securityContext.capabilities.add", ["NET_ADMIN"])),
    in_objects("root file system writable", put(f"{BOX}.securityContext.readOnlyRootFilesystem", False)),
    in_objects(
        "may run as root",
        both(put(f"{BOX}.securityContext.runAsNonRoot", GONE), put(f"{POD}.securityContext.runAsNonRoot", GONE)),
    ),
    in_objects("runs as root", put(f"{POD}.securityContext.runAsUser", 0)),
    in_objects("the container overrides the pod's user", put(f"{BOX}.securityContext.runAsUser", 0)),
    in_objects("a user of the node", put(f"{POD}.securityContext.runAsUser", 1000)),
    in_objects("no seccomp profile", put(f"{POD}.securityContext.seccompProfile", GONE)),
    in_objects("seccomp off", put(f"{POD}.securityContext.seccompProfile.type", "Unconfined")),
    in_objects("AppArmor off", put(f"{POD}.securityContext.appArmorProfile", {"type": "Unconfined"})),
    in_objects(
        "no security context at all", both(put(f"{POD}.securityContext", GONE), put(f"{BOX}.securityContext", GONE))
    ),
    in_objects("the node's network", put(f"{POD}.hostNetwork", True)),
    in_objects("the node's processes", put(f"{POD}.hostPID", True)),
    in_objects("a port of the node", put(f"{BOX}.ports[0].hostPort", 8080)),
    in_objects(
        "the container runtime's socket", put(f"{POD}.volumes[0]", {"name": "config", "hostPath": {"path": "/run"}})
    ),
    in_objects("a kernel setting", put(f"{POD}.securityContext.sysctls", [{"name": "a", "value": "1"}])),
    in_objects("the API token mounted", put(f"{POD}.automountServiceAccountToken", GONE)),
    in_objects("the account's token mounted", put("ServiceAccount/api automountServiceAccountToken", True)),
    in_objects("the namespace's default identity", put(f"{POD}.serviceAccountName", GONE)),
    in_objects("an identity that is not there", put(f"{POD}.serviceAccountName", "app")),
    in_objects(
        "a second container without any limits",
        put(f"{POD}.containers[1]", {"name": "proxy", "image": "envoyproxy/envoy:v1.30"}),
    ),
    in_objects(
        "cluster-admin for the app",
        add(
            "ClusterRoleBinding",
            "extra",
            apiVersion="rbac.authorization.k8s.io/v1",
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            subjects=[{"kind": "ServiceAccount", "name": "api", "namespace": "slipway-prod"}],
        ),
    ),
    in_objects(
        "a role that may do everything",
        add(
            "Role",
            "extra",
            apiVersion="rbac.authorization.k8s.io/v1",
            rules=[{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
        ),
    ),
    in_objects(
        "a namespace that admits any pod",
        put("Namespace/slipway-prod metadata.labels.'pod-security.kubernetes.io/enforce'", GONE),
    ),
    in_objects(
        "a namespace that enforces `privileged`",
        put("Namespace/slipway-prod metadata.labels.'pod-security.kubernetes.io/enforce'", "privileged"),
    ),
    in_objects("no namespace", drop("Namespace/slipway-prod")),
    in_objects("an object in `default`", put("Service/api metadata.namespace", "default")),
    in_objects("an object without namespace", put("Service/api metadata.namespace", GONE)),
]

IMAGE = [
    in_objects("image: latest", put(f"{BOX}.image", "registry.example.com/slipway/api:latest")),
    in_objects("image by tag", put(f"{BOX}.image", "registry.example.com/slipway/api:v1.2.3")),
    in_objects("image with a broken digest", put(f"{BOX}.image", "registry.example.com/slipway/api@sha256:12")),
    in_objects("image asked for at each start", put(f"{BOX}.imagePullPolicy", "Always")),
    in_objects(
        "a job runs another image than the service",
        put(f"{CRON_POD}.containers[0].image", "example.com/a@sha256:" + "1" * 64),
        "jobs",
    ),
    in_objects("no limits", put(f"{BOX}.resources.limits", GONE)),
    in_objects("no requests", put(f"{BOX}.resources.requests", GONE)),
    in_objects("no limit for temporary files", put(f"{BOX}.resources.limits.ephemeral-storage", GONE)),
    in_objects("memory request below its limit", put(f"{BOX}.resources.requests.memory", "16Mi")),
    in_objects("request above its limit", put(f"{BOX}.resources.requests.cpu", "4")),
    in_objects("a quantity that is none", put(f"{BOX}.resources.limits.memory", "256 MB")),
    in_objects("memory in millibytes", put(f"{BOX}.resources.limits.memory", "256m")),
    in_objects("Go plans with more memory than there is", put(f"{BOX}.env[0].value", "512MiB")),
    in_objects("Go is not told its memory", put(f"{BOX}.env[0]", GONE)),
    in_objects("quota too small for a rollout", put("ResourceQuota/quota spec.hard.pods", "3")),
    in_objects("no quota", drop("ResourceQuota/quota")),
    in_objects("no limit range", drop("LimitRange/defaults")),
]
