"""Faults that the API server refuses, in the objects of tests/faults.py, each with the rule that finds it offline.

tests/rules/test_api_validation.py checks them with the rules, and tests/e2e/program/test_api_validation.py with a real
API server.
"""

from __future__ import annotations

from slipway.objects import Object
from tests.faults import GONE, Fault, named, put

POD = "Deployment/api spec.template.spec"
CONTAINER = f"{POD}.containers[0]"
JOB = "Job/api-migration spec"
CRON = "CronJob/api-report spec"
SCALER = "HorizontalPodAutoscaler/api spec"
BUDGET = "PodDisruptionBudget/api spec"
OPEN = "NetworkPolicy/web spec"
NAME = "metadata.labels.'app.kubernetes.io/name'"


REWRITE = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}
BELOW = {"path": {"type": "PathPrefix", "value": "/v1"}}


def _of_size(size: int) -> str:
    return "x" * size


def _regex_path() -> Object:
    """Return a path of ingress-nginx from which a prefix is stripped."""
    backend = {"service": {"name": "api", "port": {"name": "http"}}}
    return {"path": "/v1(/|$)(.*)", "pathType": "ImplementationSpecific", "backend": backend}


REFUSED: list[tuple[str, Fault]] = [
    ("SA001", put("Service/api metadata.name", "Api")),
    ("SA001", put("Service/api metadata.name", "a" * 64)),
    ("SA001", put("Service/api metadata.name", "a.b")),
    ("SA001", put("ConfigMap/api-file metadata.name", "a" * 254)),
    ("SA001", put("ConfigMap/api-file metadata.name", "a_b")),
    ("SA001", put("CronJob/api-report metadata.name", "a" * 53)),
    ("SA001", put("Job/api-migration metadata.name", "a" * 64)),
    ("SA001", put("Namespace/slipway-prod metadata.name", "a" * 64)),
    ("SA001", put("Service/api metadata.name", "")),
    ("SA003", put(f"Service/api {NAME}", "the api")),
    ("SA003", put(f"Service/api {NAME}", "a" * 64)),
    ("SA003", put(f"Service/api {NAME}", "-a")),
    ("SA003", put("Service/api metadata.labels.'-a/b'", "c")),
    ("SA003", put("Service/api spec.selector.'a b'", "c")),
    ("SA003", put(f"{JOB}.template.{NAME}", "a" * 64)),
    ("SA003", put("Ingress/api metadata.annotations.'a b'", "c")),
    ("SA003", put("Ingress/api metadata.annotations.note", _of_size(256 * 2**10))),
    ("SA004", put("ConfigMap/api-file data.'a b'", "c")),
    ("SA004", put("ConfigMap/api-file data.'..a'", "c")),
    ("SA004", put("ConfigMap/api-file data.'.'", "c")),
    ("SA004", put("ConfigMap/api-file data.large", _of_size(2**20))),
    ("SA011", put(f"{CONTAINER}.ports[1].name", "http")),
    ("SA011", put(f"{CONTAINER}.ports[1].containerPort", 8080)),
    ("SA011", put(f"{POD}.initContainers", [{"name": "api", "image": "a"}])),
    ("SA011", put(f"{CONTAINER}.name", "Api")),
    ("SA011", put(f"{CONTAINER}.name", "a" * 64)),
    ("SA011", put(f"{CONTAINER}.image", "")),
    ("SA011", put(f"{CONTAINER}.volumeMounts[1].mountPath", "/etc/slipway")),
    ("SA011", put(f"{POD}.volumes[1].name", "config")),
    ("SA012", put(f"{CONTAINER}.volumeMounts[0].name", "conf")),
    ("SA012", put(f"{POD}.volumes[0].emptyDir", {})),
    ("SA013", put(f"{CONTAINER}.resources.requests.cpu", "5")),
    ("SA013", put(f"{CONTAINER}.resources.requests.memory", "1 Gi")),
    ("SA013", put(f"{CONTAINER}.resources.limits.memory", "-1Gi")),
    ("SA014", put(f"{CONTAINER}.startupProbe.httpGet", GONE)),
    ("SA014", put(f"{CONTAINER}.startupProbe.exec", {"command": ["true"]})),
    ("SA014", put(f"{CONTAINER}.livenessProbe.failureThreshold", -1)),
    ("SA014", put(f"{CONTAINER}.lifecycle.preStop.sleep.seconds", 60)),
    ("SA015", put(f"{CONTAINER}.ports[0].name", "a-name-too-long-for-it")),
    ("SA015", put(f"{CONTAINER}.ports[0].containerPort", 70000)),
    ("SA016", put(f"{CONTAINER}.env[2]", {"name": "GOMAXPROCS", "value": "1"})),
    ("SA021", put("Deployment/api spec.selector.matchLabels.a", "b")),
    ("SA021", put(f"{POD}.restartPolicy", "Never")),
    ("SA021", put("Deployment/api spec.strategy.type", "Recreate")),
    ("SA021", put("Deployment/api spec.strategy.rollingUpdate.maxSurge", 0)),
    ("SA022", put(f"{JOB}.template.spec.restartPolicy", "Always")),
    ("SA022", put(f"{CRON}.jobTemplate.spec.template.spec.restartPolicy", GONE)),
    ("SA023", put(f"{CRON}.schedule", "30 3 * *")),
    ("SA023", put(f"{CRON}.schedule", "30 3 * * 7")),
    ("SA023", put(f"{CRON}.timeZone", "Asia/Tokio")),
    ("SA024", put(f"{SCALER}.minReplicas", 11)),
    ("SA024", put(f"{SCALER}.minReplicas", 0)),
    ("SA025", put(f"{BUDGET}.minAvailable", 1)),
    ("SA026", put("ResourceQuota/quota spec.hard.'requests.cpu'", "many")),
    ("SA031", put("Service/api spec.ports[1]", {"name": "again", "port": 80, "targetPort": "http"})),
    ("SA031", put("Service/api spec.ports[1]", {"name": "http", "port": 81, "targetPort": "http"})),
    ("SA031", put("Service/api spec.ports[0].port", 70000)),
    ("SA032", put("Ingress/api spec.rules[0].host", "API.example.com")),
    ("SA032", put("Ingress/api spec.rules[0].http.paths[0].path", "v1")),
    ("SA032", put("Ingress/api spec.rules[0].http.paths[0].path", "/a//b")),
    ("SA033", put(f"{OPEN}.egress[1].to[0].ipBlock.cidr", "10.20.0.1/16")),
    ("SA033", put(f"{OPEN}.egress[1].to[0].ipBlock.except", ["10.20.0.0/16"])),
    ("SA033", put(f"{OPEN}.egress[1].to[0].ipBlock.except", ["10.21.0.0/24"])),
    ("SA033", put(f"{OPEN}.egress[1].to[0].ipBlock.except", ["db"])),
    ("SA033", put(f"{OPEN}.egress[1].ports[0].port", 0)),
    ("SA033", put(f"{OPEN}.egress[1].ports[0].endPort", 1)),
]


