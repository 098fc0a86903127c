"""House rules about what surrounds the pods: scaling, connections, addresses, configuration, names and rights."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import yaml
from naming import HASH_LENGTH, TRACK, content_name
from naming import SELECTOR as GIVEN_SELECTOR
from rules import SECRET, Part, Problem, Rules, Stack, known, quantity

RULES = Rules()

SIZES = ("cpu", "memory", "ephemeral-storage")

Problems = Iterator[Problem]
HOST = re.compile(r"(?=.{4,253}$)([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
LABELS = tuple(f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "part-of", "managed-by"))
# What would change is not in a selector: it can never be edited. That a pod is a canary's never changes.
SELECTOR = {"app.kubernetes.io/name", "app.kubernetes.io/instance"}


def scalers(stack: Stack) -> list[Part]:
    """Every HorizontalPodAutoscaler."""
    return stack.of("HorizontalPodAutoscaler")


def everything(stack: Stack) -> list[Part]:
    """Every object."""
    return stack.objects


# Scaling and disruption


@RULES.together("SW302", guarded=True)
def two_replicas(stack: Stack) -> Problems:
    """At least two pods serve: any single failure would take the service."""
    for workload in stack.lasting("Deployment"):
        fewest, _ = stack.replicas(workload)
        scaler = stack.autoscaler(workload.kind, workload.name)
        if fewest < 2:
            yield (
                scaler.wrong("spec.minReplicas", "at least 2")
                if scaler
                else workload.wrong("spec.replicas", "at least 2")
            )


@RULES.each(scalers, "SW303")
def behavior(scaler: Part) -> Problems:
    """Growing is quick and shrinking slow: a short lull would take the pods the next peak needs."""
    for direction in ("scaleUp", "scaleDown"):
        if not scaler.items(f"spec.behavior.{direction}.policies"):
            yield scaler.wrong(f"spec.behavior.{direction}.policies", "say how fast")
    if scaler.count("spec.behavior.scaleDown.stabilizationWindowSeconds") < 60:
        yield scaler.wrong("spec.behavior.scaleDown.stabilizationWindowSeconds", "at least 60")


@RULES.each(scalers, "SW304")
def metrics(scaler: Part) -> Problems:
    """An autoscaler has something to go by: without a metric it would never scale."""
    if not scaler.items("spec.metrics"):
        yield scaler.wrong("spec.metrics", "give one")
    for metric in scaler.parts("spec.metrics"):
        kind = metric.text("type")
        target = metric.part(f"{kind[:1].lower()}{kind[1:]}.target")
        if not (target.get("averageUtilization") or target.get("averageValue") or target.get("value")):
            yield target.says("averageUtilization", "is missing; give a target")


@RULES.together("SW305")
def replicas_are_the_scaler_s(stack: Stack) -> Problems:
    """The autoscaler alone owns the replicas: every `pulumi up` would undo its choice."""
    for workload in stack.of("Deployment", "StatefulSet"):
        if stack.autoscaler(workload.kind, workload.name) and workload.get("spec.replicas") is not None:
            yield workload.wrong("spec.replicas", "take it out: there is a HorizontalPodAutoscaler")


@RULES.together("SW306")
def disruption(stack: Stack) -> Problems:
    """Pods leave one by one: a drain of several nodes would take all of them, or wait for ever."""
    for workload in stack.lasting("Deployment"):
        [pod] = Stack([workload.object]).pods
        budgets = [found for found in stack.of("PodDisruptionBudget") if pod in _guarded(stack, found)]
        if len(budgets) != 1:
            names = ", ".join(found.name for found in budgets) or "none"
            yield workload.says(
                "spec.template.metadata.labels", f"{names} of the PodDisruptionBudgets fits; give just one"
            )
        for budget in budgets:
            yield from _budget(budget, stack.replicas(workload)[0])


def _guarded(stack: Stack, budget: Part) -> list[Any]:
    return stack.selected(budget.get("spec.selector.matchLabels"))


def _budget(budget: Part, fewest: int) -> Problems:
    """A budget lets a pod go at all times, and never all of several at once."""
    stay, leave = budget.get("spec.minAvailable"), budget.get("spec.maxUnavailable")
    if stay is not None and _share(stay, fewest) >= fewest:
        yield budget.wrong("spec.minAvailable", f"with {fewest} pods no node could be drained; use maxUnavailable: 1")
    if (stay, leave) == (None, None) or (leave is not None and _share(leave, fewest) < 1):
        yield budget.wrong("spec.maxUnavailable", "no node could be drained; set it to 1")
    if fewest > 1 and (
        (leave is not None and _share(leave, fewest) >= fewest) or (stay is not None and _share(stay, fewest) < 1)
    ):
        yield budget.wrong("spec.maxUnavailable", f"all of {fewest} pods could go at once; set it to 1")
    if budget.get("spec.unhealthyPodEvictionPolicy") != "AlwaysAllow":
        yield budget.wrong("spec.unhealthyPodEvictionPolicy", "set it to AlwaysAllow: a broken pod would block a drain")


def _share(of_pods: Any, pods: int) -> float:
    """A number of pods given as such, or as a percentage (which Kubernetes rounds up)."""
    text = str(of_pods)
    if text.endswith("%") and text[:-1].isdigit():
        return -(-int(text[:-1]) * pods // 100)
    return int(text) if text.isdigit() else 0


# Addresses


@RULES.each(lambda stack: stack.of("Service"), "SW404")
def cluster_ip(service: Part) -> Problems:
    """The only way in is the Ingress: a node port has no TLS and no host."""
    if service.get("spec.type") not in (None, "ClusterIP"):
        yield service.wrong("spec.type", "set it to ClusterIP")
    if service.items("spec.externalIPs"):
        yield service.wrong("spec.externalIPs", "take them out")


@RULES.each(lambda stack: stack.of("Ingress"), "SW405")
def tls(ingress: Part) -> Problems:
    """Addresses are served over TLS: passwords and tokens would travel in clear."""
    covered = {str(h) for entry in ingress.parts("spec.tls") if entry.get("secretName") for h in entry.items("hosts")}
    for rule in ingress.parts("spec.rules"):
        if rule.text("host") not in covered:
            yield rule.wrong("host", "no entry of spec.tls has a certificate for it; add one")


@RULES.each(lambda stack: stack.of("HTTPRoute"), "SW406")
def tls_listener(route: Part) -> Problems:
    """Routes hang on the Gateway's TLS listener: plain HTTP would be served too."""
    parents = list(route.parts("spec.parentRefs"))
    if not parents:
        yield route.wrong("spec.parentRefs", "name the Gateway")
    for parent in parents:
        if parent.get("sectionName") != "https":
            yield parent.wrong("sectionName", "set it to https")


