"""How the controllers strip the prefix of a path: no field of an Ingress says it, so each has a way of its own.

A Gateway has a filter for it, Traefik a Middleware, ingress-nginx an annotation and regular expressions as paths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from slipway.naming import REGEX_BELOW
from slipway.scope import Scope
from slipway.settings.sections.addresses import Ingress, normal_path

FILTER = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}
"""The filter of an HTTPRoute's rule that strips the prefix it matches."""


@dataclass(frozen=True)
class StripPrefix:
    """What an Ingress has for it."""

    annotations: dict[str, str] = field(default_factory=dict[str, str])
    path_type: str = "Prefix"
    path: Callable[[str], str] = str
    """Returns a path of the stack file as the Ingress says it."""
    objects: tuple[pulumi.Resource, ...] = ()


NONE = StripPrefix()
"""The app gets the whole path."""


def declare(scope: Scope, ingress: Ingress) -> StripPrefix:
    """Return what the Ingress needs, and declare what the controller needs beside it."""
    return _by_middleware(scope, ingress) if ingress.controller == "traefik" else _by_regex()


def _by_middleware(scope: Scope, ingress: Ingress) -> StripPrefix:
    middleware = CustomResource(
        scope.name,
        api_version="traefik.io/v1alpha1",
        kind="Middleware",
        metadata=scope.meta(scope.name),
        spec={"stripPrefix": {"prefixes": sorted(map(normal_path, ingress.all_paths), key=len, reverse=True)}},
        opts=scope.child(),
    )
    name = f"{scope.settings.namespace}-{scope.name}@kubernetescrd"
    return StripPrefix({"traefik.ingress.kubernetes.io/router.middlewares": name}, objects=(middleware,))


def _by_regex() -> StripPrefix:
    annotations = {
        "nginx.ingress.kubernetes.io/use-regex": "true",
        # The second group of REGEX_BELOW.
        "nginx.ingress.kubernetes.io/rewrite-target": "/$2",
    }
    return StripPrefix(annotations, "ImplementationSpecific", _pattern)


def _pattern(path: str) -> str:
    """Return the regular expression of a prefix; of what a path may hold, only the dot is special in it."""
    return normal_path(path).replace(".", r"\.") + REGEX_BELOW
