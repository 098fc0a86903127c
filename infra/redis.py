"""Redis inside the cluster. What is written survives the pod: streams are work that is still to be done.

When its memory is full, keys with a time to live go (a cache can be filled again); what has none stays.
"""

from __future__ import annotations

import backing
import pulumi
from environment import Environment
from scope import Scope
from settings import Redis, Settings, mebibytes

PORT = 6379
SCRIPT = f"{backing.FILES_DIR}/redis.sh"


class RedisStore(backing.Store):
    """One server with a volume."""

    def __init__(
        self, settings: Settings, section: Redis, environment: Environment, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:index:RedisStore", "redis", None, opts)
        scope = Scope("redis", settings, environment.namespace, self, environment.retaining, component="cache")
        server = _server(section)
        self.address = backing.run(scope, environment, server, backing.config(scope, server.files))
        self.register_outputs({})


def _server(section: Redis) -> backing.Server:
    return backing.Server(
        section=section,
        port=PORT,
        env={},
        files={"redis.conf": _settings(section), "redis.sh": backing.script("redis.sh")},
        start=["sh", SCRIPT, "start"],
        # A refusal for want of a password is an answer too.
        alive=["redis-cli", "ping"],
        ready=["sh", SCRIPT, "ping"],
        data="/data",
        scratch=("/run/redis",),
        grace_seconds=30,
    )


def _settings(section: Redis) -> str:
    return f"""bind * -::*
port {PORT}
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
