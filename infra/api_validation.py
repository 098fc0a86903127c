"""What the API server refuses whatever the schema says: names, sizes, numbers and grammars it has its own idea of.

These rules hold in every environment and cannot be waived: an update would fail half-way. They are compared with a real
API server by tests/e2e/test_api_validation.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pod_rules import HANDLERS, PROBES
from pydantic import TypeAdapter, ValidationError
from rules import Container, Part, Pod, Problem, Rules, Stack, quantity, selects
from settings import Cidr, Cron, TimeZone, UrlPath

RULES = Rules(always=True)
Problems = Iterator[Problem]

LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
# Only the whole is limited, to 253 characters.
SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
QUALIFIED = re.compile(rf"((?=[^/]{{1,253}}/){SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")
PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
DATA_KEY = re.compile(r"(?!\.\.|\.$)[-._A-Za-z0-9]{1,253}")
QUANTITY = re.compile(r"\+?[0-9]+(\.[0-9]*)?([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]+)?")

# How an object of a kind may be named, and how long; of any other kind like a host, with up to 253 characters.
NAMES = {
    "Namespace": (LABEL, 63),
    # Later versions take a digit first, 1.34 does not.
    "Service": (r"[a-z]([-a-z0-9]*[a-z0-9])?", 63),
    # Pods carry the Job's name in a label; a CronJob's Jobs have 11 characters more, as has a StatefulSet's revision.
    "Job": (SUBDOMAIN, 63),
    "CronJob": (SUBDOMAIN, 52),
    "StatefulSet": (SUBDOMAIN, 52),
}
OTHER_NAMES = (SUBDOMAIN, 253)
# Made by Kubernetes itself, in each namespace or once.
TAKEN = {
    ("ServiceAccount", "default"),
    ("ConfigMap", "kube-root-ca.crt"),
    *(("Namespace", name) for name in ("default", "kube-system", "kube-public", "kube-node-lease")),
}
LARGEST = {"ConfigMap": 2**20, "Secret": 2**20}
LARGEST_ANNOTATIONS = 256 * 2**10

FORMS: dict[str, TypeAdapter[str]] = {
    "cidr": TypeAdapter(Cidr),
    "path": TypeAdapter(UrlPath),
    "schedule": TypeAdapter(Cron),
    "timeZone": TypeAdapter(TimeZone),
}


def everything(stack: Stack) -> list[Part]:
    """Return every object."""
    return stack.objects


def of(*kinds: str) -> Any:
    """Return what gives the objects of these kinds."""
    return lambda stack: stack.of(*kinds)


# Names, labels and sizes


@RULES.each(everything, "SA001")
def names(found: Part) -> Problems:
    """Names have the form and length of their kind: the API server refuses the object."""
    name, (form, most) = found.text("metadata.name"), NAMES.get(found.kind, OTHER_NAMES)
    if len(name) > most:
        yield found.wrong("metadata.name", f"has {len(name)} characters; a {found.kind} has {most} at most")
    elif not re.fullmatch(form, name):
        yield found.wrong("metadata.name", "use lower-case letters, digits and `-`, from a letter on")
    if (found.kind, name) in TAKEN:
        yield found.wrong("metadata.name", "Kubernetes makes one of this name itself; give another")


@RULES.together("SA002")
def names_once(stack: Stack) -> Problems:
    """Every object has a name of its own: the second one would be refused, or overwrite the first."""
    taken: set[tuple[str, str, str]] = set()
    for found in stack.objects:
        key = (found.kind, found.text("metadata.namespace"), found.text("metadata.name"))
        if key in taken:
            yield found.wrong("metadata.name", "is taken already; give another")
        taken.add(key)


@RULES.each(everything, "SA003")
def labels(found: Part) -> Problems:
    """Labels and annotations have the form of such: the API server refuses the object."""
    for at, given in _labels(found):
        for key, value in given.items():
            if not QUALIFIED.fullmatch(str(key)):
                yield found.says(at, f"hold the key {key}; use a name such as app.kubernetes.io/name")
            if not isinstance(value, str) or not LABEL_VALUE.fullmatch(value):
                rule = "use letters, digits, `-`, `_` and `.`, 63 at most"
                yield found.says(at, f"give {key} the value {str(value)[:80]}; {rule}")
    annotations = found.mapping("metadata.annotations")
    for key in annotations:
        if not QUALIFIED.fullmatch(str(key)):
            yield found.says("metadata.annotations", f"hold the key {key}; use a name such as example.com/note")
    if (size := sum(_size(key) + _size(value) for key, value in annotations.items())) > LARGEST_ANNOTATIONS:
        yield found.says("metadata.annotations", f"have {size} bytes; take some out, {LARGEST_ANNOTATIONS} are allowed")


def _labels(found: Part) -> Iterator[tuple[str, dict[str, Any]]]:
    """The labels of an object and of the pods it makes, and those it selects by."""
    yield "metadata.labels", found.mapping("metadata.labels")
    for pod in Stack([found.object]).pods:
        yield pod.path.removesuffix("spec") + "metadata.labels", pod.labels
    for at in ("spec.selector.matchLabels", *(["spec.selector"] if found.kind == "Service" else [])):
        yield at, found.mapping(at)


@RULES.each(of("ConfigMap", "Secret"), "SA004")
def data(found: Part) -> Problems:
    """Files of ConfigMaps and Secrets have names, and fit: the API server refuses the object."""
    size = 0
    for at in ("data", "stringData", "binaryData"):
        for key, value in found.mapping(at).items():
            size += _size(value)
            if not DATA_KEY.fullmatch(str(key)):
                yield found.says(at, f"holds the key {key}; use letters, digits, `-`, `_` and `.`, 253 at most")
    if size > LARGEST[found.kind]:
        yield found.says("data", f"has {size} bytes; a {found.kind} holds {LARGEST[found.kind]}")


def _size(value: Any) -> int:
    return len(str(value).encode())


# Pods


@RULES.each(lambda stack: stack.pods, "SA011")
def own_names(pod: Pod) -> Problems:
    """Names of containers, ports and volumes are unique in a pod: the API server refuses it."""
    yield from _twice([(container, "name", container.label) for container in pod.containers])
    yield from _twice([(volume, "name", volume.get("name")) for volume in pod.parts("volumes")])
    for container in pod.containers:
        for key in ("name", "containerPort"):
            yield from _twice([(port, key, port.get(key)) for port in container.ports])
        yield from _twice([(mount, "mountPath", mount.get("mountPath")) for mount in container.parts("volumeMounts")])
        if not re.fullmatch(LABEL, container.label):
            yield container.wrong("name", "use lower-case letters, digits and `-`, 63 at most")
        if not container.get("image"):
            yield container.wrong("image", "name one")


@RULES.each(lambda stack: stack.pods, "SA012")
def mounts(pod: Pod) -> Problems:
    """What a container mounts is a volume of its pod, and a volume is one thing: the API server refuses the pod."""
    volumes = [volume.get("name") for volume in pod.parts("volumes")]
    for volume in pod.parts("volumes"):
        if not re.fullmatch(LABEL, volume.text("name")) or len(volume.fields) > 2:
            yield volume.wrong("name", "use lower-case letters, digits and `-`, and one source")
    for mount in [mount for container in pod.containers for mount in container.parts("volumeMounts")]:
        if mount.get("name") not in volumes:
            yield mount.wrong("name", f"the pod has {', '.join(map(str, volumes)) or 'no volume'}; use one of those")


@RULES.each(lambda stack: stack.containers, "SA013")
def sizes(container: Container) -> Problems:
    """Requests and limits are quantities, and no request is above its limit: the API server refuses the pod."""
    limits = container.mapping("resources.limits")
    for at in ("limits", "requests"):
        for resource, given in container.mapping(f"resources.{at}").items():
            if not QUANTITY.fullmatch(str(given)):
                yield container.wrong(f"resources.{at}.{resource}", "give a quantity such as 250m or 64Mi")
            elif at == "requests" and (quantity(given) or 0) > (quantity(limits.get(resource)) or float("inf")):
                yield container.wrong(f"resources.requests.{resource}", f"at most the limit, {limits[resource]}")


@RULES.each(lambda stack: stack.containers, "SA014")
def probes(container: Container) -> Problems:
    """A probe asks one thing, and its numbers count: the API server refuses the pod."""
    for probe in [container.part(at) for at in PROBES if container.get(at) is not None]:
        if len([kind for kind in HANDLERS if probe.get(kind) is not None]) != 1:
            yield probe.says("httpGet", f"give one of {', '.join(HANDLERS)}")
        for key in ("periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold"):
            if probe.count(key, 1) < 1:
                yield probe.wrong(key, "at least 1")
    seconds = container.get("lifecycle.preStop.sleep.seconds")
    if seconds is not None and not 0 <= seconds <= container.pod.count("terminationGracePeriodSeconds", 30):
        yield container.wrong("lifecycle.preStop.sleep.seconds", "at most terminationGracePeriodSeconds of the pod")


@RULES.each(lambda stack: stack.containers, "SA015")
def ports(container: Container) -> Problems:
    """Ports are numbers with names such as http: the API server refuses the pod."""
    for port in container.ports:
        if not _is_port(port.get("containerPort")):
            yield port.wrong("containerPort", "give a number from 1 to 65535")
        if port.get("name") is not None and not PORT_NAME.fullmatch(port.text("name")):
            yield port.wrong("name", "use up to 15 lower-case letters, digits and `-`, one letter at least")


@RULES.each(lambda stack: stack.containers, "SA016")
def variables(container: Container) -> Problems:
    """Each variable of a container is given once: the API server refuses the second."""
    yield from _twice([(variable, "name", variable.get("name")) for variable in container.parts("env")])


# Workloads


@RULES.each(of("Deployment", "StatefulSet", "DaemonSet"), "SA021")
def own_pods(workload: Part) -> Problems:
    """A workload selects its own pods, and can replace them: the API server refuses it."""
    [pod] = Stack([workload.object]).pods
    wanted = workload.get("spec.selector.matchLabels")
    if not wanted or not selects(wanted, pod.labels):
        yield workload.wrong("spec.selector.matchLabels", f"the pods have {pod.labels}; select two of those")
    if pod.get("restartPolicy") not in (None, "Always"):
        yield pod.wrong("restartPolicy", "take it out: what serves is always started again")
    rolling = workload.part("spec.strategy.rollingUpdate")
    if workload.get("spec.strategy.type") == "Recreate" and rolling.fields is not None:
        yield workload.wrong("spec.strategy.rollingUpdate", "take it out: the type is Recreate")
    if [str(rolling.get(key)) in ("0", "0%") for key in ("maxUnavailable", "maxSurge")] == [True, True]:
        yield rolling.wrong("maxSurge", "a rollout could never begin; set it to 1")


@RULES.each(lambda stack: [pod for pod in stack.pods if pod.kind in ("Job", "CronJob")], "SA022")
def job_ends(pod: Pod) -> Problems:
    """The pods of a job end: the API server refuses it."""
    if pod.get("restartPolicy") not in ("Never", "OnFailure"):
        yield pod.wrong("restartPolicy", "set it to Never")


@RULES.each(of("CronJob"), "SA023")
def schedule_times(schedule: Part) -> Problems:
    """A schedule's times are times: the API server refuses it, or it would never run."""
    for key in ("schedule", "timeZone"):
        yield from _form(schedule, f"spec.{key}", key)


