"""Everything that names something else leads somewhere: the reference graph over a stack's objects.

A schema cannot see a wrong name, and the cluster tells late or never: a Service without pods is a valid Service.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from naming import COMPONENT, RELEASE, TRACK, pods_of
from rules import (
    SERVING,
    UNKNOWN,
    Container,
    Part,
    Pod,
    Problem,
    Rules,
    Stack,
    dig,
    known,
    port_number,
    told_ports,
)
from settings import RESERVED_ENV, ROOT

RULES = Rules()

Problems = Iterator[Problem]
CLUSTER_WIDE = ("Namespace", "ClusterRole", "ClusterRoleBinding", "PersistentVolume", "StorageClass", "PriorityClass")
NAMED = ("ConfigMap", "Secret")
APP_VARIABLES = ROOT / "app" / "internal" / "config" / "config.go"
# Read by the Go runtime and by OpenTelemetry, without being in the app's own list.
OF_LIBRARIES = re.compile(r"GO[A-Z]+|OTEL_\w+")
LOGIN = "kubernetes.io/dockerconfigjson"
# The variable that names the user of MySQL.
ACCOUNT = "MYSQL_USER"
# The label by which a service's pods and its jobs' pods are known alike.
[SERVICE] = pods_of("any")


# Pods and who looks for them


@RULES.together("SR001")
def own_pods(stack: Stack) -> Problems:
    """A workload selects its own pods only: it would adopt another one's pods."""
    for workload in stack.of(*SERVING):
        [pod] = Stack([workload.object]).pods
        labels = workload.get("spec.selector.matchLabels")
        # Those of a canary have an owner already, so the release beside it does not adopt them.
        others = [other for other in stack.selected(labels) if other.object is not workload.object]
        if others := [
            other for other in others if pod.is_canary or not other.is_canary or not _same(pod, other, SERVICE)
        ]:
            yield workload.wrong(
                "spec.selector.matchLabels", f"fits the pods of {others[0].owner} too; tell them apart"
            )


@RULES.together("SR002")
def service_pods(stack: Stack) -> Problems:
    """A Service finds pods: every request to it would be refused."""
    for service in stack.of("Service"):
        if not service.get("spec.selector") or not stack.selected(service.get("spec.selector")):
            yield service.wrong("spec.selector", "no pod has these labels")


@RULES.together("SR003")
def target_ports(stack: Stack) -> Problems:
    """A Service's port leads to a port of its pods: every request to it would be refused."""
    for service in stack.of("Service"):
        for port in service.parts("spec.ports"):
            target = port.get("targetPort") or port.get("port")
            for pod in stack.selected(service.get("spec.selector")):
                if port_number(pod.ports, target) is None:
                    yield port.wrong("targetPort", f"{pod.owner} has {told_ports(pod.ports)}; use one of those")


@RULES.together("SR004")
def probe_ports(stack: Stack) -> Problems:
    """Probes and hooks ask a port the container has: the pod would never be ready, or be restarted for ever."""
    for container in stack.containers:
        for at in ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle.preStop", "lifecycle.postStart"):
            for kind in ("httpGet", "tcpSocket", "grpc"):
                asked = container.get(f"{at}.{kind}")
                if asked is not None and port_number(container.ports, dig(asked, "port")) is None:
                    yield container.wrong(
                        f"{at}.{kind}.port", f"the container has {told_ports(container.ports)}; use one of those"
                    )


@RULES.together("SR005")
def same_ports(stack: Stack) -> Problems:
    """Ports are told the same to all: the app would listen where nobody asks."""
    for container in stack.containers:
        variables = stack.variables(container)
        for port in container.parts("ports"):
            told = variables.get(f"{str(port.get('name')).upper()}_PORT")
            if told not in (None, port.text("containerPort")):
                yield port.wrong("containerPort", f"the app is told {told}; make them one")


