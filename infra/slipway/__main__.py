"""`./slipway`: the application of all verbs, and the one place where an error becomes a message."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import typer

from slipway.ops import errors
from slipway.ops.terminal.help import Verbs, describe
from slipway.ops.verbs import (
    access,
    changes,
    config,
    diagnosis,
    drills,
    environments,
    gitops,
    monitoring,
    program,
    project,
    releases,
    supply_chain,
)

VERBS = {
    "Every day": (
        *(changes.preview, releases.up, releases.dev, diagnosis.status, diagnosis.logs),
        *(releases.rollback, releases.history),
    ),
    "Delivery": (
        *(program.check, changes.diff, program.render, gitops.publish, releases.promote),
        *(supply_chain.scan, supply_chain.attest, supply_chain.verify),
    ),
    "Diagnosis and data": (
        *(diagnosis.doctor, diagnosis.drift, diagnosis.port_forward, monitoring.slo, monitoring.dashboards),
        *(monitoring.forecast, drills.drill, releases.backup, releases.restore),
    ),
    "Project and environments": (
        *(program.stacks, program.policies, access.access, project.init),
        *(releases.adopt, releases.refresh, releases.destroy),
    ),
}
"""The verbs under the headings of `./slipway --help`, in its order; the name of a verb is that of its function."""

app = typer.Typer(cls=Verbs, no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False)
for heading, verbs in VERBS.items():
    for verb in verbs:
        app.command(rich_help_panel=heading)(verb)
for group in (config.app, project.new, environments.app):
    app.add_typer(group, rich_help_panel="Project and environments")
describe(app)


@app.callback()
def slipway() -> None:
    """Work with the environments of this project. Data goes to stdout, messages to stderr."""


def main() -> None:
    """Run a verb; what a user got wrong or the system refuses is one message and exit code 1, never a traceback."""
    # A parent process may have closed them. Like print(), write to nowhere then.
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    try:
        try:
            app(prog_name="slipway")
        finally:
            _flush()  # at the end of the process it would be too late to report a full disk
    except Exception as error:
        text = errors.message(error)
        if text is None:
            raise
        if isinstance(error, OSError):
            _discard_output()
        typer.echo(f"error: {text}", err=True)
        sys.exit(1)


def _flush() -> None:
    """Write what is buffered. A reader that has read enough, as `head` does, changes no exit code."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()


def _discard_output() -> None:
    """Keep Python from writing its buffer once more, and failing once more, at the end of the process."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
