"""What reaches a container: variables, files and mounts."""

from __future__ import annotations

from typing import Any

from slipway.naming import SECRET_VARIABLES
from slipway.rules.parts import Container, Pod
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import Stack, containers, pods

RULES = Rules()


@RULES.each(
    containers,
    "SW121",
    title="Secrets are files, and variables only where the stack file says so",
    reason="variables show in dumps, child processes and /proc",
    security=True,
)
def no_secret_variables(container: Container) -> Violations:
    declared = declared_secrets(container)
    for variable in container.parts("env"):
        if variable.get("valueFrom.secretKeyRef") is not None and variable.get("name") not in declared:
            yield variable.violation("valueFrom.secretKeyRef", "is a secret; mount it as a file")
    for source in container.parts("envFrom"):
        if source.get("secretRef") is not None:
            yield source.violation("secretRef", "is a secret; mount it as files")


def declared_secrets(container: Container) -> list[str]:
    """Return the variables of a container that are secrets by the stack file (`secretEnv`)."""
    return str(container.pod.annotations.get(SECRET_VARIABLES, "")).split(",")


@RULES.each(
    containers,
    "SW122",
    title="Volumes are mounted as directories",
    reason="a file mounted by subPath never follows a change",
)
def no_sub_path(container: Container) -> Violations:
    for mount in container.parts("volumeMounts"):
        for key in ("subPath", "subPathExpr"):
            if mount.get(key):
                yield mount.wrong(key, "mount the directory")


@RULES.together("SW123", title="Each variable is set once", reason="which of the two applies is not obvious")
def variables_once(stack: Stack) -> Violations:
    for container in stack.containers:
        names: list[Any] = []
        for source in container.parts("envFrom"):
            config = stack.named("ConfigMap", source.get("configMapRef.name"))
            names += config.mapping("data") if config else ()
        for variable in container.parts("env"):
            if variable.get("name") in names:
                yield variable.wrong("name", "is set already; set it once")
            names.append(variable.get("name"))


@RULES.each(
    pods,
    "SW124",
    title="Other Services set no variables",
    reason="API_PORT of a Service named api would overrule the app's own",
)
def no_service_links(pod: Pod) -> Violations:
    if pod.get("enableServiceLinks") is not False:
        yield pod.wrong("enableServiceLinks", "set it to false")


@RULES.each(
    pods,
    "SW125",
    title="Secret files are for the app alone",
    reason="every process of the pod could read them",
    security=True,
)
def secret_files(pod: Pod) -> Violations:
    for volume in pod.parts("volumes"):
        # The default of Kubernetes lets every user read the file.
        mode = volume.count("secret.defaultMode", 0o644)
        if volume.get("secret") is not None and mode & 0o007:
            yield volume.violation("secret.defaultMode", f"is {mode:#o}; set it to 0o440")
        if volume.get("secret") is not None and not pod.get("securityContext.fsGroup"):
            yield pod.wrong("securityContext.fsGroup", "set it to the app's group: it could not read them")
