"""Reading a stack file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import checks
import pulumi
from mistakes import Mistake, all_mistakes, refuse
from pulumi.runtime import config as pulumi_config
from pydantic import ValidationError
from settings import CERTIFICATE_FILES, PROJECT, REGISTRY_PASSWORD, ROOT, Settings


def load() -> Settings:
    """The settings of the stack in use; `pulumi.RunError` naming every mistake if there is one."""
    values = _values()
    secrets = needed_secrets(values)
    found: list[Mistake] = [
        Mistake.unknown((name,), [*SECTIONS, *secrets]) for name in values.keys() - SECTIONS - secrets
    ]
    found += _secret_mistakes(values, secrets)
    try:
        settings = Settings.model_validate({name: value for name, value in values.items() if name in SECTIONS})
    except ValidationError as error:
        refuse(_stack_file(), [*found, *all_mistakes(error, Settings)])
    found += [*checks.mistakes(settings, pulumi.get_stack()), *_certificate_mistakes(settings)]
    if found:
        refuse(_stack_file(), found)
    return settings


SECTIONS = frozenset(field.alias or name for name, field in Settings.model_fields.items())


def _stack_file() -> Path:
    return ROOT / "stacks" / f"Pulumi.{pulumi.get_stack()}.yaml"


def _values() -> dict[str, Any]:
    """What the stack says, by key without `slipway:`. The engine hands mappings and lists over as JSON."""
    everything: dict[str, str] = {**pulumi_config.get_config_env(), **pulumi_config.CONFIG.get()}
    own = {key.removeprefix(f"{PROJECT}:"): text for key, text in everything.items() if key.startswith(f"{PROJECT}:")}
    return {name: json.loads(text) if text[:1] in ("{", "[") else text for name, text in own.items()}


def _secret_keys() -> set[str]:
    """The keys with an encrypted value, or with one somewhere inside."""
    keys = {*pulumi_config.get_config_secret_keys_env(), *pulumi_config._SECRET_KEYS.get()}  # pyright: ignore[reportPrivateUsage]
    return {key.removeprefix(f"{PROJECT}:") for key in keys}


def needed_secrets(values: dict[str, Any]) -> set[str]:
    """The secrets a stack has to bring, as far as it can be read: mistakes elsewhere must not hide a missing one."""
    services = values.get("services")
    sections = services.values() if isinstance(services, dict) else ()
    lists = [section.get("secrets") for section in sections if isinstance(section, dict)]
    listed = {name for names in lists if isinstance(names, list) for name in names if isinstance(name, str)}
    return (set() if values.get("secretStore") else listed) | ({REGISTRY_PASSWORD} if values.get("registry") else set())


def _secret_mistakes(values: dict[str, Any], secrets: set[str]) -> Iterator[Mistake]:
    for section in _secret_keys() & SECTIONS:
        yield Mistake(
            (section,), "holds a nested secure: value, which would be stored in clear; make it a top-level key"
        )
    folder = values.get("secretFiles")
    for name in secrets:
        command = f"pulumi config set --secret {name} -s {pulumi.get_stack()}"
        if isinstance(folder, str):
            yield from _missing_file(folder, name)
        elif not values.get(name):
            yield Mistake((name,), f"secret is missing or empty; set it: {command}")
        elif name not in _secret_keys():
            yield Mistake((name,), f"secret stands there in clear; encrypt it: {command}")


def _missing_file(folder: str, name: str) -> Iterator[Mistake]:
    file = ROOT / folder / name
    if not file.is_file() or not file.read_text().strip():
        yield Mistake(("secretFiles",), f"{folder}/{name} is missing or empty; `make up` makes it")


def _certificate_mistakes(settings: Settings) -> Iterator[Mistake]:
    for service in settings.services.values():
        if settings.secret_files and service.ingress and service.ingress.tls and service.ingress.tls.secret_files:
            for file in CERTIFICATE_FILES:
                yield from _missing_file(settings.secret_files, file)
