"""What a deployer and a previewer may do: the requests of the providers and the verbs, for what a stack declares.

Two providers are served: the official one for Kubernetes (4.32.0, `provider/pkg/await/`) and the stand-in of
`local/plugins/`. Both send server-side apply as `patch`, and the official one creates most objects by `create`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from slipway import retention
from slipway.cluster.kinds import plural
from slipway.objects import Object, dig, items, name_of
from slipway.ops.access.permissions import Permission, granted_by, on
from slipway.ops.cluster.connection import KINDS
from slipway.ops.diagnosis.drift import ORPHAN_KINDS
from slipway.ops.program.recorder import Program
from slipway.settings.sections.monitoring import PORTS, PROMETHEUS
from slipway.settings.settings import Settings

_ANY = ("list", "watch", "create")
"""Verbs that cannot be granted for one name: the name of a new object is not known when the request is authorized."""
_NAMED = ("get", "patch", "delete")
# The stack has one of each, whose name is always the same. Others in the namespace are the administrator's.
_NAMED_KINDS = ("ResourceQuota", "LimitRange")
# What else the providers read until an object of a kind is ready, or to say why it is not.
_AWAITED: dict[str, tuple[tuple[str, str], ...]] = {
    "Deployment": (("apps", "replicasets"), ("", "pods"), ("", "persistentvolumeclaims")),
    "StatefulSet": (("", "pods"),),
    "DaemonSet": (("", "pods"),),
    "Job": (("", "pods"),),
    "Service": (("", "endpoints"), ("discovery.k8s.io", "endpointslices"), ("", "pods")),
    "Ingress": (("", "endpoints"), ("", "services")),
}
# What `status` and `history` read. Nodes are not among them: they belong to the whole cluster.
_STATUS = (
    *("pods", "deployments", "statefulsets", "replicasets", "jobs", "events", "configmaps"),
    *("persistentvolumeclaims", "resourcequotas", "horizontalpodautoscalers"),
)


def deployer(program: Program, settings: Settings) -> set[Permission]:
    """Return what `up`, `adopt`, `rollback`, `drift`, `status`, `history`, canaries and `doctor` need."""
    namespace = settings.namespace
    manifests = (resource.inputs for resource in program.resources if resource.is_manifest)
    permissions = {permission for manifest in manifests for permission in _managed(manifest)}
    # The clean-up after an update looks for what still refers to a ConfigMap or Secret, `drift` for what nobody needs.
    read = map(plural, (*retention.WORKLOADS, *retention.CONFIGURATION, *ORPHAN_KINDS))
    permissions |= _lists(namespace, {*_STATUS, *read})
    permissions |= on(namespace, "pods/log", ("get",))
    permissions |= on(namespace, "events", ("list", "watch"))
    if settings.canary_services:
        permissions |= on(namespace, "pods/proxy", ("get",))  # the counters of both versions
    if settings.monitoring.source == "cluster" and not settings.monitoring.url:
        permissions |= on(namespace, "services/proxy", ("get",), names=(f"{PROMETHEUS}:{PORTS[PROMETHEUS]}",))
    return permissions


def previewer(_: Program, settings: Settings) -> set[Permission]:
    """Return what `status` and `history` need without logs and Secrets. `preview` needs no permission at all."""
    return _lists(settings.namespace, _STATUS)


ROLES: Mapping[str, Callable[[Program, Settings], set[Permission]]] = {"deployer": deployer, "previewer": previewer}


def _managed(manifest: Object) -> Iterator[Permission]:
    """Yield what it takes to create, change, await and delete an object."""
    kind, name, namespace = manifest["kind"], name_of(manifest), dig(manifest, "metadata.namespace") or ""
    group = _group(manifest["apiVersion"])
    if kind == "Namespace":
        # An administrator creates it, since a Role needs one to be in, and deletes it.
        yield from on("", "namespaces", ("get", "patch"), names=(name,))
    elif kind in _NAMED_KINDS or not namespace:
        yield from on(namespace, plural(kind), _ANY, group=group)
        yield from on(namespace, plural(kind), _NAMED, group=group, names=(name,))
    else:
        yield from on(namespace, plural(kind), (*_NAMED, *_ANY), group=group)
    for awaited_group, resource in _AWAITED.get(kind, ()):
        yield from on(namespace, resource, ("list", "watch"), group=awaited_group)
    if kind == "PersistentVolumeClaim":  # some classes provide a volume only when a pod needs it
        yield from on("", "storageclasses", ("get", "list"), group="storage.k8s.io")
    yield from _delegated(kind, namespace, manifest)


def _delegated(kind: str, namespace: str, manifest: Object) -> Iterable[Permission]:
    """Return the permissions that an object hands on: nobody may hand on what they do not have themselves.

    https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
    """
    if kind in ("Role", "ClusterRole"):
        return granted_by(namespace, items(manifest, "rules"))
    if kind in ("RoleBinding", "ClusterRoleBinding") and dig(manifest, "roleRef.kind") == "ClusterRole":
        names, group = (dig(manifest, "roleRef.name"),), "rbac.authorization.k8s.io"
        return on(namespace, "clusterroles", ("bind",), group=group, names=names)
    return ()  # who binds a Role that the stack declares has its permissions already


def _lists(namespace: str, plurals: Iterable[str]) -> set[Permission]:
    return {
        permission
        for resource in plurals
        for permission in on(namespace, resource, ("list",), group=_group(KINDS[resource].partition("/")[2]))
    }


def _group(api_version: str) -> str:
    """Return `apps` of `apps/v1`, and nothing of `v1`."""
    return api_version.rpartition("/")[0]
