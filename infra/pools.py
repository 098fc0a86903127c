"""How many connections to MySQL each pod may open, so that all pods together fit what the server takes."""

from __future__ import annotations

from settings import Mysql, Settings

# For backups, probes, monitoring and people.
RESERVED = 11
# What the app needs at the least (app/internal/config/config.go), and what serves a pod well.
FEWEST, ENOUGH = 4, 10


def pods(settings: Settings) -> int:
    """Return how many pods use MySQL at the same time: those of a rollout at full scale, of canaries and of jobs."""
    return sum(service.pods_at_once for service in settings.services.values() if "mysql" in service.needs)


def share(settings: Settings, section: Mysql) -> int:
    """Return how many connections a pod may open."""
    return section.connections or min(ENOUGH, (section.max_connections - RESERVED) // max(1, pods(settings)))


def needed(settings: Settings, section: Mysql) -> int:
    """Return the max_connections that all pods need."""
    return pods(settings) * (section.connections or FEWEST) + RESERVED