@RULES.together("SR007")
def scaler_target(stack: Stack) -> Problems:
    """An autoscaler's target exists: nothing would ever be scaled."""
    taken: dict[tuple[str, str], str] = {}
    for scaler in stack.of("HorizontalPodAutoscaler"):
        target = scaler.part("spec.scaleTargetRef")
        if not stack.named(target.text("kind"), target.get("name")):
            yield target.wrong("name", f"there is no {target.get('kind')} of this name")
        if taken.setdefault((target.text("kind"), target.text("name")), scaler.name) != scaler.name:
            yield target.wrong("name", "another HorizontalPodAutoscaler scales it already")


@RULES.together("SR008")
def budget_pods(stack: Stack) -> Problems:
    """A disruption budget finds pods: it would protect none."""
    for budget in stack.of("PodDisruptionBudget"):
        labels = budget.get("spec.selector.matchLabels")
        if not labels or not stack.selected(labels):
            yield budget.wrong("spec.selector.matchLabels", "no pod has these labels")


# Addresses


@RULES.together("SR011")
def ingress_backend(stack: Stack) -> Problems:
    """An Ingress leads to a Service and one of its ports: it would answer 503."""
    for ingress in stack.of("Ingress"):
        paths = [path for rule in ingress.parts("spec.rules") for path in rule.parts("http.paths")]
        if not paths:
            yield ingress.wrong("spec.rules", "give a path with a backend")
        for path in paths:
            backend = path.part("backend.service")
            if not path.text("path").startswith("/"):
                yield path.wrong("path", "give one that starts with /")
            port = backend.get("port.name") or backend.get("port.number")
            yield from _leads_to_service(stack, backend, "port", port)


@RULES.together("SR012")
def route_backend(stack: Stack) -> Problems:
    """An HTTPRoute leads to a Service and one of its ports: it would answer 500."""
    for route in stack.of("HTTPRoute"):
        backends = [backend for rule in route.parts("spec.rules") for backend in rule.parts("backendRefs")]
        if not backends:
            yield route.wrong("spec.rules", "give a backend")
        for backend in backends:
            yield from _leads_to_service(stack, backend, "port", backend.get("port"))


def _leads_to_service(stack: Stack, backend: Part, at: str, port: Any) -> Problems:
    service = stack.named("Service", backend.get("name"))
    if not stack.named("Service", backend.get("name")):
        yield backend.wrong("name", f"there is no such Service; there are: {_names(stack, 'Service')}")
    elif service and port not in _service_ports(service):
        yield backend.wrong(at, f"{service.name} has {', '.join(map(str, _service_ports(service)))}; use one of those")


@RULES.together("SR013")
def certificate(stack: Stack) -> Problems:
    """A certificate made here is one: the controller would serve its own, self-signed one."""
    for ingress in stack.of("Ingress"):
        for entry in ingress.parts("spec.tls"):
            secret = stack.named("Secret", entry.text("secretName"))
            keys = _keys(secret) if secret else {"tls.crt", "tls.key"}
            if (secret and secret.get("type") != "kubernetes.io/tls") or not {"tls.crt", "tls.key"} <= keys:
                yield entry.wrong("secretName", "is no kubernetes.io/tls Secret with tls.crt and tls.key")


# Configuration, secrets and identity


@RULES.together("SR021")
def configuration(stack: Stack) -> Problems:
    """ConfigMaps and Secrets a pod names exist: the pod would wait for them, for ever."""
    for source, at, kind, name, _ in _sources(stack):
        if not _exists(stack, kind, name):
            yield source.wrong(at, f"there is no {kind} of this name; there are: {_names(stack, kind)}")


@RULES.together("SR022")
def configuration_keys(stack: Stack) -> Problems:
    """Keys a pod names exist: the pod would not start, or miss the file."""
    for source, _, kind, name, keys in _sources(stack):
        present = _keys_of(stack, kind, name)
        for at, key in keys:
            if present is not None and key not in present:
                yield source.wrong(at, f"{kind} {name} has {', '.join(sorted(present)) or 'none'}; use one of those")


