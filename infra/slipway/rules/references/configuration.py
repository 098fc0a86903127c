"""What a pod names exists: ConfigMaps, Secrets, their keys, volumes, identities and claims."""

from __future__ import annotations

from pathlib import PurePosixPath

from slipway.naming import COMPONENT, DASHBOARD, RELEASE
from slipway.rules.parts import Container, Part, dig, known
from slipway.rules.references.lookups import exists, is_external, keys_in, keys_of, list_names, sources, target_of
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import Stack

RULES = Rules()

NAMED = ("ConfigMap", "Secret")
LOGIN = "kubernetes.io/dockerconfigjson"


@RULES.together(
    "SR021", title="ConfigMaps and Secrets that a pod names exist", reason="the pod would wait for them forever"
)
def configuration(stack: Stack) -> Violations:
    for source, at, kind, name, _ in sources(stack):
        if not exists(stack, kind, name) and not is_external(source, kind, name):
            yield source.wrong(at, f"there is no {kind} of this name; there are: {list_names(stack, kind)}")


@RULES.together("SR022", title="Keys that a pod names exist", reason="the pod would not start, or miss the file")
def configuration_keys(stack: Stack) -> Violations:
    for source, _, kind, name, keys in sources(stack):
        present = keys_in(stack, kind, name)
        for at, key in keys:
            if present is not None and key not in present:
                yield source.wrong(at, f"{kind} {name} has {', '.join(sorted(present)) or 'none'}; use one of those")


@RULES.together("SR023", title="Every volume is mounted", reason="a file is missing")
def mounts(stack: Stack) -> Violations:
    for pod in stack.pods:
        mounted = [mount for container in pod.containers for mount in container.parts("volumeMounts")]
        for volume in pod.parts("volumes"):
            if volume.get("name") not in [mount.get("name") for mount in mounted]:
                yield volume.wrong("name", "no container mounts it; mount it or take it out")


@RULES.together(
    "SR024",
    title="Paths in the app's variables lead into a mounted volume",
    reason="it would start without its configuration or secrets",
)
def variable_paths(stack: Stack) -> Violations:
    for container in stack.containers:
        variables = stack.variables(container)
        for name, kind in (("CONFIG_FILE", "configMap"), ("SECRETS_DIR", "secret")):
            if name in variables:
                yield from _variable_path(stack, container, name, variables[name], kind)


def _variable_path(stack: Stack, container: Container, variable: str, path: str, kind: str) -> Violations:
    """Yield what is wrong with the path of a file or folder that a variable names."""
    volumes = {volume.text("name"): volume for volume in container.pod.parts("volumes") if volume.get(kind) is not None}
    mounted = {
        m.text("mountPath"): volumes[m.text("name")]
        for m in container.parts("volumeMounts")
        if m.text("name") in volumes
    }
    folder, file = (str(PurePosixPath(path).parent), PurePosixPath(path).name) if kind == "configMap" else (path, "")
    own = [at for at, volume in mounted.items() if not _is_external(volume, kind)]
    if path == "" and own:
        yield container.violation("volumeMounts", f"mounts {', '.join(own)}, but {variable} is empty; set it")
    elif path and folder not in mounted:
        yield container.violation(
            "volumeMounts", f"{variable} is {path}, but only {', '.join(mounted) or 'nothing'} is mounted"
        )
    elif file and file not in (files := _files(stack, mounted[folder])):
        yield container.violation("volumeMounts", f"{variable} is {path}, but there is only {', '.join(sorted(files))}")


def _is_external(volume: Part, kind: str) -> bool:
    """Return whether others create what a volume of a ConfigMap mounts; the app's variables say nothing of it."""
    return kind == "configMap" and is_external(volume, "ConfigMap", volume.get("configMap.name"))


def _files(stack: Stack, volume: Part) -> set[str]:
    """Return the names of the files that a ConfigMap has in a volume."""
    chosen = {item.text("path") for item in volume.parts("configMap.items")}
    return chosen or keys_in(stack, "ConfigMap", volume.get("configMap.name")) or set()


@RULES.together("SR025", title="A pod's ServiceAccount exists", reason="no pod would be created")
def identity(stack: Stack) -> Violations:
    for pod in stack.pods:
        name = pod.get("serviceAccountName")
        if name and not stack.named("ServiceAccount", name):
            yield pod.wrong(
                "serviceAccountName",
                f"there is no such ServiceAccount; there are: {list_names(stack, 'ServiceAccount')}",
            )


@RULES.together("SR026", title="Every pod uses the pull secret of the stack", reason="no node could pull the image")
def pull_secrets(stack: Stack) -> Violations:
    for part in (*stack.pods, *stack.of("ServiceAccount")):
        for entry in part.parts("imagePullSecrets"):
            secret = stack.named("Secret", entry.text("name"))
            if is_external(entry, "Secret", entry.get("name")):
                continue
            if not exists(stack, "Secret", entry.get("name")):
                yield entry.wrong("name", f"there is no such Secret; there are: {list_names(stack, 'Secret')}")
            elif secret and (secret.get("type"), keys_of(secret)) != (LOGIN, {".dockerconfigjson"}):
                yield entry.wrong("name", f"is not a Secret of type {LOGIN}")
    logins = [secret.name for secret in stack.of("Secret") if secret.get("type") == LOGIN]
    for pod in stack.pods if logins else ():
        account = stack.named("ServiceAccount", pod.get("serviceAccountName"))
        if not pod.items("imagePullSecrets") and not (account and account.items("imagePullSecrets")):
            yield pod.violation("serviceAccountName", f"has no pull secret; add {logins[0]} to it")


@RULES.together("SR027", title="Claims that a pod names exist", reason="the pod would never be scheduled")
def claims(stack: Stack) -> Violations:
    for pod in stack.pods:
        templates = [
            dig(claim, "metadata.name") for claim in Part(pod.object, "", pod.object).items("spec.volumeClaimTemplates")
        ]
        for volume in pod.parts("volumes"):
            name = volume.get("persistentVolumeClaim.claimName")
            if not name or name in templates or is_external(volume, "PersistentVolumeClaim", name):
                continue
            if not stack.named("PersistentVolumeClaim", name):
                yield volume.wrong("persistentVolumeClaim.claimName", "there is no PersistentVolumeClaim of this name")


@RULES.together("SR028", title="Nothing is left unread", reason="a pod that should read it does not")
def unread(stack: Stack) -> Violations:
    read = {(kind, str(name)) for _, _, kind, name, _ in sources(stack)}
    read |= {("ServiceAccount", pod.text("serviceAccountName")) for pod in stack.pods}
    for part in (*stack.pods, *stack.of("ServiceAccount")):
        read |= {("Secret", entry.text("name")) for entry in part.parts("imagePullSecrets")}
    read |= {("Secret", entry.text("secretName")) for part in stack.of("Ingress") for entry in part.parts("spec.tls")}
    for obj in stack.of(*NAMED, "ServiceAccount"):
        object_labels = obj.mapping("metadata.labels")
        read_elsewhere = object_labels.get(COMPONENT) == RELEASE or DASHBOARD in object_labels
        if (obj.kind, known(obj.name)) not in read and not read_elsewhere:
            yield obj.wrong("metadata.name", "nothing reads it; name it where it is needed, or take it out")
    for external in stack.of("ExternalSecret"):
        if ("Secret", target_of(external)) not in read:
            yield external.wrong("spec.target.name", "nothing reads the Secret it creates; name it where it is needed")
