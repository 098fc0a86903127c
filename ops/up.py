"""`./slipway up`: `pulumi up` that goes back to the release in force before, when a rollout fails.

Services with `rollout: canary` are tried beside that release first (canary.py), and a bad canary is such a failure.

Goes back only from what has reached the cluster: a mistake in the settings, a broken house rule or a failed build has
changed nothing there, and who stops an update has something in mind.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import httpx2
import pulumi
import typer
import verification

from ops import canary, cluster, config, doctor, engine_state, held, preview, rollback, signals, status
from ops.canary import Trial, Verdict
from ops.engine_state import NoState, State
from ops.recorder import ROOT, stack_config

Event = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What came of a `pulumi up`."""

    code: int
    interrupted: bool
    events: list[Event]
    """What the engine logged of its last step: of the update, or of the preview if it did not get further."""

    @property
    def is_to_be_undone(self) -> bool:
        """Whether it failed by itself, after something had reached the cluster or while it should have."""
        planned = any(_planned(event) for event in self.events)
        return self.code != 0 and not self.interrupted and not planned and any(map(_reaches_the_cluster, self.events))


def command(stack: str, *, yes: bool, returns: bool) -> int:
    """Update; after a failed rollout tell the cause and go back. The exit code: 1 whenever the update failed."""
    stack_config(stack)  # an unknown stack is refused before anything is done
    before = _before(stack)
    before = _without_missing(stack, before) if before else None
    release = engine_state.in_force(before) if before else None
    trial = canary.planned(stack, release) if release else None
    if trial:
        if not yes:
            _asked(trial)
        if not _passes(trial, before, returns=returns):
            return 1
    return 0 if _goes_well(stack, ["--yes"] if yes or trial else [], before, returns=returns) else 1


def _goes_well(stack: str, options: Sequence[str], before: State | None, *, returns: bool) -> bool:
    """Whether an update does; what became of one that did not is told and, where it failed, taken back."""
    outcome = run(["pulumi", "up", "-s", stack, *options])
    if outcome.code == 0:
        return True
    if outcome.is_to_be_undone:
        typer.echo(f"\nThe rollout failed:\n{cause(stack, outcome.events)}\n", err=True)
        _return(stack, before, returns=returns)
    elif outcome.interrupted:
        typer.echo(f"stopped: nothing is taken back. Run it again, or {_way_back(stack, before)}", err=True)
    return False


def _asked(trial: Trial) -> None:
    preview.as_table([preview.judged(trial.stack, "the stack's state", trial.changes, frozenset())])
    typer.confirm(f"Try this as a {trial.told}, and if it is good update stack {trial.stack}?", abort=True, err=True)


def _passes(trial: Trial, before: State | None, *, returns: bool) -> bool:
    """Whether the canaries are good. Bad ones are withdrawn; who stops it is told how things stand."""
    stack, shares = trial.stack, [trial.settings.services[name].canary for name in trial.names]
    told = f"{trial.told}, with at most {max(one.percent for one in shares)} % of the requests"
    typer.echo(f"{stack}: {told}, beside {rollback.told(trial.release)}", err=True)
    with rollback.config_file(stack, trial.release, trial.candidate) as file:
        options = ["--yes", "--config-file", str(file), "--message", trial.told]
        if not _goes_well(stack, options, before, returns=returns):
            return False
    typer.echo(f"{stack}: watching it for {max(one.seconds for one in shares)} s", err=True)
    try:
        verdicts = canary.watch(trial, cluster.connect(stack, trial.settings))
    except cluster.NoCluster as error:
        verdicts = [Verdict(False, f"it cannot be watched: {error}")]
    except KeyboardInterrupt:
        typer.echo(
            f"\nstopped: the {told}, goes on, and nothing else was changed. Run it again to watch it again, or take "
            f"it away: {_way_back(stack, before)}",
            err=True,
        )
        return False
    if bad := [verdict.told for verdict in verdicts if not verdict.passed]:
        typer.echo("\n".join(["", f"{stack}: the canary is withdrawn:", *bad, ""]), err=True)
        _return(stack, before, returns=returns, why=f"{trial.told} withdrawn")
        return False
    for verdict in verdicts:
        typer.echo(f"{stack}: {verdict.told}", err=True)
    return True


def cause(stack: str, events: Iterable[Event]) -> str:
    """Why a rollout failed, for people: what the cluster shows, and what the engine says where that shows nothing."""
    try:
        found = cluster.connect(stack, config.settings(stack))
        causes = status.read(found, held.look(found)).causes
    except (cluster.NoCluster, cluster.Refused, pulumi.RunError):
        causes = []
    said = [f"  {line}" for line in _failures(events)]
    return "\n".join(map(status.told, causes) if causes else said) or "  see the output above"