@RULES.together("SR023")
def mounts(stack: Stack) -> Problems:
    """Every volume is mounted: a file is missing."""
    for pod in stack.pods:
        mounted = [mount for container in pod.containers for mount in container.parts("volumeMounts")]
        for volume in pod.parts("volumes"):
            if volume.get("name") not in [mount.get("name") for mount in mounted]:
                yield volume.wrong("name", "no container mounts it; mount it or take it out")


@RULES.together("SR024")
def told_paths(stack: Stack) -> Problems:
    """Paths the app is told lead into a mounted volume: it would start without its configuration or secrets."""
    for container in stack.containers:
        variables = stack.variables(container)
        for name, kind in (("CONFIG_FILE", "configMap"), ("SECRETS_DIR", "secret")):
            if name in variables:
                yield from _told_path(stack, container, name, variables[name], kind)


def _told_path(stack: Stack, container: Container, variable: str, path: str, kind: str) -> Problems:
    volumes = {volume.text("name"): volume for volume in container.pod.parts("volumes") if volume.get(kind) is not None}
    found = {
        m.text("mountPath"): volumes[m.text("name")]
        for m in container.parts("volumeMounts")
        if m.text("name") in volumes
    }
    folder, file = (str(PurePosixPath(path).parent), PurePosixPath(path).name) if kind == "configMap" else (path, "")
    if path == "" and found:
        yield container.says("volumeMounts", f"mounts {', '.join(found)}, but {variable} is empty; set it")
    elif path and folder not in found:
        yield container.says(
            "volumeMounts", f"{variable} is {path}, but only {', '.join(found) or 'nothing'} is mounted"
        )
    elif file and file not in (files := _files(stack, found[folder])):
        yield container.says("volumeMounts", f"{variable} is {path}, but there is only {', '.join(sorted(files))}")


def _files(stack: Stack, volume: Part) -> set[str]:
    """The files a ConfigMap becomes in a volume."""
    chosen = {item.text("path") for item in volume.parts("configMap.items")}
    return chosen or _keys_of(stack, "ConfigMap", volume.get("configMap.name")) or set()


@RULES.together("SR025")
def identity(stack: Stack) -> Problems:
    """A pod's identity exists: no pod would be made."""
    for pod in stack.pods:
        name = pod.get("serviceAccountName")
        if name and not stack.named("ServiceAccount", name):
            yield pod.wrong(
                "serviceAccountName", f"there is no such ServiceAccount; there are: {_names(stack, 'ServiceAccount')}"
            )


@RULES.together("SR026")
def pull_secrets(stack: Stack) -> Problems:
    """Every pod brings the pull secret there is: no node could pull the image."""
    for part in (*stack.pods, *stack.of("ServiceAccount")):
        for entry in part.parts("imagePullSecrets"):
            secret = stack.named("Secret", entry.text("name"))
            if not _exists(stack, "Secret", entry.get("name")):
                yield entry.wrong("name", f"there is no such Secret; there are: {_names(stack, 'Secret')}")
            elif secret and (secret.get("type"), _keys(secret)) != (LOGIN, {".dockerconfigjson"}):
                yield entry.wrong("name", f"is no Secret of type {LOGIN}")
    logins = [secret.name for secret in stack.of("Secret") if secret.get("type") == LOGIN]
    for pod in stack.pods if logins else ():
        account = stack.named("ServiceAccount", pod.get("serviceAccountName"))
        if not pod.items("imagePullSecrets") and not (account and account.items("imagePullSecrets")):
            yield pod.says("serviceAccountName", f"brings no pull secret; name {logins[0]} there")


@RULES.together("SR027")
def claims(stack: Stack) -> Problems:
    """Claims a pod names exist: the pod would never be scheduled."""
    for pod in stack.pods:
        made = [
            dig(claim, "metadata.name") for claim in Part(pod.object, "", pod.object).items("spec.volumeClaimTemplates")
        ]
        for volume in pod.parts("volumes"):
            name = volume.get("persistentVolumeClaim.claimName")
            if name and name not in made and not stack.named("PersistentVolumeClaim", name):
                yield volume.wrong("persistentVolumeClaim.claimName", "there is no PersistentVolumeClaim of this name")


