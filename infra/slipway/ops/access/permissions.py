"""Permissions in the terms of RBAC, and the fewest rules that grant exactly them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple, TypeAlias

Rule: TypeAlias = dict[str, list[str]]
"""One entry of `rules` of a Role."""

# Requests in the order in which people read them.
_VERBS = ("get", "list", "watch", "create", "patch", "delete")


class Permission(NamedTuple):
    """One verb on one kind of object."""

    namespace: str
    """Empty for the whole cluster."""
    group: str
    """The API group, such as `apps`; empty for that of pods and Secrets."""
    resource: str
    """Plural, with its subresource, such as `pods/log`."""
    verb: str
    name: str = ""
    """Of the one object; empty for all objects of the kind."""


def on(
    namespace: str, resource: str, verbs: Iterable[str], *, group: str = "", names: Sequence[str] = ("",)
) -> set[Permission]:
    """Return the permissions for these verbs, on all objects of a kind or on those of these names."""
    return {Permission(namespace, group, resource, verb, name) for verb, name in product(verbs, names)}


def granted_by(namespace: str, rules: Iterable[Any]) -> Iterator[Permission]:
    """Yield what the rules of a Role grant in its namespace. Rules for URLs grant nothing in a namespace."""
    for rule in rules:
        parts = (rule.get(field, []) for field in ("apiGroups", "resources", "verbs"))
        for group, resource, verb, name in product(*parts, rule.get("resourceNames") or [""]):
            yield Permission(namespace, group, resource, verb, name)


def rules(permissions: Iterable[Permission]) -> list[Rule]:
    """Return the rules that grant exactly these permissions, which are all of one namespace, or of none."""
    given = set(permissions)
    verbs: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for permission in given:
        # What is granted on all objects of a kind need not be granted on one of them.
        if not permission.name or permission._replace(name="") not in given:
            verbs[permission.group, permission.resource, permission.name].add(permission.verb)
    names: defaultdict[tuple[str, str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource, name), allowed in sorted(verbs.items()):
        names[group, resource, tuple(sorted(allowed, key=_rank))].append(name)
    resources: defaultdict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource, allowed), named in names.items():
        resources[group, tuple(named), allowed].append(resource)
    return [
        {
            "apiGroups": [group],
            "resources": kinds,
            **({"resourceNames": list(named)} if named != ("",) else {}),
            "verbs": list(allowed),
        }
        for (group, named, allowed), kinds in sorted(resources.items(), key=lambda rule: (rule[0][0], rule[1]))
    ]


def _rank(verb: str) -> tuple[int, str]:
    return (_VERBS.index(verb) if verb in _VERBS else len(_VERBS), verb)