@RULES.each(lambda stack: stack.of("Ingress", "HTTPRoute"), "SW407")
def hosts(address: Part) -> Problems:
    """Hosts are full names in lower case: an empty host takes everybody's requests."""
    named = [(rule, "host", rule.get("host")) for rule in address.parts("spec.rules") if address.kind == "Ingress"]
    for index, host in enumerate(address.items("spec.hostnames")):
        named.append((address, f"spec.hostnames[{index}]", host))
    if not named:
        yield address.wrong("spec.hostnames" if address.kind == "HTTPRoute" else "spec.rules", "name a host")
    for part, at, host in named:
        if not HOST.fullmatch(str(host)):
            yield part.says(at, f"is {host}; give a full name in lower case, such as api.example.com")


@RULES.together("SW408")
def addresses_once(stack: Stack) -> Problems:
    """An address leads to one service: which of the two answers would depend on the controller."""
    taken: dict[tuple[str, str], str] = {}
    for ingress in stack.of("Ingress"):
        for rule in ingress.parts("spec.rules"):
            for path in rule.parts("http.paths"):
                other = taken.setdefault((rule.text("host"), path.text("path")), ingress.name)
                if other != ingress.name:
                    yield path.wrong("path", f"{rule.text('host')} has it already, for {other}; give another")


# Configuration and secrets

WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
SECRET_WORDS = {
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "credentials",
    "key",
    "apikey",
}
# In long values no character may be the start of many attempts, each of which reads on to the end.
SECRET_VALUES = re.compile(
    r"[a-z][0-9+.-]*://[^\s/:@]*:[^\s/@]+@"  # postgres://user:pass@host
    r"|[^\s@/]:[^\s@/:]+:*@(tcp|unix)\("  # user:pass@tcp(host:3306)
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|(?<![\w-])(?=[\w-]*+\.[\w-]{10,}+\.)[\w-]*?\beyJ[\w-]{10,}\."  # a JSON web token
    r"|\b(AKIA[0-9A-Z]{16}|gh[pousr]_\w{36,}|xox[abprs]-[\w-]{10,})"
    r"|-(?=\w*(password|passwd|secret|token|apikey))\w++[= ]\S"
    r"|-\w*api-key\w*[= ]\S"
)