@RULES.together("SR028")
def unread(stack: Stack) -> Problems:
    """Nothing lies there unread: a pod that should read it does not."""
    read = {(kind, str(name)) for _, _, kind, name, _ in _sources(stack)}
    read |= {("ServiceAccount", pod.text("serviceAccountName")) for pod in stack.pods}
    for part in (*stack.pods, *stack.of("ServiceAccount")):
        read |= {("Secret", entry.text("name")) for entry in part.parts("imagePullSecrets")}
    read |= {("Secret", entry.text("secretName")) for found in stack.of("Ingress") for entry in found.parts("spec.tls")}
    for found in stack.of(*NAMED, "ServiceAccount"):
        is_record = found.mapping("metadata.labels").get(COMPONENT) == RELEASE
        if (found.kind, known(found.name)) not in read and not is_record:
            yield found.wrong("metadata.name", "nothing reads it; name it where it is needed, or take it out")
    for order in stack.of("ExternalSecret"):
        if ("Secret", _target(order)) not in read:
            yield order.wrong("spec.target.name", "nothing reads the Secret it makes; name it where it is needed")


@RULES.together("SR029")
def bindings(stack: Stack) -> Problems:
    """Rights are given to somebody, by a role that exists: the rights would be missing."""
    for binding in stack.of("RoleBinding", "ClusterRoleBinding"):
        role = binding.part("roleRef")
        if not stack.named(role.text("kind"), role.get("name")):
            yield role.wrong("name", f"there is no {role.get('kind')} of this name")
        for subject in binding.parts("subjects"):
            if subject.get("kind") == "ServiceAccount" and not stack.named("ServiceAccount", subject.get("name")):
                yield subject.wrong("name", "there is no ServiceAccount of this name")


@RULES.together("SR030")
def jobs_are_the_service_s(stack: Stack) -> Problems:
    """A job runs what its service runs, a migration as its own user: it would work with another version or database."""
    for job in (pod for pod in stack.pods if not pod.serves):
        for pod in (pod for pod in stack.pods if pod.serves and _same(pod, job, SERVICE) and _same(pod, job, TRACK)):
            pairs = [(job, pod, "serviceAccountName"), (job, pod, "volumes")]
            for own, other in zip(job.containers, pod.containers, strict=False):
                pairs += [(own, other, key) for key in ("envFrom", "env", "volumeMounts", "image")]
            for own, other, key in pairs:
                if _differ(own.get(key), other.get(key), partial(_other_account, stack, job, pod)):
                    yield own.says(key, f"is not that of {pod.owner}; make them one")


def _same(one: Pod, other: Pod, label: str) -> bool:
    return one.labels.get(label) == other.labels.get(label)


