"""What the sections of a stack file demand of each other, and of the environment they are for.

Rules within one section stand beside it in settings.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from mistakes import Mistake
from naming import CANARY
from settings import BACKING, MYSQL_BACKUP, Mysql, Resources, Service, Settings, mebibytes, millicores, password_of

# A rollout adds one pod, and the pods that leave still count until they are gone.
ROLLOUT_FACTOR = 2
# A Job's name has 63 characters, and that of a canary's migration is `<name>-canary-migration-<hash>`.
LONGEST_WITH_CANARY = 37


def mistakes(settings: Settings, stack: str) -> Iterator[Mistake]:
    """Everything about the settings as a whole that the stack could not be brought up with, or must not be."""
    yield from _needs(settings)
    yield from _addresses(settings)
    yield from _names(settings)
    yield from _canaries(settings)
    yield from _secret_sources(settings)
    yield from _images(settings)
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
        yield ROLLOUT_FACTOR * service.most + len(service.jobs) + _canary_pods(service), service.resources
    for server in settings.servers.values():
        # A server's pod is gone before its successor comes.
        yield 1, server.resources
        if isinstance(server, Mysql) and server.backup:
            # One by the clock, and one that somebody asked for.
            yield 2, server.backup.resources


def _canary_pods(service: Service) -> int:
    """A canary's pods, and that of its migration."""
    if service.rollout != "canary":
        return 0
    return service.canary_pods(service.canary) + (1 if service.migration else 0)


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
                near = difflib.get_close_matches(other, known, n=1)
                hint = f'did you mean "{near[0]}"?' if near else f"services here: {', '.join(known)}"
                yield Mistake(at, f"no such service; {hint}", other)


def _addresses(settings: Settings) -> Iterator[Mistake]:
    taken: dict[tuple[str, str], str] = {}
    for name, service in settings.services.items():
        if service.ingress is None:
            continue
        host, path = service.ingress.host, service.ingress.path.rstrip("/") or "/"
        if other := taken.get((host, path)):
            at = ("services", name, "ingress", "path")
            yield Mistake(at, f"{host}{path} is already served by {other}", service.ingress.path, f"/{name}")
        taken[host, path] = name


def _names(settings: Settings) -> Iterator[Mistake]:
    for name, service in settings.services.items():
        if name in BACKING or name == MYSQL_BACKUP:
            yield Mistake(("services", name), "is the name of a backing service; call it something else")
        for job in service.jobs:
            if f"{name}-{job}" in settings.services:
                key = ("migration",) if job == "migration" else ("schedules", job)
                rule = f"its objects would be named {name}-{job}, as those of the service of that name are"
                yield Mistake(("services", name, *key), rule)


def _canaries(settings: Settings) -> Iterator[Mistake]:
    for name in settings.trying:
        service, at = settings.services[name], ("services", name)
        if not service.canary_pods(service.canary):
            yield Mistake((*at, "canary", "percent"), service.too_few_for(service.canary))
        if f"{name}-{CANARY}" in settings.services:
            yield Mistake((*at, "rollout"), f"its canary would be named {name}-{CANARY}, as another service is")
        if service.migration and len(name) > LONGEST_WITH_CANARY:
            rule = f"a service with a migration and rollout: canary has a name of at most {LONGEST_WITH_CANARY}"
            yield Mistake(at, f"{rule} characters; this one has {len(name)}")


def _secret_sources(settings: Settings) -> Iterator[Mistake]:
    if settings.secret_store and settings.secret_files:
        yield Mistake(("secretStore",), "secretFiles is set too; the secrets come from one place")
    for name in settings.secret_store.versions if settings.secret_store else ():
        passwords = map(password_of, settings.backing)
        if name not in passwords and all(name not in service.secrets for service in settings.services.values()):
            yield Mistake(("secretStore", "versions", name), "no service reads a secret of this name")
    for name, service in settings.services.items():
        if service.ingress and service.ingress.tls and service.ingress.tls.secret_files and not settings.secret_files:
            yield Mistake(("services", name, "ingress", "tls", "secretFiles"), "needs slipway:secretFiles, the folder")


def _images(settings: Settings) -> Iterator[Mistake]:
    for name, server in settings.servers.items():
        if not server.image and not settings.image_files:
            example = f"registry.example.com/{name}@sha256:..."
            yield Mistake((name, "image"), "is required with source: cluster", example=example)


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
