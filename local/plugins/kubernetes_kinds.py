"""The kinds of objects the offline Kubernetes plugin handles, and which of their fields cannot be changed in place.

Built-in kinds are listed, because each needs the right waits and replacement rules. Objects of any custom resource are
taken as they are: the API server is asked for their plural name, they are not awaited, and nothing of them but their
identity forces a replacement.
"""

from dataclasses import dataclass

from local.plugins.kubernetes_diff import Path
from local.plugins.provider import Refused

# Groups with a domain name that are no custom resources: those of Kubernetes itself, and one of the official plugin.
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
    """One kind of object. `fixed` fields force a replacement when they change, except inside `movable`."""

    api_version: str
    name: str
    plural: str = ""
    """Empty for a custom resource: only the API server knows it."""
    namespaced: bool = True
    fixed: tuple[str, ...] = ()
    movable: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    def is_fixed(self, path: Path) -> bool:
        """True when a change at this path needs a new object."""
        always = ("metadata.name", "metadata.namespace", "kind")
        return _under(path, always + self.fixed) and not _under(path, self.movable)


def _under(path: Path, prefixes: tuple[str, ...]) -> bool:
    return any(path[: prefix.count(".") + 1] == tuple(prefix.split(".")) for prefix in prefixes)


_KINDS = (
    Kind("v1", "Namespace", "namespaces", namespaced=False),
    Kind("v1", "ConfigMap", "configmaps"),
    Kind("v1", "Secret", "secrets", fixed=("type",)),
    Kind("v1", "Service", "services", fixed=("spec.clusterIP",)),
    Kind("v1", "ServiceAccount", "serviceaccounts"),
    Kind("v1", "ResourceQuota", "resourcequotas", fixed=("spec.scopes",)),
    Kind("v1", "LimitRange", "limitranges"),
    Kind(
        "v1",
        "PersistentVolume",
        "persistentvolumes",
        namespaced=False,
        fixed=("spec.hostPath", "spec.local", "spec.nfs", "spec.csi", "spec.nodeAffinity", "spec.volumeMode"),
    ),
    Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims", fixed=("spec",), movable=("spec.resources",)),
    Kind("apps/v1", "Deployment", "deployments", fixed=("spec.selector",)),
    Kind(
        "apps/v1",
        "StatefulSet",
        "statefulsets",
        fixed=("spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"),
    ),
    Kind(
        "batch/v1",
        "Job",
        "jobs",
        fixed=("spec.template", "spec.selector", "spec.completions", "spec.completionMode", "spec.parallelism"),
    ),
    Kind("batch/v1", "CronJob", "cronjobs"),
    Kind("networking.k8s.io/v1", "Ingress", "ingresses"),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("rbac.authorization.k8s.io/v1", "Role", "roles"),
    Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", fixed=("roleRef",)),
)
_BY_TYPE = {(kind.api_version, kind.name): kind for kind in _KINDS}


def kind_of(type_token: str) -> Kind:
    """The kind behind a Pulumi type such as `kubernetes:apps/v1:Deployment`; Refused for one not covered here."""
    _, module, name = type_token.split(":")
    # Pulumi writes the group without a name as "core".
    api_version = module.removeprefix("core/")
    if known := _BY_TYPE.get((api_version, name)):
        return known
    kind = Kind(api_version, name)
    if "." not in kind.group or kind.group in _NOT_CUSTOM:
        raise Refused(
            f"{type_token} is not known to the offline kubernetes plugin: use the official plugin "
            "(`pulumi plugin install resource kubernetes`), or add the kind to local/plugins/kubernetes_kinds.py"
        )
    return kind
