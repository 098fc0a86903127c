"""Who may do what in the cluster of a stack: access."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from slipway.ops.verbs.options import Stack


def access(
    role: Annotated[
        Literal["deployer", "previewer"],
        typer.Argument(help="deployer: up, rollback, drift, doctor and status. previewer: status and history."),
    ],
    stack: Stack,
    subject: Annotated[
        str | None,
        typer.Option(
            help="Who gets the role: User:NAME, Group:NAME or ServiceAccount:NAMESPACE/NAME. Default: a "
            "ServiceAccount in the stack's namespace, which is printed, too."
        ),
    ] = None,
) -> None:
    """Print the RBAC rules that a deployer or previewer needs.

    They follow from the objects that the stack declares; no other right is in them. Needs no cluster.

    Examples:
      ./slipway access deployer -s prod | kubectl apply -f -
      ./slipway access previewer -s prod --subject Group:developers
    """
    from slipway.ops.access.manifests import command

    sys.stdout.write(command(stack, role, subject))
