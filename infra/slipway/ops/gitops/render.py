"""`./slipway render --gitops flux`: everything a controller needs to apply a stack, as YAML."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from slipway.ops.errors import UserError
from slipway.ops.gitops import images
from slipway.ops.gitops.bundle import CONTROLLERS, Bundle, Controller, bundle
from slipway.ops.gitops.source import source_of
from slipway.ops.program import config
from slipway.ops.program.policies import findings
from slipway.ops.program.recorder import declare
from slipway.ops.program.render import write
from slipway.settings.settings import Settings


class ControllerError(UserError):
    """There is no such controller."""


def command(
    stack: str, controller: str, given: Sequence[str], to: str | None, output: Path | None, *, verified: bool
) -> None:
    """Print a stack for a controller, or write it into a folder."""
    settings = config.settings(stack)
    references = images.given_images(settings, given)
    for name in images.unknown(settings, references):
        typer.echo(
            f"warning: image {name}: its digest is known after a build only; zeros stand for it. Give --image, "
            "or let `./slipway publish` find it",
            err=True,
        )
    rendered = bundle_of(stack, controller, settings, references, to, verified=verified)
    if output is None:
        sys.stdout.write(rendered.stream())
        return
    written = write(rendered.files(), output)
    typer.echo(f"{len(written)} files of {stack} for {controller} in {output}", err=True)


def bundle_of(
    stack: str,
    controller: str,
    settings: Settings,
    references: Mapping[str, str],
    to: str | None,
    *,
    verified: bool = True,
) -> Bundle:
    """Return a stack with these images for a controller; report broken rules and Secrets that have to be there."""
    source = source_of(stack, settings, to)
    program = declare(stack, images.config_with(stack, settings, references))
    for finding in findings(program):
        typer.echo(f"warning: {finding.text}", err=True)
    found = bundle(program, _controller(controller), source, verified=verified)
    for secret in found.secrets:
        typer.echo(f"note: has to be in namespace {secret.namespace}: {secret}", err=True)
    return found


def _controller(name: str) -> Controller:
    for known in CONTROLLERS:
        if known == name:
            return known  # pyright: ignore[reportReturnType]
    raise ControllerError(f"--gitops {name}: there is {' and '.join(CONTROLLERS)}")
