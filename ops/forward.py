"""`./slipway port-forward`: a port of this machine that leads to a pod of a service or store."""

from __future__ import annotations

import os
import shutil

from pod import ADMIN_PORT, HTTP_PORT
from settings import Settings

from ops.cluster import Cluster
from ops.logs import UnknownService


class NoForward(Exception):
    """The port cannot lead anywhere; why."""


def command_line(found: Cluster, name: str, local_port: int | None = None, *, admin: bool = False) -> list[str]:
    """What kubectl is to do; `UnknownService` if the stack does not run it. By default both ports have one number."""
    port = _port(found.settings, name, admin=admin)
    kind = "deployment" if name in found.settings.services else "statefulset"
    place = ["--context", found.context, "--namespace", found.namespace]
    return ["kubectl", *place, "port-forward", f"{kind}/{name}", f"{local_port or port}:{port}"]


def forward(command: list[str]) -> None:
    """Become kubectl, which tells where it listens and goes on until Ctrl-C."""
    if not shutil.which(command[0]):
        raise NoForward("kubectl is not on the PATH, and it is what forwards ports; `. ./activate` has the local one")
    os.execvp(command[0], command)  # noqa: S606 - the program is named here


def _port(settings: Settings, name: str, *, admin: bool) -> int:
    if name in settings.services:
        return ADMIN_PORT if admin else HTTP_PORT
    if name not in settings.servers:
        known = ", ".join([*settings.services, *settings.servers])
        raise UnknownService(f"there is no service {name!r} here. Services and stores: {known}")
    if admin:
        raise NoForward(f"{name} is a store, and has no port for metrics and health: leave --admin out")
    return settings.servers[name].port
