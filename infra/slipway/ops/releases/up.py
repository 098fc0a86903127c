"""`./slipway up`: `pulumi up` that rolls back to the release in force before when a rollout fails.

Services with `rollout: canary` get a canary beside that release first (canary_plan.py), and a bad canary is such a
failure. Only what has reached the cluster is rolled back: an error in the settings, a broken house rule or a failed
build has changed nothing there. Nor is anything after Ctrl-C: whoever stops an update has something in mind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx2
import pulumi
import typer

from slipway import releases
from slipway.image.promotion import Promotion
from slipway.objects import asleep_since
from slipway.ops.changes import preview
from slipway.ops.cluster import connection, snapshot
from slipway.ops.development import leftovers
from slipway.ops.diagnosis import autoscalers, doctor, locks, status
from slipway.ops.errors import UserError
from slipway.ops.monitoring import gate
from slipway.ops.program import config, engine_run, engine_state
from slipway.ops.program.engine_history import BUDGET, overridden
from slipway.ops.program.engine_run import Outcome
from slipway.ops.program.engine_state import EngineError, State
from slipway.ops.program.recorder import stack_config
from slipway.ops.releases import canary_plan, canary_watch, freeze, rollback
from slipway.ops.releases.canary_plan import CanaryPlan
from slipway.ops.releases.canary_watch import CanaryVerdict
from slipway.ops.releases.trials import first_request
from slipway.releases import Release
from slipway.rollout import verification


class AsleepError(UserError):
    """The stack is asleep, so no pod of a new version would start."""


@dataclass(frozen=True)
class Fallback:
    """The state before an update, for when the update fails."""

    stack: str
    state: State | None
    """None for a stack that has none yet."""
    rolls_back: bool
    """Whether a failed rollout is rolled back at once; otherwise only the command for it is shown."""
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    """Environment variables of the update: the reasons to make it all the same, and what it promotes."""

    @property
    def release(self) -> Release | None:
        """The release in force before; None if no rollout was complete yet."""
        return engine_state.in_force(self.state) if self.state else None

    @property
    def command(self) -> str:
        """The command that rolls back to it."""
        revision = f"{self.release.revision} " if self.release else ""
        return f"./slipway rollback {revision}-s {self.stack}"

    def use(self, reason: str = "") -> None:
        """Roll back to the release in force before, unless there is none or it is not wanted; report what was done."""
        if self.state is None or self.release is None:
            message = f"{self.stack}: there is no former release to roll back to."
        elif not self.rolls_back:
            message = f"{self.stack}: left as it is. To roll back: {self.command}"
        else:
            message = self._roll_back(self.state, self.release, reason)
        typer.echo(message, err=True)

    def _roll_back(self, state: State, release: Release, reason: str) -> str:
        """Roll back; return the message about the result."""
        typer.echo(f"{self.stack}: rolling back to {rollback.describe(release)}", err=True)
        try:
            code = rollback.roll_back(self.stack, release, state, reason)
        except UserError as error:
            typer.echo(f"error: {error}", err=True)
            code = 1
        if code == 0:
            return f"{self.stack}: {rollback.describe(release)} is in force again. The update failed."
        return (
            f"error: {self.stack}: the rollback to release {release.revision} failed as well. Secrets were not rolled "
            f"back: if one of them is the cause, correct it; then {self.command}"
        )


def command(
    stack: str,
    *,
    yes: bool,
    rolls_back: bool,
    override: str = "",
    overrides: Mapping[str, str] | None = None,
    promotion: Promotion | None = None,
) -> int:
    """Update a stack; after a failed rollout show the cause and roll back. Return 1 whenever the update failed.

    Raises BudgetBurntError, unless `override` says why the update is made all the same, FrozenError, unless `overrides`
    does, and AsleepError. With a promotion, images other than those that were examined are refused.
    """
    stack_config(stack)  # an unknown stack is refused before anything is done
    reasons = {**(overrides or {}), freeze.FREEZE: freeze.check(stack, (overrides or {}).get(freeze.FREEZE, ""))}
    state = _state_before(stack)
    if state:
        _check_awake(stack)
        # Before the gate: its preview would be refused where ./slipway dev owns the image.
        _end_dev_builds(stack)
    # Before objects that are missing in the cluster are taken out of the state: to make them again is no new release.
    budget = gate.check(stack, override)
    variables = _variables(budget, reasons, promotion)
    fallback = Fallback(stack, _without_missing(stack, state) if state else None, rolls_back, variables)
    plan = canary_plan.plan(stack, fallback.release) if fallback.release else None
    if plan:
        if not yes:
            _confirm(plan)
        if not (_start_canary(plan, fallback) and _watch_canary(plan, fallback)):
            return 1
    options = ["--yes"] if yes or plan else []
    promoted = f"promotion from {promotion.source}" if promotion else ""
    if message := " · ".join(filter(None, (promoted, overridden({BUDGET: budget, **reasons})))):
        options += ["--message", message]
    if not _update(fallback, options):
        return 1
    first_request.record(stack)
    return 0


def _end_dev_builds(stack: str) -> None:
    leftovers.put_back(stack, lambda: connection.connect(stack, config.settings(stack)))


def _variables(budget: str, reasons: Mapping[str, str], promotion: Promotion | None) -> dict[str, str]:
    """Return the environment variables from which the program records why and what it deploys."""
    given = {what: reason for what, reason in reasons.items() if reason}
    return {
        **({releases.OVERRIDE_VARIABLE: budget} if budget else {}),
        **({releases.OVERRIDES_VARIABLE: json.dumps(given)} if given else {}),
        **(promotion.variables if promotion else {}),
    }


def _update(fallback: Fallback, options: Sequence[str]) -> bool:
    """Run `pulumi up`; return whether it succeeded. After a failed rollout, show the cause and use the fallback."""
    if fallback.state:
        # Again: a session may have saved while the canary was planned, confirmed or watched.
        _end_dev_builds(fallback.stack)
    outcome = engine_run.run(["pulumi", "up", "-s", fallback.stack, *options], variables=fallback.variables)
    if outcome.needs_rollback:
        typer.echo(f"\nThe rollout failed:\n{cause(fallback.stack, outcome)}\n", err=True)
        fallback.use()
    elif outcome.interrupted and outcome.code != 0:
        typer.echo(f"stopped: nothing is rolled back. Run it again, or {fallback.command}", err=True)
    return outcome.code == 0


def cause(stack: str, outcome: Outcome) -> str:
    """Return why a rollout failed: what the cluster shows, or the engine's errors where that shows nothing."""
    try:
        cluster = connection.connect(stack, config.settings(stack))
        causes = status.read(cluster, snapshot.take_snapshot(cluster)).causes
    except (connection.ClusterError, connection.RefusedError, pulumi.RunError):
        causes = []
    lines = map(status.describe, causes) if causes else (f"  {failure}" for failure in outcome.failures)
    return "\n".join(lines) or "  see the output above"


