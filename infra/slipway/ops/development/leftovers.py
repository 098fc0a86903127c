"""Builds of `./slipway dev` that run when somebody deploys: a session is running, or was killed.

The engine compares with its state only, so it would leave such a build where it declares nothing new. It would also not
change an image that another field manager owns.
"""

from __future__ import annotations

from collections.abc import Callable

import pulumi
import typer

from slipway.ops.cluster import dev_build
from slipway.ops.cluster.connection import ClusterError, RefusedError, StackCluster


def put_back(stack: str, connect: Callable[[], StackCluster]) -> None:
    """Put the release back wherever such a build runs. Where the cluster cannot be read, the update says why.

    Raises `ClusterError` or `RefusedError` if a build cannot be replaced: the update would leave it, and succeed.
    """
    try:
        cluster = connect()
        deployments = dev_build.marked(cluster)
    except (ClusterError, RefusedError, pulumi.RunError):
        return
    for line in dev_build.put_back_each(cluster, deployments):
        typer.echo(f"{stack}: {line}", err=True)
