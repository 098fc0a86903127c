"""Builds of `./slipway dev` that run when somebody deploys: a session is at work, or was killed.

The engine compares with its state only, so it would leave such a build where it declares nothing new. And an image that
another field manager has set it would not change.
"""

from __future__ import annotations

from collections.abc import Callable

import pulumi
import typer

from slipway.ops.cluster import dev_build
from slipway.ops.cluster.connection import ClusterError, RefusedError, StackCluster


def put_back(stack: str, connect: Callable[[], StackCluster]) -> None:
    """Put the release back wherever something else runs. Where the cluster cannot be read, the update says why."""
    try:
        lines = dev_build.put_back_all(connect())
    except (ClusterError, RefusedError, pulumi.RunError):
        return
    for line in lines:
        typer.echo(f"{stack}: {line}", err=True)
