"""What proves that an image may run: scan, attest, verify."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from slipway.ops.verbs.options import Json, Stack


def scan(
    stack: Annotated[list[str] | None, typer.Option("--stack", "-s", help="Scan these stacks only.")] = None,
    newest: Annotated[
        bool, typer.Option("--newest", help="Ask the Go module proxy for the newest vulnerability database.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Report vulnerabilities that the programs in images can reach.

    Covers Go programs; images without Go sources are named as not scanned. `slipway:waivers` accepts one until a day.
    Needs Go, and no network once govulncheck is compiled and its database cached.

    Examples:
      ./slipway scan
      ./slipway scan -s prod --newest
    """
    from slipway.ops.program import recorder
    from slipway.ops.supply_chain.scan import command

    sys.exit(command(stack or recorder.stacks(), newest=newest, as_json=as_json))


def attest(
    stack: Annotated[str | None, typer.Option("--stack", "-s", help="Name of the stack.")] = None,
    new_key: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Make a key pair instead: cosign.key there, stacks/cosign.pub here."),
    ] = None,
) -> None:
    """Sign the images of a release, with SBOM, scan and provenance.

    SLIPWAY_SIGNING_KEY names the private key, COSIGN_PASSWORD has its password. Refused if the sources have changed
    since, or reach a vulnerability. The evidence is stored beside the image; only its registry is asked.

    Examples:
      ./slipway attest --new-key ~/slipway-key
      ./slipway attest -s dev
    """
    from slipway.ops.supply_chain import attest, signing_key

    if (stack is None) == (new_key is None):
        raise typer.BadParameter("name a stack, as in ./slipway attest -s dev; or --new-key FOLDER, to begin with")
    if new_key is not None:
        signing_key.make(new_key)
    elif stack is not None:
        attest.attest(stack)


def verify(
    stack: Stack,
    as_policy: Annotated[
        bool, typer.Option("--as-policy", help="Print a Kyverno policy instead, by which the cluster itself verifies.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Verify the evidence of all images that the stack runs.

    `slipway:evidence` has the public keys, and what may be missing until a day. Only the registry is asked.

    Examples:
      ./slipway verify -s prod
      ./slipway verify -s prod --as-policy
    """
    from slipway.ops.program import config, render
    from slipway.ops.supply_chain import admission, attest

    if as_policy:
        sys.stdout.write(render.document(admission.policy(stack, config.settings(stack))))
        return
    sys.exit(attest.verify(stack, as_json=as_json))
