"""Objects that describe the same thing agree: jobs with their service, variables with the app, namespaces."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from slipway.naming import CONTRACT, SERVICE_LABEL, TRACK
from slipway.objects import UNKNOWN
from slipway.rules.parts import Pod
from slipway.rules.references.lookups import keys_in, list_names, same_label
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import Stack
from slipway.settings.names import PORT_ENV, RESERVED_ENV, RUNTIME_ENV, STORE_ENV

RULES = Rules()

CLUSTER_WIDE = ("Namespace", "ClusterRole", "ClusterRoleBinding", "PersistentVolume", "StorageClass", "PriorityClass")
# The Go runtime, its libraries and OpenTelemetry read these; an app does not list them.
OF_LIBRARIES = re.compile(
    r"GO[A-Z]+|OTEL_\w+|(HTTPS?|ALL|NO)_PROXY|(https?|all|no)_proxy|SSL_CERT_(FILE|DIR)|TZ|ZONEINFO"
)
# The variable with the user name for MySQL.
ACCOUNT = "MYSQL_USER"


@RULES.together(
    "SR029", title="Rights are granted to an existing account by an existing role", reason="the rights would be missing"
)
def bindings(stack: Stack) -> Violations:
    for binding in stack.of("RoleBinding", "ClusterRoleBinding"):
        role = binding.part("roleRef")
        if not stack.named(role.text("kind"), role.get("name")):
            yield role.wrong("name", f"there is no {role.get('kind')} of this name")
        for subject in binding.parts("subjects"):
            if subject.get("kind") == "ServiceAccount" and not stack.named("ServiceAccount", subject.get("name")):
                yield subject.wrong("name", "there is no ServiceAccount of this name")


@RULES.together(
    "SR030",
    title="A job runs what its service runs, a migration as its own user",
    reason="it would work with another version or database",
)
def jobs_match_their_service(stack: Stack) -> Violations:
    for job in (pod for pod in stack.pods if not pod.is_permanent):
        for pod in (
            pod
            for pod in stack.pods
            if pod.is_permanent and same_label(pod, job, SERVICE_LABEL) and same_label(pod, job, TRACK)
        ):
            pairs = [(job, pod, "serviceAccountName"), (job, pod, "volumes")]
            for own, other in zip(job.containers, pod.containers, strict=False):
                pairs += [(own, other, key) for key in ("envFrom", "env", "volumeMounts", "image")]
            for own, other, key in pairs:
                if _differ(own.get(key), other.get(key), partial(_other_account, stack, job, pod)):
                    yield own.violation(key, f"is not that of {pod.owner}; use the same")


def _differ(own: Any, other: Any, may_differ: Callable[[Any, Any], bool]) -> bool:
    """Return whether two values differ for certain; unknown ones may turn out the same."""
    if UNKNOWN in (own, other):
        return False
    if isinstance(own, dict) and isinstance(other, dict):
        return own.keys() != other.keys() or any(_differ(own[key], other[key], may_differ) for key in own)
    if isinstance(own, list) and isinstance(other, list):
        return len(own) != len(other) or any(_differ(*pair, may_differ) for pair in zip(own, other, strict=True))
    return own != other and not may_differ(own, other)


def _other_account(stack: Stack, job: Pod, pod: Pod, own: Any, other: Any) -> bool:
    """Return whether a migration names `own`, and its service `other`, only to log in to MySQL as another user."""
    users = [_account(stack, either) for either in (job, pod)]
    if job.kind != "Job" or None in users or users[0] == users[1]:
        return False
    configs = [config.mapping("data") for name in (own, other) if (config := stack.named("ConfigMap", name))]
    if configs:
        data = [{**config, ACCOUNT: ""} for config in configs if ACCOUNT in config]
        return len(data) == len((own, other)) and data[0] == data[1]
    keys = [keys_in(stack, "Secret", name) for name in (own, other)]
    return None not in keys and keys[0] == keys[1]


def _account(stack: Stack, pod: Pod) -> str | None:
    """Return the user that a pod logs in to MySQL as."""
    return next((stack.variables(container).get(ACCOUNT) for container in pod.containers), None)


@RULES.together(
    "SR051",
    title="The app gets the variables of its contract and reads all it gets",
    reason="it would run on values nobody chose",
)
def app_variables(stack: Stack) -> Violations:
    for container in stack.containers:
        service, variables = container.pod.labels.get(SERVICE_LABEL), stack.variables(container).keys()
        if not variables & RESERVED_ENV:  # not a container of an app
            continue
        if missing := sorted(_contract(container.pod) - variables):
            yield container.violation("envFrom", f"lacks {', '.join(missing)}; the program has to set each of them")
        stated = stack.stated_variables.get(str(service))
        for name in sorted(variables - RESERVED_ENV - STORE_ENV - {*stated}) if stated is not None else ():
            if not OF_LIBRARIES.fullmatch(name):
                yield container.violation("envFrom", f"holds {name}; the app reads {', '.join(sorted(stated or ()))}")


def _contract(pod: Pod) -> frozenset[str]:
    """Return the variables that the containers of a pod have to get."""
    if CONTRACT in pod.annotations:
        return RUNTIME_ENV
    # A job has no ports of its own, and gets the variables of its service.
    ports = {f"{port.text('name').upper()}_PORT" for port in pod.ports} if pod.is_permanent else set[str]()
    return RESERVED_ENV - (PORT_ENV - ports)


@RULES.together(
    "SR041",
    title="Every object is in the stack's namespace",
    reason="it would be left behind, or created where others live",
)
def namespaces(stack: Stack) -> Violations:
    for obj in stack.objects:
        namespace = obj.get("metadata.namespace")
        if obj.kind not in CLUSTER_WIDE and not stack.named("Namespace", namespace):
            yield obj.wrong("metadata.namespace", f"the stack's namespace is {list_names(stack, 'Namespace')}")
