"""Rules between the sections of a stack file, and those of its tier. A rule within one section stands in its class."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.naming import CANARY
from slipway.project import ROOT
from slipway.settings import pools
from slipway.settings.checks import addresses, apps, autoscaling, customization, images, monitoring, objectives, tracing
from slipway.settings.errors import InvalidSetting, Key
from slipway.settings.names import MIGRATION_PASSWORD, MYSQL_BACKUP, STORES
from slipway.settings.sections.pods import Resources
from slipway.settings.sections.service import Service
from slipway.settings.sections.stores import Mysql
from slipway.settings.settings import CANDIDATE, SECTIONS, SERVICE, Settings
from slipway.settings.tiers import TIERS
from slipway.settings.types.units import mebibytes, millicores
from slipway.suggestions import nearest

# A Job's name has 63 characters, and that of a canary's migration is `<name>-canary-migration-<hash>`.
MAX_NAME_WITH_CANARY = 37
# The CronJob controller appends 11 characters for each Job.
MAX_CRON_JOB_NAME = 52
# Objects that exist in each namespace, of kinds that a service creates under its own name.
RESERVED_NAMES = {"default": "ServiceAccount", "default-deny": "NetworkPolicy", "acme-solvers": "NetworkPolicy"}
# The size of an object in etcd, less what surrounds the text.
MAX_FILE_BYTES = 900_000


def check(settings: Settings) -> Iterator[InvalidSetting]:
    """Report everything in otherwise valid settings that would fail, or that the tier does not allow."""
    yield from _needs(settings)
    yield from addresses.check(settings)
    yield from _namespace(settings)
    yield from _names(settings)
    yield from _cron_jobs(settings)
    yield from _canaries(settings)
    yield from customization.check(settings)
    yield from _secret_sources(settings)
    yield from _store_images(settings)
    yield from images.check(settings)
    yield from _authorities(settings)
    yield from monitoring.check(settings)
    yield from _connections(settings)
    yield from tracing.check(settings)
    yield from apps.check(settings)
    yield from autoscaling.check(settings)
    yield from objectives.check(settings)
    yield from _quota(settings)
    yield from _tier(settings)


def needed_pods(settings: Settings) -> int:
    """Return the maximum number of pods: all services scaled up and in a rollout, all jobs at once."""
    return sum(count for count, _ in _pods(settings))


def needed_millicores(settings: Settings) -> int:
    """Return the CPU requests of those pods."""
    return sum(count * millicores(resources.cpu) for count, resources in _pods(settings))


def needed_mebibytes(settings: Settings) -> int:
    """Return the memory requests of those pods."""
    return sum(count * mebibytes(resources.memory) for count, resources in _pods(settings))


def _pods(settings: Settings) -> Iterator[tuple[int, Resources]]:
    """Yield the maximum number of pods at the same time, with their size."""
    for service in settings.services.values():
        yield service.pods_at_once, service.pod_resources
    for server in settings.servers.values():
        # The pod of a store is deleted before its successor starts.
        yield 1, server.resources
        if isinstance(server, Mysql) and server.backup:
            # A scheduled one, and one by `./slipway backup`.
            yield 2, server.backup.resources
    for resources in settings.observability_servers.values():
        # As for stores.
        yield 1, resources
    # Pods by which cert-manager answers challenges, with their default requests.
    yield len(settings.challenge_hosts), Resources(cpu="10m", memory="64Mi")


def _needs(settings: Settings) -> Iterator[InvalidSetting]:
    for name, service in settings.services.items():
        for index, other in enumerate(service.needs):
            at = ("services", name, "needs", index)
            if other == name:
                yield InvalidSetting(at, "a service need not name itself", other)
            elif other in settings.services and settings.services[other].is_worker:
                yield InvalidSetting(at, "is a worker, which answers no requests; take it out", other)
            elif other in STORES and other not in settings.stores:
                yield InvalidSetting(at, f"this stack has no {other}; declare it under slipway:{other}", other)
            elif other not in settings.services and other not in STORES:
                known = [*settings.services, *settings.stores]
                near = nearest(other, known)
                hint = f'did you mean "{near}"?' if near else f"services here: {', '.join(known)}"
                yield InvalidSetting(at, f"no such service; {hint}", other)


def _namespace(settings: Settings) -> Iterator[InvalidSetting]:
    cluster = settings.cluster
    foreign = {cluster.ingress_namespace: "the ingress controller's", cluster.monitoring_namespace: "monitoring's"}
    if settings.namespace == "default" or settings.namespace.startswith("kube-"):
        owner = "the cluster's own"
    else:
        owner = foreign.get(settings.namespace, "")
    if owner:
        rule = f"is {owner} and there already; the stack makes one for itself, and deletes it when it goes"
        yield InvalidSetting(("namespace",), rule, settings.namespace, "slipway-dev")


def _names(settings: Settings) -> Iterator[InvalidSetting]:
    for name, service in settings.services.items():
        if name in STORES or name == MYSQL_BACKUP:
            yield InvalidSetting(("services", name), "is the name of a store; call it something else")
        if name in RESERVED_NAMES:
            rule = f"is taken: there is a {RESERVED_NAMES[name]} of this name in each namespace; call it something else"
            yield InvalidSetting(("services", name), rule)
        for at, secret in _secrets(service):
            if secret in {*SECTIONS, SERVICE, CANDIDATE}:
                rule = f"{secret} is the name of a section of the stack file; call it another"
                yield InvalidSetting(("services", name, *at), rule)
        for job in service.jobs:
            if f"{name}-{job}" in settings.services:
                key = ("migration",) if job == "migration" else ("schedules", job)
                rule = f"its objects would be named {name}-{job}, as those of the service of that name are"
                yield InvalidSetting(("services", name, *key), rule)


def _secrets(service: Service) -> Iterator[tuple[Key, str]]:
    """Yield the secrets that a service names, each with its key."""
    yield from ((("secrets", index), secret) for index, secret in enumerate(service.secrets))
    yield from ((("secretEnv", variable), secret) for variable, secret in service.secret_env.items())


def _cron_jobs(settings: Settings) -> Iterator[InvalidSetting]:
    """Report names that are too long or equal: `a` with `b-c` and `a-b` with `c` would both be `a-b-c`."""
    taken: dict[str, str] = {}
    for name, service in settings.services.items():
        for job in service.schedules:
            composed, at = f"{name}-{job}", ("services", name, "schedules", job)
            if len(composed) > MAX_CRON_JOB_NAME:
                rule = f"its CronJob would be named {composed}, which has {len(composed)} characters; Kubernetes takes"
                yield InvalidSetting(at, f"{rule} {MAX_CRON_JOB_NAME}")
            if (other := taken.setdefault(composed, name)) != name:
                yield InvalidSetting(
                    at, f"its CronJob would be named {composed}, as one of {other} is; call it something else"
                )


def _canaries(settings: Settings) -> Iterator[InvalidSetting]:
    for name in settings.canary_services:
        service, at = settings.services[name], ("services", name)
        if not service.canary_pods(service.canary):
            yield InvalidSetting((*at, "canary", "percent"), service.canary_refusal(service.canary))
        if f"{name}-{CANARY}" in settings.services:
            yield InvalidSetting((*at, "rollout"), f"its canary would be named {name}-{CANARY}, as another service is")
        for need in service.needs:
            if (policy := f"{name}-{CANARY}-{need}") in settings.services:
                rule = f"its canary's connection to {need} would be named {policy}, as another service is"
                yield InvalidSetting((*at, "rollout"), rule)
        if service.migration and len(name) > MAX_NAME_WITH_CANARY:
            rule = f"a service with a migration and rollout: canary has a name of at most {MAX_NAME_WITH_CANARY}"
            yield InvalidSetting(at, f"{rule} characters; this one has {len(name)}")


def _secret_sources(settings: Settings) -> Iterator[InvalidSetting]:
    if settings.secret_store and settings.secret_files:
        yield InvalidSetting(("secretStore",), "secretFiles is set too; the secrets come from one place")
    for name in settings.secret_store.versions if settings.secret_store else ():
        passwords = [password for store in settings.stores for password in settings.passwords_of(store)]
        if name not in [*passwords, *settings.receiver_secrets] and all(
            name not in settings.secrets_of(service) for service in settings.services
        ):
            yield InvalidSetting(("secretStore", "versions", name), "no service reads a secret of this name")
    for name, service in settings.services.items():
        for at in (at for at, secret in _secrets(service) if secret == MIGRATION_PASSWORD):
            rule = "only migrations get this one, by themselves; take it out"
            yield InvalidSetting(("services", name, *at), rule, MIGRATION_PASSWORD)
        if service.ingress and service.ingress.tls and service.ingress.tls.secret_files and not settings.secret_files:
            yield InvalidSetting(
                ("services", name, "ingress", "tls", "secretFiles"), "needs slipway:secretFiles, the folder"
            )


def _store_images(settings: Settings) -> Iterator[InvalidSetting]:
    for name, server in settings.servers.items():
        if not server.image and not settings.image_files:
            example = f"registry.example.com/{name}@sha256:..."
            yield InvalidSetting((name, "image"), "is required with source: cluster", example=example)


def _authorities(settings: Settings) -> Iterator[InvalidSetting]:
    """Report files of certificates that are missing or invalid."""
    for name, section in settings.stores.items():
        if not section.ca:
            continue
        # Imported late: it takes time, and most stacks name no such file.
        import ssl  # noqa: PLC0415

        try:
            text = (ROOT / section.ca).read_text()
            ssl.create_default_context(cadata=text)
        except (OSError, ValueError) as error:
            # ssl.SSLError is an OSError as well, but its text is not for users.
            reason = (
                error.strerror
                if isinstance(error, OSError) and not isinstance(error, ssl.SSLError)
                else "no certificates in PEM form"
            )
            yield InvalidSetting(
                (name, "ca"), f"this file cannot be used: {reason}", section.ca, "stacks/database-ca.pem"
            )
            continue
        if len(text) > MAX_FILE_BYTES:
            yield InvalidSetting((name, "ca"), f"has {len(text)} bytes; a ConfigMap takes {MAX_FILE_BYTES}", section.ca)


def _connections(settings: Settings) -> Iterator[InvalidSetting]:
    if settings.mysql is None or settings.mysql.max_connections >= (needed := pools.needed(settings, settings.mysql)):
        return
    each = settings.mysql.connections or f"at least {pools.MIN_CONNECTIONS}"
    rule = (
        f"is too few: each of the {pools.pods(settings)} pods that a rollout has at the most opens {each} connections"
    )
    yield InvalidSetting(("mysql", "maxConnections"), rule, settings.mysql.max_connections, str(needed))


def _quota(settings: Settings) -> Iterator[InvalidSetting]:
    quota = settings.quota
    given = {
        "pods": (quota.pods, needed_pods(settings), ""),
        "cpu": (millicores(quota.cpu) if quota.cpu else None, needed_millicores(settings), "m"),
        "memory": (mebibytes(quota.memory) if quota.memory else None, needed_mebibytes(settings), "Mi"),
    }
    for key, (limit, needed, unit) in given.items():
        if limit is not None and limit < needed:
            rule = f"is less than the services need at their most during a rollout ({needed}{unit})"
            yield InvalidSetting(("quota", key), rule, getattr(quota, key), f"{needed}{unit}")


def _tier(settings: Settings) -> Iterator[InvalidSetting]:
    """Report what the tier of the environment demands and the settings lack."""
    tier = TIERS[settings.tier]
    yield from images.check_tier(settings, tier)
    for name, service in settings.services.items():
        if service.min_replicas < tier.min_replicas:
            key = ("replicas",) if service.replicas else ("autoscaling", "min")
            rule = f"{tier.name} needs at least {tier.min_replicas} replicas"
            yield InvalidSetting(("services", name, *key), rule, service.min_replicas, str(tier.min_replicas))
        if tier.requires_tls and service.ingress and not service.ingress.secure:
            rule = f"{tier.name} needs TLS"
            yield InvalidSetting(("services", name, "ingress", "tls"), rule, None, "{issuer: letsencrypt}")