@RULES.each(everything, "SW501")
def no_credentials(found: Part) -> Problems:
    """No credential stands in clear: it would be in state, logs, backups and every dump."""
    if found.kind == "ConfigMap":
        for key, value in found.mapping("data").items():
            if _looks_secret(key, value) or any(_looks_secret(*pair) for pair in _pairs(value)):
                yield found.says(f"data.{key}", "looks like a credential; make it one of `secrets:`")
    for container in Stack([found.object]).containers:
        for variable in container.parts("env"):
            if _looks_secret(str(variable.get("name")), variable.get("value")):
                yield variable.says(
                    "value", f"of {variable.get('name')} looks like a credential; make it one of `secrets:`"
                )
        for key in ("args", "command"):
            if SECRET_VALUES.search(" ".join(map(str, container.items(key)))):
                yield container.says(key, "hold what looks like a credential; make it one of `secrets:`")


def _looks_secret(key: str, value: Any) -> bool:
    """Whether a name says that this is a secret, or the value does; a path is only where one lies."""
    words = [word.lower() for word in WORDS.findall(key)]
    named = bool(words) and words[-1] in SECRET_WORDS and isinstance(value, str | int) and not isinstance(value, bool)
    return bool(SECRET_VALUES.search(str(value))) or (named and str(value) != "" and not str(value).startswith("/"))


def _pairs(text: Any) -> Iterator[tuple[str, Any]]:
    """Keys and values of a YAML or JSON text, however deep."""
    open_values: list[Any] = [_parsed(str(text))] if "\n" in str(text) else []
    seen: set[int] = set()
    while open_values:
        value = open_values.pop()
        if id(value) in seen:  # an anchor, which may stand for a part of the text any number of times
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            yield from ((str(key), item) for key, item in value.items())
            open_values += value.values()
        elif isinstance(value, list):
            open_values += value


