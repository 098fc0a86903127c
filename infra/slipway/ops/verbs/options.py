"""Options that several verbs have."""

from __future__ import annotations

from typing import Annotated

import typer

Stack = Annotated[str, typer.Option("--stack", "-s", help="Name of the stack, as in stacks/Pulumi.<stack>.yaml.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only what is wrong.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Allow = Annotated[list[str] | None, typer.Option(help="Let a forbidden class pass, such as exposes.")]
Images = Annotated[
    list[str] | None,
    typer.Option(
        help="An image by digest: [NAME=]REPOSITORY:TAG@sha256:DIGEST. May be repeated. Default: that of the stack."
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        help="Where objects are published: oci://REGISTRY/REPOSITORY:TAG. Default: gitops:STACK next to the image."
    ),
]
