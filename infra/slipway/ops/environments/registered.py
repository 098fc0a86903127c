"""Which stacks are environments: those that carry a tag in the engine's backend, so that every clone knows them.

Folders, buckets and Pulumi Cloud all keep tags: https://www.pulumi.com/docs/iac/concepts/stacks/#stack-tags
"""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from slipway.ops.environments.errors import EnvError
from slipway.ops.errors import UserError
from slipway.ops.program import engine_state
from slipway.ops.program.engine_history import moment

TAG = "slipway:environment"
"""Its value is the base and the time of creation: `dev@2026-11-30T17:00:00Z`."""


@dataclass(frozen=True)
class Environment:
    """A stack that `./slipway env create` has made."""

    name: str
    base: str
    created: datetime
    changed: datetime
    """The last update; the creation where there is none yet."""
    is_empty: bool = False
    """Whether the engine holds no object of it."""
    is_updating: bool = False

    def idle_seconds(self, now: datetime) -> float:
        """Return how long nobody has changed it."""
        return (now - self.changed).total_seconds()


def stacks(*options: str) -> dict[str, dict[str, Any]]:
    """Return the stacks of this project in the backend by name, as `pulumi stack ls` describes them."""
    listed = json.loads(engine_state.pulumi("stack", "ls", "--json", *options))
    # Pulumi Cloud writes the organization in front where it is not the default one.
    return {str(stack["name"]).rpartition("/")[2]: stack for stack in listed}


def environments() -> tuple[list[Environment], list[UserError]]:
    """Return all environments of this project, the oldest first, and what is wrong with tags that cannot be read."""
    found: list[Environment] = []
    problems: list[UserError] = []
    for name, stack in stacks("--tag", TAG).items():
        try:
            found.append(_environment(name, stack))
        except UserError as error:
            problems.append(error)
    return sorted(found, key=lambda environment: environment.created), problems


def find(name: str) -> Environment | None:
    """Return an environment; None if there is no stack of that name. Raises EnvError if it is another kind of stack."""
    if name not in (known := stacks()):
        return None
    if name not in stacks("--tag", TAG):
        raise EnvError(
            f"stack {name} was not made by `./slipway env create`, so it is left alone. See ./slipway destroy -s {name}"
        )
    return _environment(name, known[name])


def register(name: str, base: str, secrets_provider: str) -> Environment:
    """Create the stack of an environment. The stack that the user has selected stays selected."""
    now = datetime.now(UTC).replace(microsecond=0)
    provider = ["--secrets-provider", secrets_provider] if secrets_provider else []
    with _same_selection(name):
        engine_state.pulumi("stack", "init", name, "--no-select", *provider)
        try:
            engine_state.pulumi("stack", "tag", "set", TAG, f"{base}@{now:%Y-%m-%dT%H:%M:%SZ}", "-s", name)
        except BaseException:  # also Ctrl-C: without a tag it would be a stack of others, for create and for delete
            engine_state.pulumi("stack", "rm", name, "--yes")
            raise
    return Environment(name, base, now, now, is_empty=True)


def remove(name: str) -> None:
    """Remove the stack of an environment, with its history and its file."""
    with _same_selection(name):
        engine_state.pulumi("stack", "rm", name, "--yes", "--remove-backups")


@contextmanager
def _same_selection(changed: str) -> Generator[None]:
    """Select the same stack as before, unless it is the changed one.

    Setting a tag selects a stack, which the next `pulumi up` would update; removing one selects none.
    """
    selected = next((name for name, stack in stacks().items() if stack.get("current") and name != changed), None)
    try:
        yield
    finally:
        engine_state.pulumi("stack", *(["select", selected] if selected else ["unselect"]))


def _environment(name: str, stack: dict[str, Any]) -> Environment:
    value = engine_state.pulumi("stack", "tag", "get", TAG, "-s", name).strip()
    base, _, text = value.rpartition("@")
    try:
        created = moment(text)
    except ValueError:
        raise EnvError(
            f"stack {name} has a tag {TAG} with the value {value!r}, which `./slipway env create` has not set. If it "
            f"is no environment: `pulumi stack tag rm {TAG} -s {name}`"
        ) from None
    changed = stack.get("lastUpdate")
    return Environment(
        name,
        base,
        created,
        max(moment(changed), created) if changed else created,
        is_empty=not stack.get("resourceCount"),
        is_updating=bool(stack.get("updateInProgress")),
    )
