"""What the sections of a stack file demand of each other, and of the environment they are for.

Rules within one section stand beside it in settings.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pools
from mistakes import Mistake
from naming import CANARY
from settings import (
    BACKING,
    MIGRATION_PASSWORD,
    MYSQL_BACKUP,
    ROOT,
    Mysql,
    Resources,
    Settings,
    Tls,
    mebibytes,
    millicores,
)
from suggestions import nearest

# A Job's name has 63 characters, and that of a canary's migration is `<name>-canary-migration-<hash>`.
LONGEST_WITH_CANARY = 37
# The controller puts 11 more characters behind it for each Job.
LONGEST_CRON_JOB = 52
# Objects that Kubernetes, or this program, makes in each namespace, of kinds that a service has under its own name.
TAKEN = {"default": "ServiceAccount", "default-deny": "NetworkPolicy", "acme-solvers": "NetworkPolicy"}
# Of an object in etcd, less what is around the text.
LONGEST_FILE = 900_000


def mistakes(settings: Settings, stack: str) -> Iterator[Mistake]:
    """Everything about the settings as a whole that the stack could not be brought up with, or must not be."""
    yield from _needs(settings)
    yield from _addresses(settings)
    yield from _namespace(settings)
    yield from _names(settings)
    yield from _cron_jobs(settings)
    yield from _canaries(settings)
    yield from _secret_sources(settings)
    yield from _images(settings)
    yield from _authorities(settings)
    yield from _connections(settings)
    yield from _quota(settings)
    if stack == "prod":
        yield from _production(settings)


def needed_pods(settings: Settings) -> int:
    """Pods of all services at their most and of all jobs at once, with the pods a rollout leaves behind."""
    return sum(count for count, _ in _pods(settings))


def needed_millicores(settings: Settings) -> int:
    """CPU requests of those pods."""
    return sum(count * millicores(resources.cpu) for count, resources in _pods(settings))


def needed_mebibytes(settings: Settings) -> int:
    """Memory requests of those pods."""
    return sum(count * mebibytes(resources.memory) for count, resources in _pods(settings))


def _pods(settings: Settings) -> Iterator[tuple[int, Resources]]:
    """How many pods of which size there are at the most at once."""
    for service in settings.services.values():
        yield service.pods_at_once, service.resources
    for server in settings.servers.values():
        # A server's pod is gone before its successor comes.
        yield 1, server.resources
        if isinstance(server, Mysql) and server.backup:
            # One by the clock, and one that somebody asked for.
            yield 2, server.backup.resources
    # cert-manager's, while it has a certificate made or renewed; each takes what it asks for by default.
    yield len(settings.solved), Resources(cpu="10m", memory="64Mi")


def _needs(settings: Settings) -> Iterator[Mistake]:
    for name, service in settings.services.items():
        for index, other in enumerate(service.needs):
            at = ("services", name, "needs", index)
            if other == name:
                yield Mistake(at, "a service need not name itself", other)
            elif other in BACKING and other not in settings.backing:
                yield Mistake(at, f"there is none here; say under slipway:{other} where it is", other)
            elif other not in settings.services and other not in BACKING:
                known = [*settings.services, *settings.backing]
                near = nearest(other, known)
                hint = f'did you mean "{near}"?' if near else f"services here: {', '.join(known)}"
                yield Mistake(at, f"no such service; {hint}", other)


def _addresses(settings: Settings) -> Iterator[Mistake]:
    taken: dict[tuple[str, str], str] = {}
    certificates: dict[str, tuple[str, str]] = {}
    for name, service in settings.services.items():
        if service.ingress is None:
            continue
        host, path = service.ingress.host, service.ingress.path.rstrip("/") or "/"
        if other := taken.get((host, path)):
            at = ("services", name, "ingress", "path")
            yield Mistake(at, f"{host}{path} is already served by {other}", service.ingress.path, f"/{name}")
        taken[host, path] = name
        certificate = _certificate(name, service.ingress.tls)
        other, of_other = certificates.setdefault(host, (name, certificate)) if certificate else (name, "")
        if certificate and certificate != of_other:
            at = ("services", name, "ingress", "tls")
            rule = (
                f"{host} has a certificate already, that of {other}; one of the two would be served. Take the same one"
            )
            yield Mistake(at, rule, None, f"{{secretName: {of_other}}}")


def _certificate(name: str, tls: Tls | None) -> str:
    """Return the name of the Secret with a certificate of its own; those made from `secretFiles` are all the same."""
    if tls is None or tls.secret_files:
        return ""
    return tls.secret_name or f"{name}-tls"


def _namespace(settings: Settings) -> Iterator[Mistake]:
    cluster = settings.cluster
    foreign = {cluster.ingress_namespace: "the ingress controller's", cluster.monitoring_namespace: "monitoring's"}
    if settings.namespace == "default" or settings.namespace.startswith("kube-"):
        owner = "the cluster's own"
    else:
        owner = foreign.get(settings.namespace, "")
    if owner:
        rule = f"is {owner} and there already; the stack makes one for itself, and deletes it when it goes"
        yield Mistake(("namespace",), rule, settings.namespace, "slipway-dev")


def _names(settings: Settings) -> Iterator[Mistake]:
    for name, service in settings.services.items():
        if name in BACKING or name == MYSQL_BACKUP:
            yield Mistake(("services", name), "is the name of a backing service; call it something else")
        if name in TAKEN:
            rule = f"is taken: there is a {TAKEN[name]} of this name in each namespace; call it something else"
            yield Mistake(("services", name), rule)
        for job in service.jobs:
            if f"{name}-{job}" in settings.services:
                key = ("migration",) if job == "migration" else ("schedules", job)
                rule = f"its objects would be named {name}-{job}, as those of the service of that name are"
                yield Mistake(("services", name, *key), rule)


def _cron_jobs(settings: Settings) -> Iterator[Mistake]:
    """`a` with `b-c` and `a-b` with `c` would both be `a-b-c`."""
    taken: dict[str, str] = {}
    for name, service in settings.services.items():
        for job in service.schedules:
            composed, at = f"{name}-{job}", ("services", name, "schedules", job)
            if len(composed) > LONGEST_CRON_JOB:
                rule = f"its CronJob would be named {composed}, which has {len(composed)} characters; Kubernetes takes"
                yield Mistake(at, f"{rule} {LONGEST_CRON_JOB}")
            if (other := taken.setdefault(composed, name)) != name:
                yield Mistake(
                    at, f"its CronJob would be named {composed}, as one of {other} is; call it something else"
                )


def _canaries(settings: Settings) -> Iterator[Mistake]:
    for name in settings.trying:
        service, at = settings.services[name], ("services", name)
        if not service.canary_pods(service.canary):
            yield Mistake((*at, "canary", "percent"), service.too_few_for(service.canary))
        if f"{name}-{CANARY}" in settings.services:
            yield Mistake((*at, "rollout"), f"its canary would be named {name}-{CANARY}, as another service is")
        for need in service.needs:
            if (policy := f"{name}-{CANARY}-{need}") in settings.services:
                rule = f"its canary's connection to {need} would be named {policy}, as another service is"
                yield Mistake((*at, "rollout"), rule)
        if service.migration and len(name) > LONGEST_WITH_CANARY:
            rule = f"a service with a migration and rollout: canary has a name of at most {LONGEST_WITH_CANARY}"
            yield Mistake(at, f"{rule} characters; this one has {len(name)}")


def _secret_sources(settings: Settings) -> Iterator[Mistake]:
    if settings.secret_store and settings.secret_files:
        yield Mistake(("secretStore",), "secretFiles is set too; the secrets come from one place")
    for name in settings.secret_store.versions if settings.secret_store else ():
        passwords = [password for backing in settings.backing for password in settings.passwords_of(backing)]
        if name not in passwords and all(name not in service.secrets for service in settings.services.values()):
            yield Mistake(("secretStore", "versions", name), "no service reads a secret of this name")
    for name, service in settings.services.items():
        if MIGRATION_PASSWORD in service.secrets:
            at = ("services", name, "secrets", service.secrets.index(MIGRATION_PASSWORD))
            yield Mistake(at, "only migrations get this one, by themselves; take it out", MIGRATION_PASSWORD)
        if service.ingress and service.ingress.tls and service.ingress.tls.secret_files and not settings.secret_files:
            yield Mistake(("services", name, "ingress", "tls", "secretFiles"), "needs slipway:secretFiles, the folder")


def _images(settings: Settings) -> Iterator[Mistake]:
    for name, server in settings.servers.items():
        if not server.image and not settings.image_files:
            example = f"registry.example.com/{name}@sha256:..."
            yield Mistake((name, "image"), "is required with source: cluster", example=example)


def _authorities(settings: Settings) -> Iterator[Mistake]:
    """Files that are not there, or that no client could read."""
    for name, section in settings.backing.items():
        if not section.ca:
            continue
        # Not at the top: most stacks name no such file, and every run would pay for it.
        import ssl  # noqa: PLC0415

        try:
            text = (ROOT / section.ca).read_text()
            ssl.create_default_context(cadata=text)
        except (OSError, ValueError) as error:
            # ssl.SSLError is an OSError, and says in its own words what the file lacks.
            reason = (
                error.strerror
                if isinstance(error, OSError) and not isinstance(error, ssl.SSLError)
                else "no certificates in PEM form"
            )
            yield Mistake((name, "ca"), f"this file cannot be used: {reason}", section.ca, "stacks/database-ca.pem")
            continue
        if len(text) > LONGEST_FILE:
            yield Mistake((name, "ca"), f"has {len(text)} bytes; a ConfigMap takes {LONGEST_FILE}", section.ca)


def _connections(settings: Settings) -> Iterator[Mistake]:
    if settings.mysql is None or settings.mysql.max_connections >= (needed := pools.needed(settings, settings.mysql)):
        return
    each = settings.mysql.connections or f"at least {pools.FEWEST}"
    rule = (
        f"is too few: each of the {pools.pods(settings)} pods that a rollout has at the most opens {each} connections"
    )
    yield Mistake(("mysql", "maxConnections"), rule, settings.mysql.max_connections, str(needed))


def _quota(settings: Settings) -> Iterator[Mistake]:
    quota = settings.quota
    given = {
        "pods": (quota.pods, needed_pods(settings), ""),
        "cpu": (millicores(quota.cpu) if quota.cpu else None, needed_millicores(settings), "m"),
        "memory": (mebibytes(quota.memory) if quota.memory else None, needed_mebibytes(settings), "Mi"),
    }
    for key, (limit, needed, unit) in given.items():
        if limit is not None and limit < needed:
            rule = f"is less than the services need at their most during a rollout ({needed}{unit})"
            yield Mistake(("quota", key), rule, getattr(quota, key), f"{needed}{unit}")


def _production(settings: Settings) -> Iterator[Mistake]:
    if settings.image.source == "build":
        yield Mistake(("image", "source"), "prod never builds", "build", "promote (with from: staging)")
    for name, service in settings.services.items():
        if service.fewest < 2:
            key = ("replicas",) if service.replicas else ("autoscaling", "min")
            yield Mistake(("services", name, *key), "prod needs at least 2 replicas", service.fewest, "2")
        if service.ingress and not service.ingress.secure:
            yield Mistake(("services", name, "ingress", "tls"), "prod needs TLS", None, "{issuer: letsencrypt}")
