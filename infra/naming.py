"""Names and labels every object carries.

A Pulumi logical name is the identity of a live object: it never changes without an alias. A selector is immutable in
Kubernetes: it holds name and instance, and nothing that could ever be edited.
"""

from __future__ import annotations

import hashlib
import json

import pulumi

PART_OF = "slipway"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
# The component of what only people and ./slipway read: the records of releases.
RELEASE = "release"
# What tells the pods of a canary from those of the release in force (canary.py).
TRACK = "slipway/track"
CANARY = "canary"
# The pods that cert-manager starts in a stack's namespace to answer HTTP-01 challenges.
SOLVER_PODS = {"acme.cert-manager.io/http01-solver": "true"}
# On what finds pods by other labels than ours: which ones.
SELECTOR = "slipway/selector"
# 8 hex digits: 1 in 4 billion that two versions of one object share a name.
HASH_LENGTH = 8


def selector(service: str) -> dict[str, str]:
    """The labels by which Services, policies and the like find a service's pods."""
    return selector_of(service, pulumi.get_stack())


def selector_of(service: str, stack: str) -> dict[str, str]:
    """The same for a stack that is not being run."""
    return {"app.kubernetes.io/name": service, INSTANCE: instance(stack)}


def instance(stack: str) -> str:
    """What tells the objects of one stack from those of another, as the value of `INSTANCE`."""
    return f"{PART_OF}-{stack}"


def pods_of(service: str) -> dict[str, str]:
    """The label by which the network knows a service's pods and its jobs' pods alike."""
    return {"slipway/service": service}


def labels(service: str, component: str = "web-service") -> dict[str, str]:
    """The labels Kubernetes recommends, for every object of a service."""
    return {
        **selector(service),
        COMPONENT: component,
        "app.kubernetes.io/part-of": PART_OF,
        "app.kubernetes.io/managed-by": "pulumi",
    }


def content_name(name: str, data: dict[str, str]) -> str:
    """A name that changes with the content: `api-env-1f2e3d4c`."""
    return f"{name}-{content_hash(data)}"


def content_hash(data: dict[str, str]) -> str:
    """What tells one content from another."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:HASH_LENGTH]
