"""The layers of a stack's settings: the stack file over defaults.yaml.

1. The stack file is merged into defaults.yaml: mappings key by key, anything else as a whole; `null` removes a default.
   For `metrics` and `ports.admin` of a service `null` is a value: the app has none.
2. Each service is merged into `slipway:service`, in the same way.
"""

from __future__ import annotations

import functools
import re

from slipway.settings.engine_yaml import Node
from slipway.settings.settings import SERVICE

_NULL_IS_A_VALUE = re.compile(r"(service\.|services\.[^.]+\.)?(metrics|ports\.admin)")


def effective(own: Node, shared: Node) -> Node:
    """Return the effective settings of a stack, from its own file and from that of all stacks."""
    merged = _merge(own, shared)
    every, services = (merged.items().get(name, Node(None)) for name in (SERVICE, "services"))
    if not isinstance(every.value, dict) or not isinstance(services.value, dict):
        return merged
    each: dict[str, Node] = {}
    for name in services.value:
        # From the lowest layer up, so that a `null` in the stack file also removes what `slipway:service` gives.
        layers = [side.items()["services"].items().get(name) for side in (shared, own) if "services" in side.items()]
        each[name] = functools.reduce(lambda under, over: _merge(over, under), filter(None, layers), every)
    return Node({**merged.items(), "services": Node(each, services.location)}, merged.location)


def _merge(over: Node, under: Node | None, path: str = "") -> Node:
    """Return two layers as one; where both have a value, that of `over` counts. The path is that of the mapping."""
    if under is None or not isinstance(over.value, dict) or not isinstance(under.value, dict):
        return over
    merged = dict(under.value)
    for key, node in over.value.items():
        if node.value is None and key in merged and not _NULL_IS_A_VALUE.fullmatch(f"{path}{key}"):
            del merged[key]
        else:
            merged[key] = _merge(node, merged.get(key), f"{path}{key}.")
    return Node(merged, over.location)
