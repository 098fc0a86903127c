"""House rules about pods: what they may do, how they run, start and leave, and how jobs end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rules import SERVING, Container, Part, Pod, Problem, Rules, Stack, dig, quantity, selects
from settings import DEFAULT_WRITE_TIMEOUT, FORGOTTEN_SECONDS, seconds

RULES = Rules()

Problems = Iterator[Problem]

MINIMUM_ID = 10000
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
HANDLERS = ("httpGet", "grpc", "exec", "tcpSocket")
# What Pod Security "restricted" allows.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def containers(stack: Stack) -> list[Container]:
    """Every container."""
    return stack.containers


def serving(stack: Stack) -> list[Container]:
    """The containers that answer requests."""
    return [container for container in stack.containers if container.serves]


def pods(stack: Stack) -> list[Pod]:
    """Every pod template."""
    return stack.pods


def deployments(stack: Stack) -> list[Part]:
    """Every Deployment."""
    return stack.of("Deployment")


def schedules(stack: Stack) -> list[Part]:
    """Every CronJob."""
    return stack.of("CronJob")


def jobs(stack: Stack) -> list[Part]:
    """The job specs of Jobs and CronJobs."""
    return [job.part("spec") for job in stack.of("Job")] + [
        cron.part("spec.jobTemplate.spec") for cron in schedules(stack)
    ]


# What a pod may do


@RULES.each(containers, "SW001")
def privileged(container: Container) -> Problems:
    """No container is privileged: it could do anything on its node."""
    if container.get("securityContext.privileged") not in (None, False):
        yield container.wrong("securityContext.privileged", "take it out")


@RULES.each(containers, "SW002")
def capabilities(container: Container) -> Problems:
    """Containers drop all capabilities: an HTTP service needs none."""
    if "ALL" not in container.items("securityContext.capabilities.drop"):
        yield container.wrong("securityContext.capabilities.drop", "set it to [ALL]")
    if container.items("securityContext.capabilities.add"):
        yield container.wrong("securityContext.capabilities.add", "take it out")


@RULES.each(containers, "SW003")
def escalation(container: Container) -> Problems:
    """No process gains rights: a setuid file would make it root."""
    if container.get("securityContext.allowPrivilegeEscalation") is not False:
        yield container.wrong("securityContext.allowPrivilegeEscalation", "set it to false")


@RULES.each(containers, "SW004")
def read_only_root(container: Container) -> Problems:
    """The root file system is read-only: an intruder could leave a program behind."""
    if container.get("securityContext.readOnlyRootFilesystem") is not True:
        yield container.wrong("securityContext.readOnlyRootFilesystem", "set it to true")


@RULES.each(containers, "SW005")
def not_root(container: Container) -> Problems:
    """No container runs as root: root in a container is root for the node's kernel."""
    decides, value = container.context("runAsNonRoot")
    if value is not True:
        yield decides.wrong("securityContext.runAsNonRoot", "set it to true")


@RULES.each(containers, "SW006")
def high_ids(container: Container) -> Problems:
    """User and group are numbers from 10000 on: lower ones belong to people and daemons of the node."""
    for key in ("runAsUser", "runAsGroup"):
        decides, value = container.context(key)
        if not isinstance(value, int) or value < MINIMUM_ID:
            yield decides.wrong(f"securityContext.{key}", f"set it to {MINIMUM_ID} or more")


@RULES.each(containers, "SW007")
def seccomp(container: Container) -> Problems:
    """System calls are filtered: most kernel bugs are reached by calls no service makes."""
    decides, value = container.context("seccompProfile")
    if not isinstance(value, dict) or value.get("type") not in ("RuntimeDefault", "Localhost"):
        yield decides.wrong("securityContext.seccompProfile.type", "set it to RuntimeDefault")


@RULES.each(pods, "SW008")
def host_namespaces(pod: Pod) -> Problems:
    """No pod shares its node's network, processes or memory: it would see the node's own traffic."""
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key) not in (None, False):
            yield pod.wrong(key, "take it out")


@RULES.each(containers, "SW009")
def host_port(container: Container) -> Problems:
    """No container takes a port of its node: it would bypass Service and NetworkPolicy."""
    for port in container.parts("ports"):
        if port.get("hostPort"):
            yield port.wrong("hostPort", "take it out; a Service leads to the pod")


@RULES.each(pods, "SW010")
def volume_types(pod: Pod) -> Problems:
    """No pod mounts its node's files: it could read every other pod's secrets."""
    for volume in pod.parts("volumes"):
        for kind in volume.mapping("").keys() - VOLUMES - {"name"}:
            yield volume.says(
                kind, f"is no kind of volume a restricted pod may have; use one of {', '.join(sorted(VOLUMES))}"
            )


