"""The objects that give a role to somebody, as YAML for `kubectl apply`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from slipway.objects import Object
from slipway.ops.access.permissions import Permission, rules
from slipway.ops.access.roles import ROLES
from slipway.ops.errors import UserError
from slipway.ops.program import config
from slipway.ops.program.recorder import declare
from slipway.ops.program.render import document

_RBAC = "rbac.authorization.k8s.io"
_PRINCIPALS = ("User", "Group")


class SubjectError(UserError):
    """A subject is not written as the option wants it."""


def command(stack: str, role: str, subject: str | None) -> str:
    """Return the YAML of everything that gives a role of a stack to a subject; by default to a ServiceAccount."""
    settings = config.settings(stack)
    account = account_of(role)
    to = parse_subject(subject or f"ServiceAccount:{settings.namespace}/{account}")
    permissions = ROLES[role](declare(stack), settings)
    objects = [] if subject else [_service_account(settings.namespace, account)]
    objects += grants(account, settings.namespace, permissions, to)
    return _header(stack, role, subject) + "".join(f"---\n{document(obj)}" for obj in objects)


def account_of(role: str) -> str:
    """Return the name of the Roles, bindings and the ServiceAccount of a role."""
    return f"slipway-{role}"


def parse_subject(text: str) -> Object:
    """Return a subject of a binding. Raises SubjectError unless it is User:, Group: or ServiceAccount: with a name."""
    # A line break would end the comment in which the command stands.
    kind, _, name = text.partition(":") if text.isprintable() else ("", "", "")
    if kind in _PRINCIPALS and name:
        return {"apiGroup": _RBAC, "kind": kind, "name": name}
    namespace, _, account = name.partition("/")
    if kind == "ServiceAccount" and namespace and account and "/" not in account:
        return {"kind": kind, "name": account, "namespace": namespace}
    raise SubjectError(
        f"--subject {text!r}: not somebody whom RBAC knows. Write User:NAME, Group:NAME or "
        "ServiceAccount:NAMESPACE/NAME, such as Group:deployers"
    )


def grants(account: str, own_namespace: str, permissions: set[Permission], subject: Object) -> Iterator[Object]:
    """Yield a Role and a RoleBinding for each namespace, and their like for what belongs to the whole cluster."""
    for namespace, group in groupby(sorted(permissions), key=lambda permission: permission.namespace):
        prefix = "" if namespace else "Cluster"
        # The name of a ClusterRole is one for the cluster, where other stacks may be, too.
        place = {"namespace": namespace} if namespace else {}
        name = account if namespace == own_namespace else f"{account}-{own_namespace}"
        reference = {"apiGroup": _RBAC, "kind": f"{prefix}Role", "name": name}
        yield {**_head(f"{prefix}Role", name, place), "rules": rules(group)}
        yield {**_head(f"{prefix}RoleBinding", name, place), "roleRef": reference, "subjects": [subject]}


def _head(kind: str, name: str, place: Mapping[str, str]) -> dict[str, Any]:
    return {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": {"name": name, **place}}


def _service_account(namespace: str, name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace},
        "automountServiceAccountToken": False,
    }


def _header(stack: str, role: str, subject: str | None) -> str:
    option = f" --subject {subject}" if subject else ""
    return f"# Printed by ./slipway access {role} -s {stack}{option}, for an administrator's `kubectl apply -f -`.\n"