# The canary -----------------------------------------------------------------------------------------------------------


def _confirm(plan: CanaryPlan) -> None:
    preview.as_table([preview.preview_of(plan.stack, "the stack's state", plan.changes, frozenset())])
    question = f"Start a {plan.title} and, if it is good, update stack {plan.stack}?"
    typer.confirm(question, abort=True, err=True)


def _start_canary(plan: CanaryPlan, fallback: Fallback) -> bool:
    """Start the canaries beside the release in force; return whether that succeeded."""
    typer.echo(f"{plan.stack}: {_with_share(plan)}, beside {rollback.describe(plan.release)}", err=True)
    with rollback.config_file(plan.stack, plan.release, plan.candidate) as file:
        return _update(fallback, ["--yes", "--config-file", str(file), "--message", plan.title])


def _watch_canary(plan: CanaryPlan, fallback: Fallback) -> bool:
    """Watch the canaries, and withdraw them if one is bad; return whether all are good."""
    stack = plan.stack
    typer.echo(f"{stack}: watching it for {plan.max_seconds} s", err=True)
    try:
        verdicts = canary_watch.watch(plan, connection.connect(stack, plan.settings))
    except connection.ClusterError as error:
        verdicts = [CanaryVerdict(False, f"it cannot be watched: {error}")]
    except KeyboardInterrupt:
        typer.echo(
            f"\nstopped: the {_with_share(plan)}, keeps running, and nothing else was changed. Run it again to watch "
            f"it again, or remove it: {fallback.command}",
            err=True,
        )
        return False
    if bad := [verdict.message for verdict in verdicts if not verdict.passed]:
        typer.echo("\n".join(["", f"{stack}: the canary is withdrawn:", *bad, ""]), err=True)
        fallback.use(f"{plan.title} withdrawn")
        return False
    for verdict in verdicts:
        typer.echo(f"{stack}: {verdict.message}", err=True)
    return True


def _with_share(plan: CanaryPlan) -> str:
    return f"{plan.title}, with at most {plan.max_percent} % of the requests"


# The state before -----------------------------------------------------------------------------------------------------


def _state_before(stack: str) -> State | None:
    """Return the state before the update; None for a stack that has none yet. Raises EngineError if it is locked."""
    try:
        state, current_locks = engine_state.export(stack), locks.state_locks(stack)
    except locks.DamagedLockError:
        raise
    except EngineError:
        return None  # `pulumi up` itself says why
    if current_locks:
        raise EngineError(f"stack {stack} is locked {current_locks[0].text}; see ./slipway doctor -s {stack}")
    return doctor.settle_jobs(stack, state)


def _check_awake(stack: str) -> None:
    """Raise AsleepError for a stack that sleeps. Where the cluster cannot be read, the update itself says why."""
    try:
        deployments = connection.connect(stack, config.settings(stack)).items("deployments")
    except (connection.ClusterError, connection.RefusedError, pulumi.RunError):
        return
    if since := min(filter(None, map(asleep_since, deployments)), default=None):
        raise AsleepError(
            f"stack {stack} is asleep since {since}, so no new pod would start. Nothing was changed. Wake it first: "
            f"./slipway env wake {stack}"
        )


def _without_missing(stack: str, state: State) -> State:
    """Return the state without what is missing in the cluster, or soon will be, so that the update makes it.

    The engine compares with its state only. Where the cluster cannot be read, the update itself says why.
    """
    state = autoscalers.forget_lost(stack, state, lambda: connection.connect(stack, config.settings(stack)))
    objects = engine_state.objects(state)
    try:
        api = connection.connect(stack, config.settings(stack)).client
        missing, _ = verification.missing(api, stack, objects.values())
    except (connection.ClusterError, httpx2.HTTPError, pulumi.RunError):
        return state
    if not missing:
        return state
    typer.echo(f"{stack}: not in the cluster any more, and made again: {', '.join(map(str, missing))}", err=True)
    targets = [f"--target={urn}" for urn, declared in objects.items() if declared in missing]
    engine_state.pulumi("refresh", "--yes", "--skip-preview", "-s", stack, *targets)
    return engine_state.export(stack)
