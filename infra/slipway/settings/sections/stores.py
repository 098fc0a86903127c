"""Sections of the stores: MySQL with its dumps, PostgreSQL, and Redis."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field
from pydantic.alias_generators import to_camel

from slipway.settings.sections.pods import Resources
from slipway.settings.sections.section import Section, section_rule
from slipway.settings.types.scalars import (
    AclUser,
    Cidr,
    Cron,
    Memory,
    ObjectName,
    PinnedImage,
    Port,
    PostgresName,
    ProjectFile,
    ServerName,
    SqlName,
    TimeZone,
)


class Backup(Section):
    """Dumps of the whole database with checksums, on a separate volume."""

    cron: Cron = Field(default="30 3 * * *", examples=["30 3 * * *"])
    """When: minute, hour, day of month, month, weekday (0 is Sunday)."""
    time_zone: TimeZone = Field(default="Etc/UTC", examples=["Asia/Tokyo"])
    """IANA name of the time zone of `cron`."""
    keep: int = Field(default=7, ge=1, le=1000, examples=[7])
    """How many dumps to keep; older ones are deleted."""
    storage: Memory = Field(default="1Gi", examples=["10Gi"])
    """Size of the volume for dumps. A dump that is being written also takes the space of an uncompressed one."""
    resources: Resources = Resources(cpu="50m", memory="128Mi")
    """Resources of the pod that writes a dump."""


class StoreSection(Section):
    """A store of data for the services: run by this stack in its cluster, or managed by somebody else."""

    source: Literal["cluster", "managed"] = "cluster"
    """cluster: one pod of this stack with a volume · managed: a server of somebody else at `host`."""
    host: ServerName | None = Field(default=None, examples=["mysql.example.com"])
    """Host name or address of the server (source: managed)."""
    port: Port
    """TCP port (source: managed). Default: the usual one."""
    cidr: Cidr | None = Field(default=None, examples=["10.20.0.0/24"])
    """Range of the server's addresses, to which services that need it may connect (source: managed)."""
    tls: Literal["verified", "unverified", "disabled"] = "verified"
    """How connections are secured (source: managed): verified: the certificate has to be valid for `host` · unverified:
    encrypted only · disabled: not encrypted."""
    ca: ProjectFile | None = Field(default=None, examples=["stacks/database-ca.pem"])
    """PEM file with the certificates of the authorities to trust (source: managed). Default: the public ones of the
    app's image."""
    MANAGED: ClassVar = frozenset({"host", "port", "cidr", "tls", "ca"})
    """Keys that only a managed server has."""
    SHARED: ClassVar = frozenset({"source"})
    """Keys that both have."""

    @section_rule
    def _keys_fit_the_source(self) -> Self:
        # A key of the other source would have no effect.
        own = {"managed": self.MANAGED, "cluster": type(self).model_fields.keys() - self.MANAGED - self.SHARED}
        for source, keys in own.items():
            given = ", ".join(to_camel(key) for key in sorted(keys & self.model_fields_set))
            if given and source != self.source:
                raise ValueError(f"{given}: only with source: {source}; this is source: {self.source}")
        if self.source == "managed" and not (self.host and self.cidr):
            raise ValueError("source: managed needs host and cidr")
        if self.ca and self.tls != "verified":
            raise ValueError(f"ca: nobody would read it with tls: {self.tls}; leave one of the two out")
        return self


class ServerSection(StoreSection):
    """A store that a stack can run itself."""

    image: PinnedImage | None = Field(default=None, examples=["registry.example.com/mysql@sha256:" + "0" * 64])
    """Image of the server, by digest (source: cluster). Default: the one that the folder `slipway:imageFiles` names."""
    storage: Memory = Field(default="1Gi", examples=["10Gi"])
    """Size of the volume for data (source: cluster)."""
    storage_class: ObjectName | None = Field(default=None, examples=["fast"])
    """StorageClass of the volumes (source: cluster). Default: the cluster's default class."""
    resources: Resources
    """Resources of the server (source: cluster)."""


