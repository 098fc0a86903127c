"""Configuration and secrets: no credential in clear, names that follow the content."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import yaml

from slipway.naming import COMPONENT, HASH_LENGTH, RELEASE, content_name
from slipway.objects import SECRET, Object
from slipway.rules.parts import Part, known
from slipway.rules.rule import Rules, Violations
from slipway.rules.stack import Stack, every_object, of
from slipway.settings.types.credentials import holds_secret, looks_secret
from slipway.settings.types.references import without

RULES = Rules()


@RULES.each(
    every_object,
    "SW501",
    title="No credential stands in clear",
    reason="it would be in state, logs, backups and every dump",
    security=True,
)
def no_credentials(obj: Part) -> Violations:
    if obj.kind == "ConfigMap":
        is_record = obj.mapping("metadata.labels").get(COMPONENT) == RELEASE
        for key, value in obj.mapping("data").items():
            declared = _secret_variables(value) if is_record else {}
            text = without(str(value), declared)
            # The settings of a release name secrets, taints and annotations. What they lead to is checked itself.
            pairs = () if is_record else _pairs(text)
            if looks_secret(key, text) or any(looks_secret(*pair) for pair in pairs):
                yield obj.violation(f"data.{key}", "looks like a credential; make it one of `secrets:`")
    for container in Stack([obj.object]).containers:
        secrets = [v.get("name") for v in container.parts("env") if v.get("valueFrom.secretKeyRef") is not None]
        for variable in container.parts("env"):
            # Kubernetes fills in what is secret.
            if looks_secret(str(variable.get("name")), without(variable.text("value"), secrets)):
                yield variable.violation(
                    "value", f"of {variable.get('name')} looks like a credential; make it one of `secrets:`"
                )
        for key in ("args", "command"):
            if holds_secret(without(" ".join(map(str, container.items(key))), secrets)):
                yield container.violation(key, "hold what looks like a credential; make it one of `secrets:`")


def _secret_variables(settings: Any) -> dict[str, str]:
    """Return the variables that the settings of a release name as secrets, each with the name of the secret."""
    parsed = _parsed(str(settings))
    services: Object = parsed.get("services") or {} if isinstance(parsed, dict) else {}
    return {name: secret for service in services.values() for name, secret in service.get("secretEnv", {}).items()}


def _pairs(text: Any) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of a YAML or JSON text at any depth."""
    pending: list[Any] = [_parsed(str(text))] if "\n" in str(text) or str(text).startswith(("{", "[")) else []
    visited: set[int] = set()
    while pending:
        value = pending.pop()
        if id(value) in visited:  # an anchor, which may repeat a part of the text any number of times
            continue
        visited.add(id(value))
        if isinstance(value, dict):
            yield from ((str(key), item) for key, item in value.items())
            pending += value.values()
        elif isinstance(value, list):
            pending += value


@functools.cache
def _parsed(text: str) -> Any:
    """Return the content of a YAML text, None if it is not YAML. Cached: most objects are checked more than once."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date that does not exist
        return None


@RULES.each(
    of("Secret"),
    "SW502",
    title="What a Secret holds is there, and encrypted in the state",
    reason="whoever reads the state could read it",
)
def secrets_are_secret(secret: Part) -> Violations:
    if not secret.get("data") and not secret.get("stringData"):
        yield secret.violation("stringData", "is empty; give it a value, or take the Secret out")
    for key in ("data", "stringData"):
        if any(value != SECRET for value in secret.mapping(key).values()):
            yield secret.violation(key, "is not a Pulumi secret; wrap it in pulumi.Output.secret")


@RULES.together(
    "SW503",
    title="Configuration that restarts pods is named by its content",
    reason="a change would restart nothing, and a rollback would not find the old one",
)
def content_named(stack: Stack) -> Violations:
    rolling = {
        ("ConfigMap", source.text("configMapRef.name")) for c in stack.containers for source in c.parts("envFrom")
    }
    rolling |= {("Secret", volume.text("secret.secretName")) for pod in stack.pods for volume in pod.parts("volumes")}
    rolling |= {
        ("Secret", variable.text("valueFrom.secretKeyRef.name"))
        for c in stack.containers
        for variable in c.parts("env")
        if variable.get("valueFrom.secretKeyRef") is not None
    }
    for obj in stack.of("ConfigMap", "Secret"):
        by_content = bool(re.search(rf"-[0-9a-f]{{{HASH_LENGTH}}}$", known(obj.name)))
        rolls = (obj.kind, obj.name) in rolling
        if rolls and not by_content:
            yield obj.wrong("metadata.name", "name it by its content")
        if (rolls or by_content) and obj.get("immutable") is not True:
            yield obj.wrong("immutable", "set it to true")
        if not by_content and obj.get("immutable"):
            yield obj.wrong("immutable", "take it out: under this name it could never be changed")
        if by_content and obj.kind == "ConfigMap":
            name = content_name(obj.name[: -HASH_LENGTH - 1], obj.mapping("data"))
            if obj.name != name:
                yield obj.wrong("metadata.name", f"its content asks for {name}")
