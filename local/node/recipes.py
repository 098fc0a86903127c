"""Which Debian packages, and which of their files, make the images of the servers of a local stack.

MariaDB replaces MySQL, which Debian does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SHELL = {"sh": "dash"}
COMMANDS = (
    "dash", "basename", "cat", "chmod", "chown", "cut", "date", "dirname", "gzip", "head", "ls", "mkdir", "mktemp",
    "mv", "rm", "sed", "sha256sum", "sort", "tail", "touch", "tr", "uname", "uniq",
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """One image: its packages, and which of their files it contains."""

    name: str
    title: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    links: Mapping[str, str]
    """Names of symlinks in /usr/bin, or their paths, with their targets."""
    data: str
    """A regular expression for the data files that the programs read."""


RECIPES = {
    "mysql": Recipe(
        name="mariadb", title="MariaDB from Debian packages, in place of MySQL",
        packages=("mariadb-server-core", "mariadb-client", "dash", "coreutils", "sed", "gzip"),
        programs=("mariadbd", "mariadb-install-db", "my_print_defaults", "resolveip", "mariadb", "mariadb-admin",
                  "mariadb-dump", *COMMANDS),
        links={"mysqld": "../sbin/mariadbd", "mysql": "mariadb", "mysqladmin": "mariadb-admin",
               "mysqldump": "mariadb-dump", **SHELL},
        data=r"usr/(share/mysql|lib/mysql)/.+",
    ),
    "redis": Recipe(
        name="redis", title="Redis from Debian packages",
        packages=("redis-server", "redis-tools", "dash", "coreutils"),
        programs=("redis-server", "redis-check-rdb", "redis-cli", "dash", "cat", "cut", "sha256sum"), links=SHELL,
        data=r"(?!)",
    ),
    # Its pages need libraries that the image does not contain; its API and alerts do not.
    "prometheus": Recipe(
        name="prometheus", title="Prometheus from Debian packages",
        packages=("prometheus",), programs=("prometheus",), links={}, data=r"(?!)",
    ),
    "alertmanager": Recipe(
        name="alertmanager", title="Alertmanager from Debian packages",
        packages=("prometheus-alertmanager", "ca-certificates"), programs=("prometheus-alertmanager", "amtool"),
        links={"alertmanager": "prometheus-alertmanager", "etc/ssl/certs": "../../usr/share/ca-certificates/mozilla"},
        data=r"usr/share/(prometheus/alertmanager/\w+\.tmpl|ca-certificates/mozilla/.+)",
    ),
}  # fmt: skip
