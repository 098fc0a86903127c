"""The kinds of objects that the plugin supports, and which of their fields cannot be changed in place.

Built-in kinds are listed, because each needs its own readiness check and replacement rules. Every custom resource is
supported without an entry: its plural name comes from the API server, nothing waits for its readiness, and only a new
name, namespace or kind replaces it.
"""

from dataclasses import dataclass

from local.plugins.diff import Path
from local.plugins.provider import ProviderError
from slipway.objects import Object

# API groups that contain a dot but are not custom resources: those of Kubernetes, and one of the official plugin.
_NOT_CUSTOM = {
    "helm.sh",
    *(
        f"{group}.k8s.io"
        for group in (
            *("admissionregistration", "apiextensions", "apiregistration", "authentication", "authorization"),
            *("certificates", "coordination", "discovery", "events", "flowcontrol.apiserver", "internal.apiserver"),
            *("networking", "node", "rbac.authorization", "resource", "scheduling", "storage", "storagemigration"),
        )
    ),
}


@dataclass(frozen=True)
class Kind:
    """One kind of object. A change of an `immutable` field replaces the object, except below a `mutable` one."""

    api_version: str
    name: str
    plural: str = ""
    """Empty for a custom resource: the API server is asked for it."""
    namespaced: bool = True
    immutable: tuple[str, ...] = ()
    mutable: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    def is_immutable(self, path: Path) -> bool:
        """Return whether a change at this path needs a new object."""
        identity = ("metadata.name", "metadata.namespace", "kind")
        return _is_below(path, identity + self.immutable) and not _is_below(path, self.mutable)

    def needs_replacement(self, path: Path, old: Object, new: Object, *, data_is_mutable: bool) -> bool:
        """Return whether a difference between two versions of the inputs needs a new object.

        As in the official plugin, changed data of a ConfigMap or Secret replaces it unless `data_is_mutable`.
        """
        if path == ("apiVersion",):
            return old.get("apiVersion", "").rpartition("/")[0] != self.group
        data = _DATA.get(self.name, ()) if self.api_version == "v1" else ()
        if data and old.get("immutable") and path[0] in (*data, "immutable"):
            return True
        if path[0] in data and (new.get("immutable") or not data_is_mutable):
            return True
        return self.is_immutable(path)


def _is_below(path: Path, prefixes: tuple[str, ...]) -> bool:
    return any(path[: prefix.count(".") + 1] == tuple(prefix.split(".")) for prefix in prefixes)


_DATA = {"ConfigMap": ("data", "binaryData"), "Secret": ("data", "stringData", "type")}
_KINDS = (
    Kind("v1", "Namespace", "namespaces", namespaced=False),
    Kind("v1", "ConfigMap", "configmaps"),
    Kind("v1", "Secret", "secrets", immutable=("type",)),
    Kind("v1", "Service", "services", immutable=("spec.clusterIP",)),
    Kind("v1", "ServiceAccount", "serviceaccounts"),
    Kind("v1", "ResourceQuota", "resourcequotas", immutable=("spec.scopes",)),
    Kind("v1", "LimitRange", "limitranges"),
    Kind(
        "v1",
        "PersistentVolume",
        "persistentvolumes",
        namespaced=False,
        immutable=("spec.hostPath", "spec.local", "spec.nfs", "spec.csi", "spec.nodeAffinity", "spec.volumeMode"),
    ),
    Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims", immutable=("spec",), mutable=("spec.resources",)),
    Kind("apps/v1", "Deployment", "deployments", immutable=("spec.selector",)),
    Kind(
        "apps/v1",
        "StatefulSet",
        "statefulsets",
        immutable=("spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"),
    ),
    Kind(
        "batch/v1",
        "Job",
        "jobs",
        immutable=("spec.template", "spec.selector", "spec.completions", "spec.completionMode", "spec.parallelism"),
    ),
    Kind("batch/v1", "CronJob", "cronjobs"),
    Kind("networking.k8s.io/v1", "Ingress", "ingresses"),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("rbac.authorization.k8s.io/v1", "Role", "roles"),
    Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", immutable=("roleRef",)),
)
_BY_TYPE = {(kind.api_version, kind.name): kind for kind in _KINDS}


def kind_of(type_token: str) -> Kind:
    """Return the kind of a Pulumi type such as `kubernetes:apps/v1:Deployment`. Raise ProviderError if unsupported."""
    _, module, name = type_token.split(":")
    # Pulumi calls the group without a name "core".
    api_version = module.removeprefix("core/")
    if known := _BY_TYPE.get((api_version, name)):
        return known
    kind = Kind(api_version, name)
    if "." not in kind.group or kind.group in _NOT_CUSTOM:
        raise ProviderError(
            f"{type_token} is not known to the offline kubernetes plugin: use the official plugin "
            "(`pulumi plugin install resource kubernetes`), or add the kind to local/plugins/kubernetes/kinds.py"
        )
    return kind
