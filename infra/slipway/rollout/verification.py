"""Verifies at the end of `pulumi up` that what the program declares is in the cluster, and runs.

The engine compares the program with its own state: an object that somebody deleted by hand is "unchanged", and so is a
Deployment whose pods have crashed since the last update. So the cluster is read too, with one list for each kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import pulumi

from slipway import engine
from slipway.cluster.api_retry import FORBIDDEN, NOT_FOUND, code_of, exists, give_up_at, refused, retried
from slipway.cluster.connection import client
from slipway.cluster.kinds import resource
from slipway.naming import INSTANCE, instance
from slipway.rollout import completion
from slipway.settings.settings import Settings

if TYPE_CHECKING:
    from lightkube import Client


@dataclass(frozen=True)
class DeclaredObject:
    """One Kubernetes object of the stack, as the engine names it."""

    api_version: str
    kind: str
    namespace: str
    """Empty for an object without one, such as a Namespace."""
    name: str

    @classmethod
    def of(cls, type_: str, id_: str) -> Self:
        """Return the object of a resource type and id: `kubernetes:core/v1:Service` and `slipway-dev/api`."""
        _, version, kind = type_.split(":")
        namespace, _, name = id_.rpartition("/")
        return cls(version.removeprefix("core/"), kind, namespace, name)

    @property
    def resource(self) -> Any:
        """The kind, for the methods of a lightkube client."""
        return resource(self.api_version, self.kind, is_namespaced=bool(self.namespace))

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


def at_end(settings: Settings) -> None:
    """Fail the update with a `pulumi.RunError` if an object is missing, or a service does not run, at its end."""
    if not engine.is_updating():
        return
    declared: list[DeclaredObject] = []

    def registered(type_: str, id_: str) -> None:
        if type_.startswith("kubernetes:") and id_:
            declared.append(DeclaredObject.of(type_, id_))

    engine.observe(registered=registered, ending=lambda: verify(client(settings), settings, declared))


def verify(api: Client, settings: Settings, declared: Iterable[DeclaredObject]) -> None:
    """Raise a `pulumi.RunError` that names what is missing, or the first service that is not rolled out."""
    stack = pulumi.get_stack()
    absent, unread = missing(api, stack, declared)
    for kind in unread:
        pulumi.log.warn(f"no permission to list {kind} objects: whether they are in the cluster was not verified")
    if absent:
        raise pulumi.RunError(
            f"stack {stack}: declared, but not in the cluster: {', '.join(map(str, absent))}. Somebody deleted it "
            f"since the last update. Fix: ./slipway up -s {stack}, or pulumi up --refresh -s {stack}"
        )
    for name, service in settings.services.items():
        completion.wait(api, name, service)


def missing(api: Client, stack: str, declared: Iterable[DeclaredObject]) -> tuple[list[DeclaredObject], list[str]]:
    """Return the declared objects that are not in the cluster, except Jobs, and the kinds that may not be listed."""
    by_kind: defaultdict[tuple[str, str, str], list[DeclaredObject]] = defaultdict(list)
    for item in declared:
        # A Job has done its work when the services that waited for it run. Many clusters delete finished Jobs.
        if item.kind != "Job":
            by_kind[item.api_version, item.kind, item.namespace].append(item)
    absent: list[DeclaredObject] = []
    unread: list[str] = []
    for (_, kind, _), objects in by_kind.items():
        try:
            present = _present(api, stack, objects[0])
        except refused() as error:
            if code_of(error) != FORBIDDEN:
                raise
            unread.append(kind)
            continue
        absent += [item for item in objects if item.name not in present and not _exists(api, item)]
    return absent, unread


def _present(api: Client, stack: str, example: DeclaredObject) -> set[str]:
    """Return the names of the stack's objects of the example's kind and namespace."""
    if not example.namespace:
        return set()  # to list them takes a permission for the whole cluster; to read one, a permission for its name
    labels: dict[str, Any] = {INSTANCE: instance(stack)}
    try:
        listed = retried(
            lambda: list(api.list(example.resource, namespace=example.namespace, labels=labels)),
            until=give_up_at(),
        )
    except refused() as error:
        if code_of(error) != NOT_FOUND:  # the kind itself was removed
            raise
        return set()
    return {str(item.metadata.name) for item in listed if item.metadata}


def _exists(api: Client, declared: DeclaredObject) -> bool:
    """Return whether an object exists that the list did not contain: it may have lost its label."""
    return exists(lambda: api.get(declared.resource, declared.name, namespace=declared.namespace or None))
