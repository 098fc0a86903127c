"""`./slipway port-forward`: forward a local port to a pod of a service or store."""

from __future__ import annotations

import os
import shutil

from slipway.ops.cluster.connection import StackCluster
from slipway.ops.errors import UnknownServiceError, UserError
from slipway.settings.names import JAEGER
from slipway.settings.sections.monitoring import PORTS
from slipway.settings.sections.network import JAEGER_QUERY_PORT
from slipway.settings.settings import Settings

PAGES = {**PORTS, JAEGER: JAEGER_QUERY_PORT}
"""The ports on which the servers for observability show their pages."""


class PortForwardError(UserError):
    """Why the port cannot be forwarded."""


def command_line(
    cluster: StackCluster, name: str, local_port: int | None = None, port_name: str | None = None
) -> list[str]:
    """Return the kubectl command. By default the local port has the number of the pod's port.

    Raises `UnknownServiceError` if the stack does not run a service or store of that name, and `PortForwardError` if it
    has no port of that name.
    """
    port = _port(cluster.settings, name, port_name)
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


def _port(settings: Settings, name: str, port_name: str | None) -> int:
    if name in settings.services:
        ports = settings.services[name].container_ports
        if not ports or (port_name and port_name not in ports):
            missing = f"has no port {port_name}" if port_name else "listens on no port"
            raise PortForwardError(f"{name} {missing}. Its ports: {', '.join(ports) or 'none'} (services.{name}.ports)")
        return ports[port_name] if port_name else next(iter(ports.values()))
    ports = {server: section.port for server, section in settings.servers.items()}
    ports |= {server: PAGES[server] for server in settings.observability_servers}
    if name not in ports:
        known = ", ".join([*settings.services, *ports])
        raise UnknownServiceError(f"there is no service {name!r} here. Services and stores: {known}")
    if port_name:
        raise PortForwardError(f"{name} is a store, and has one port only: leave the name {port_name} out")
    return ports[name]
