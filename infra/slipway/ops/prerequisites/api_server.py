"""What a stack needs of the API server: its version, its clock, rights, kinds of objects and metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from slipway.cluster.versions import NEWEST, OLDEST
from slipway.ops.access.permissions import Permission
from slipway.ops.prerequisites.result import Finding, Problem, failed, found
from slipway.ops.prerequisites.stack_file import Listed
from slipway.ops.program.recorder import Program
from slipway.settings.settings import Settings

OK, UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 200, 401, 403, 404
MAX_SKEW_SECONDS = 60
"""Tokens and certificates that were just made are refused beyond about a minute."""
REQUESTS_AT_ONCE = 16
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_EVERYTHING = Permission("", "*", "*", "*")
# Who serves kinds that Kubernetes itself does not have.
_SOFTWARE = {
    "external-secrets.io": "the External Secrets Operator",
    "gateway.networking.k8s.io": "the CRDs of the Gateway API",
    "keda.sh": "KEDA",
    "monitoring.coreos.com": "the Prometheus operator",
    "cert-manager.io": "cert-manager",
    "autoscaling.k8s.io": "the VerticalPodAutoscaler",
    "cilium.io": "Cilium",
}


def version(server: httpx2.Client) -> Finding:
    """Check that the API server answers, accepts the credentials, and has a supported version."""
    try:
        answer = server.get("/version")
    except (httpx2.TransportError, OSError) as error:
        return failed(f"it does not answer: {error or type(error).__name__}", "start the cluster, or check the network")
    if answer.status_code == UNAUTHORIZED:
        return failed("it does not accept the credentials of the kubeconfig (401)", "log in to the cluster again")
    if answer.status_code != OK:
        return Finding(f"not checked: /version answers {answer.status_code}", is_known=False)
    shown = str(answer.json()["gitVersion"])
    own = _minor(shown.removeprefix("v"))
    if own < _minor(OLDEST):
        cause = f"it is Kubernetes {shown}; supported are {OLDEST} to {NEWEST}"
        return failed(cause, f"update the cluster to {OLDEST} or newer")
    if own > _minor(NEWEST):
        return Finding(f"Kubernetes {shown}, newer than {NEWEST}, the newest that is tested", is_known=False)
    return Finding(f"Kubernetes {shown}")


def clock(server: httpx2.Client) -> Finding:
    """Check that this machine and the API server have the same time."""
    now = datetime.now(UTC)
    date = server.get("/version").headers.get("Date")
    if not date:
        return Finding("not checked: the API server sends no Date", is_known=False)
    skew = (now - parsedate_to_datetime(date)).total_seconds()
    if abs(skew) > MAX_SKEW_SECONDS:
        direction = "ahead of" if skew > 0 else "behind"
        fix = "set the clock of this machine, such as by `timedatectl set-ntp true`, or that of the server"
        return failed(f"the clock of this machine is {abs(skew):.0f} s {direction} that of the API server", fix)
    return Finding(f"differs by {abs(skew):.0f} s")


def rights(stack: str, server: httpx2.Client, needed: Iterable[Permission]) -> Finding:
    """Check that the user has each right of a deployer, by a SelfSubjectAccessReview for each."""
    if _is_allowed(server, _EVERYTHING):
        return Finding("all")
    permissions = sorted(needed)
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        allowed = list(pool.map(lambda permission: _is_allowed(server, permission), permissions))
    if None in allowed:
        return Finding("not checked: the API server answers no SelfSubjectAccessReview", is_known=False)
    lacking = [permission for permission, granted in zip(permissions, allowed, strict=True) if not granted]
    fix = f"have an administrator apply `./slipway access deployer -s {stack} | kubectl apply -f -`"
    return found([Problem(text, fix) for text in _missing_rights(lacking)], f"all {len(permissions)} of a deployer")


def _is_allowed(server: httpx2.Client, permission: Permission) -> bool | None:
    """Return whether the user has a right; None if the API server does not say."""
    resource, _, subresource = permission.resource.partition("/")
    attributes = {
        "namespace": permission.namespace,
        "verb": permission.verb,
        "group": permission.group,
        "resource": resource,
        "subresource": subresource,
        "name": permission.name,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = server.post(_REVIEWS, json=body)
    return bool(answer.json()["status"].get("allowed")) if answer.is_success else None


def _missing_rights(lacking: Iterable[Permission]) -> Iterator[str]:
    """Yield a message for each namespace: `in namespace shop: create, patch deployments.apps; list pods`."""
    verbs: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for permission in lacking:
        resource = f"{permission.resource}.{permission.group}".rstrip(".")
        verbs[permission.namespace][f"{resource} {permission.name}".rstrip()].append(permission.verb)
    for namespace, resources in verbs.items():
        where = f"in namespace {namespace}" if namespace else "in the cluster"
        texts = [f"{', '.join(names)} {resource}" for resource, names in resources.items()]
        yield f"no right {where} to {'; '.join(texts)}"


def kinds(server: httpx2.Client, program: Program) -> Finding:
    """Check that the cluster serves every kind of object that the stack declares."""
    declared: defaultdict[str, set[str]] = defaultdict(set)
    for manifest in program.manifests().values():
        declared[manifest["apiVersion"]].add(manifest["kind"])
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        served = dict(zip(declared, pool.map(lambda api: _served(server, api, declared[api]), declared), strict=True))
    problems = [
        Problem(f"the cluster has no {kind} of {api_version}", _installation(api_version))
        for api_version, names in declared.items()
        for kind in sorted(names - served[api_version])
    ]
    return found(problems, f"all {sum(map(len, declared.values()))} of the stack")


def _served(server: httpx2.Client, api_version: str, declared: set[str]) -> set[str]:
    """Return the kinds of a group and version. Those declared count as served where the list may not be read."""
    answer = server.get(f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}")
    if answer.status_code in (UNAUTHORIZED, FORBIDDEN):
        return declared
    if answer.status_code == NOT_FOUND:
        return set()
    answer.raise_for_status()  # the check is then reported as not made
    return {resource["kind"] for resource in answer.json()["resources"]}


def _installation(api_version: str) -> str:
    software = _SOFTWARE.get(api_version.partition("/")[0])
    return f"install {software or 'what serves it'} in the cluster, or remove the setting that declares it"


def has_autoscaler(program: Program) -> bool:
    """Return whether an autoscaler of the stack asks the cluster for metrics."""
    return any(kind in ("HorizontalPodAutoscaler", "ScaledObject") for kind, _ in program.manifests())


def metrics(server: httpx2.Client, settings: Settings) -> Finding:
    """Check that the metrics APIs are served by which the stack's autoscalers count."""
    # With its version: the API server answers for the group alone while metrics-server does not run.
    needed = {"metrics.k8s.io/v1beta1": "or repair metrics-server"}
    if any(service.scales_by_requests and not service.is_scaled_by_keda for service in settings.services.values()):
        needed["custom.metrics.k8s.io"] = "or repair the adapter for the custom metrics API"
    problems = [
        Problem(f"the cluster does not serve {group}, so autoscalers do not scale", f"install {software}")
        for group, software in needed.items()
        if server.get(f"/apis/{group}").status_code != OK
    ]
    return found(problems, ", ".join(needed))


def listed(server: httpx2.Client, path: str) -> Listed:
    """Return the objects at a path of the API; None if the user may not list them, or there is no such kind."""
    answer = server.get(path)
    return answer.json().get("items", []) if answer.status_code == OK else None


def _minor(version: str) -> tuple[int, ...]:
    """Return (1, 34) of `1.34` and of `1.34.2-gke.100`."""
    return tuple(int(part) for part in version.split(".")[:2])