def _differ(one: Any, other: Any, may_differ: Callable[[Any, Any], bool]) -> bool:
    """Whether they do whatever an update will tell of them."""
    if UNKNOWN in (one, other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() != other.keys() or any(_differ(one[key], other[key], may_differ) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) != len(other) or any(_differ(*pair, may_differ) for pair in zip(one, other, strict=True))
    return one != other and not may_differ(one, other)


def _other_account(stack: Stack, job: Pod, pod: Pod, own: Any, other: Any) -> bool:
    """Whether a migration names `own` where its service names `other` only to log in to MySQL as another user."""
    users = [_account(stack, found) for found in (job, pod)]
    if job.kind != "Job" or None in users or users[0] == users[1]:
        return False
    configs = [found.mapping("data") for name in (own, other) if (found := stack.named("ConfigMap", name))]
    if configs:
        told = [{**data, ACCOUNT: ""} for data in configs if ACCOUNT in data]
        return len(told) == len((own, other)) and told[0] == told[1]
    keys = [_keys_of(stack, "Secret", name) for name in (own, other)]
    return None not in keys and keys[0] == keys[1]


def _account(stack: Stack, pod: Pod) -> str | None:
    """Who a pod logs in to MySQL as."""
    return next((stack.variables(container).get(ACCOUNT) for container in pod.containers), None)


# Variables


@RULES.together("SR051")
def app_variables(stack: Stack) -> Problems:
    """The app is told what it needs and reads what it is told: it would run on values nobody chose."""
    for container in stack.containers:
        told = stack.variables(container).keys()
        if not told & RESERVED_ENV:  # a container of somebody else
            continue
        if missing := sorted(RESERVED_ENV - told):
            yield container.says("envFrom", f"lacks {', '.join(missing)}; the program has to set each of them")
        for name in sorted(told - RESERVED_ENV - read_by_app()):
            if not OF_LIBRARIES.fullmatch(name):
                yield container.says("envFrom", f"holds {name}; the app reads {', '.join(sorted(read_by_app()))}")


@functools.cache
def read_by_app() -> frozenset[str]:
    """The variables the app lists in its own source."""
    return frozenset(re.findall(r'^[ \t]*\{"([A-Z_]+)", ', APP_VARIABLES.read_text(), re.MULTILINE))


# Names


@RULES.together("SR041")
def namespaces(stack: Stack) -> Problems:
    """Every object is in the stack's namespace: it would be left behind, or made where others live."""
    for found in stack.objects:
        namespace = found.get("metadata.namespace")
        if found.kind not in CLUSTER_WIDE and not stack.named("Namespace", namespace):
            yield found.wrong("metadata.namespace", f"the stack's namespace is {_names(stack, 'Namespace')}")


# What the rules above look up


def _service_ports(service: Part) -> list[Any]:
    return [port.get(key) for port in service.parts("spec.ports") for key in ("name", "port")]


def _names(stack: Stack, kind: str) -> str:
    return ", ".join(sorted(found.name for found in stack.of(kind))) or "none"


Source = tuple[Part, str, str, Any, list[tuple[str, Any]]]
"""Who names it, at which place; kind and name of what is named; places and values of the keys it takes."""


def _sources(stack: Stack) -> Iterator[Source]:
    """Every ConfigMap and Secret that a pod reads."""
    for container in stack.containers:
        for source in container.parts("envFrom"):
            for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                if source.get(key) is not None:
                    yield source, f"{key}.name", kind, source.get(f"{key}.name"), []
        for variable in container.parts("env"):
            for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                named = variable.part(f"valueFrom.{key}")
                if named.fields:
                    yield named, "name", kind, named.get("name"), [("key", named.get("key"))]
    for pod in stack.pods:
        for volume in pod.parts("volumes"):
            for part in (volume, *volume.parts("projected.sources")):
                yield from _volume_sources(part)


def _volume_sources(volume: Part) -> Iterator[Source]:
    for kind, key in (("ConfigMap", "configMap"), ("Secret", "secret")):
        if volume.get(key) is not None:
            at = "secret.secretName" if volume.get("secret.secretName") else f"{key}.name"
            items = list(enumerate(volume.parts(f"{key}.items")))
            yield volume, at, kind, volume.get(at), [(f"{key}.items[{i}].key", item.get("key")) for i, item in items]


def _target(order: Part) -> str:
    """Name of the Secret that an ExternalSecret makes."""
    return order.text("spec.target.name") or order.name


def _exists(stack: Stack, kind: str, name: Any) -> bool:
    ordered = [_target(order) for order in stack.of("ExternalSecret")] if kind == "Secret" else []
    return name in ordered or stack.named(kind, name) is not None


def _keys_of(stack: Stack, kind: str, name: Any) -> set[str] | None:
    """The keys of a ConfigMap or Secret; None if they are not known."""
    if found := stack.named(kind, name):
        return _keys(found)
    orders = [order for order in stack.of("ExternalSecret") if kind == "Secret" and _target(order) == name]
    if orders and not orders[0].items("spec.dataFrom"):
        return {entry.text("secretKey") for entry in orders[0].parts("spec.data")}
    return None


def _keys(found: Part) -> set[str]:
    return {key for part in ("data", "stringData", "binaryData") for key in found.mapping(part)}
