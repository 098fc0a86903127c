"""What is less safe than before: what is true of an object now and was not, told in a sentence each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ops.changes import UNKNOWN, Change, Object, at

Holds = Callable[[dict[str, Any]], bool]

# What a container should be, with its pod's own security context below it; and what can be said of one that is not.
_CONTAINER: tuple[tuple[Holds, str], ...] = (
    (lambda security: security.get("runAsNonRoot") is True, "may run as root"),
    (lambda security: security.get("runAsUser") != 0, "runs as user 0"),
    (lambda security: _is_high(security.get("runAsUser")), "runs as a user below 10000, whom the node may have too"),
    (lambda security: security.get("readOnlyRootFilesystem") is True, "may write to its root file system"),
    (lambda security: security.get("allowPrivilegeEscalation") is False, "may gain more privileges"),
    (lambda security: not security.get("privileged"), "is privileged"),
    (
        lambda security: at(security, "seccompProfile").get("type") in ("RuntimeDefault", "Localhost"),
        "may make any system call (no seccomp profile)",
    ),
    (lambda security: "ALL" in (at(security, "capabilities").get("drop") or []), "keeps capabilities"),
)
_POD: tuple[tuple[Holds, str], ...] = (
    (lambda pod: pod.get("automountServiceAccountToken") is False, "mounts the token of its service account"),
    (lambda pod: not pod.get("hostNetwork"), "uses the network of the node"),
    (lambda pod: not pod.get("hostPID"), "sees the processes of the node"),
    (lambda pod: not pod.get("hostIPC"), "shares memory with the node"),
)
# What pods may do under each Pod Security Standard, the strictest last.
_STANDARDS = ("privileged", "baseline", "restricted")
_RIGHTS = {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}
_GUARD_KINDS = {"NetworkPolicy", "ResourceQuota", "LimitRange"}


def weakened(change: Change) -> list[str]:
    """What is less safe than before. Something new is held to what can be said of any bare object of its kind."""
    if change.after is None:
        return ["is deleted: what it held back is let through"] if change.kind in _GUARD_KINDS else []
    before = set(_weaknesses(change.before or _bare(change.after)))
    found = [weakness for weakness in dict.fromkeys(_weaknesses(change.after)) if weakness not in before]
    return [*found, *_lifted(change), *(_rights(change) if change.kind in _RIGHTS else [])]


def _is_high(user: Any) -> bool:
    return isinstance(user, int) and user >= 10000


def pod_of(found: Object) -> dict[str, Any]:
    """The spec of the pods an object makes; empty if it makes none."""
    return at(found, "spec", "template", "spec") or at(found, "spec", "jobTemplate", "spec", "template", "spec")


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]


def _bare(found: Object) -> Object:
    """The same pods without a word about safety, so that only what is asked for counts against a new object."""
    containers = [{"name": container.get("name")} for container in _containers(pod_of(found))]
    return {"kind": found.get("kind"), "spec": {"policyTypes": [], "template": {"spec": {"containers": containers}}}}


def _weaknesses(found: Object) -> Iterator[str]:
    if pod := pod_of(found):
        yield from (f"a pod {told}" for holds, told in _POD if not holds(pod))
        for volume in pod.get("volumes") or []:
            yield from _of_volume(volume)
        for container in _containers(pod):
            name, security = container.get("name"), {**at(pod, "securityContext"), **at(container, "securityContext")}
            yield from (f"container {name} {told}" for holds, told in _CONTAINER if not holds(security))
            yield from (f"container {name} {told}" for told in _of_container(container, security))
    yield from _OF_KIND.get(str(found.get("kind")), lambda _: iter(()))(found)
    if not at(found, "options").get("protect"):
        yield "is no longer protected: an update may delete it"


def _of_volume(volume: dict[str, Any]) -> Iterator[str]:
    if "hostPath" in volume:
        yield f"volume {volume.get('name')} is {at(volume, 'hostPath').get('path')} of the node"
    if any("serviceAccountToken" in source for source in at(volume, "projected").get("sources") or []):
        yield f"volume {volume.get('name')} holds a token of the service account"


def _of_container(container: dict[str, Any], security: dict[str, Any]) -> Iterator[str]:
    image = container.get("image") or ""
    if image != UNKNOWN and "@sha256:" not in image:
        yield "runs an image that no digest pins"
    if not at(container, "resources", "limits").get("memory"):
        yield "has no memory limit"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        if not container.get(probe):
            yield f"has no {probe}"
    for capability in at(security, "capabilities").get("add") or []:
        yield f"gets the capability {capability}"
    for port in container.get("ports") or []:
        if port.get("hostPort"):
            yield f"answers on port {port['hostPort']} of the node"
    for source in (container.get("env") or []) + (container.get("envFrom") or []):
        secret = at(source, "valueFrom", "secretKeyRef") or at(source, "secretRef")
        if secret:
            yield f"reads Secret {secret.get('name')} as a variable"


def _of_namespace(found: Object) -> Iterator[str]:
    enforced = at(found, "metadata", "labels").get("pod-security.kubernetes.io/enforce", "privileged")
    held = _STANDARDS.index(enforced) if enforced in _STANDARDS else 0
    yield from (f"admits pods that the standard {standard} refuses" for standard in _STANDARDS[held + 1 :])


def _of_account(found: Object) -> Iterator[str]:
    if found.get("automountServiceAccountToken") is not False:
        yield "its token is mounted into pods"


def _of_ingress(found: Object) -> Iterator[str]:
    tls = at(found, "spec").get("tls") or []
    covered = {host for entry in tls for host in entry.get("hosts") or ["*"]}
    for rule in at(found, "spec").get("rules") or []:
        host = rule.get("host", "*")
        if not covered & {host, f"*.{host.partition('.')[2]}", "*"}:
            yield f"{host} is served without TLS"


def _of_policy(found: Object) -> Iterator[str]:
    spec = at(found, "spec")
    # What Kubernetes takes for granted where a policy does not say it.
    implied = ["Ingress", *(["Egress"] if "egress" in spec else [])]
    types = spec.get("policyTypes", implied)
    yield from (f"no longer limits {side}" for side in ("Ingress", "Egress") if side not in types)


def _of_quota(found: Object) -> Iterator[str]:
    for kind in ("nodeports", "loadbalancers"):
        if str(at(found, "spec", "hard").get(f"services.{kind}")) != "0":
            yield f"admits Services that open {kind}"


_OF_KIND: dict[str, Callable[[Object], Iterator[str]]] = {
    "Namespace": _of_namespace,
    "ServiceAccount": _of_account,
    "Ingress": _of_ingress,
    "NetworkPolicy": _of_policy,
    "ResourceQuota": _of_quota,
}


def _lifted(change: Change) -> Iterator[str]:
    """Guards that are taken from an object, or that hold for fewer objects than before."""
    before, after = at(change.before, "spec"), at(change.after, "spec")
    if change.kind == "NetworkPolicy" and change.edited:
        chosen, now = at(before, "podSelector"), at(after, "podSelector")
        more = at(now, "matchLabels").items() - at(chosen, "matchLabels").items()
        if more or now.get("matchExpressions", []) != chosen.get("matchExpressions", []):
            yield "no longer holds for all the pods it held for"
    if change.kind == "ResourceQuota" and change.edited:
        yield from (f"no longer limits {key}" for key in at(before, "hard") if key not in at(after, "hard"))


def _rights(change: Change) -> list[str]:
    """Rights that are new: in a Role, or given to somebody by a binding."""
    return [f"allows {right}" for right in sorted(_allowed(change.after or {}) - _allowed(change.before or {}))]


def _allowed(found: Object) -> set[str]:
    given = {
        f"{who.get('kind')} {who.get('name')} what {at(found, 'roleRef').get('name')} allows"
        for who in found.get("subjects") or []
    }
    return given | {
        f"to {verb} {resource} of {group or 'core'}"
        for rule in found.get("rules") or []
        for group in rule.get("apiGroups") or [""]
        for resource in rule.get("resources") or rule.get("nonResourceURLs") or []
        for verb in rule.get("verbs") or []
    }