@RULES.each(pods, "SW011")
def kernel_settings(pod: Pod) -> Problems:
    """Kernel settings stay as they are: Pod Security `restricted` refuses the pod."""
    for part in (pod, *pod.containers):
        context = part.part("securityContext")
        for key in ("sysctls", "seLinuxOptions", "windowsOptions", "procMount"):
            if context.get(key) not in (None, "Default"):
                yield context.wrong(key, "take it out")
        if context.get("appArmorProfile.type") == "Unconfined":
            yield context.wrong("appArmorProfile.type", "take it out")


@RULES.each(containers, "SW012")
def digest(container: Container) -> Problems:
    """Images are named by digest: a tag can be moved: two pods would run two programs."""
    if not re.search(r"@sha256:[0-9a-f]{64}$", str(container.get("image"))):
        yield container.wrong("image", "name it by digest: repository@sha256:...")


@RULES.each(containers, "SW013")
def pull_policy(container: Container) -> Problems:
    """Images are pulled once: a digest never changes: asking again makes a restart need the registry."""
    if container.get("imagePullPolicy") != "IfNotPresent":
        yield container.wrong("imagePullPolicy", "set it to IfNotPresent")


@RULES.each(pods, "SW014")
def pod_token(pod: Pod) -> Problems:
    """No API token reaches a pod: whoever gets in could use it against the cluster."""
    if pod.get("automountServiceAccountToken") is not False:
        yield pod.wrong("automountServiceAccountToken", "set it to false")
    for volume in pod.parts("volumes"):
        if any(source.get("serviceAccountToken") is not None for source in volume.parts("projected.sources")):
            yield volume.says("projected.sources", "projects a service account token; take it out")


@RULES.each(pods, "SW015")
def own_identity(pod: Pod) -> Problems:
    """Each pod has an identity of its own: rights given to `default` would reach every pod."""
    if pod.get("serviceAccountName") in (None, "", "default"):
        yield pod.wrong("serviceAccountName", "name the service's own ServiceAccount")


# What a pod uses


@RULES.each(containers, "SW101")
def sized(container: Container) -> Problems:
    """Requests and limits are set: the scheduler would guess, and one pod could starve its node."""
    for side in ("requests", "limits"):
        for resource in ("cpu", "memory", "ephemeral-storage"):
            if not quantity(container.get(f"resources.{side}.{resource}")):
                yield container.wrong(f"resources.{side}.{resource}", "give a quantity")


@RULES.each(containers, "SW102")
def memory_is_reserved(container: Container) -> Problems:
    """Memory request equals limit: a pod above its request is the first to be evicted."""
    request, limit = (quantity(container.get(f"resources.{side}.memory")) for side in ("requests", "limits"))
    if request != limit:
        yield container.wrong(
            "resources.requests.memory", f"the limit is {container.get('resources.limits.memory')}; make them one"
        )


