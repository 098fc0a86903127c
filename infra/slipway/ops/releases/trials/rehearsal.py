"""`./slipway rollback --rehearse`: go back to a former release, try it on today's schema, and return.

What it proves is noted on the record of the release in force: `./slipway promote` demands it where the tier does. The
former release runs on the schema that the release in force has migrated to, so that its answers and the contract tests
of the project (`slipway:promotion.contractTests`) prove that there is a way back from the migration.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence
from types import FrameType

import typer

from slipway import releases
from slipway.ops import signals
from slipway.ops.cluster import connection
from slipway.ops.errors import UserError
from slipway.ops.program import config, engine_state
from slipway.ops.program.engine_state import State
from slipway.ops.releases import rollback
from slipway.ops.releases.trials import first_request
from slipway.project import ROOT
from slipway.releases import Release
from slipway.settings.settings import Settings

TEST_SECONDS = 1800
"""How long contract tests may take, while the stack serves the former version."""
STOP_SECONDS = 10


class RehearsalError(UserError):
    """A rollback was rehearsed and is no evidence, or cannot be rehearsed."""


def rehearse(stack: str, present: Release | None, former: Release, state: State) -> int:
    """Roll back to the former release, try it, return to the present one, and note it there. Return the exit code.

    Raises RehearsalError if the former release does not do, once the present one is in force again.
    """
    if present is None or former.revision == present.revision:
        raise RehearsalError(f"{stack}: a rehearsal needs a release to go back to, other than the one in force")
    settings = config.settings(stack)
    cluster = connection.connect(stack, settings)
    # The plan was shown and confirmed meanwhile.
    if (now := _in_force(stack)) != present.revision:
        raise RehearsalError(
            f"{stack}: release {now or 'none'} is in force by now, not {present.revision}: begin again"
        )
    # What was proved before does not count beside a rehearsal that fails; and who may not note it learns that now.
    first_request.annotate(cluster, present.revision, releases.REHEARSAL, None)
    ours: set[str] = set()
    with signals.handled(signals.ENDS, _interrupt):
        try:
            code = rollback.roll_back(stack, former, state, "rehearsal")
            # Its record need not have the name that it had: an earlier version of Slipway may have written that.
            ours = {present.revision, _in_force(stack)}
            problems = [] if code else [*first_request.send(settings), *_contract_tests(stack, settings)]
        finally:
            # Whatever has happened, Ctrl-C too: the former release was to be there for a moment only.
            _return(stack, present, ours, state)
    if code:
        raise RehearsalError(f"{stack}: the rollback to release {former.revision} failed; see above")
    if problems := [*problems, *first_request.send(settings)]:
        raise RehearsalError("\n  ".join([f"{stack}: the rehearsal is no evidence:", *problems]))
    note = _note(former, settings.promotion.contract_tests)
    first_request.annotate(cluster, present.revision, releases.REHEARSAL, note)
    typer.echo(f"{stack}: the rollback to {rollback.describe(former)} is rehearsed", err=True)
    return 0


def _return(stack: str, present: Release, ours: Collection[str], state: State) -> None:
    """Roll back to the release that was in force. Raises RehearsalError, with the command for it, if that fails.

    A release that is none of ours was deployed by somebody else meanwhile, and stays.
    """
    fix = f"./slipway rollback {present.revision} -s {stack}"
    typer.echo(f"{stack}: returning to {rollback.describe(present)}", err=True)
    reason = ""
    try:
        now = _in_force(stack)
        if ours and now not in ours:
            raise RehearsalError(f"{stack}: somebody has deployed release {now} meanwhile, which stays: no evidence")
        code = rollback.roll_back(stack, present, state, "end of the rehearsal")
    except RehearsalError:
        raise
    except UserError as error:
        code, reason = 1, f" ({error})"
    except BaseException:  # also Ctrl-C and a full disk
        typer.echo(f"error: {stack}: the return to release {present.revision} broke off; run it again: {fix}", err=True)
        raise
    if code:
        raise RehearsalError(f"{stack}: the return to release {present.revision} failed{reason}; run it again: {fix}")


def _in_force(stack: str) -> str:
    """Return the revision of the release in force; empty if there is none."""
    release = engine_state.in_force(engine_state.export(stack))
    return release.revision if release else ""


def _interrupt(_: int, __: FrameType | None) -> None:
    """Let SIGTERM, as of a job of CI that is cancelled, end the rehearsal in good order as Ctrl-C does."""
    raise KeyboardInterrupt


def _note(former: Release, contract_tests: Sequence[str]) -> str:
    """Return what is noted on the record of the release in force."""
    facts = {"at": first_request.now(), "to": former.revision, "images": former.images}
    return json.dumps({**facts, "contractTests": list(contract_tests)})


def _contract_tests(stack: str, settings: Settings) -> list[str]:
    """Run the project's contract tests against the stack; return what is wrong."""
    command = settings.promotion.contract_tests
    if not command:
        return []
    shown = " ".join(command)
    typer.echo(f"{stack}: {shown}", err=True)
    try:
        variables = {**os.environ, "SLIPWAY_STACK": stack}
        code = _run(command, variables)
    except OSError as error:
        return [f"slipway:promotion.contractTests: {shown}: {error.strerror}"]
    except subprocess.TimeoutExpired:
        return [f"the contract tests did not end on the new schema within {TEST_SECONDS} s: {shown}"]
    return [f"the contract tests failed on the new schema: {shown} ends with {code}"] if code else []


def _run(command: Sequence[str], variables: Mapping[str, str]) -> int:
    """Run a command, and return its exit code. It ends with all that it has started, also at Ctrl-C or too late."""
    with subprocess.Popen(command, cwd=ROOT, env=variables, start_new_session=True) as tests:
        try:
            return tests.wait(TEST_SECONDS)
        except BaseException:
            # Otherwise the programs that `make` has started would write to the present version.
            os.killpg(tests.pid, signal.SIGTERM)
            try:
                tests.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(tests.pid, signal.SIGKILL)
            raise
