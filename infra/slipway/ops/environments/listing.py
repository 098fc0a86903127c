"""`./slipway env list`: which environments there are, how old they are, and whether they sleep.

`--json` prints them, the oldest first; keys are only ever added to it:

    [{"name": "pr-123", "base": "dev", "created": "2026-11-30T17:00:00Z", "changed": "2026-11-30T18:30:00Z",
      "asleep": null, "url": "https://pr-123-api.dev.example.com"}]
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pulumi
import typer

from slipway.objects import asleep_since
from slipway.ops.cluster import connection
from slipway.ops.cluster.snapshot import age
from slipway.ops.environments import create, registered, sleep, stack_file
from slipway.ops.environments.registered import Environment
from slipway.ops.errors import UserError
from slipway.ops.terminal.tables import table


@dataclass(frozen=True)
class Row:
    """One environment of the list."""

    environment: Environment
    url: str
    asleep: str | None
    """Since when it sleeps; None if it is awake."""
    problem: str = ""
    """Why it is not known whether it sleeps."""

    def data(self) -> dict[str, Any]:
        """Return the row as `--json` prints it."""
        environment = self.environment
        times = {"created": environment.created, "changed": environment.changed}
        texts = {key: f"{time:%Y-%m-%dT%H:%M:%SZ}" for key, time in times.items()}
        return {
            "name": environment.name,
            "base": environment.base,
            **texts,
            "asleep": self.asleep,
            "url": self.url,
            **({"problem": self.problem} if self.problem else {}),
        }

    def cells(self, now: datetime) -> list[str]:
        """Return the row as people read it."""
        environment = self.environment
        ages = [age((now - time).total_seconds()) for time in (environment.created, environment.changed)]
        state = (
            f"unknown: {self.problem}" if self.problem else f"asleep since {self.asleep}" if self.asleep else "awake"
        )
        return [environment.name, environment.base, ages[0], f"{ages[1]} ago", state, self.url]


def command(*, as_json: bool) -> int:
    """Print the environments, the oldest first. Return 1 if there is a stack whose tag cannot be read."""
    environments, problems = registered.environments()
    rows = [_row(environment) for environment in environments]
    sys.stdout.write(to_json(rows) if as_json else to_text(rows))
    for problem in problems:
        typer.echo(f"error: {problem}", err=True)
    return 1 if problems else 0


def to_text(rows: list[Row]) -> str:
    """Return the list for people."""
    now = datetime.now(UTC)
    head = ("environment", "like", "age", "changed", "state", "url")
    return table([row.cells(now) for row in rows], head) if rows else "there is no environment\n"


def to_json(rows: list[Row]) -> str:
    """Return the list for programs."""
    return json.dumps([row.data() for row in rows], indent=2, ensure_ascii=False) + "\n"


def _row(environment: Environment) -> Row:
    """Return the row of an environment; with the reason if its base or its cluster cannot be read."""
    url = ""
    try:
        settings = stack_file.settings_of(environment.name, stack_file.of_base(environment.base, environment.name))
        url = next(iter(create.addresses(settings)), "")
        stopped = sleep.asleep(connection.connect(environment.name, settings))
    except (UserError, pulumi.RunError) as error:
        return Row(environment, url, None, str(error).splitlines()[0])
    return Row(environment, url, asleep_since(stopped[0]) if stopped else None)
