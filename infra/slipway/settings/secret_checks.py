"""The secrets that a stack needs, and what is wrong with those it has. No message shows a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from slipway import files
from slipway.project import ROOT, config_key
from slipway.settings.engine_values import secret_keys
from slipway.settings.engine_yaml import Node
from slipway.settings.errors import InvalidSetting, Key
from slipway.settings.names import (
    CERTIFICATE_FILES,
    MIGRATION_PASSWORD,
    MONITORING,
    MONITORING_IMAGES,
    REGISTRY_PASSWORD,
    SERVERS,
    STORES,
    password_of,
    receiver_secret,
    registry_password,
)
from slipway.settings.settings import RELEASE, SECTIONS, SERVICE
from slipway.settings.tiers import tier_of

MIN_SECRET_LENGTH = 16
# What the API server accepts for one Secret.
MAX_SECRET_BYTES = 2**20
_PLACEHOLDER = re.compile(
    r"(your|my|the)?(changeme|changeit|change|replaceme|replace|password|passwd|pass|secret|signingkey|apikey|key|token"
    r"|todo|tbd|fixme|example|sample|default|dummy|placeholder|test|testing|foo|bar|admin|root|none|null)+"
)


def required_secrets(tree: Node) -> set[str]:
    """Return the secrets that a stack needs. Ignores invalid settings: they must not hide that a secret is missing."""
    values = {name: node.plain() for name, node in tree.items().items()}
    lists = [service.items().get("secrets", Node([])).plain() for service in services(tree).values()]
    lists += [[*variables.values()] for variables in map(_secret_env, services(tree).values())]
    listed = {name for names in lists if isinstance(names, list) for name in names if isinstance(name, str)}
    listed |= {password_of(name) for name in STORES if values.get(name) is not None}
    mysql = values.get("mysql")
    listed |= {MIGRATION_PASSWORD} if isinstance(mysql, dict) and mysql.get("migrationUser") else set()
    listed |= {receiver_secret(name) for name in _receivers_with_secret(tree)}
    hosts = values.get("registries")
    logins = (
        {registry_password(host) for host in hosts if isinstance(host, str)} if isinstance(hosts, dict) else set[str]()
    )
    logins |= {REGISTRY_PASSWORD} if values.get("registry") else set()
    return (set() if values.get("secretStore") else listed) | logins


def check_secrets(stack: str, tree: Node, texts: dict[str, str]) -> Iterator[InvalidSetting]:
    """Report secrets that are missing, not encrypted or too weak. `texts` are the engine's values."""
    for section in secret_keys() & {*SECTIONS, SERVICE}:
        for key in [*_encrypted(tree.nearest((section,)), (section,))] or [(section,)]:
            rule = "holds a secure: value, which would be stored in clear; a secret is a key of its own"
            yield InvalidSetting(key, rule)
    folder = tree.items().get("secretFiles", Node(None)).value
    if isinstance(folder, str):
        certificate = CERTIFICATE_FILES if _has_certificate_files(tree) else ()
        yield from _missing_files("secretFiles", folder, [*required_secrets(tree), *certificate])
        yield from _check_secret_files(tree, folder)
        return
    # A rollback keeps today's secrets: that one of them is weak must not prevent it.
    tier = tier_of(stack, tree.items().get("tier", Node(None)).value)
    allows_weak = tier.allows_weak_secrets or RELEASE in texts
    for name in required_secrets(tree):
        command = f"pulumi config set --secret {config_key(name)} -s {stack}"
        if not texts.get(name, "").strip():
            yield InvalidSetting((name,), f"secret is missing or empty; set it: {command}")
        elif name not in secret_keys():
            yield InvalidSetting((name,), f"secret stands there in clear; encrypt it: {command}")
        elif weakness := _weakness(texts[name], min_secret_length(tree, name), allows_weak=allows_weak):
            yield InvalidSetting((name,), f"secret {weakness}; set another: {command}")


def min_secret_length(tree: Node, name: str) -> int:
    """Return how many characters the services demand of a secret; 0 if they demand nothing."""
    lengths = [service.nearest(("secretLengths", name)).value for service in services(tree).values()]
    return max((length for length in lengths if isinstance(length, int)), default=0)


