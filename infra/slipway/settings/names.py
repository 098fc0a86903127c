"""Names that the program gives: of stores, of secrets and of variables. A stack file cannot change them."""

from __future__ import annotations

import re

# The stores, as services name them under `needs`; those that a stack can run itself, and the jobs that dump one.
STORES = ("mysql", "postgres", "redis")
SERVERS = ("mysql", "redis")
MYSQL_BACKUP = "mysql-backup"
# The servers of `slipway:monitoring`, each with the key that names its image.
MONITORING_IMAGES = {"prometheus": "image", "alertmanager": "alertmanagerImage"}
MONITORING = tuple(MONITORING_IMAGES)
# The server of `slipway:tracing`.
JAEGER = "jaeger"

# The secrets of `slipway:registry` and of `migrationUser`.
REGISTRY_PASSWORD = "registry-password"
MIGRATION_PASSWORD = "mysql-migration-password"
# Files in `slipway:secretFiles` with the certificate of the local stack.
CERTIFICATE_FILES = ("tls.crt", "tls.key")

# Sections that a release does not record: after a rollback those of today's stack file apply. The images of stores that
# `imageFiles` names are recorded with the stores.
UNRECORDED = ("tier", "registry", "registries", "secret_store", "secret_files", "image_files", "monitoring", "evidence")
# Sections that say when a stack may be updated. A release does not record them: waivers are those of today, and
# neither freeze windows nor promotions concern a rollback.
RULES_OF_UPDATES = ("waivers", "freeze", "promotion")
# The same of each service: what users may rely on, and who is told, does not change with the version that runs.
UNRECORDED_OF_SERVICES = ("slo", "alerts", "panels")

# The name of the image of `slipway:image`, which is also that of its resources.
SHORT_FORM = "api"


# Folders of a container that the program fills: the app's config file, its secrets, the authorities of its stores.
CONFIG_DIR = "/etc/slipway"
SECRETS_DIR = "/run/secrets/slipway"
AUTHORITIES_DIR = "/etc/slipway-authorities"
FILLED_FOLDERS = (CONFIG_DIR, AUTHORITIES_DIR, SECRETS_DIR)


def password_of(store: str) -> str:
    """Return the name of the secret with the password of a store."""
    return f"{store}-password"


def registry_password(host: str) -> str:
    """Return the name of the secret with the password of one of `slipway:registries`."""
    return f"{REGISTRY_PASSWORD}-{re.sub('[^a-z0-9]', '-', host)}"


def receiver_secret(receiver: str) -> str:
    """Return the name of the secret of one of `slipway:monitoring.receivers`."""
    return f"receiver-{receiver}"


def metrics_address(service: str) -> str:
    """Return the name of the Service by which Prometheus finds the pods of a service."""
    return f"{service}-metrics"


# The limits of the Go runtime, which every container gets (service/inputs.py); other runtimes ignore them.
RUNTIME_ENV = frozenset(["GOMEMLIMIT", "GOMAXPROCS"])
# Those with the numbers of the ports: an app without a port does not get its variable.
PORT_ENV = frozenset(["HTTP_PORT", "ADMIN_PORT"])
# Variables of the contract `slipway` (service/inputs.py), and those of services that need a store.
RESERVED_ENV = frozenset(
    [
        "ENVIRONMENT",
        "HTTP_PORT",
        "ADMIN_PORT",
        "CONFIG_FILE",
        "SECRETS_DIR",
        "DRAIN_DELAY",
        "SHUTDOWN_TIMEOUT",
        *RUNTIME_ENV,
    ]
)
# The variables that each service gets that needs a store: enough for a URL, with the password by `secretEnv`.
URL_PARTS = {
    "mysql": ("HOST", "PORT", "DATABASE", "USER"),
    "postgres": ("HOST", "PORT", "DATABASE", "USER", "SSLMODE"),
    "redis": ("HOST", "PORT"),
}
STORE_ENV = frozenset(
    [
        "MYSQL_HOST",
        "MYSQL_PORT",
        "MYSQL_DATABASE",
        "MYSQL_USER",
        "MYSQL_CONNECTIONS",
        "MYSQL_TLS",
        "MYSQL_CA_FILE",
        "POSTGRES_HOST",
        "POSTGRES_PORT",
        "POSTGRES_DATABASE",
        "POSTGRES_USER",
        "POSTGRES_TLS",
        "POSTGRES_SSLMODE",
        "POSTGRES_CA_FILE",
        "REDIS_HOST",
        "REDIS_PORT",
        "REDIS_USER",
        "REDIS_TLS",
        "REDIS_CA_FILE",
    ]
)
