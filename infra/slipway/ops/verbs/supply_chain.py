"""What proves that an image may run: scan."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def scan(
    stack: Annotated[list[str] | None, typer.Option("--stack", "-s", help="Scan these stacks only.")] = None,
    newest: Annotated[
        bool, typer.Option("--newest", help="Ask the Go module proxy for the newest vulnerability database.")
    ] = False,
) -> None:
    """Report the known vulnerabilities that the Go programs of the stacks' images can reach. Exit code 1 if any.

    `slipway:waivers` accepts one until a day. Images without Go sources are named as not scanned. Needs Go, and no
    network once govulncheck is compiled and its database cached.
    """
    from slipway.ops.program import recorder
    from slipway.ops.supply_chain.scan import command

    sys.exit(command(stack or recorder.stacks(), newest=newest))
