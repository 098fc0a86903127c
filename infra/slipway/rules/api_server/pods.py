"""Pods and containers."""

from __future__ import annotations

import re

from slipway.objects import quantity
from slipway.rules.api_server.forms import PORT_NAME, QUANTITY, duplicates, is_port
from slipway.rules.parts import Container, Pod
from slipway.rules.required.pod_lifecycle import HANDLERS, PROBES
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import containers, pods
from slipway.settings.types.scalars import LABEL

RULES = Rules(always=True)


@RULES.each(
    pods,
    "SA011",
    title="Names of containers, ports and volumes are unique in a pod",
    reason="the API server refuses it",
)
def own_names(pod: Pod) -> Violations:
    yield from duplicates([(container, "name", container.label) for container in pod.containers])
    yield from duplicates([(volume, "name", volume.get("name")) for volume in pod.parts("volumes")])
    for container in pod.containers:
        for key in ("name", "containerPort"):
            yield from duplicates([(port, key, port.get(key)) for port in container.ports])
        yield from duplicates(
            [(mount, "mountPath", mount.get("mountPath")) for mount in container.parts("volumeMounts")]
        )
        if not re.fullmatch(LABEL, container.label):
            yield container.wrong("name", "use lower-case letters, digits and `-`, 63 at most")
        if not container.get("image"):
            yield container.wrong("image", "name one")


@RULES.each(
    pods,
    "SA012",
    title="What a container mounts is a volume of its pod, and a volume is one thing",
    reason="the API server refuses the pod",
)
def mounts(pod: Pod) -> Violations:
    volumes = [volume.get("name") for volume in pod.parts("volumes")]
    for volume in pod.parts("volumes"):
        if not re.fullmatch(LABEL, volume.text("name")) or len(volume.fields) > 2:
            yield volume.wrong("name", "use lower-case letters, digits and `-`, and one source")
    for mount in [mount for container in pod.containers for mount in container.parts("volumeMounts")]:
        if mount.get("name") not in volumes:
            yield mount.wrong("name", f"the pod has {', '.join(map(str, volumes)) or 'no volume'}; use one of those")


@RULES.each(
    containers,
    "SA013",
    title="Requests and limits are quantities, and no request is above its limit",
    reason="the API server refuses the pod",
)
def sizes(container: Container) -> Violations:
    limits = container.mapping("resources.limits")
    for at in ("limits", "requests"):
        for resource, given in container.mapping(f"resources.{at}").items():
            if not QUANTITY.fullmatch(str(given)):
                yield container.wrong(f"resources.{at}.{resource}", "give a quantity such as 250m or 64Mi")
            elif at == "requests" and (quantity(given) or 0) > (quantity(limits.get(resource)) or float("inf")):
                yield container.wrong(f"resources.requests.{resource}", f"at most the limit, {limits[resource]}")


@RULES.each(
    containers,
    "SA014",
    title="A probe has one handler, and positive numbers",
    reason="the API server refuses the pod",
)
def probes(container: Container) -> Violations:
    for probe in [container.part(at) for at in PROBES if container.get(at) is not None]:
        if len([kind for kind in HANDLERS if probe.get(kind) is not None]) != 1:
            yield probe.violation("httpGet", f"give one of {', '.join(HANDLERS)}")
        for key in ("periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold"):
            if probe.count(key, 1) < 1:
                yield probe.wrong(key, "at least 1")
    seconds = container.get("lifecycle.preStop.sleep.seconds")
    if seconds is not None and not 0 <= seconds <= container.pod.count("terminationGracePeriodSeconds", 30):
        yield container.wrong("lifecycle.preStop.sleep.seconds", "at most terminationGracePeriodSeconds of the pod")


@RULES.each(
    containers,
    "SA015",
    title="Ports are numbers with names such as http",
    reason="the API server refuses the pod",
)
def ports(container: Container) -> Violations:
    for port in container.ports:
        if not is_port(port.get("containerPort")):
            yield port.wrong("containerPort", "give a number from 1 to 65535")
        if port.get("name") is not None and not PORT_NAME.fullmatch(port.text("name")):
            yield port.wrong("name", "use up to 15 lower-case letters, digits and `-`, one letter at least")


@RULES.each(
    containers,
    "SA016",
    title="Each variable of a container is set once",
    reason="the API server refuses the second",
)
def variables(container: Container) -> Violations:
    yield from duplicates([(variable, "name", variable.get("name")) for variable in container.parts("env")])
