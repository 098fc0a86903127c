"""Defects in what the program hands to the engine."""

from __future__ import annotations

import copy
from typing import Any

from tests.faults import GONE, Fault, Object, add, both, drop, named, put
from tests.mutants.seeding import in_objects

API = "Deployment/api spec"
POD = f"{API}.template.spec"
BOX = f"{POD}.containers[0]"
HPA = "HorizontalPodAutoscaler/api spec"
PDB = "PodDisruptionBudget/api spec"
NET = "NetworkPolicy/api spec"
DENY = "NetworkPolicy/default-deny spec"
SERVICE = "Service/api spec"
INGRESS = "Ingress/api spec"
ROUTE = "HTTPRoute/api spec"
JOB = "Job/api-migration spec"
CRON = "CronJob/api-report spec"
CRON_POD = f"{CRON}.jobTemplate.spec.template.spec"
OPEN = {"cidr": "0.0.0.0/0"}


def again(name: str, other: str | None = None) -> Fault:
    """The object a second time, under its own or another name."""

    def plant(found: list[Object]) -> None:
        twin = copy.deepcopy(named(found, name))
        twin["metadata"]["name"] = other or twin["metadata"]["name"]
        found.append(twin)

    return plant


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

LINKS = [
    in_objects("variables from a ConfigMap that is not there", put(f"{BOX}.envFrom[0].configMapRef.name", "api-env")),
    in_objects("variables from nowhere", put(f"{BOX}.envFrom", GONE)),
    in_objects("a file from a ConfigMap that is not there", put(f"{POD}.volumes[0].configMap.name", "api-config")),
    in_objects("a Secret that is not there", put(f"{POD}.volumes[1].secret.secretName", "api-secret")),
    in_objects(
        "a key the ConfigMap has not",
        put(f"{POD}.volumes[0].configMap.items", [{"key": "config.yml", "path": "config.yaml"}]),
    ),
    in_objects(
        "a key the Secret has not",
        put(f"{POD}.volumes[1].secret.items", [{"key": "signing_key", "path": "signing-key"}]),
    ),
    in_objects("the file's key is not the one the app opens", put("ConfigMap/api-file data", {"config.yml": "a: 1\n"})),
    in_objects("the app looks for its secrets elsewhere", put(f"{BOX}.volumeMounts[1].mountPath", "/run/secrets")),
    in_objects("a mount of no volume", put(f"{BOX}.volumeMounts[0].name", "configs")),
    in_objects("a volume nobody mounts", put(f"{BOX}.volumeMounts[0]", GONE)),
    in_objects("two mounts at one path", put(f"{BOX}.volumeMounts[1].mountPath", "/etc/slipway")),
    in_objects("a file mounted by subPath never changes", put(f"{BOX}.volumeMounts[0].subPath", "config.yaml")),
    in_objects(
        "the store's Secret under another name",
        put("ExternalSecret/api-secret spec.target.name", "api"),
        "secret-store",
    ),
    in_objects(
        "the store's order with a misspelt field",
        put("ExternalSecret/api-secret spec.refreshIntervall", "1h"),
        "secret-store",
    ),
    in_objects(
        "a pull secret that is not there", put("ServiceAccount/api imagePullSecrets[0].name", "pull"), "registry"
    ),
    in_objects("a pull secret of another type", put("Secret/registry type", "Opaque"), "registry"),
    in_objects("Service finds no pods", put(f"{SERVICE}.selector.'app.kubernetes.io/name'", "app")),
    in_objects(
        "Service finds every service's pods",
        put(f"{SERVICE}.selector.'app.kubernetes.io/name'", GONE),
        "two-services",
    ),
    in_objects("Service leads to a port that is not there", put(f"{SERVICE}.ports[0].targetPort", "web")),
    in_objects("Service leads to a number nobody listens on", put(f"{SERVICE}.ports[0].targetPort", 8081)),
    in_objects(
        "Service with one port twice",
        put(f"{SERVICE}.ports[1]", {"name": "http2", "port": 80, "targetPort": "http"}),
    ),
    in_objects("Service shows probes and metrics", put(f"{SERVICE}.ports[0].targetPort", "admin")),
    in_objects("Ingress leads to no Service", put(f"{INGRESS}.rules[0].http.paths[0].backend.service.name", "app")),
    in_objects("Ingress leads to no port", put(f"{INGRESS}.rules[0].http.paths[0].backend.service.port.name", "web")),
    in_objects("HTTPRoute leads to no Service", put(f"{ROUTE}.rules[0].backendRefs[0].name", "app"), "gateway"),
    in_objects("HTTPRoute leads to no port", put(f"{ROUTE}.rules[0].backendRefs[0].port", 8080), "gateway"),
    in_objects(
        "Deployment does not select its pods", put(f"{API}.template.metadata.labels.'app.kubernetes.io/name'", "app")
    ),
    in_objects(
        "a selector with the version in it",
        both(
            put(f"{API}.selector.matchLabels.'app.kubernetes.io/version'", "1"),
            put(f"{API}.template.metadata.labels.'app.kubernetes.io/version'", "1"),
        ),
    ),
    in_objects("the app is told another port", put(f"{BOX}.ports[0].containerPort", 8081)),
    in_objects("two container ports of one name", put(f"{BOX}.ports[1].name", "http")),
    in_objects("two objects of one name", again("Service/api")),
    in_objects(
        "a job's pods answer the Service's requests",
        put(f"{CRON}.jobTemplate.spec.template.metadata.labels.'app.kubernetes.io/name'", "api"),
        "jobs",
    ),
    in_objects("an object's name in capitals", put("ServiceAccount/api metadata.name", "Api")),
    in_objects("a label no API server takes", put("Service/api metadata.labels.'app.kubernetes.io/name'", "the api")),
    in_objects("an annotation that is no text", put("Service/api metadata.annotations", {"on": True})),
    in_objects("no labels", put("Service/api metadata.labels", GONE)),
    in_objects("a field that is misspelt", put(f"{API}.revisionHistorylimit", 5)),
    in_objects("a number as text", put(f"{API}.revisionHistoryLimit", "5")),
    in_objects("an API version that is gone", put("Ingress/api apiVersion", "extensions/v1beta1")),
    in_objects(
        "an ephemeral pod of nobody",
        add("Pod", "extra", apiVersion="v1", spec={"containers": [{"name": "a", "image": "a"}]}),
    ),
]

