"""The updates that the engine remembers: what `pulumi stack history --json` prints, and all ops knows of its format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from slipway.ops.program import engine_state
from slipway.project import CONFIG
from slipway.settings.errors import PREFIX
from slipway.settings.settings import CANDIDATE, RELEASE

BUDGET = "error budget"
# `error budget overridden: REASON`, and as much of whatever else was overridden.
_OVERRIDDEN = re.compile(r"(?:^| · )([a-z -]+) overridden: (.*?)(?=$| · [a-z -]+ overridden: )")


@dataclass(frozen=True)
class Update:
    """One `pulumi up`."""

    begin: datetime
    end: datetime
    result: str
    message: str
    by: str
    commit: str
    revision: str
    """The release it rolled back to; empty for any other update."""
    changed: bool
    is_canary: bool = False
    """Whether it only started a canary beside the release in force."""

    @property
    def overrides(self) -> dict[str, str]:
        """The reasons to make it although something stood against it, by what it was: `{"error budget": "..."}`."""
        return dict(_OVERRIDDEN.findall(self.message))


def overridden(reasons: Mapping[str, str]) -> str:
    """Return the message of an update that was made although something stood against it; empty without a reason."""
    return " · ".join(f"{what} overridden: {reason}" for what, reason in reasons.items() if reason)


def updates(stack: str) -> list[Update]:
    """Return the updates of a stack, the newest first. Raises EngineError."""
    return updates_in(_history(stack))


def last_settings(stack: str) -> dict[str, Any]:
    """Return the sections of the stack file with which the last update succeeded; none before. Raises EngineError."""
    done = (entry for entry in _history(stack) if entry["kind"] == "update" and entry.get("result") == "succeeded")
    config = next(done, {}).get("config") or {}
    return {
        key.removeprefix(PREFIX): _section(value)
        for key, value in config.items()
        if key.startswith(PREFIX) and not value.get("secret")
    }


def _history(stack: str) -> list[dict[str, Any]]:
    return json.loads(engine_state.pulumi("stack", "history", "--json", "-s", stack))


def updates_in(history: Iterable[dict[str, Any]]) -> list[Update]:
    """Return the updates among the operations of a history."""
    return [_update(entry) for entry in history if entry["kind"] == "update"]


def moment(text: str) -> datetime:
    """Parse a time as the engine writes it: `2026-11-21T08:35:23.000Z`."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def _update(entry: dict[str, Any]) -> Update:
    environment = entry.get("environment") or {}
    config = entry.get("config") or {}
    is_canary = f"{CONFIG}:{CANDIDATE}" in config
    # The update of a canary names the release it stands beside, and rolls back to none.
    release: Any = {} if is_canary else _section(config.get(f"{CONFIG}:{RELEASE}") or {"value": "{}"})
    head = str(environment.get("git.head", ""))[:8]
    begin = moment(entry["startTime"])
    return Update(
        begin=begin,
        end=moment(entry["endTime"]) if entry.get("endTime") else begin,
        result=str(entry.get("result", "")),
        # Without a message of its own, the engine takes the subject of the commit.
        message=str(entry.get("message", "")),
        by=str(environment.get("git.author", "")),
        commit=f"{head}-dirty" if environment.get("git.dirty") == "true" else head,
        revision=str(release.get("revision", "")),
        changed=bool((entry.get("resourceChanges") or {}).keys() - {"same"}),
        is_canary=is_canary,
    )


def _section(entry: dict[str, Any]) -> Any:
    """Return a value of a configuration as a history has it."""
    if "objectValue" in entry:
        return entry["objectValue"]
    text = entry.get("value") or ""
    return json.loads(text) if text.startswith(("{", "[")) else text
