"""What a pod is given, and how it starts, serves and leaves without losing a request."""

from __future__ import annotations

from slipway.naming import CONTRACT, SHARED_PROBE, SHUTDOWN_SECONDS
from slipway.objects import quantity
from slipway.rules.parts import Container, Part, dig
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import Stack, containers, of, pods_of, selects
from slipway.settings.sections.app import DEFAULT_WRITE_TIMEOUT
from slipway.settings.sections.pods import PROXY_UPDATE_SECONDS
from slipway.settings.types.units import seconds

RULES = Rules()

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
HANDLERS = ("httpGet", "grpc", "exec", "tcpSocket")


def serving(stack: Stack) -> list[Container]:
    """Return the containers that serve requests."""
    return [container for container in stack.containers if container.serves]


def permanent(stack: Stack) -> list[Container]:
    """Return the containers that run all the time: those that serve requests, and those of workers."""
    return [container for container in stack.containers if container.pod.is_permanent and not container.is_first]


@RULES.each(
    containers,
    "SW101",
    title="Requests and limits are set",
    reason="the scheduler would guess, and one pod could starve its node",
    security=True,
)
def sized(container: Container) -> Violations:
    for side in ("requests", "limits"):
        for resource in ("cpu", "memory", "ephemeral-storage"):
            if not quantity(container.get(f"resources.{side}.{resource}")):
                yield container.wrong(f"resources.{side}.{resource}", "give a quantity")


@RULES.each(
    containers,
    "SW102",
    title="Memory request equals limit",
    reason="a pod above its request is the first to be evicted",
)
def memory_is_reserved(container: Container) -> Violations:
    request, limit = (quantity(container.get(f"resources.{side}.memory")) for side in ("requests", "limits"))
    if request != limit:
        yield container.wrong(
            "resources.requests.memory", f"the limit is {container.get('resources.limits.memory')}; use the same"
        )


@RULES.each(
    containers,
    "SW104",
    title="The Go runtime knows its limits",
    reason="it would plan with the whole node, and be killed or throttled",
)
def go_runtime(container: Container) -> Violations:
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


@RULES.each(
    serving,
    "SW111",
    title="Startup, readiness and liveness are probed",
    reason="requests would reach a pod that cannot answer",
    security=True,
)
def probed(container: Container) -> Violations:
    for probe in PROBES:
        handlers = [container.get(f"{probe}.{kind}") for kind in HANDLERS]
        if not any(handlers) or (container.get(f"{probe}.httpGet") and not container.get(f"{probe}.httpGet.path")):
            yield container.wrong(probe, "give one with a path")


@RULES.each(
    serving,
    "SW112",
    title="Each probe checks something of its own",
    reason="a pod that is only busy, or waits for a database, would be restarted",
)
def probes_differ(container: Container) -> Violations:
    """Startup may check the same as liveness: it only allows for more time. The rest only if the stack file says so.

    A TCP connection may be all of them: the kernel accepts it also for a program that is busy or waits.
    """
    handlers = {probe: {key: container.get(f"{probe}.{key}") for key in HANDLERS} for probe in PROBES}
    for probe, other in (("readinessProbe", "startupProbe"), ("livenessProbe", "readinessProbe")):
        same = container.get(probe) and container.get(other) and handlers[probe] == handlers[other]
        if same and handlers[probe]["tcpSocket"] is None and not is_shared(container):
            yield container.violation(probe, f"checks the same as {other}; give it an endpoint of its own")


def is_shared(container: Container) -> bool:
    """Return whether the stack file says that readiness and liveness check the same (`probes.shared`)."""
    return container.pod.annotations.get(SHARED_PROBE) == "true"


@RULES.each(
    serving,
    "SW113",
    title="A pod keeps serving while it is taken out of its Services",
    reason="requests on their way to it would be lost",
)
def pre_stop(container: Container) -> Violations:
    if not container.get("lifecycle.preStop") and not stands_alone(container):
        yield container.wrong("lifecycle.preStop", "give `sleep: {seconds: 5}`")
    if container.get("lifecycle.preStop.exec") is not None:
        yield container.wrong("lifecycle.preStop.exec", "the image holds no shell; give `sleep: {seconds: 5}`")


def stands_alone(container: Container) -> bool:
    """Return whether no other pod can take over the requests: the next one starts when this one is gone."""
    return container.kind == "StatefulSet" and dig(container.object, "spec.replicas") == 1