def _duplicate(objects: list[Object]) -> None:
    objects.append(named(objects, "Service/api"))


# Accepted by a dry run, which stores nothing and leaves out custom kinds: a controller or an update refuses them.
REFUSED_LATER: list[tuple[str, Fault]] = [
    ("SA001", put("ServiceAccount/api metadata.name", "default")),
    ("SA001", put("ConfigMap/api-file metadata.name", "kube-root-ca.crt")),
    ("SA001", put("Namespace/slipway-prod metadata.name", "kube-system")),
    ("SA002", _duplicate),
    ("SA034", put("HTTPRoute/web spec.rules[0]", {"filters": [REWRITE], "matches": [BELOW, BELOW]})),
    ("SA034", put("HTTPRoute/web spec.rules[0]", {"filters": [REWRITE], "matches": [{"path": {"type": "Exact"}}]})),
    ("SA023", put(f"{CRON}.schedule", "0 0 30 2 *")),
]

ACCEPTED: list[tuple[str, Fault]] = [
    ("a name of 253 characters", put("ConfigMap/api-file metadata.name", "a" * 253)),
    ("a name with dots", put("ConfigMap/api-file metadata.name", "a.b-c.d")),
    ("the longest Service", put("Service/api metadata.name", "a" * 63)),
    ("the longest CronJob", put("CronJob/api-report metadata.name", "a" * 52)),
    ("an empty label", put("Service/api metadata.labels.a", "")),
    ("the longest label", put("Service/api metadata.labels.'a.example.com/" + "K" * 63 + "'", "V" * 63)),
    ("any text as an annotation", put("Ingress/api metadata.annotations.note", "ü\n" * 1000)),
    ("a key of a file", put("ConfigMap/api-file data.'.a_B-1'", "c")),
    ("a fraction of a quantity", put(f"{CONTAINER}.resources.requests.memory", "1.5e3")),
    ("a sleep of no time", put(f"{CONTAINER}.lifecycle.preStop.sleep.seconds", 0)),
    ("a range of ports", put(f"{OPEN}.egress[1].ports[0].endPort", 3310)),
    ("an exception from a range", put(f"{OPEN}.egress[1].to[0].ipBlock.except", ["10.20.1.0/24"])),
    ("a regular expression as a path", put("Ingress/api spec.rules[0].http.paths[0]", _regex_path())),
    ("a wildcard host", put("Ingress/api spec.rules[0].host", "*.example.com")),
    ("a port's name of 15", put(f"{CONTAINER}.ports[1].name", "abcdefghijklmn1")),
]


def planted(fault: Fault, objects: list[Object]) -> list[Object]:
    """Return the objects with the fault in them."""
    fault(objects)
    return objects
