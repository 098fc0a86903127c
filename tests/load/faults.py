"""Faults that are put into a running stack, and the cause that `./slipway status` has to name for each."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import randbelow, token_hex
from typing import Any

from tests.e2e.conftest import LOCAL, NAMESPACE, NEEDS, kubectl, outputs

HEALTH = "app/internal/admin/health.go"
BAD_MIGRATION = "app/internal/store/mysql/migrations/00099_bad.sql"

Change = tuple[str, str, str]
"""File, old text, new text."""
Objects = list[dict[str, Any]]


def service(*lines: str) -> Change:
    """Return a change that adds these keys to the service `api` in the stack file."""
    return LOCAL, NEEDS, NEEDS + "".join(f"      {line}\n" for line in lines)


def quick_rollout(*lines: str, seconds: int = 20) -> tuple[Change, Change]:
    """Return changes that also let a rollout fail soon, without a migration, which would meet the fault first.

    The pods differ each time: Kubernetes applies no deadline to a rollout that reuses a ReplicaSet.
    """
    here = "  slipway:services:\n"
    soon = f"  slipway:service: {{startupSeconds: 10, progressSeconds: {seconds}, env: {{FAULT: x{token_hex(4)}}}}}\n"
    return (LOCAL, here, soon + here), service("migration: null", *lines)


def pod_of_app(name: str, **more: Any) -> dict[str, Any]:
    """Return a pod template with the app's image that the namespace admits."""
    hardened = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    container = {"name": "api", "image": outputs()["image"], "securityContext": hardened}
    identity = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "metadata": {"labels": {"app.kubernetes.io/name": name}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,  # or variables such as MYSQL_PORT would be taken for settings
            "securityContext": identity,
            "containers": [container],
            **more,
        },
    }


def without_volume() -> Objects:
    claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": "no-such-class"}
    claim |= {"resources": {"requests": {"storage": "1Mi"}}}
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "fault"}}
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": {"app.kubernetes.io/name": "fault"}},
        "template": pod_of_app("fault", volumes=[volume]),
    }
    return [
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "fault"}, "spec": claim},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "fault"}, "spec": spec},
    ]


def too_slow() -> Objects:
    # The app runs until it is stopped.
    template = pod_of_app("fault", restartPolicy="Never")
    spec = {"activeDeadlineSeconds": 10, "backoffLimit": 0, "template": template}
    return [{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "fault"}, "spec": spec}]


PODS_HERE = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
    "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
}


def no_pod_allowed() -> Objects:
    constraints = {
        "namespaceSelector": PODS_HERE["namespaceSelector"],
        "resourceRules": PODS_HERE["rules"],
    }
    rules = [{"expression": "false", "message": "no pods today"}]
    group = "admissionregistration.k8s.io/v1"
    return [
        {
            "apiVersion": group,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": "fault"},
            "spec": {"failurePolicy": "Fail", "matchConstraints": constraints, "validations": rules},
        },
        {
            "apiVersion": group,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "fault"},
            "spec": {"policyName": "fault", "validationActions": ["Deny"]},
        },
    ]


def webhook_that_is_down() -> Objects:
    webhook = {
        "name": "fault.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 1,
        "failurePolicy": "Fail",
        **PODS_HERE,
    }
    return [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "fault"},
            "webhooks": [webhook],
        }
    ]


def full_quota() -> None:
    """Limit the quota to the number of pods that run now."""
    quota = json.loads(kubectl("get", "resourcequota", "quota", "-o", "json"))
    hard = {"spec": {"hard": {"pods": quota["status"]["used"]["pods"]}}}
    kubectl("patch", "resourcequota", "quota", "--type=merge", "-p", json.dumps(hard))


def delete(kind: str, name: str) -> None:
    """Delete an object; `pulumi up --refresh` recreates it."""
    kubectl("delete", kind, name, "--ignore-not-found")


def nothing() -> None:
    """Do nothing, for faults that consist of edits or objects."""


