"""What a rollback takes from today's stack file instead of the release: waivers, objectives, alerts and monitoring.

A mistake in any of them must not prevent a rollback. What is invalid is left out, with a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from pydantic import ValidationError

from slipway import files
from slipway.ops.program import engine_history
from slipway.ops.program.engine_state import EngineError
from slipway.project import ROOT
from slipway.releases import Release
from slipway.settings.engine_yaml import Node
from slipway.settings.layers import effective
from slipway.settings.names import UNRECORDED_OF_SERVICES, receiver_secret
from slipway.settings.sections.monitoring import Monitoring, Receiver
from slipway.settings.sections.section import Section
from slipway.settings.sections.service import Service
from slipway.settings.sections.stack import Waiver
from slipway.settings.source_files import StackFile

MONITORING = "monitoring"


def waivers(today: dict[str, Any]) -> list[Any]:
    """Return today's waivers, without invalid ones."""
    given = today.get("waivers")
    return [waiver for waiver in given if _is_valid(Waiver, waiver, "waivers")] if isinstance(given, list) else []


def services(release: Release, today: dict[str, Any]) -> dict[str, Any]:
    """Return the services of a release with today's objectives and alerts, without invalid ones."""
    recorded: dict[str, Any] = release.settings.get("services") or {}
    current = today.get("services")
    return {name: {**section, **_unrecorded(current, name)} for name, section in recorded.items()}


def _unrecorded(current: Any, name: str) -> dict[str, Any]:
    section: Any = current.get(name) if isinstance(current, dict) else None
    given = {key: section[key] for key in UNRECORDED_OF_SERVICES if isinstance(section, dict) and key in section}
    return {key: value for key, value in given.items() if _is_valid(Service, {key: value}, f"services.{name}.{key}")}


def monitoring(stack: str, own: StackFile, shared: StackFile, today: dict[str, Any]) -> dict[str, Any] | None:
    """Return today's monitoring, that of the last update if today's is invalid, or None if neither can be used.

    To leave it out at once would stop the servers, and the volume of Prometheus is protected in prod.
    """
    section, images = today.get(MONITORING), today.get("imageFiles")
    if section is not None and not _runs(section, images):
        section = _of_last_update(stack, shared)
        usable = _runs(section, images)
        _warn(MONITORING, f"has a mistake, and {'that of the last update' if usable else 'none'} is used")
        section = section if usable else None
    return _with_secrets(section, own, today) if section else section


def _of_last_update(stack: str, shared: StackFile) -> Any:
    try:
        last = engine_history.last_settings(stack)
    except EngineError:
        return None
    given = {MONITORING: last[MONITORING]} if MONITORING in last else {}
    return effective(Node.of(given), shared.settings).plain().get(MONITORING)


def _runs(section: Any, image_files: Any) -> bool:
    """Return whether a section is valid, and the images of its servers are there."""
    if not _fits(Monitoring, section):
        return False
    unnamed = [name for name, image in Monitoring.model_validate(section).images.items() if not image]
    return all(isinstance(image_files, str) and _has_text(image_files, name) for name in unnamed)


def _with_secrets(section: dict[str, Any], own: StackFile, today: dict[str, Any]) -> dict[str, Any]:
    """Return monitoring without the receivers whose secret is missing."""
    receivers: dict[str, Any] = section.get("receivers") or {}
    is_there = _secret_source(own, today)
    usable: dict[str, Any] = {}
    for name, receiver in receivers.items():
        if Receiver.model_validate(receiver).needs_secret and not is_there(secret := receiver_secret(name)):
            _warn(f"{MONITORING}.receivers.{name}", f"is left out: its secret {secret} is missing")
        else:
            usable[name] = receiver
    return {**section, "receivers": usable} if receivers else section


def _secret_source(own: StackFile, today: dict[str, Any]) -> Callable[[str], bool]:
    """Return the function that says whether today's stack has a secret, wherever its secrets come from."""
    folder, encrypted = today.get("secretFiles"), own.settings.items()
    if today.get("secretStore"):
        return lambda _: True
    if isinstance(folder, str):
        return lambda name: _has_text(folder, name)
    return lambda name: "secure" in encrypted.get(name, Node(None)).items()


def _has_text(folder: str, name: str) -> bool:
    file = ROOT / folder / name
    return file.is_file() and bool(files.read_text(file).strip())


def _is_valid(model: type[Section], value: Any, key: str) -> bool:
    """Return whether a value is a valid section; warn if it is not."""
    fits = _fits(model, value)
    if not fits:
        _warn(key, "has a mistake, and is left out")
    return fits


def _fits(model: type[Section], value: Any) -> bool:
    try:
        model.model_validate(value)
    except ValidationError:
        return False
    return True


def _warn(key: str, what: str) -> None:
    typer.echo(f"warning: slipway:{key} of today's stack file {what}. Correct it and run ./slipway up", err=True)
