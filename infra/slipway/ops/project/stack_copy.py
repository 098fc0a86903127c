"""A stack's file for another stack: a copy as text, with names and hosts of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from slipway.ops.project.guess import Guess
from slipway.settings.names import STORES
from slipway.settings.stack_file import stack_tier
from slipway.settings.tiers import TIERS


def copied(text: str, like: str, name: str) -> tuple[str, list[Guess]]:
    """Return the text of a stack's file for another stack, without encrypted values, and what in it is a guess."""
    before, text = text, _renamed(text, like, name)
    file, guesses = f"stacks/Pulumi.{name}.yaml", list[Guess]()
    same = set(_hosts(text)) & set(_hosts(before))
    for host in sorted(same):
        own = _host_of(host, name)
        text = re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w.-])", own, text)
        guesses.append(Guess(f"stack {name}: host", own, f"{host} is that of {like}", file))
    shared = dict(_shared(before))
    for key, value in _shared(text):
        if shared.get(key) == value:
            guesses.append(Guess(f"stack {name}: {key}", value, f"the same as in {like}", file))
    return text, guesses


def _renamed(text: str, like: str, name: str) -> str:
    text = re.sub(r"^(encryptionsalt|encryptedkey|secretsprovider):.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^  [\w:-]+:\s*(\{\s*secure:.*\}|\n    secure:.*)\n", "", text, flags=re.MULTILINE)
    renamed = re.compile(rf"(?<![\w]){re.escape(like)}(?![\w])")
    lines = [line if "slipway:tier:" in line else renamed.sub(name, line) for line in text.splitlines(keepends=True)]
    text = "".join(line for line in lines if name not in TIERS or "slipway:tier:" not in line)
    if name in TIERS or "slipway:tier:" in text:
        return text
    return re.sub(r"^config:\n", f"config:\n  slipway:tier: {stack_tier(like).name}\n", text, flags=re.MULTILINE)


def _host_of(host: str, name: str) -> str:
    """Return a host of another stack: shop.example.com of prod-eu is shop.prod-eu.example.com."""
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    first, _, rest = host.partition(".")
    return f"{first}.{label}.{rest}" if "." in rest else f"{label}.{host}"


def _config(text: str) -> dict[str, Any]:
    return (yaml.safe_load(text) or {}).get("config") or {}


def _hosts(text: str) -> Iterator[str]:
    """Yield the hosts of the services' addresses."""
    services: dict[str, Any] = _config(text).get("slipway:services") or {}
    for service in services.values():
        ingress: dict[str, Any] = (service or {}).get("ingress") or {}
        hosts: list[Any] = [ingress.get("host"), *(ingress.get("hosts") or [])]
        yield from (str(host) for host in hosts if host)


def _shared(text: str) -> Iterator[tuple[str, str]]:
    """Yield what two stacks should rarely have in common: the namespace, and stores outside of the cluster."""
    config = _config(text)
    yield "slipway:namespace", str(config.get("slipway:namespace"))
    for store in STORES:
        section: dict[str, Any] = config.get(f"slipway:{store}") or {}
        if host := section.get("host"):
            yield f"slipway:{store}.host", str(host)
