"""The plan of a canary: for which services an update runs one first, and with what settings.

A canary is a few pods of the new version that get a small share of the requests beside the release in force
(infra/slipway/service/canary.py). canary_watch.py decides whether it is good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import typer

from slipway import releases
from slipway.naming import CANARY
from slipway.ops.changes import stack_models
from slipway.ops.changes.comparison import Change
from slipway.ops.program import config
from slipway.releases import Release
from slipway.settings.names import STORES
from slipway.settings.settings import Settings


@dataclass(frozen=True)
class CanaryPlan:
    """The services that get a canary, and the release in force beside which it runs."""

    stack: str
    release: Release
    settings: Settings
    """Those of the new version."""
    services: list[str]
    changes: list[Change]
    """Everything the update will change in the end."""

    @property
    def title(self) -> str:
        """`canary of api, web`: the message of its update in the engine's history."""
        return f"{CANARY} of {', '.join(self.services)}"

    @property
    def max_percent(self) -> int:
        """The largest share of a service's requests that its canary gets."""
        return max(self.settings.services[name].canary.percent for name in self.services)

    @property
    def max_seconds(self) -> int:
        """The time after which all verdicts are there."""
        return max(self.settings.services[name].canary.seconds for name in self.services)

    @property
    def candidate(self) -> dict[str, Any]:
        """The settings as the program gets them. Services without a canary stay as the release has them."""
        content = {**releases.content(self.settings)}
        for name, service in content["services"].items():
            if name not in self.services:
                service.pop("canary", None)
                service["rollout"] = "rolling"
        images = self.settings.model_dump(
            mode="json", by_alias=True, exclude_unset=True, include={"image", "named_images"}
        )
        return {**content, **images}


def plan(stack: str, release: Release) -> CanaryPlan | None:
    """Return the plan of an update's canary; None without one, and where `pulumi up` will report an error."""
    try:
        settings = config.settings(stack)
        changes = stack_models.of_engine(stack) if settings.canary_services else []
    except (pulumi.RunError, stack_models.ModelError):
        return None
    updated = [name for name in settings.canary_services if any(_replaces_pods(change, name) for change in changes)]
    missing = {name: _missing_needs(settings, name, release) for name in updated}
    for name, needs in missing.items():
        if needs:
            message = f"{stack}: {name} gets no canary: it needs {needs}, which the release in force does not have"
            typer.echo(message, err=True)
    services = [name for name in updated if not missing[name]]
    return CanaryPlan(stack, release, settings, services, changes) if services else None


def _replaces_pods(change: Change, service: str) -> bool:
    """Whether a change replaces the pods of an existing service.

    A new Secret alone does not count: the pods of the release in force get today's Secret too.
    """
    if change.name != f"Deployment/{service}" or change.replaced:
        return False
    paths = [field.path for field in change.edited]
    of_secrets = (".secretName", ".secretKeyRef.name")
    return any(path.startswith("spec.template.") and not path.endswith(of_secrets) for path in paths)


def _missing_needs(settings: Settings, service: str, release: Release) -> str:
    """Return what a service needs of the stack and the release does not run, as text."""
    sections = {name: release.settings.get(name) for name in STORES}
    own = {name for name, section in sections.items() if section is not None and section.get("source") != "managed"}
    running = {*release.settings["services"], *own}
    inside = {*settings.services, *settings.servers}
    section, mysql = settings.services[service], settings.mysql
    missing = [need for need in section.needs if need in inside - running]
    # A server creates its accounts when it starts, and a canary restarts none.
    migrates = section.migration and "mysql" in {*section.needs} & own & settings.servers.keys()
    if mysql and migrates and (sections["mysql"] or {}).get("migrationUser") != mysql.migration_user:
        missing.append(f"migrations as {mysql.migration_user or mysql.user}")
    # The policies of the release in force open its own port only.
    port = ((release.settings["services"].get(service) or {}).get("ports") or {}).get("http", 8080)
    if section.http_port not in (None, port):
        missing.append(f"port {section.http_port}")
    return ", ".join(missing)
