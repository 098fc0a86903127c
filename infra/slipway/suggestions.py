"""What somebody may have meant by a name that nobody knows: a misspelt name, or a field of Kubernetes."""

from __future__ import annotations

from collections.abc import Iterable

# A slip in each so many characters is a typo; more make another word: `nodeSelector` is not `selector`.
CHARACTERS_A_SLIP = 4


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that differs from a word by typos only, whatever its case; None if there is none."""
    wanted = word.lower()
    near: list[tuple[int, str]] = []
    for name in known:
        allowed = max(1, max(len(word), len(name)) // CHARACTERS_A_SLIP)
        if abs(len(word) - len(name)) <= allowed and (slips := distance(wanted, name.lower())) <= allowed:
            near.append((slips, name))
    return min(near)[1] if near else None


def distance(left: str, right: str) -> int:
    """Return how many characters have to be inserted, deleted, replaced or swapped with the next one."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for index, character in enumerate(left):
        two_before, before = before, row
        row = [index + 1]
        for at, other in enumerate(right):
            same = character == other
            row.append(min(before[at + 1] + 1, row[at] + 1, before[at] + (not same)))
            if index and at and (character, left[index - 1]) == (right[at - 1], other):
                row[-1] = min(row[-1], two_before[at - 1] + 1)
    return row[-1]


_NODES = "`nodeSelector` and `tolerations` choose nodes; pods are spread over them; the rest stands in `patch`"
_USER = "`user` is the number of the user and group that the app runs as"
_HARDENED = "every pod is as closed as Pod Security `restricted` demands, and nothing opens it"
_ACCOUNT = "each service has an account of its own, without rights or token; `serviceAccount` gives it annotations"
_IMAGE = "`image` of a service names one of slipway:images; slipway:image is for all services"
_VOLUMES = (
    "`volumes` and `scratch` are folders beside those of `file` and `secrets`; data is kept in slipway:mysql and "
    "slipway:redis"
)
_CONTAINERS = "`initContainers` and `sidecars` run beside the app"
_PROBES = "`probes` has `startup`, `ready` and `live`; `startupSeconds` says how long a start may take"
_DRAIN = "`drain` says how a pod leaves"
_SIZE = "`cpu` is the request, `cpuLimit` its limit, `memory` both"
_VARIABLES = (
    "variables stand in `env`, secret ones in `secretEnv`, the config file in `file`, names of secret files in "
    "`secrets`"
)
_SCALING = "`autoscaling` has `min`, `max`, `cpuPercent` and `rps`; `by: keda` adds `schedule` and `backlog`"
_ROLLOUT = "a rollout starts a new pod before an old one goes; `rollout: canary` tries a new version first"
_LABELS = "labels and annotations are the program's own"
_ANNOTATIONS = "`ingress.annotations` and `serviceAnnotations` are there; all others are the program's own"
_PORTS = "`ports` says where the app listens; its Service has port 80"
_JOBS = "`migration` is a job before each release, `schedules` are jobs by the clock"
_NETWORK = "`needs` and `egress` open connections; all others are closed"
_NAMES = "names in the network are those of the cluster"

_INSTEAD = {
    _NODES: "nodeName affinity nodeAffinity podAffinity podAntiAffinity schedulerName topologySpreadConstraints "
    "runtimeClassName overhead",
    _HARDENED: "securityContext podSecurityContext containerSecurityContext capabilities privileged "
    "runAsNonRoot readOnlyRootFilesystem allowPrivilegeEscalation seccompProfile hostNetwork "
    "hostPID hostIPC hostPort hostPath",
    _USER: "runAsUser runAsGroup fsGroup",
    _ACCOUNT: "automountServiceAccountToken rbac",
    _IMAGE: "tag imagePullPolicy",
    "slipway:registry and slipway:registries say who pulls images, `pullSecrets` who pulls others": "imagePullSecrets "
    "imagePullSecret",
    _VOLUMES: "volumeMounts volumeClaimTemplates persistence extraVolumes extraVolumeMounts mountPath subPath "
    "emptyDir persistentVolumeClaim",
    _CONTAINERS: "containers extraContainers",
    _PROBES: "livenessProbe readinessProbe startupProbe healthcheck healthCheckPath",
    _DRAIN: "lifecycle preStop postStart terminationGracePeriodSeconds minReadySeconds",
    _SIZE: "requests limits cpuRequest memoryLimit memoryRequest",
    "`command` and `args` say what runs": "entrypoint workingDir",
    _VARIABLES: "envFrom extraEnv environment envVars configMap configMaps configMapRef secretRef valueFrom "
    "secretKeyRef config configFiles",
    'did you mean "replicas"?': "replicaCount numReplicas",
    _SCALING: "hpa horizontalPodAutoscaler minReplicas maxReplicas targetCPUUtilizationPercentage "
    "targetMemoryUtilizationPercentage averageUtilization behavior scaling keda",
    _ROLLOUT: "strategy updateStrategy deploymentStrategy maxSurge maxUnavailable rollingUpdate revisionHistoryLimit",
    "`progressSeconds` says when a rollout has failed": "progressDeadlineSeconds",
    _LABELS: "labels podLabels podAnnotations metadata commonLabels nameOverride fullnameOverride matchLabels",
    _ANNOTATIONS: "annotations ingressAnnotations",
    "`stripPrefix` has the controller strip it": "rewriteTarget rewrite pathRewrite stripPath",
    "`paths` and `hosts` are lists of text": "rules",
    _PORTS: "containerPort containerPorts targetPort nodePort servicePort serviceType loadBalancer",
    _JOBS: "job jobs cronJob cronJobs hooks restartPolicy concurrencyPolicy suspend",
    "`cron` says when": "schedule",
    "`deadlineSeconds` says when a job has failed": "activeDeadlineSeconds",
    "`retries` says how often a failed pod is started again": "backoffLimit",
    "`className` says which": "ingressClassName ingressClass",
    "a path stands for all below it": "pathType",
    _NETWORK: "networkPolicy networkPolicies allowFrom",
    "each service has one": "podDisruptionBudget pdb minAvailable",
    _NAMES: "dnsPolicy dnsConfig hostAliases hostname subdomain",
    "slipway:cluster.monitoringNamespace says who may scrape /metrics": "serviceMonitor podMonitor prometheusRule",
    "the namespace is slipway:namespace, one for all of a stack": "namespaceOverride",
}
_BY_NAME = {name.lower(): instead for instead, names in _INSTEAD.items() for name in names.split()}


def instead_of(name: str) -> str | None:
    """Return what there is instead of a field of Kubernetes or a Helm chart; None for any other name."""
    return _BY_NAME.get(name.lower())
