"""Create the secrets of the local stack in .slipway, which git ignores."""

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

from local.paths import ClonePaths, write
from local.stack import stack_file
from slipway.settings.names import MIGRATION_PASSWORD, STORES, password_of

# How Pulumi derives a key from the passphrase (sdk/go/common/resource/config/crypt.go).
ITERATIONS, KEY_BYTES = 1_000_000, 32


def create_secrets(paths: ClonePaths) -> list[str]:
    """Create the Pulumi passphrase and the secrets that the stack uses, and return the names of the new ones."""
    files = [paths.secrets / name for name in sorted(secret_names(paths.stack_file))]
    return [path.name for path in (paths.passphrase, *files) if create_secret(path)]


def secret_names(stack_file: Path) -> set[str]:
    """Return the `secrets` of all services in the stack file and the shared defaults, and the passwords of stores."""
    files = [file for file in (stack_file, stack_file.with_name("defaults.yaml")) if file.is_file()]
    texts = [yaml.safe_load(file.read_text()) or {} for file in files]
    listed = {name for text in texts for name in _lists("secrets", text)}
    listed |= {password_of(name) for name in STORES for text in texts if _section(text, name) is not None}
    migrates = any((_section(text, "mysql") or {}).get("migrationUser") for text in texts)
    return listed | ({MIGRATION_PASSWORD} if migrates else set())


def _section(text: dict[str, Any], name: str) -> Any:
    return (text.get("config") or {}).get(f"slipway:{name}")


def _lists(key: str, node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        names = node.get(key)
        yield from (str(name) for name in names) if isinstance(names, list) else ()
        variables = node.get("secretEnv") if key == "secrets" else None
        yield from map(str, variables.values()) if isinstance(variables, dict) else ()
        for inner in node.values():
            yield from _lists(key, inner)


def create_secret(path: Path) -> bool:
    """Write 32 random bytes as base64url, unless the file exists. Return True if the secret is new."""
    if path.is_file() and path.stat().st_size:
        return False
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return write(path, base64.urlsafe_b64encode(os.urandom(32)).decode(), 0o600)


def drop_foreign_salt(file: Path, passphrase: Path) -> bool:
    """Remove the salt of another passphrase, left when the clone was copied or .slipway deleted.

    Pulumi then creates a new one. Return True if a salt was removed. A matching pair is recorded beside the passphrase,
    because checking it takes a second.
    """
    salt, word = stack_file.salt(file.read_text()), passphrase.read_text().rstrip("\r\n")
    record, pair = passphrase.with_name("passphrase-fits"), hashlib.sha256(f"{word} {salt}".encode()).hexdigest()
    if not salt or (record.is_file() and record.read_text() == pair):
        return False
    if matches(word, salt):
        write(record, pair, 0o600)
        return False
    return stack_file.drop_salt(file)


def matches(passphrase: str, salt: str) -> bool:
    """Return whether the salt belongs to the passphrase: it contains a known word, encrypted."""
    try:
        _, seed, _, nonce, message = salt.split(":")
        key = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), base64.b64decode(seed), ITERATIONS, KEY_BYTES)
        return AESGCM(key).decrypt(base64.b64decode(nonce), base64.b64decode(message), None) == b"pulumi"
    except (ValueError, InvalidTag):
        return False
