"""An engine that is a script, for the tests of `./slipway up`.

Its events are as pulumi 3.259.0 writes them to its event log, cut to what is read of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slipway.ops.diagnosis import locks
from slipway.ops.program import engine_state
from slipway.ops.releases import rollback
from slipway.ops.releases.trials import first_request
from slipway.releases import Release

RELEASE = Release("0a1b2c3d", {}, "registry.example.com/slipway/api:src-0@sha256:" + "5" * 64)
JOB = "urn:pulumi:dev::slipway::slipway:index:WebService$kubernetes:batch/v1:Job::api-migration"


def begins(type_: str, *, planning: bool = False) -> dict[str, Any]:
    return {"resourcePreEvent": {"metadata": {"op": "same", "type": type_}} | ({"planning": True} if planning else {})}


def ends(op: str, type_: str) -> dict[str, Any]:
    return {"resOutputsEvent": {"metadata": {"op": op, "type": type_}}}


def fails(op: str, type_: str) -> dict[str, Any]:
    return {"resOpFailedEvent": {"metadata": {"op": op, "type": type_, "urn": JOB}, "status": 0, "steps": 0}}


def error(message: str, urn: str | None = JOB) -> dict[str, Any]:
    return {
        "diagnosticEvent": {"prefix": "error: ", "message": message, "severity": "error"}
        | ({"urn": urn} if urn else {})
    }


STACK = "pulumi:pulumi:Stack"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
IMAGE = "docker:index/image:Image"
FAILED = [
    begins(STACK),
    ends("same", "kubernetes:core/v1:Namespace"),
    error("1 error occurred:\n\t* Job slipway-dev/api-migration-b9170e88 failed: BackoffLimitExceeded\n\n"),
    fails("create-replacement", "kubernetes:batch/v1:Job"),
    error("update failed\n", None),
]


def write_events(folder: Path, events: list[dict[str, Any]]) -> None:
    """Give the engine in this folder another log."""
    (folder / "events").write_text("".join(f"{json.dumps(event)}\n" for event in events))


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a `pulumi` that notes its arguments in `commands`, logs `events`, and fails.

    A rollback is noted in `rollback`, and fails if there is a file `stuck`.
    """
    log = 'while [ "$1" != --event-log ]; do shift; done\n'
    (tmp_path / "pulumi").write_text(
        f'#!/bin/sh\ncd "{tmp_path}"\necho "$PULUMI_DEBUG_COMMANDS $*" >> commands\n{log}cp events "$2"\nexit 255\n'
    )
    (tmp_path / "pulumi").chmod(0o755)
    write_events(tmp_path, FAILED)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(engine_state, "export", lambda stack: {"deployment": {}, "before": stack})
    monkeypatch.setattr(engine_state, "in_force", lambda state: RELEASE)
    monkeypatch.setattr(locks, "state_locks", lambda _: [])
    monkeypatch.setattr(first_request, "record", lambda _: None)

    def roll_back(stack: str, release: Release, before: Any, reason: str) -> int:
        (tmp_path / "rollback").write_text(f"{stack} {release.revision} {before['before']}{reason and f' {reason}'}")
        return 1 if (tmp_path / "stuck").exists() else 0

    monkeypatch.setattr(rollback, "roll_back", roll_back)
    return tmp_path
