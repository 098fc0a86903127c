"""Reading objects that are plain dicts, as the API server sends them."""

from typing import Any

Object = dict[str, Any]


def at(obj: Any, *path: str) -> Any:
    """The value at a path of keys, or None: `at(pod, "status", "conditions")`."""
    for key in path:
        obj = obj.get(key) if isinstance(obj, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return obj  # pyright: ignore[reportUnknownVariableType]


def name_of(obj: Object) -> str:
    return at(obj, "metadata", "name") or ""


def namespace_of(obj: Object) -> str:
    """Empty for objects that belong to no namespace."""
    return at(obj, "metadata", "namespace") or ""


def id_of(obj: Object) -> str:
    """The id Pulumi knows the object by: `namespace/name`, or the name alone."""
    return f"{namespace_of(obj)}/{name_of(obj)}".removeprefix("/")


def title(obj: Object) -> str:
    """How messages name an object: `Deployment shop/web`."""
    # Objects in a list carry no kind, and pods are the only ones that messages name from a list.
    return f"{obj.get('kind', 'Pod')} {id_of(obj)}".rstrip()


def annotation(obj: Object, key: str) -> str:
    return at(obj, "metadata", "annotations", key) or ""


def condition(obj: Object, name: str) -> Object:
    """The status condition of that type; empty when there is none."""
    conditions: list[Object] = at(obj, "status", "conditions") or []
    return next((one for one in conditions if one["type"] == name), Object())