@dataclass(frozen=True)
class Fault:
    """A fault that is put into a healthy stack, and the label it has to get."""

    what: str
    label: str
    edits: tuple[Change, ...] = ()
    files: dict[str, str] = field(default_factory=dict[str, str])
    """New files, with their content."""
    objects: Callable[[], Objects] = list
    """Objects to apply."""
    act: Callable[[], None] = nothing
    undo: Callable[[], None] = nothing
    refuses_pods: bool = False
    """Whether to wait until the API server refuses pods: a new policy takes effect some seconds later."""

    @property
    def deploys(self) -> bool:
        """Whether the fault is deployed with `pulumi up`, which has to fail."""
        return bool(self.edits)


NEVER = "answer(w, false, h.word())"
STARTUP: Change = (HEALTH, "answer(w, h.phase.Load() != starting, h.word())", NEVER)
READINESS: Change = (HEALTH, "answer(w, h.phase.Load() == ready, h.word())", NEVER)
GREEDY: Change = (
    "app/cmd/api/main.go",
    "func main() {\n",
    "func main() {\n\ttaken := make([]byte, 256<<20)\n\tfor i := range taken {\n\t\ttaken[i] = 1\n\t}\n",
)
LIVENESS: Change = (HEALTH, 'answer(w, true, "alive")', 'answer(w, false, "dead")')
NO_IMAGE: Change = (
    LOCAL,
    "    source: build\n    target: prebuilt",
    f"    source: prebuilt\n    digest: sha256:{'e' * 64}\n    target: prebuilt",
)

FAULTS = [
    # The migration stays, because removing it would write the quota anew. A changed probe rolls the pods without
    # running the migration again, because the migration has no probe.
    Fault(
        "a quota that is used up",
        "quota",
        (service(f"startupSeconds: {5 + randbelow(15)}", "progressSeconds: 25"),),
        act=full_quota,
        undo=lambda: delete("resourcequota", "quota"),
    ),
    Fault(
        "a policy that forbids the pods", "policy refused", quick_rollout(), objects=no_pod_allowed, refuses_pods=True
    ),
    Fault("a webhook that is down", "admission", quick_rollout(), objects=webhook_that_is_down, refuses_pods=True),
    Fault(
        "a service account somebody deleted",
        "missing object",
        quick_rollout(),
        act=lambda: delete("serviceaccount", "api"),
    ),
    Fault("a claim on a class that is not there", "volume", objects=without_volume),
    Fault("a job that takes too long", "deadline exceeded", objects=too_slow),
    Fault("an image that no registry has", "image cannot be pulled", (*quick_rollout(), NO_IMAGE)),
    Fault("arguments the program does not know", "crash loop", quick_rollout("args: [nonsense]")),
    Fault(
        "a variable with a wrong value",
        "bad configuration",
        (*quick_rollout(), (LOCAL, "LOG_LEVEL: debug", "LOG_LEVEL: loud")),
    ),
    Fault("a secret the service does not name", "missing config key", quick_rollout("secrets: []")),
    Fault("a version that takes too much memory", "out of memory", (*quick_rollout(), GREEDY)),
    Fault(
        "more CPU than a node has",
        "unschedulable",
        (*quick_rollout(), (LOCAL, "{cpu: 50m, memory: 64Mi}", '{cpu: "64", memory: 64Mi}')),
    ),
    Fault("a start that does not end", "startup probe", (*quick_rollout(), STARTUP)),
    Fault("a version that is never ready", "readiness probe", (*quick_rollout(seconds=40), READINESS)),
    Fault("a version that hangs", "liveness probe", (*quick_rollout(seconds=60), LIVENESS, READINESS)),
    Fault(
        "a migration with an error",
        "migration failed",
        (service("migration: {retries: 0}"),),
        files={BAD_MIGRATION: "-- +goose Up\nALTER TABLE no_such_table ADD COLUMN x INT;\n"},
    ),
]
