"""What the program declares, and the rules it keeps: stacks, check, render, policies."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from slipway.ops.verbs.options import Images, Json, Quiet, Stack, To


def stacks(
    as_json: Json = False,
    without: Annotated[
        list[str] | None, typer.Option(help="Leave out the stacks of this tier, such as local. May be repeated.")
    ] = None,
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Print a matrix of jobs for each tier, as lines of $GITHUB_OUTPUT.")
    ] = False,
) -> None:
    """List the stacks of this project, in the order of promotion.

    These have a file in stacks/. CI makes one job of each.

    Examples:
      ./slipway stacks
      ./slipway stacks --matrix --without local
    """
    from slipway.ops.program import recorder

    if matrix:
        from slipway.ops.program import job_matrix

        sys.stdout.write(job_matrix.text(without or []))
        return
    names = recorder.stacks(without or [])
    sys.stdout.write(json.dumps(names) + "\n" if as_json else "".join(f"{name}\n" for name in names))


def check(
    stack: Annotated[list[str] | None, typer.Option("--stack", "-s", help="Check these stacks only.")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Record the objects in stacks/golden/ instead of comparing them.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare stacks with the rules and their reviewed objects.

    The objects are recorded in stacks/golden/. Needs what render needs.

    Examples:
      ./slipway check --quiet
      ./slipway check -s prod --write
    """
    from slipway.ops.program import check, recorder

    reports = [check.check(name, write=write) for name in stack or recorder.stacks()]
    if as_json:
        sys.stdout.write(json.dumps([dataclasses.asdict(report) for report in reports], indent=2) + "\n")
    for report in reports if not as_json else ():
        sys.stdout.write(report.difference)
        for line in report.lines(quiet=quiet):
            typer.echo(line, err=True)
    for file in check.orphans():
        if write and not stack:
            file.unlink()
        elif not quiet and not as_json:
            typer.echo(f"hint: stacks/golden/{file.name} has no stack; `./slipway check --write` removes it", err=True)
    if any(report.errors for report in reports):
        raise typer.Exit(1)


def render(
    stack: Stack,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write one file per object into this folder.")
    ] = None,
    *,
    gitops: Annotated[
        str | None, typer.Option(help="Print what this controller needs to apply the stack: flux or argocd.")
    ] = None,
    image: Images = None,
    to: To = None,
    unsigned: Annotated[bool, typer.Option(help="Let Flux take an artifact without a signature.")] = False,
) -> None:
    """Print a stack's Kubernetes objects as YAML, secrets as ***.

    Needs no cluster, Docker daemon, Pulumi CLI or secret.

    Examples:
      ./slipway render -s prod -o out/
      ./slipway render -s prod --gitops flux -o out/
    """
    if gitops is not None:
        from slipway.ops.gitops import render as gitops_render

        gitops_render.command(stack, gitops, image or (), to, output, verified=not unsigned)
        return
    if image or to or unsigned:
        raise typer.BadParameter("--image, --to and --unsigned go with --gitops")
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
    """Print the house rules, with their reasons.

    `./slipway render` shows which ones a stack breaks.

    Example:
      ./slipway policies
    """
    from slipway import files
    from slipway.ops.program.policies import DOCUMENT
    from slipway.rules import house_rules

    if write:
        files.write({DOCUMENT: house_rules.document()})
        return
    sys.stdout.write(house_rules.document())