class Mysql(ServerSection):
    """The store of a stack, MySQL or MariaDB. The password of `user` is the secret `mysql-password`."""

    database: SqlName = Field(default="slipway", examples=["slipway"])
    """Name of the database."""
    user: SqlName = Field(default="slipway", examples=["slipway"])
    """Account of the services. It may read and write the rows of the database and, without `migrationUser`, change its
    schema."""
    migration_user: SqlName | None = Field(default=None, examples=["slipway_migrator"])
    """Account of migrations, with all rights on the database; its password is the secret `mysql-migration-password`.
    source: cluster: the server creates the account when it starts, dumps and restores with it, and leaves `user` only
    the rights to SELECT, INSERT, UPDATE and DELETE. Default: `user`."""
    port: Port = Field(default=3306, examples=[3306])
    """TCP port (source: managed)."""
    resources: Resources = Resources(cpu="100m", memory="512Mi")
    """Resources of the server (source: cluster). Half of the memory is its buffer pool."""
    backup: Backup | None = Backup()
    """Scheduled dumps (source: cluster); null: none. Whoever manages a managed server makes its backups."""
    max_connections: int = Field(default=151, ge=16, le=100000, examples=[500])
    """Maximum number of connections to the server, for all pods of a rollout and a canary together."""
    connections: int | None = Field(default=None, ge=4, le=255, examples=[8])
    """Maximum number of connections of each pod. Default: 10, or fewer if all pods would exceed `maxConnections`; then
    a change of the number of pods changes this as well, and rolls them."""

    SHARED: ClassVar = frozenset({"source", "database", "user", "migration_user", "max_connections", "connections"})

    @section_rule
    def _names_are_not_reserved(self) -> Self:
        if self.source == "cluster" and self.database in ("mysql", "sys", "information_schema", "performance_schema"):
            raise ValueError(f"database: {self.database} is one of the server's own; call it something else")
        for key, name in (("user", self.user), ("migrationUser", self.migration_user)):
            if self.source == "cluster" and name in ("root", "mysql", "mariadb"):
                raise ValueError(f"{key}: {name} is one of the server's own; call it something else")
        if self.user == self.migration_user:
            raise ValueError(f"migrationUser: {self.user} is user, too; leave it out to migrate by that account")
        return self


class Postgres(StoreSection):
    """A PostgreSQL server of somebody else. The password of `user` is the secret `postgres-password`."""

    source: Literal["managed"] = Field(examples=["managed"])  # pyright: ignore[reportIncompatibleVariableOverride]
    """managed: a server of somebody else at `host`. A stack runs none itself."""
    host: ServerName | None = Field(default=None, examples=["postgres.example.com"])
    """Host name or address of the server."""
    port: Port = Field(default=5432, examples=[5432])
    """TCP port."""
    database: PostgresName = Field(examples=["shop"])
    """Name of the database."""
    user: PostgresName = Field(examples=["shop"])
    """Account of the services and their migrations."""

    SHARED: ClassVar = frozenset({"source", "database", "user"})

    @property
    def ssl_mode(self) -> str:
        """Return how connections are secured, as libpq and most drivers name it."""
        return {"verified": "verify-full", "unverified": "require", "disabled": "disable"}[self.tls]


class Redis(ServerSection):
    """The cache, rate limiter and job queue of a stack. Its password is the secret `redis-password`."""

    port: Port = Field(default=6379, examples=[6379])
    """TCP port (source: managed)."""
    user: AclUser | None = Field(default=None, examples=["slipway"])
    """User of the server's access control list (source: managed). Default: its default user."""
    storage: Memory = Field(default="256Mi", examples=["1Gi"])
    """Size of the data's volume (source: cluster): at least three times its memory."""
    resources: Resources = Resources(cpu="50m", memory="64Mi")
    """Resources of the server (source: cluster). Data may take 60 % of the memory; then keys with a TTL are evicted."""

    MANAGED: ClassVar = StoreSection.MANAGED | {"user"}
