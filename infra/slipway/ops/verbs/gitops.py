"""A stack for a controller in the cluster: publish. `render --gitops` is in program.py."""

from __future__ import annotations

from typing import Annotated

import typer

from slipway.ops.verbs.options import Images, Stack, To


def publish(
    stack: Stack,
    *,
    gitops: Annotated[str, typer.Option(help="The controller that reads it: flux or argocd.")] = "flux",
    image: Images = None,
    to: To = None,
    key: Annotated[
        str | None,
        typer.Option(
            envvar="SLIPWAY_SIGNING_KEY",
            help="Sign with this key of cosign: a file, or the URI of a KMS. Default: none.",
        ),
    ] = None,
    former: Annotated[
        str | None, typer.Option(help="Go back: let the tag name this former artifact, given by its tag or digest.")
    ] = None,
) -> None:
    """Push the stack's objects to a registry, for Flux or Argo CD.

    Prints the artifact by digest. Needs no cluster.

    Examples:
      ./slipway publish -s prod --to oci://ghcr.io/acme/shop:prod --key cosign.key
      ./slipway publish -s prod --former prod-3f9a1c07b2e4
    """
    from slipway.ops.gitops import publish as publishing

    if former:
        publishing.roll_back(stack, former, to)
    else:
        publishing.command(stack, gitops, image or (), to, key)
