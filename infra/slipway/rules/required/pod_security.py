"""What a pod may do on its node and in the cluster: nothing that a service does not need."""

from __future__ import annotations

import re

from slipway.rules.parts import Container, Pod
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import containers, pods

RULES = Rules()

MINIMUM_ID = 10000
# The volume types that the Pod Security Standard `restricted` allows.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


@RULES.each(
    containers, "SW001", title="No container is privileged", reason="it could do anything on its node", security=True
)
def privileged(container: Container) -> Violations:
    if container.get("securityContext.privileged") not in (None, False):
        yield container.wrong("securityContext.privileged", "take it out")


@RULES.each(
    containers, "SW002", title="Containers drop all capabilities", reason="an HTTP service needs none", security=True
)
def capabilities(container: Container) -> Violations:
    if "ALL" not in container.items("securityContext.capabilities.drop"):
        yield container.wrong("securityContext.capabilities.drop", "set it to [ALL]")
    if container.items("securityContext.capabilities.add"):
        yield container.wrong("securityContext.capabilities.add", "take it out")


@RULES.each(
    containers, "SW003", title="No process gains privileges", reason="a setuid file would make it root", security=True
)
def escalation(container: Container) -> Violations:
    if container.get("securityContext.allowPrivilegeEscalation") is not False:
        yield container.wrong("securityContext.allowPrivilegeEscalation", "set it to false")


@RULES.each(
    containers,
    "SW004",
    title="The root file system is read-only",
    reason="an intruder could leave a program behind",
    security=True,
)
def read_only_root(container: Container) -> Violations:
    if container.get("securityContext.readOnlyRootFilesystem") is not True:
        yield container.wrong("securityContext.readOnlyRootFilesystem", "set it to true")


@RULES.each(
    containers,
    "SW005",
    title="No container runs as root",
    reason="root in a container is root for the node's kernel",
    security=True,
)
def not_root(container: Container) -> Violations:
    decides, value = container.context("runAsNonRoot")
    if value is not True:
        yield decides.wrong("securityContext.runAsNonRoot", "set it to true")


@RULES.each(
    containers,
    "SW006",
    title="User and group are numbers from 10000 on",
    reason="lower ones belong to people and daemons of the node",
    security=True,
)
def high_ids(container: Container) -> Violations:
    for key in ("runAsUser", "runAsGroup"):
        decides, value = container.context(key)
        if not isinstance(value, int) or value < MINIMUM_ID:
            yield decides.wrong(f"securityContext.{key}", f"set it to {MINIMUM_ID} or more")


@RULES.each(
    containers,
    "SW007",
    title="System calls are filtered",
    reason="most kernel bugs are reached by calls no service makes",
    security=True,
)
def seccomp(container: Container) -> Violations:
    decides, value = container.context("seccompProfile")
    if not isinstance(value, dict) or value.get("type") not in ("RuntimeDefault", "Localhost"):
        yield decides.wrong("securityContext.seccompProfile.type", "set it to RuntimeDefault")


@RULES.each(
    pods,
    "SW008",
    title="No pod shares its node's network, processes or memory",
    reason="it would see the node's own traffic",
    security=True,
)
def host_namespaces(pod: Pod) -> Violations:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key) not in (None, False):
            yield pod.wrong(key, "take it out")


@RULES.each(
    containers,
    "SW009",
    title="No container takes a port of its node",
    reason="it would bypass Service and NetworkPolicy",
    security=True,
)
def host_port(container: Container) -> Violations:
    for port in container.parts("ports"):
        if port.get("hostPort"):
            yield port.wrong("hostPort", "take it out; a Service leads to the pod")


@RULES.each(
    pods,
    "SW010",
    title="No pod mounts its node's files",
    reason="it could read every other pod's secrets",
    security=True,
)
def volume_types(pod: Pod) -> Violations:
    for volume in pod.parts("volumes"):
        for kind in volume.mapping("").keys() - VOLUMES - {"name"}:
            yield volume.violation(
                kind, f"is not a volume type that a restricted pod may have; use one of {', '.join(sorted(VOLUMES))}"
            )


@RULES.each(
    pods,
    "SW011",
    title="Kernel settings stay as they are",
    reason="Pod Security `restricted` refuses the pod",
    security=True,
)
def kernel_settings(pod: Pod) -> Violations:
    for part in (pod, *pod.containers):
        context = part.part("securityContext")
        for key in ("sysctls", "seLinuxOptions", "windowsOptions", "procMount"):
            if context.get(key) not in (None, "Default"):
                yield context.wrong(key, "take it out")
        if context.get("appArmorProfile.type") == "Unconfined":
            yield context.wrong("appArmorProfile.type", "take it out")


@RULES.each(
    containers,
    "SW012",
    title="Images are named by digest",
    reason="a tag can be moved: two pods would run two programs",
    security=True,
)
def digest(container: Container) -> Violations:
    if not re.search(r"@sha256:[0-9a-f]{64}$", str(container.get("image"))):
        yield container.wrong("image", "name it by digest: repository@sha256:...")


@RULES.each(
    containers,
    "SW013",
    title="Images are pulled once",
    reason="a digest never changes: asking again makes a restart need the registry",
)
def pull_policy(container: Container) -> Violations:
    if container.get("imagePullPolicy") != "IfNotPresent":
        yield container.wrong("imagePullPolicy", "set it to IfNotPresent")


@RULES.each(
    pods,
    "SW014",
    title="No API token reaches a pod",
    reason="whoever gets in could use it against the cluster",
    security=True,
)
def pod_token(pod: Pod) -> Violations:
    if pod.get("automountServiceAccountToken") is not False:
        yield pod.wrong("automountServiceAccountToken", "set it to false")
    for volume in pod.parts("volumes"):
        if any(source.get("serviceAccountToken") is not None for source in volume.parts("projected.sources")):
            yield volume.violation("projected.sources", "projects a service account token; take it out")


@RULES.each(
    pods,
    "SW015",
    title="Each pod has an identity of its own",
    reason="rights given to `default` would reach every pod",
    security=True,
)
def own_identity(pod: Pod) -> Violations:
    if pod.get("serviceAccountName") in (None, "", "default"):
        yield pod.wrong("serviceAccountName", "name the service's own ServiceAccount")


@RULES.each(
    pods,
    "SW016",
    title="No pod ranks with the cluster's own",
    reason="it would drive system pods off a full node",
    security=True,
)
def priority(pod: Pod) -> Violations:
    if pod.text("priorityClassName").startswith("system-"):
        yield pod.wrong("priorityClassName", "name a PriorityClass of your own")
