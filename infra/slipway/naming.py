"""Names, labels and ports that several parts of the program agree on.

A Pulumi logical name is the identity of a live object: it never changes without an alias. A selector is immutable in
Kubernetes: it holds name and instance, and nothing that could ever be edited.
"""

from __future__ import annotations

import hashlib
import json

import pulumi

from slipway.project import PROJECT

# What objects of no service have in place of a service's name: the namespace, its policies, the records of releases.
ENVIRONMENT = "slipway"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
# The component of the records of releases, which only people and ./slipway read.
RELEASE = "release"
# The label of ConfigMaps that the sidecar of Grafana reads.
DASHBOARD = "grafana_dashboard"
# By it the pods of a service and those of its jobs belong together.
SERVICE_LABEL = "slipway/service"
# Separates the pods of a canary from those of the release in force (service/canary.py).
TRACK = "slipway/track"
CANARY = "canary"
# The label of the pods that cert-manager starts in a stack's namespace to answer HTTP-01 challenges.
SOLVER_PODS = {"acme.cert-manager.io/http01-solver": "true"}
# Annotation of objects that select pods by the labels of the stack file instead of ours: the names of these labels.
SELECTOR = "slipway/selector"
# The component of the pods of a worker, which answers no requests.
WORKER = "worker"
# Annotations of pods that deviate from the usual contract; the house rules read them. The first two: no variables are
# injected, and the seconds that the app takes to finish after SIGTERM. Then: the secrets among its variables, and that
# readiness and liveness check the same.
CONTRACT = "slipway/contract"
SHUTDOWN_SECONDS = "slipway/shutdown-seconds"
SECRET_VARIABLES = "slipway/secret-variables"
SHARED_PROBE = "slipway/shared-probe"
# Annotation of objects that need others which the stack does not declare, such as `ConfigMap/geo-database`.
EXTERNAL = "slipway/external"
# Annotation of what `./slipway env sleep` has stopped: since when, and the change that wakes it, as JSON.
ASLEEP = "slipway/asleep"
# Annotation of a Deployment that runs a build of `./slipway dev`: by whom, and what the release in force runs, as JSON.
DEV_BUILD = "slipway/dev-build"
# Ends the regular expression of a prefix of paths: the prefix itself and everything below it, in the second group.
REGEX_BELOW = "(/|$)(.*)"
# 8 hex digits: a chance of 1 in 4 billion that two versions of an object get the same name.
HASH_LENGTH = 8


def selector(service: str) -> dict[str, str]:
    """Return the labels by which Services, budgets and the like select a service's pods."""
    return selector_of(service, pulumi.get_stack())


def selector_of(service: str, stack: str) -> dict[str, str]:
    """Return the same labels for any stack, also outside the program."""
    return {"app.kubernetes.io/name": service, INSTANCE: instance(stack)}


def instance(stack: str) -> str:
    """Return the value of the label `INSTANCE`, which separates the objects of one stack from those of another."""
    return f"{PROJECT}-{stack}"


def network_labels(service: str) -> dict[str, str]:
    """Return the label by which network policies select a service's pods and those of its jobs alike."""
    return {SERVICE_LABEL: service}


def labels(service: str, component: str = "web-service") -> dict[str, str]:
    """Return the labels that Kubernetes recommends, for every object of a service."""
    return {
        **selector(service),
        COMPONENT: component,
        "app.kubernetes.io/part-of": PROJECT,
        "app.kubernetes.io/managed-by": "pulumi",
    }


def content_name(name: str, data: dict[str, str]) -> str:
    """Return a name that changes with the content: `api-env-1f2e3d4c`."""
    return f"{name}-{content_hash(data)}"


def content_hash(data: dict[str, str]) -> str:
    """Return the hash of the content that becomes part of names."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:HASH_LENGTH]