NETWORK = [
    in_objects("everybody may come in", put(f"{NET}.ingress[0]", {})),
    in_objects(
        "everybody may come in, from every namespace", put(f"{NET}.ingress[0].from", [{"namespaceSelector": {}}])
    ),
    in_objects("everything may go out", put(f"{NET}.egress", [{}])),
    in_objects("the whole internet may be reached", put(f"{NET}.egress", [{"to": [{"ipBlock": OPEN}]}])),
    in_objects("a connection without a port", put(f"{NET}.ingress[0].ports", GONE)),
    in_objects("nothing is closed", drop("NetworkPolicy/default-deny")),
    in_objects("only what comes in is closed", put(f"{DENY}.policyTypes", ["Ingress"])),
    in_objects(
        "default-deny closes some pods",
        put(f"{DENY}.podSelector", {"matchLabels": {"app.kubernetes.io/name": "api"}}),
    ),
    in_objects("no DNS", put(f"{DENY}.egress", GONE)),
    in_objects("DNS over UDP only", put(f"{DENY}.egress[0].ports[1]", GONE)),
    in_objects("the caller may not leave", put("NetworkPolicy/web spec.egress", []), "two-services"),
    in_objects("the called may not be entered", put(f"{NET}.ingress[0].from[0]", GONE), "two-services"),
    in_objects("the ingress controller may not come in", put(f"{NET}.ingress", [])),
    in_objects("a port nobody listens on is opened", put(f"{NET}.ingress[0].ports[0].port", 80)),
    in_objects("a policy for pods that are not there", put(f"{NET}.podSelector.matchLabels.slipway/service", "app")),
    in_objects("no policy for a service", drop("NetworkPolicy/api")),
    in_objects("Ingress without TLS", put(f"{INGRESS}.tls", GONE)),
    in_objects("TLS for another host", put(f"{INGRESS}.tls[0].hosts", ["www.example.com"])),
    in_objects("TLS without a certificate", put(f"{INGRESS}.tls[0].secretName", GONE)),
    in_objects("a certificate of another type", put("Secret/api-tls type", "Opaque"), "local"),
    in_objects("a certificate without its key", put("Secret/api-tls stringData.'tls.key'", GONE), "local"),
    in_objects("Ingress for every host", put(f"{INGRESS}.rules[0].host", GONE)),
    in_objects(
        "Ingress for a wildcard",
        both(
            put(f"{INGRESS}.rules[0].host", "*.example.com"),
            put(f"{INGRESS}.tls[0].hosts", ["*.example.com"]),
        ),
    ),
    in_objects("HTTPRoute on the plain listener", put(f"{ROUTE}.parentRefs[0].sectionName", "http"), "gateway"),
    in_objects("HTTPRoute on no Gateway", put(f"{ROUTE}.parentRefs", GONE), "gateway"),
    in_objects("HTTPRoute with a misspelt field", put(f"{ROUTE}.hostname", "api.example.com"), "gateway"),
    in_objects(
        "an address two services want",
        put(
            "Ingress/web spec.rules[0]",
            {
                "host": "api.example.com",
                "http": {
                    "paths": [
                        {
                            "path": "/",
                            "pathType": "Prefix",
                            "backend": {"service": {"name": "web", "port": {"name": "http"}}},
                        }
                    ]
                },
            },
        ),
        "two-services",
    ),
    in_objects("Service open on every node", put(f"{SERVICE}.type", "NodePort")),
    in_objects("Service with a load balancer of its own", put(f"{SERVICE}.type", "LoadBalancer")),
    in_objects("Service with an address of the outside", put(f"{SERVICE}.externalIPs", ["203.0.113.1"])),
]

