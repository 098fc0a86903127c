"""A way into the cluster: port-forward."""

from __future__ import annotations

from typing import Annotated

import typer

from slipway.ops.verbs.options import Stack


def port_forward(
    stack: Stack,
    service: Annotated[str, typer.Argument(help="A service or store of the stack.")],
    port: Annotated[int | None, typer.Argument(help="Local port. Default: the same number as the pod's.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="The port with metrics and health.")] = False,
    port_name: Annotated[str | None, typer.Option("--port", help="Name of the pod's port, such as grpc.")] = None,
) -> None:
    """Forward a local port to a pod of a service or store, until Ctrl-C.

    Example: ./slipway port-forward api --admin -s dev, then curl localhost:9090/metrics
    """
    from slipway.ops.cluster import connection, port_forward
    from slipway.ops.program import config

    cluster = connection.connect(stack, config.settings(stack))
    port_forward.forward(port_forward.command_line(cluster, service, port, "admin" if admin else port_name))
