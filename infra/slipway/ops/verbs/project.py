"""Projects of others: init, new service, new stack, new workflows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from slipway.ops.verbs.options import Yes

new = typer.Typer(name="new", help="Add a service, a stack or workflows to this project.", no_args_is_help=True)
Port = Annotated[int, typer.Option(help="Port of its HTTP requests. Default: a guess.", min=0, max=65535)]
Health = Annotated[str, typer.Option(help="Path that answers 200 when it can take requests. Default: a guess.")]
Image = Annotated[str, typer.Option(help="Run an existing image, REPOSITORY:TAG@sha256:..., instead of building one.")]


def init(
    folder: Annotated[Path, typer.Argument(help="The folder with the sources: a Dockerfile or a Go module.")] = Path(),
    *,
    yes: Yes = False,
    name: Annotated[str, typer.Option(help="Name of the project. Default: that of the folder.")] = "",
    image: Image = "",
    port: Port = 0,
    health: Health = "",
    registry: Annotated[str, typer.Option(help="Where images are pushed: registry.example.com/team.")] = "",
    context: Annotated[str, typer.Option(help="kubeconfig context of the stack local.")] = "slipway-local",
    local_registry: Annotated[str, typer.Option(help="Registry of the stack local.")] = "localhost:5000",
    ingress_class: Annotated[str, typer.Option(help="IngressClass of the stack local.")] = "traefik",
    ingress_namespace: Annotated[
        str, typer.Option(help="Namespace of the ingress controller. Default: the usual one of its class.")
    ] = "",
    certificates: Annotated[
        Path | None, typer.Option(help="Folder with tls.crt and tls.key for *.slipway.localhost.")
    ] = None,
) -> None:
    """Write a project for existing sources; overwrite nothing.

    Writes stack files, the program and tests. Ports, paths and the like are asked for on a terminal, and guessed
    otherwise; each guess is printed with the key that changes it.

    Examples:
      ./slipway init
      ./slipway init ~/src/shop --registry registry.example.com/team
    """
    from slipway.ops.project.answers import Wishes
    from slipway.ops.project.init import create

    wishes = Wishes(
        name=name,
        image=image,
        port=port,
        health=health,
        registry=registry,
        context=context,
        local_registry=local_registry,
        ingress_class=ingress_class,
        ingress_namespace=ingress_namespace,
        certificates=certificates,
    )
    ask = (lambda text, default: str(typer.prompt(text, default=default, err=True))) if _asks(yes) else None
    for guess in create(folder, wishes, ask):
        typer.echo(guess, err=True)
    typer.echo(f"{folder.resolve()} is ready: `slipway render -s local`, `pytest tests/test_my_stacks.py`", err=True)


@new.command()
def service(
    name: str,
    image: Annotated[
        str, typer.Option(help="Run an image that exists, REPOSITORY:TAG@sha256:..., or one of slipway:images.")
    ] = "",
    port: Port = 0,
    health: Health = "",
    *,
    worker: Annotated[bool, typer.Option("--worker", help="With --image: it answers no requests.")] = False,
) -> None:
    """Add a service to all stacks.

    It is built from the folder NAME or services/NAME, or runs an existing image.

    Examples:
      ./slipway new service prices
      ./slipway new service mailer --image ghcr.io/acme/mailer:1.4@sha256:DIGEST --worker
    """
    from slipway.ops.project.answers import Wishes
    from slipway.ops.project.new import add_service

    for line in add_service(name, Wishes(image=image, port=port, health=health, worker=worker)):
        typer.echo(line, err=True)


@new.command()
def stack(
    name: str, like: Annotated[str, typer.Option(help="The stack whose file is copied. Default: dev.")] = "dev"
) -> None:
    """Add a stack: a copy of another one's file.

    It has its own name, namespace, context and hosts.

    Example:
      ./slipway new stack qa --like staging
    """
    from slipway.ops.project.new import add_stack

    for guess in add_stack(name, like):
        typer.echo(guess, err=True)
    secret = f"`pulumi config set --secret slipway:NAME -s {name}`"
    typer.echo(f"wrote stacks/Pulumi.{name}.yaml. Read it; a secret is set by {secret}", err=True)


@new.command()
def workflows(
    replace: Annotated[
        bool, typer.Option("--replace", help="Also replace those that differ from the ones of this version.")
    ] = False,
) -> None:
    """Add the workflows for GitHub.

    They preview, deploy, look for drift, and make an environment per pull request. What is there stays.

    Examples:
      ./slipway new workflows
      ./slipway new workflows --replace
    """
    from slipway.ops.project.new import add_workflows

    for line in add_workflows(replace=replace):
        typer.echo(line, err=True)


def _asks(yes: bool) -> bool:
    return not yes and sys.stdin is not None and sys.stdin.isatty()