@RULES.each(of("HorizontalPodAutoscaler"), "SA024")
def bounds(scaler: Part) -> Problems:
    """An autoscaler's bounds leave room: the API server refuses a minimum above the maximum."""
    fewest, most = scaler.get("spec.minReplicas"), scaler.get("spec.maxReplicas")
    if not isinstance(fewest, int) or not isinstance(most, int) or not 1 <= fewest <= most:
        yield scaler.wrong("spec.minReplicas", f"give a number from 1 to maxReplicas ({most})")


@RULES.each(of("PodDisruptionBudget"), "SA025")
def one_bound(budget: Part) -> Problems:
    """A budget says how many stay or how many leave: the API server refuses both."""
    if budget.get("spec.minAvailable") is not None and budget.get("spec.maxUnavailable") is not None:
        yield budget.wrong("spec.minAvailable", "the API server takes it or maxUnavailable, not both; take it out")


@RULES.each(of("ResourceQuota", "PersistentVolumeClaim"), "SA026")
def amounts(found: Part) -> Problems:
    """Quotas and claims are quantities: the API server refuses the object."""
    for at in ("spec.hard", "spec.resources.requests"):
        for resource, given in found.mapping(at).items():
            if not QUANTITY.fullmatch(str(given)):
                yield found.says(at, f"give {resource} the amount {given}; give a quantity such as 5Gi")