def _weakness(secret: str, min_length: int, *, allows_weak: bool) -> str | None:
    """Return what is wrong with a secret. What the app itself refuses is refused in every tier."""
    letters = re.sub(r"[^a-z]", "", secret.lower())
    placeholder = _PLACEHOLDER.fullmatch(letters) or len({*secret.lower()}) < 5 or secret in "1234567890" * 9
    if placeholder and not allows_weak:
        return "is a placeholder"
    shortest = min_length if allows_weak else max(min_length, MIN_SECRET_LENGTH)
    return f"is shorter than {shortest} characters" if len(secret.strip().encode()) < shortest else None


def _check_secret_files(tree: Node, folder: str) -> Iterator[InvalidSetting]:
    """Report secrets in files that the app or the API server refuses."""
    for name in required_secrets(tree):
        file, shortest = ROOT / folder / name, min_secret_length(tree, name)
        size = len(files.read_bytes(file).strip()) if file.is_file() else shortest
        if 0 < size < shortest:
            rule = f"{folder}/{name} is shorter than the {shortest} characters the app demands"
            yield InvalidSetting(("secretFiles",), rule)
        if size > MAX_SECRET_BYTES:
            rule = f"{folder}/{name} has {size} bytes; a Secret holds {MAX_SECRET_BYTES}"
            yield InvalidSetting(("secretFiles",), rule)


def _receivers_with_secret(tree: Node) -> list[str]:
    """Return the receivers of alerts that have a secret; of those by mail only the ones that log in."""
    receivers = _monitoring(tree).get("receivers", Node({})).items()
    keys = {name: receiver.items() for name, receiver in receivers.items()}
    return [name for name, given in keys.items() if given.get("kind", Node("")).value != "mail" or "username" in given]


def _monitoring(tree: Node) -> dict[str, Node]:
    """Return the settings of `slipway:monitoring`, as far as they can be read."""
    return tree.items().get("monitoring", Node({})).items()


def check_image_files(tree: Node) -> Iterator[InvalidSetting]:
    """Report servers whose image is neither given nor in the folder `slipway:imageFiles`."""
    folder = tree.items().get("imageFiles", Node(None)).value
    stores = {name: tree.items()[name] for name in SERVERS if name in tree.items()}
    for name, store in stores.items() if isinstance(folder, str) else ():
        settings = store.items()
        runs_here = store.value is not None and settings.get("source", Node("cluster")).value == "cluster"
        if runs_here and "image" not in settings:
            yield from _missing_files("imageFiles", str(folder), [name])
    monitoring = _monitoring(tree)
    if isinstance(folder, str) and monitoring.get("source", Node(None)).value == "cluster":
        needed = MONITORING if monitoring.get("receivers", Node({})).items() else MONITORING[:1]
        unnamed = [name for name in needed if MONITORING_IMAGES[name] not in monitoring]
        yield from _missing_files("imageFiles", folder, unnamed)


def _missing_files(key: str, folder: str, names: Iterable[str]) -> Iterator[InvalidSetting]:
    for name in names:
        file = ROOT / folder / name
        if not file.is_file() or not files.read_text(file).strip():
            # Only its owner knows the address of a receiver.
            fix = "write its secret there" if name.startswith(receiver_secret("")) else "`make up` makes it"
            yield InvalidSetting((key,), f"{folder}/{name} is missing or empty; {fix}")


def _encrypted(node: Node, at: Key) -> Iterator[Key]:
    """Yield the keys of all `{secure: ...}` in a value."""
    if list(node.items()) == ["secure"]:
        yield at
    entries = enumerate(node.value) if isinstance(node.value, list) else node.items().items()
    for key, inner in entries:
        yield from _encrypted(inner, (*at, key))


def _has_certificate_files(tree: Node) -> bool:
    """Return whether a service takes its certificate from the folder of secrets."""
    return any(service.nearest(("ingress", "tls", "secretFiles")).value is True for service in services(tree).values())


def _secret_env(service: Node) -> dict[str, object]:
    """Return the secrets of a service that are variables, as far as they can be read."""
    return {name: node.value for name, node in service.items().get("secretEnv", Node({})).items().items()}


def services(tree: Node) -> dict[str, Node]:
    """Return the services of a stack by name, as far as they can be read."""
    return tree.items().get("services", Node({})).items()