CONFIG = [
    in_objects("a password in a ConfigMap", put("ConfigMap/api-file data.DB_PASSWORD", "hunter22")),
    in_objects("a password in a variable", put(f"{BOX}.env[2]", {"name": "DB_PASSWORD", "value": "hunter22"})),
    in_objects(
        "a password in the file", put("ConfigMap/api-file data", {"config.yaml": "db:\n  password: hunter22\n"})
    ),
    in_objects(
        "a password in a URL", put("ConfigMap/api-file data", {"config.yaml": "db: mysql://app:hunter22@db/app\n"})
    ),
    in_objects("a token among the arguments", put(f"{BOX}.args", ["--token=hunter22"])),
    in_objects(
        "a private key in a ConfigMap",
        put("ConfigMap/api-file data", {"config.yaml": "-----BEGIN PRIVATE KEY-----\n"}),
    ),
    in_objects("a Secret's value in clear", put("Secret/api-secret stringData.signing-key", "hunter22")),
    in_objects(
        "a secret as a variable",
        put(
            f"{BOX}.env[2]",
            {"name": "K", "valueFrom": {"secretKeyRef": {"name": "api-secret", "key": "signing-key"}}},
        ),
    ),
    in_objects("a whole Secret as variables", put(f"{BOX}.envFrom[1]", {"secretRef": {"name": "api-secret"}})),
    in_objects("secret files everybody may read", put(f"{POD}.volumes[1].secret.defaultMode", 0o444)),
    in_objects("variables that can change under running pods", put("ConfigMap/api-env immutable", GONE)),
    in_objects("a Secret that can change under running pods", put("Secret/api-secret immutable", GONE)),
    in_objects("the reloadable file can never change", put("ConfigMap/api-file immutable", True)),
    in_objects("variables change, and no pod rolls", put("ConfigMap/api-env data.LOG_LEVEL", "debug")),
    in_objects("a variable that is set twice", put(f"{BOX}.env[2]", {"name": "LOG_LEVEL", "value": "debug"})),
    in_objects("a variable that is no text", put("ConfigMap/api-env data.HTTP_PORT", 8080)),
    in_objects("variables of other Services", put(f"{POD}.enableServiceLinks", GONE)),
    in_objects("a ConfigMap nobody reads", again("ConfigMap/api-file", "b")),
    in_objects("the record of a release that could be changed", put("ConfigMap/release immutable", False)),
    in_objects(
        "the record of a release under the name of another", put("ConfigMap/release metadata.name", "release-00000000")
    ),
]

JOBS = [
    in_objects("a job that restarts for ever", put(f"{JOB}.template.spec.restartPolicy", "Always"), "jobs"),
    in_objects("a job without a deadline", put(f"{JOB}.activeDeadlineSeconds", GONE), "jobs"),
    in_objects("a schedule that overlaps itself", put(f"{CRON}.concurrencyPolicy", "Allow"), "jobs"),
    in_objects("a schedule that stops after missed runs", put(f"{CRON}.startingDeadlineSeconds", GONE), "jobs"),
    in_objects("a schedule that keeps every pod", put(f"{CRON}.successfulJobsHistoryLimit", GONE), "jobs"),
    in_objects("a schedule of four fields", put(f"{CRON}.schedule", "30 3 * *"), "jobs"),
    in_objects("a schedule at minute 90", put(f"{CRON}.schedule", "90 3 * * *"), "jobs"),
    in_objects("a time zone that is none", put(f"{CRON}.timeZone", "Tokio"), "jobs"),
    in_objects("a job with a tag for an image", put(f"{JOB}.template.spec.containers[0].image", "api:1"), "jobs"),
    in_objects("a job with another Secret", put(f"{JOB}.template.spec.volumes[1].secret.secretName", "a"), "jobs"),
    in_objects("a job under another identity", put(f"{JOB}.template.spec.serviceAccountName", "default"), "jobs"),
]

OBJECTS = [*LIFE, *SCALE, *RIGHTS, *IMAGE, *LINKS, *NETWORK, *CONFIG, *JOBS]