@functools.cache
def _parsed(text: str) -> Any:
    """What a YAML text says; None if it is none. Parsing is slow, and most objects are judged more than once."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a day that no calendar has
        return None


@RULES.each(lambda stack: stack.of("Secret"), "SW502")
def secrets_are_secret(secret: Part) -> Problems:
    """What a Secret holds is there, and encrypted in the state: whoever reads the state could read it."""
    if not secret.get("data") and not secret.get("stringData"):
        yield secret.says("stringData", "is empty; give it a value, or take the Secret out")
    for key in ("data", "stringData"):
        if any(value != SECRET for value in secret.mapping(key).values()):
            yield secret.says(key, "is no Pulumi secret; wrap it in pulumi.Output.secret")


@RULES.together("SW503")
def content_named(stack: Stack) -> Problems:
    """What rolls pods is named by its content: a change would roll nothing, and a rollback not find the old one."""
    rolling = {
        ("ConfigMap", source.text("configMapRef.name")) for c in stack.containers for source in c.parts("envFrom")
    }
    rolling |= {("Secret", volume.text("secret.secretName")) for pod in stack.pods for volume in pod.parts("volumes")}
    for found in stack.of("ConfigMap", "Secret"):
        by_content = bool(re.search(rf"-[0-9a-f]{{{HASH_LENGTH}}}$", known(found.name)))
        rolls = (found.kind, found.name) in rolling
        if rolls and not by_content:
            yield found.wrong("metadata.name", "name it by its content")
        if (rolls or by_content) and found.get("immutable") is not True:
            yield found.wrong("immutable", "set it to true")
        if not by_content and found.get("immutable"):
            yield found.wrong("immutable", "take it out: under this name it could never be changed")
        if by_content and found.kind == "ConfigMap":
            name = content_name(found.name[: -HASH_LENGTH - 1], found.mapping("data"))
            if found.name != name:
                yield found.wrong("metadata.name", f"its content asks for {name}")


# Namespace, names and rights


@RULES.each(lambda stack: stack.of("Namespace"), "SW601")
def pod_security(namespace: Part) -> Problems:
    """The namespace enforces `restricted`: the cluster would admit a pod that these rules never saw."""
    labels = namespace.mapping("metadata.labels")
    for mode in ("enforce", "audit", "warn"):
        if labels.get(f"pod-security.kubernetes.io/{mode}") != "restricted":
            yield namespace.says("metadata.labels", f"lack pod-security.kubernetes.io/{mode}: restricted; add it")


@RULES.together("SW602")
def bounded(stack: Stack) -> Problems:
    """The namespace is bounded: one service out of hand would take the cluster."""
    for namespace in stack.of("Namespace"):
        quotas = stack.of("ResourceQuota")
        for resource in ("pods", "requests.cpu", "requests.memory", "limits.memory"):
            if not any(resource in quota.mapping("spec.hard") for quota in quotas):
                yield namespace.says("metadata.name", f"has no ResourceQuota for {resource}; add one")
        limits = [limit for found in stack.of("LimitRange") for limit in found.parts("spec.limits")]
        for key in [f"{kind}.{size}" for kind in ("default", "defaultRequest") for size in SIZES]:
            if not any(limit.get("type") == "Container" and limit.get(key) for limit in limits):
                yield namespace.says("metadata.name", f"has no LimitRange with {key} for containers; add one")


@RULES.together("SW603")
def quota_fits(stack: Stack) -> Problems:
    """The quota admits all pods at their most: scaling and rollouts would stop half-way."""
    needed: dict[str, float] = {"pods": 0, "requests.cpu": 0, "requests.memory": 0, "limits.memory": 0}
    for pod in stack.pods:
        # A rollout adds one pod, but for those that have to be gone before their successors come.
        more = 1 if pod.kind == "Deployment" and not pod.is_canary else 0
        count = stack.replicas(Part(pod.object, "", pod.object))[1] + more if pod.serves else 1
        needed["pods"] += count
        for container in pod.containers:
            for resource in ("requests.cpu", "requests.memory", "limits.memory"):
                needed[resource] += count * (quantity(container.get(f"resources.{resource}")) or 0)
    for quota in stack.of("ResourceQuota"):
        for resource, given in quota.mapping("spec.hard").items():
            if (quantity(given) or 0) < needed.get(resource, 0):
                yield quota.says(
                    "spec.hard", f"allows {resource}: {given}; all pods at their most need {needed[resource]:g}"
                )


@RULES.each(everything, "SW604")
def labelled(found: Part) -> Problems:
    """Objects carry the recommended labels: no tool could tell what belongs together."""
    for at, labels in _labels(found):
        if missing := [label for label in LABELS if not labels.get(label)]:
            yield found.says(at, f"lack {', '.join(missing)}; add them")


def _labels(found: Part) -> Iterator[tuple[str, dict[str, Any]]]:
    """The labels of an object and of the pods it makes, with their place."""
    yield "metadata.labels", found.mapping("metadata.labels")
    for pod in Stack([found.object]).pods:
        yield pod.path.removesuffix("spec") + "metadata.labels", pod.labels


@RULES.each(lambda stack: stack.of("Deployment", "StatefulSet", "Service", "PodDisruptionBudget"), "SW605")
def selectors(found: Part) -> Problems:
    """Selectors are name and instance: a selector can never be edited: the object would be replaced."""
    at = "spec.selector" if found.kind == "Service" else "spec.selector.matchLabels"
    # What was there before the stack keeps the labels it selects by: the setting `selector` tells them.
    before = str(found.mapping("metadata.annotations").get(GIVEN_SELECTOR) or "")
    if set(found.mapping(at)) - {TRACK} != (set(before.split(",")) if before else SELECTOR):
        yield found.wrong(at, f"just {' and '.join(sorted(SELECTOR))}")


@RULES.each(everything, "SW606")
def own_namespace(found: Part) -> Problems:
    """Nothing goes to a namespace of the cluster's own: `default` and `kube-*` belong to everybody."""
    at = "metadata.name" if found.kind == "Namespace" else "metadata.namespace"
    if re.fullmatch("default|kube-.*", str(found.get(at))):
        yield found.wrong(at, "use the stack's own namespace")


@RULES.each(lambda stack: stack.of("ServiceAccount"), "SW607")
def account_token(account: Part) -> Problems:
    """No API token is made for an identity: whoever gets into a pod could use it."""
    if account.get("automountServiceAccountToken") is not False:
        yield account.wrong("automountServiceAccountToken", "set it to false")


@RULES.each(lambda stack: stack.of("Role", "ClusterRole"), "SW608")
def no_wildcards(role: Part) -> Problems:
    """Rights are named one by one: `*` also means what comes tomorrow."""
    for rule in role.parts("rules"):
        for key in ("apiGroups", "resources", "verbs"):
            if {"*", "escalate", "bind", "impersonate"} & set(map(str, rule.items(key))):
                yield rule.wrong(key, "name just what is needed")


@RULES.each(lambda stack: stack.of("RoleBinding", "ClusterRoleBinding"), "SW609")
def no_administrators(binding: Part) -> Problems:
    """Nobody is made an administrator: the whole cluster would hang on one password."""
    if binding.get("roleRef.name") in ("cluster-admin", "admin", "edit"):
        yield binding.wrong("roleRef.name", "write a Role with just what is needed")
