"""Redis inside the cluster. Its data survives the pod, since streams hold work that is still to be done.

When its memory is full, Redis evicts keys with a time to live (a cache can be filled again) and no others.
"""

from __future__ import annotations

import pulumi

from slipway.environment import Environment
from slipway.scope import Scope
from slipway.settings.sections.stores import Redis
from slipway.settings.settings import Settings
from slipway.settings.types.units import mebibytes
from slipway.stores import store

SCRIPT = f"{store.FILES_DIR}/redis.sh"


class RedisStore(store.Store):
    """One server with a volume."""

    def __init__(
        self, settings: Settings, section: Redis, environment: Environment, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:index:RedisStore", "redis", None, opts)
        scope = Scope("redis", settings, environment.namespace, self, environment.retaining, component="cache")
        server = _server(section)
        self.address = store.run(scope, environment, server, store.config(scope, server.files))
        self.register_outputs({})


def _server(section: Redis) -> store.Server:
    return store.Server(
        section=section,
        env={},
        files={"redis.conf": _config_file(section), "redis.sh": store.script("redis.sh")},
        start=["sh", SCRIPT, "start"],
        # Without a password Redis answers with an error, which is an answer too.
        alive=["redis-cli", "ping"],
        ready=["sh", SCRIPT, "ping"],
        data="/data",
        scratch=("/run/redis",),
        grace_seconds=30,
    )


def _config_file(section: Redis) -> str:
    """Return redis.conf."""
    return f"""bind * -::*
port {section.port}
# redis.sh writes it, from the secret.
aclfile /run/redis/users.acl
dir /data
# Each write is in the log within a second; snapshots beside it would say less.
appendonly yes
appendfsync everysec
save ""
# The rest is for copies of pages that change while the log is rewritten, and for clients.
maxmemory {mebibytes(section.resources.memory) * 60 // 100}mb
maxmemory-policy volatile-lru
"""
