"""`./slipway port-forward`: forward a local port to a pod of a service or store."""

from __future__ import annotations

import os
import shutil

from slipway.naming import ADMIN_PORT, HTTP_PORT
from slipway.ops.cluster.connection import StackCluster
from slipway.ops.errors import UnknownServiceError, UserError
from slipway.settings.settings import Settings


class PortForwardError(UserError):
    """Why the port cannot be forwarded."""


def command_line(cluster: StackCluster, name: str, local_port: int | None = None, *, admin: bool = False) -> list[str]:
    """Return the kubectl command. By default the local port has the number of the pod's port.

    Raises `UnknownServiceError` if the stack does not run a service or store of that name.
    """
    port = _port(cluster.settings, name, admin=admin)
    kind = "deployment" if name in cluster.settings.services else "statefulset"
    namespace = ["--context", cluster.context, "--namespace", cluster.namespace]
    return ["kubectl", *namespace, "port-forward", f"{kind}/{name}", f"{local_port or port}:{port}"]


def forward(command: list[str]) -> None:
    """Replace this process by kubectl, which prints where it listens and runs until Ctrl-C."""
    if not shutil.which(command[0]):
        raise PortForwardError(
            "kubectl is not on the PATH, and it forwards the ports; `. ./activate` adds the local one"
        )
    os.execvp(command[0], command)  # noqa: S606 - the program is named here


def _port(settings: Settings, name: str, *, admin: bool) -> int:
    if name in settings.services:
        return ADMIN_PORT if admin else HTTP_PORT
    if name not in settings.servers:
        known = ", ".join([*settings.services, *settings.servers])
        raise UnknownServiceError(f"there is no service {name!r} here. Services and stores: {known}")
    if admin:
        raise PortForwardError(f"{name} is a store, and has no port for metrics and health: leave --admin out")
    return settings.servers[name].port