# Connections


@RULES.each(of("Service"), "SA031")
def service_ports(service: Part) -> Problems:
    """A Service's ports are told apart: the API server refuses it."""
    given = list(service.parts("spec.ports"))
    yield from _twice([(port, "name", port.get("name")) for port in given])
    yield from _twice([(port, "port", (port.get("port"), port.get("protocol") or "TCP")) for port in given])
    for port in given:
        if not _is_port(port.get("port")):
            yield port.wrong("port", "give a number from 1 to 65535")


@RULES.each(of("Ingress"), "SA032")
def addresses(ingress: Part) -> Problems:
    """Hosts and paths of an Ingress are such: the API server refuses it."""
    for rule in ingress.parts("spec.rules"):
        if rule.get("host") and not re.fullmatch(rf"(\*\.)?{SUBDOMAIN}", rule.text("host")):
            yield rule.wrong("host", "give a full name in lower case, such as api.example.com")
        for path in rule.parts("http.paths"):
            yield from _form(path, "path", "path")


@RULES.each(of("NetworkPolicy"), "SA033")
def connections(policy: Part) -> Problems:
    """Ranges of addresses and of ports are such: the API server refuses the NetworkPolicy."""
    rules = [
        (rule, peers)
        for side, peers in (("ingress", "from"), ("egress", "to"))
        for rule in policy.parts(f"spec.{side}")
    ]
    for rule, peers in rules:
        for block in [peer.part("ipBlock") for peer in rule.parts(peers) if peer.get("ipBlock") is not None]:
            yield from _form(block, "cidr", "cidr")
        for port in rule.parts("ports"):
            first, last = port.get("port"), port.get("endPort")
            if isinstance(first, int) and not _is_port(first):
                yield port.wrong("port", "give a number from 1 to 65535")
            if last is not None and not (_is_port(first) and _is_port(last) and first <= last):
                yield port.wrong("endPort", f"give a number from port ({first}) to 65535")


# What the rules above look up


def _is_port(value: Any) -> bool:
    return isinstance(value, int) and 1 <= value <= 65535


def _form(part: Part, at: str, form: str) -> Problems:
    """What is wrong with a value that a stack file gives in the same form."""
    try:
        FORMS[form].validate_python(part.text(at))
    except ValidationError as error:
        yield part.wrong(at, error.errors()[0]["msg"].removeprefix("Value error, "))


def _twice(places: list[tuple[Part, str, Any]]) -> Problems:
    """The places whose value an earlier one has already."""
    seen: list[Any] = []
    for part, at, value in places:
        if value in seen:
            yield part.says(at, f"is {value} a second time; give another")
        if value is not None:
            seen.append(value)
