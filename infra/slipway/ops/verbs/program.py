"""What the program declares, and the rules it keeps: render, policies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from slipway.ops.verbs.options import Stack


def render(
    stack: Stack,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write one file per object into this folder.")
    ] = None,
) -> None:
    """Print the stack's Kubernetes objects as YAML, secrets as ***.

    Needs no cluster, Docker daemon, Pulumi CLI or secret. Example: ./slipway render -s prod -o out/
    """
    from slipway.ops.program.policies import findings
    from slipway.ops.program.recorder import declare
    from slipway.ops.program.render import documents, one_stream, write

    program = declare(stack)
    files = documents(program)
    for finding in findings(program):
        typer.echo(f"warning: {finding.text}", err=True)
    if output is None:
        sys.stdout.write(one_stream(files))
        return
    written = write(files, output)
    typer.echo(f"{len(written)} objects of {stack} in {output}", err=True)


def policies(
    write: Annotated[
        bool, typer.Option("--write", help="Write docs/reference/policies.md instead of printing it.")
    ] = False,
) -> None:
    """Print the house rules, with their reasons. `./slipway render` shows which ones a stack breaks."""
    from slipway import files
    from slipway.ops.program.policies import DOCUMENT
    from slipway.rules import house_rules

    if write:
        files.write({DOCUMENT: house_rules.document()})
        return
    sys.stdout.write(house_rules.document())
