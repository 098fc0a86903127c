"""A run of `pulumi up` by its event log, which the engine offers to its own developers only.

Nothing else says what an update did: whether it got beyond the preview, what it changed in the cluster, what failed.
Everything ops knows of the log's format is here: apitype.EngineEvent of the engine, one JSON object per line,
https://github.com/pulumi/pulumi/blob/v3.259.0/sdk/go/common/apitype/events.go
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

from slipway.ops import signals
from slipway.project import ROOT

Event: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """The result of a `pulumi up`."""

    code: int
    interrupted: bool
    events: list[Event]
    """What the engine logged of its last step: of the update, or of the preview if it did not get further."""

    @property
    def needs_rollback(self) -> bool:
        """Whether the update failed by itself, after it had reached the cluster or while it tried to."""
        was_preview = any(map(_is_of_preview, self.events))
        return self.code != 0 and not self.interrupted and not was_preview and any(map(_is_cluster_change, self.events))

    @property
    def failures(self) -> list[str]:
        """The engine's error messages, one line each: `Job/api-migration: BackoffLimitExceeded`."""
        diagnostics = [event.get("diagnosticEvent") or {} for event in self.events]
        return [_failure(entry) for entry in diagnostics if entry.get("severity") == "error" and entry.get("urn")]


def run(command: list[str], output: int | None = None, variables: Mapping[str, str] | None = None) -> Outcome:
    """Run the engine; it prints to stdout, or to this file descriptor. `variables` are those of this run alone."""
    with tempfile.TemporaryDirectory(prefix="slipway-up-") as folder:
        log = Path(folder) / "events"
        env = {**os.environ, "PULUMI_DEBUG_COMMANDS": "true", **(variables or {})}
        with _started([*command, "--event-log", str(log)], env=env, output=output) as (engine, received):
            code = engine.wait()
        return Outcome(code, bool(received), _events(log))


def code_of(command: Sequence[str]) -> int:
    """Run the engine without its event log, and return its exit code; after Ctrl-C, once it has stopped by itself."""
    with _started(command) as (engine, _):
        return engine.wait()


@contextmanager
def _started(
    command: Sequence[str], env: Mapping[str, str] | None = None, output: int | None = None
) -> Generator[tuple[subprocess.Popen[bytes], list[int]]]:
    """Start the engine, and keep this process alive while it stops in good order; yield it and the signals received.

    A terminal sends Ctrl-C to the engine too. SIGTERM comes to this process alone, at times before the engine runs.
    """
    received: list[int] = []
    engine: subprocess.Popen[bytes] | None = None

    def note(number: int, _: FrameType | None) -> None:
        received.append(number)
        if number == signal.SIGTERM and engine:
            engine.send_signal(signal.SIGINT)

    with (
        signals.handled((signal.SIGINT, signal.SIGTERM), note),
        subprocess.Popen(command, cwd=ROOT, env=env, stdout=output) as started,
    ):
        engine = started
        if signal.SIGTERM in received:
            engine.send_signal(signal.SIGINT)
        yield engine, received


def _events(log: Path) -> list[Event]:
    lines = log.read_text().splitlines() if log.is_file() else []
    return [json.loads(line) for line in lines if line.strip()]


def _is_of_preview(event: Event) -> bool:
    """Whether an operation begins in a preview. The end of one does not say whether it was a preview."""
    return bool((event.get("resourcePreEvent") or {}).get("planning"))


def _is_cluster_change(event: Event) -> bool:
    """Whether an operation on a Kubernetes object is complete, or failed."""
    step: Event = (event.get("resOpFailedEvent") or event.get("resOutputsEvent") or {}).get("metadata") or {}
    return step.get("op", "same") != "same" and str(step["type"]).startswith("kubernetes:")


def _failure(diagnostic: Event) -> str:
    _, _, types, name = diagnostic["urn"].split("::")
    without_colors = re.sub(r"<\{%[^%]*%\}>", "", diagnostic["message"])
    return f"{types.rpartition(':')[2]}/{name}: {' '.join(without_colors.split()).removeprefix('error: ')}"