@RULES.each(containers, "SW104")
def go_runtime(container: Container) -> Problems:
    """The Go runtime knows its limits: it would plan with the whole node, and be killed or throttled."""
    for variable in container.parts("env"):
        value, unit = str(variable.get("value")), ""
        if variable.get("name") == "GOMEMLIMIT":
            limit = quantity(container.get("resources.limits.memory"))
            unit = "bytes, below the memory limit"
            fits = limit is not None and 0 < (quantity(value.removesuffix("B")) or 0) < limit
        elif variable.get("name") == "GOMAXPROCS":
            limit = quantity(container.get("resources.limits.cpu"))
            unit = "threads, the CPU limit rounded up"
            fits = limit is not None and value == str(max(1, -int(-limit // 1)))
        else:
            continue
        if not fits:
            yield variable.wrong("value", f"give {unit}")


# How a pod starts, stays and leaves


@RULES.each(serving, "SW111")
def probed(container: Container) -> Problems:
    """Start, readiness and liveness are asked: requests would reach a pod that cannot answer."""
    for probe in PROBES:
        handlers = [container.get(f"{probe}.{kind}") for kind in HANDLERS]
        if not any(handlers) or (container.get(f"{probe}.httpGet") and not container.get(f"{probe}.httpGet.path")):
            yield container.wrong(probe, "give one that asks for a path")


@RULES.each(serving, "SW112")
def probes_differ(container: Container) -> Problems:
    """Each probe asks its own question: a pod that is only busy, or waits for a database, would be restarted."""
    asked: dict[str, str] = {}
    for probe in PROBES:
        question = {key: container.get(f"{probe}.{key}") for key in HANDLERS}
        other = asked.setdefault(repr(question), probe)
        if container.get(probe) and other != probe and container.get(other):
            yield container.says(probe, f"asks the same as {other}; give it an endpoint of its own")


@RULES.each(serving, "SW113")
def pre_stop(container: Container) -> Problems:
    """A pod serves on while it is taken out: requests under way to it would be lost."""
    if not container.get("lifecycle.preStop") and not stands_alone(container):
        yield container.wrong("lifecycle.preStop", "give `sleep: {seconds: 5}`")
    if container.get("lifecycle.preStop.exec") is not None:
        yield container.wrong("lifecycle.preStop.exec", "the image holds no shell; give `sleep: {seconds: 5}`")


def stands_alone(container: Container) -> bool:
    """Whether no other pod could take over the requests meanwhile: its successor comes when it is gone."""
    return container.kind == "StatefulSet" and dig(container.object, "spec.replicas") == 1


@RULES.together("SW114")
def grace(stack: Stack) -> Problems:
    """A pod has the time to leave: the kubelet would kill it with requests open."""
    for container in serving(stack):
        pre_stop, drain, shutdown = leaving(stack, container)
        needed = pre_stop + drain + shutdown
        if container.pod.count("terminationGracePeriodSeconds", 30) <= needed:
            yield container.pod.wrong(
                "terminationGracePeriodSeconds",
                f"preStop {pre_stop:g} s + DRAIN_DELAY {drain:g} s + SHUTDOWN_TIMEOUT {shutdown:g} s = {needed:g} s; "
                "give more",
            )


def leaving(stack: Stack, container: Container) -> tuple[float, float, float]:
    """Seconds of preStop, then of the app's two steps after SIGTERM: serving on, and finishing what is open."""
    variables = stack.variables(container)
    inside = [seconds(variables.get(name, "0s")) for name in ("DRAIN_DELAY", "SHUTDOWN_TIMEOUT")]
    return container.count("lifecycle.preStop.sleep.seconds"), inside[0], inside[1]


@RULES.each(lambda stack: stack.lasting("Deployment"), "SW115")
def rollout(deployment: Part) -> Problems:
    """A rollout takes no serving pod away: there would be too few, or none, while it lasts."""
    strategy = deployment.part("spec.strategy")
    if strategy.get("type") not in (None, "RollingUpdate"):
        yield strategy.wrong("type", "set it to RollingUpdate")
    if strategy.get("rollingUpdate.maxUnavailable") not in (0, "0%"):
        yield strategy.wrong("rollingUpdate.maxUnavailable", "set it to 0")
    if strategy.get("rollingUpdate.maxSurge") in (0, "0%"):
        yield strategy.wrong("rollingUpdate.maxSurge", "set it to 1: nothing could ever be rolled out")


@RULES.each(deployments, "SW116")
def start_fits_deadline(deployment: Part) -> Problems:
    """A rollout waits for a pod to start: a slow but healthy start would count as failed."""
    deadline = deployment.count("spec.progressDeadlineSeconds", 600)
    for container in serving(Stack([deployment.object])):
        probe = container.part("startupProbe")
        start = probe.count("periodSeconds", 10) * probe.count("failureThreshold", 3)
        if start >= deadline:
            yield deployment.wrong("spec.progressDeadlineSeconds", f"a pod may take {start} s to start; allow for more")


@RULES.each(deployments, "SW117")
def spread(deployment: Part) -> Problems:
    """Replicas are spread over nodes and zones: one that breaks would take the whole service."""
    [pod] = Stack([deployment.object]).pods
    constraints = list(pod.parts("topologySpreadConstraints"))
    for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone"):
        if key not in [constraint.get("topologyKey") for constraint in constraints]:
            yield pod.says("topologySpreadConstraints", f"has none for {key}; add one")
    for constraint in constraints:
        labels = constraint.get("labelSelector.matchLabels")
        if not labels or not selects(labels, pod.labels):
            yield constraint.wrong("labelSelector.matchLabels", f"name labels of these pods: {pod.labels}")


@RULES.together("SW118")
def outlasts_its_requests(stack: Stack) -> Problems:
    """A pod answers what still comes, and all it has begun: requests would be lost with it."""
    for container in serving(stack):
        variables = stack.variables(container)
        pre_stop, drain, shutdown = leaving(stack, container)
        if not stands_alone(container) and pre_stop + drain < FORGOTTEN_SECONDS:
            yield container.says(
                "lifecycle.preStop",
                f"preStop {pre_stop:g} s + DRAIN_DELAY {drain:g} s = {pre_stop + drain:g} s, and the ingress needs "
                f"{FORGOTTEN_SECONDS} s to forget a pod; give preStop more",
            )
        answer = variables.get("HTTP_WRITE_TIMEOUT", DEFAULT_WRITE_TIMEOUT)
        if "SHUTDOWN_TIMEOUT" in variables and not 0 < seconds(answer) <= shutdown:
            yield container.says(
                "env",
                f"SHUTDOWN_TIMEOUT {shutdown:g} s is less than an answer may take, HTTP_WRITE_TIMEOUT {answer} "
                '("0s" is no limit); raise the one or lower the other',
            )


# What reaches a container


@RULES.each(containers, "SW121")
def no_secret_variables(container: Container) -> Problems:
    """Secrets are files, never variables: variables show in dumps, child processes and /proc."""
    for variable in container.parts("env"):
        if variable.get("valueFrom.secretKeyRef") is not None:
            yield variable.says("valueFrom.secretKeyRef", "is a secret; mount it as a file")
    for source in container.parts("envFrom"):
        if source.get("secretRef") is not None:
            yield source.says("secretRef", "is a secret; mount it as files")


@RULES.each(containers, "SW122")
def no_sub_path(container: Container) -> Problems:
    """Volumes are mounted as directories: a file mounted by subPath never follows a change."""
    for mount in container.parts("volumeMounts"):
        for key in ("subPath", "subPathExpr"):
            if mount.get(key):
                yield mount.wrong(key, "mount the directory")


@RULES.together("SW123")
def variables_once(stack: Stack) -> Problems:
    """Each variable is set once: which of the two counts is nothing one should have to know."""
    for container in stack.containers:
        names: list[Any] = []
        for source in container.parts("envFrom"):
            config = stack.named("ConfigMap", source.get("configMapRef.name"))
            names += config.mapping("data") if config else ()
        for variable in container.parts("env"):
            if variable.get("name") in names:
                yield variable.wrong("name", "is set already; set it once")
            names.append(variable.get("name"))


@RULES.each(pods, "SW124")
def no_service_links(pod: Pod) -> Problems:
    """Other Services set no variables: API_PORT of a Service named api would overrule the app's own."""
    if pod.get("enableServiceLinks") is not False:
        yield pod.wrong("enableServiceLinks", "set it to false")


@RULES.each(pods, "SW125")
def secret_files(pod: Pod) -> Problems:
    """Secret files are for the app alone: every process of the pod could read them."""
    for volume in pod.parts("volumes"):
        # Kubernetes' own default lets everybody read.
        mode = volume.count("secret.defaultMode", 0o644)
        if volume.get("secret") is not None and mode & 0o007:
            yield volume.says("secret.defaultMode", f"is {mode:#o}; set it to 0o440")
        if volume.get("secret") is not None and not pod.get("securityContext.fsGroup"):
            yield pod.wrong("securityContext.fsGroup", "set it to the app's group: it could not read them")


# Jobs


@RULES.each(jobs, "SW201")
def job_ends(job: Part) -> Problems:
    """A job has something to do, and an end: its first error would be repeated without end."""
    if job.get("template.spec.restartPolicy") not in ("Never", "OnFailure"):
        yield job.wrong("template.spec.restartPolicy", "set it to Never")
    for key in ("backoffLimit", "activeDeadlineSeconds"):
        if not isinstance(job.get(key), int):
            yield job.wrong(key, "give a number")
    for container in job.parts("template.spec.containers"):
        if not container.get("args") and not container.get("command"):
            yield container.wrong("args", "say what to do: without, the app serves and never ends")


@RULES.each(schedules, "SW202")
def no_overlap(schedule: Part) -> Problems:
    """A schedule never overlaps itself: two runs would work on the same data."""
    if schedule.get("spec.concurrencyPolicy") not in ("Forbid", "Replace"):
        yield schedule.wrong("spec.concurrencyPolicy", "set it to Forbid")


@RULES.each(schedules, "SW203")
def schedule_is_bounded(schedule: Part) -> Problems:
    """A schedule cleans up and survives missed runs: old pods would pile up; 100 missed runs stop it."""
    for key in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit", "startingDeadlineSeconds"):
        if not isinstance(schedule.get(f"spec.{key}"), int):
            yield schedule.wrong(f"spec.{key}", "give a number")
    if not schedule.get("spec.timeZone"):
        yield schedule.wrong("spec.timeZone", "give one: the cluster's own would count")


@RULES.together("SW204")
def jobs_do_not_serve(stack: Stack) -> Problems:
    """No request and no budget counts a job's pods: requests would reach a pod that does not serve."""
    finders = [(found, "spec.selector") for found in stack.of("Service")]
    finders += [(found, "spec.selector.matchLabels") for found in stack.of("PodDisruptionBudget", *SERVING)]
    for found, at in finders:
        for pod in stack.selected(found.get(at)) if found.get(at) else ():
            if not pod.serves:
                yield found.wrong(at, f"fits the pods of {pod.kind}/{pod.name} too; tell them apart")


@RULES.each(lambda stack: stack.of("Pod", "ReplicaSet"), "SW205")
def no_bare_pods(found: Part) -> Problems:
    """Every pod has an owner: nobody would replace it when its node goes."""
    yield found.wrong("kind", "use a Deployment or a Job")
