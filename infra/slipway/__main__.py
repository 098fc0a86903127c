"""`./slipway`: the application of all verbs, and the one place where an error becomes a message."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import typer

from slipway.ops import errors
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

VERBS = (
    *(program.stacks, program.check, supply_chain.scan, program.render, changes.diff, changes.preview),
    *(
        diagnosis.status,
        monitoring.slo,
        monitoring.dashboards,
        monitoring.forecast,
        diagnosis.logs,
        diagnosis.port_forward,
        releases.backup,
        releases.restore,
    ),
    *(
        releases.up,
        releases.dev,
        releases.promote,
        releases.refresh,
        releases.destroy,
        releases.adopt,
        releases.rollback,
    ),
    *(supply_chain.attest, supply_chain.verify),
    *(diagnosis.drift, diagnosis.doctor, drills.drill, releases.history),
    *(gitops.publish, program.policies, access.access, project.init),
)
"""In the order of `./slipway --help`; the name of a verb is that of its function."""

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, rich_markup_mode="rich")
for verb in VERBS:
    app.command()(verb)
app.add_typer(config.app)
app.add_typer(project.new)
app.add_typer(environments.app)


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