def _before(stack: str) -> State | None:
    """The state before the update; None for a stack that has none yet, `NoState` if an update holds it, or may."""
    try:
        state, locks = engine_state.export(stack), doctor.held(stack)
    except doctor.DamagedLockError:
        raise
    except NoState:
        return None  # `pulumi up` itself says why
    if locks:
        raise NoState(f"stack {stack} is locked {locks[0].told}; see ./slipway doctor -s {stack}")
    return doctor.settle_jobs(stack, state)


def _without_missing(stack: str, state: State) -> State:
    """Return the state without the objects that somebody has deleted from the cluster, so that the update makes them.

    The engine compares with its state only. Where the cluster cannot be asked, the update itself says why.
    """
    objects = engine_state.objects(state)
    try:
        api = cluster.connect(stack, config.settings(stack)).client
        absent, _ = verification.missing(api, stack, objects.values())
    except (cluster.NoCluster, httpx2.HTTPError, pulumi.RunError):
        return state
    if not absent:
        return state
    typer.echo(f"{stack}: not in the cluster any more, and made again: {', '.join(map(str, absent))}", err=True)
    targets = [f"--target={urn}" for urn, found in objects.items() if found in absent]
    engine_state.pulumi("refresh", "--yes", "--skip-preview", "-s", stack, *targets)
    return engine_state.export(stack)


def _way_back(stack: str, before: State | None) -> str:
    release = engine_state.in_force(before) if before else None
    return f"./slipway rollback {f'{release.revision} ' if release else ''}-s {stack}"


def _return(stack: str, before: State | None, *, returns: bool, why: str = "") -> None:
    release = engine_state.in_force(before) if before else None
    if before is None or release is None:
        typer.echo(f"{stack}: no release was complete before, so there is none to go back to.", err=True)
        return
    if not returns:
        typer.echo(f"{stack}: left as it is. To go back: ./slipway rollback {release.revision} -s {stack}", err=True)
        return
    typer.echo(f"{stack}: going back to {rollback.told(release)}", err=True)
    try:
        code = rollback.go_back(stack, release, before, why)
    except NoState as error:
        typer.echo(f"error: {error}", err=True)
        code = 1
    if code == 0:
        typer.echo(f"{stack}: {rollback.told(release)} is in force again. The update failed.", err=True)
        return
    typer.echo(
        f"error: {stack}: the way back to {release.revision} failed too. Secrets were not taken back: if one of them "
        f"is the cause, set it right; then ./slipway rollback {release.revision} -s {stack}",
        err=True,
    )


def run(command: list[str], output: int | None = None, variables: Mapping[str, str] | None = None) -> Outcome:
    """Run the engine with its output as it comes, to stdout or to another file descriptor; what it did is read from its
    log of events. `variables` are those of this run alone."""
    with tempfile.TemporaryDirectory(prefix="slipway-up-") as folder:
        log = Path(folder) / "events"
        # The engine offers the log to its own developers only; nothing else tells what an update did.
        env = {**os.environ, "PULUMI_DEBUG_COMMANDS": "true", **(variables or {})}
        with (
            subprocess.Popen([*command, "--event-log", str(log)], cwd=ROOT, env=env, stdout=output) as engine,
            _stops(engine) as stopped,
        ):
            code = engine.wait()
        return Outcome(code, bool(stopped), _events(log))


@contextmanager
def _stops(engine: subprocess.Popen[bytes]) -> Generator[list[int]]:
    """The signals that came meanwhile. A terminal sends Ctrl-C to the engine too, which then stops in good order."""
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)
        if number == signal.SIGTERM:
            engine.send_signal(signal.SIGINT)

    with signals.handled((signal.SIGINT, signal.SIGTERM), note):
        yield came


def _events(log: Path) -> list[Event]:
    if not log.is_file():
        return []
    lines = log.read_text().splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def _planned(event: Event) -> bool:
    """Whether it is a preview's. That a trial of an operation failed does not tell; that one begins does."""
    return bool((event.get("resourcePreEvent") or {}).get("planning"))


def _reaches_the_cluster(event: Event) -> bool:
    """Whether an operation on a Kubernetes object is over, or failed."""
    step: Event = (event.get("resOpFailedEvent") or event.get("resOutputsEvent") or {}).get("metadata") or {}
    return step.get("op", "same") != "same" and str(step["type"]).startswith("kubernetes:")


def _failures(events: Iterable[Event]) -> Iterator[str]:
    for event in events:
        told = event.get("diagnosticEvent") or {}
        if told.get("severity") == "error" and told.get("urn"):
            _, _, types, name = told["urn"].split("::")
            message = " ".join(re.sub(r"<\{%[^%]*%\}>", "", told["message"]).split())
            yield f"{types.rpartition(':')[2]}/{name}: {message.removeprefix('error: ')}"
