"""The size of connection pools: all pods together stay below the connections that MySQL accepts."""

from __future__ import annotations

from slipway.settings.sections.stores import Mysql
from slipway.settings.settings import Settings

# Connections for backups, probes, monitoring and people.
RESERVED = 11
# The minimum of the app (app/internal/config/config.go), and a number that suits most pods.
MIN_CONNECTIONS, DEFAULT_CONNECTIONS = 4, 10


def pods(settings: Settings) -> int:
    """Return how many pods use MySQL at the same time: those of a rollout at full scale, of canaries and of jobs."""
    return sum(service.pods_at_once for service in settings.services.values() if "mysql" in service.needs)


def share(settings: Settings, section: Mysql) -> int:
    """Return how many connections a pod may open."""
    return section.connections or min(
        DEFAULT_CONNECTIONS, (section.max_connections - RESERVED) // max(1, pods(settings))
    )


def needed(settings: Settings, section: Mysql) -> int:
    """Return the max_connections that all pods need."""
    return pods(settings) * (section.connections or MIN_CONNECTIONS) + RESERVED
