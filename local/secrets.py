"""Secrets of the local stack: made on first use, kept in .slipway, never in git."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import stack_file
from .places import Places, write

# Sections of a stack file whose password is a secret (infra/settings.py).
BACKING = ("mysql", "redis")
# How Pulumi makes a key from the passphrase (sdk/go/common/resource/config/crypt.go).
ITERATIONS, KEY_BYTES = 1_000_000, 32


def make(places: Places) -> list[str]:
    """The Pulumi passphrase and every secret the local stack names; the names of what is new."""
    files = [places.secrets / name for name in sorted(named(places.stack_file))]
    return [path.name for path in (places.passphrase, *files) if make_one(path)]


def named(stack_file: Path) -> set[str]:
    """What stands below the key `secrets` of some service, in the stack file or in what all stacks share; and the
    passwords of the backing services."""
    files = [file for file in (stack_file, stack_file.with_name("defaults.yaml")) if file.is_file()]
    texts = [yaml.safe_load(file.read_text()) or {} for file in files]
    listed = {name for text in texts for name in _lists("secrets", text)}
    listed |= {f"{name}-password" for name in BACKING for text in texts if _section(text, name) is not None}
    migrates = any((_section(text, "mysql") or {}).get("migrationUser") for text in texts)
    return listed | ({"mysql-migration-password"} if migrates else set())


def _section(text: dict[str, Any], name: str) -> Any:
    return (text.get("config") or {}).get(f"slipway:{name}")


def _lists(key: str, node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        found = node.get(key)
        yield from (str(name) for name in found) if isinstance(found, list) else ()
        for inner in node.values():
            yield from _lists(key, inner)


def make_one(path: Path) -> bool:
    """32 random bytes, base64url, readable by the owner alone; True if it is new."""
    if path.is_file() and path.stat().st_size:
        return False
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return write(path, base64.urlsafe_b64encode(os.urandom(32)).decode(), 0o600)


def repair(file: Path, passphrase: Path) -> bool:
    """Drop a salt of another passphrase (the clone was copied, .slipway was deleted): Pulumi makes a new one.

    True if it did. A pair that fits is noted beside the passphrase: trying it takes a second.
    """
    salt, word = stack_file.salt(file.read_text()), passphrase.read_text().rstrip("\r\n")
    noted, pair = passphrase.with_name("passphrase-fits"), hashlib.sha256(f"{word} {salt}".encode()).hexdigest()
    if not salt or (noted.is_file() and noted.read_text() == pair):
        return False
    if fits(word, salt):
        write(noted, pair, 0o600)
        return False
    return stack_file.drop_salt(file)


def fits(passphrase: str, salt: str) -> bool:
    """Whether the salt was made with this passphrase: it holds a known word, encrypted."""
    try:
        _, seed, _, nonce, message = salt.split(":")
        key = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), base64.b64decode(seed), ITERATIONS, KEY_BYTES)
        return AESGCM(key).decrypt(base64.b64decode(nonce), base64.b64decode(message), None) == b"pulumi"
    except (ValueError, InvalidTag):
        return False