@RULES.together(
    "SW114", title="A pod has enough time to shut down", reason="the kubelet would kill it with requests open"
)
def grace(stack: Stack) -> Violations:
    for container in permanent(stack):
        pre_stop, drain, shutdown = leaving(stack, container)
        needed = pre_stop + drain + shutdown
        if container.pod.count("terminationGracePeriodSeconds", 30) <= needed:
            yield container.pod.wrong(
                "terminationGracePeriodSeconds",
                f"preStop {pre_stop:g} s + DRAIN_DELAY {drain:g} s + SHUTDOWN_TIMEOUT {shutdown:g} s = {needed:g} s; "
                "give more",
            )


def leaving(stack: Stack, container: Container) -> tuple[float, float, float]:
    """Return the seconds of preStop, and of the app's steps after SIGTERM: to keep serving, and to finish requests.

    An app without a contract is not told them: the stack file states how long it takes to finish.
    """
    annotations = container.pod.annotations
    stated = {"SHUTDOWN_TIMEOUT": f"{annotations.get(SHUTDOWN_SECONDS, 0)}s"} if CONTRACT in annotations else None
    variables = stack.variables(container) if stated is None else stated
    inside = [seconds(variables.get(name, "0s")) for name in ("DRAIN_DELAY", "SHUTDOWN_TIMEOUT")]
    return container.count("lifecycle.preStop.sleep.seconds"), inside[0], inside[1]


@RULES.each(
    lambda stack: stack.permanent("Deployment"),
    "SW115",
    title="A rollout takes no serving pod away",
    reason="there would be too few, or none, while it lasts",
)
def rollout(deployment: Part) -> Violations:
    strategy = deployment.part("spec.strategy")
    if strategy.get("type") not in (None, "RollingUpdate"):
        yield strategy.wrong("type", "set it to RollingUpdate")
    if strategy.get("rollingUpdate.maxUnavailable") not in (0, "0%"):
        yield strategy.wrong("rollingUpdate.maxUnavailable", "set it to 0")
    if strategy.get("rollingUpdate.maxSurge") in (0, "0%"):
        yield strategy.wrong("rollingUpdate.maxSurge", "set it to 1: nothing could ever be rolled out")


@RULES.each(
    of("Deployment"),
    "SW116",
    title="A rollout waits for a pod to start",
    reason="a slow but healthy start would count as failed",
)
def start_fits_deadline(deployment: Part) -> Violations:
    deadline = deployment.count("spec.progressDeadlineSeconds", 600)
    for container in serving(Stack([deployment.object])):
        probe = container.part("startupProbe")
        start = probe.count("periodSeconds", 10) * probe.count("failureThreshold", 3)
        if start >= deadline:
            yield deployment.wrong("spec.progressDeadlineSeconds", f"a pod may take {start} s to start; allow for more")


@RULES.each(
    of("Deployment"),
    "SW117",
    title="Replicas are spread over nodes and zones",
    reason="one that breaks would take the whole service",
)
def spread(deployment: Part) -> Violations:
    [pod] = pods_of(deployment)
    constraints = list(pod.parts("topologySpreadConstraints"))
    for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone"):
        if key not in [constraint.get("topologyKey") for constraint in constraints]:
            yield pod.violation("topologySpreadConstraints", f"has none for {key}; add one")
    for constraint in constraints:
        labels = constraint.get("labelSelector.matchLabels")
        if not labels or not selects(labels, pod.labels):
            yield constraint.wrong("labelSelector.matchLabels", f"name labels of these pods: {pod.labels}")


@RULES.together(
    "SW118",
    title="A pod answers late requests and finishes those it has begun",
    reason="requests would be lost with it",
)
def outlasts_its_requests(stack: Stack) -> Violations:
    for container in serving(stack):
        variables = stack.variables(container)
        pre_stop, drain, shutdown = leaving(stack, container)
        if not stands_alone(container) and pre_stop + drain < PROXY_UPDATE_SECONDS:
            yield container.violation(
                "lifecycle.preStop",
                f"preStop {pre_stop:g} s + DRAIN_DELAY {drain:g} s = {pre_stop + drain:g} s, and the ingress needs "
                f"{PROXY_UPDATE_SECONDS} s to forget a pod; give preStop more",
            )
        answer = variables.get("HTTP_WRITE_TIMEOUT", DEFAULT_WRITE_TIMEOUT)
        reads_contract = CONTRACT not in container.pod.annotations
        if reads_contract and "SHUTDOWN_TIMEOUT" in variables and not 0 < seconds(answer) <= shutdown:
            yield container.violation(
                "env",
                f"SHUTDOWN_TIMEOUT {shutdown:g} s is less than an answer may take, HTTP_WRITE_TIMEOUT {answer} "
                '("0s" is no limit); raise the one or lower the other',
            )
