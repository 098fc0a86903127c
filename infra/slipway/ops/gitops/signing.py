"""Signatures of artifacts by cosign, with a key. No transparency log is asked: a cluster verifies without a network."""

from __future__ import annotations

import os

import typer

from slipway.image.registry import is_local
from slipway.ops.errors import UserError
from slipway.ops.supply_chain.tools import GoTool, attempt, compiled, last_lines

# Apache-2.0, by Sigstore. Of v2, since v3 asks Sigstore's servers how to sign even where a key is given.
COSIGN, TOOLCHAIN = GoTool("github.com/sigstore/cosign/v2/cmd/cosign", "v2.6.5"), "go1.27.3"


class SigningError(UserError):
    """The artifact is not signed; the message says why."""


def prepare(key: str | None) -> None:
    """Compile cosign if there is a key, before anything is published. Raises ToolError."""
    if key:
        compiled(COSIGN, TOOLCHAIN)


def sign(reference: str, key: str | None) -> None:
    """Sign `repository@sha256:...` with a key as cosign takes it: a file, or the URI of a KMS. Raises SigningError."""
    if not key:
        typer.echo("note: not signed, since there is no --key: a cluster that verifies signatures refuses it", err=True)
        return
    plain = ["--allow-http-registry"] if is_local(reference.partition("/")[0]) else []
    options = ["--key", key, "--tlog-upload=false", "--yes", *plain]
    # There is no terminal to ask for a password: without one, it is empty.
    environment = {"COSIGN_PASSWORD": "", **os.environ}
    done = attempt(compiled(COSIGN, TOOLCHAIN), "sign", *options, reference, environment=environment)
    if done.returncode != 0:
        raise SigningError(f"{reference} is pushed and not signed; the tag was not moved: {last_lines(done.stderr)}")
