"""Settings of stacks with objectives, without the program that declares their objects."""

from __future__ import annotations

from typing import Any

import yaml

from slipway.settings.engine_yaml import Node
from slipway.settings.layers import effective
from slipway.settings.settings import Settings
from slipway.settings.source_files import read_defaults
from slipway.settings.stack_file import validated_settings
from tests.conftest import with_changes
from tests.paths import REPOSITORY

SLO: dict[str, Any] = {"availability": 99.95, "latency": {"p99": "250ms", "p50": "1s"}, "window": "30d"}


def settings_of(stack: str, changes: dict[str, Any]) -> Settings:
    """Return the settings of a stack file after these changes."""
    config = with_changes(stack, changes)
    own = Node.of({key.removeprefix("slipway:"): value for key, value in config.items()})
    return validated_settings(stack, effective(own, read_defaults().settings), [])


def alerts_of_the_reference_app() -> dict[str, Any]:
    """Return the change by which the API has the alerts that stacks/defaults.yaml gives it."""
    return _shipped("alerts")


def panels_of_the_reference_app() -> dict[str, Any]:
    """Return the change by which the API has the panels that stacks/defaults.yaml gives it."""
    return _shipped("panels")


def _shipped(key: str) -> dict[str, Any]:
    shipped = yaml.safe_load((REPOSITORY / "stacks" / "defaults.yaml").read_text())["config"]
    return {f"services.api.{key}": shipped["slipway:services"]["api"][key]}
