"""The secrets of an environment: random ones, but those that only somebody else can give."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from slipway import files
from slipway.ops.environments import stack_file
from slipway.ops.environments.errors import EnvError
from slipway.ops.environments.registered import Environment
from slipway.ops.environments.stack_file import Content
from slipway.ops.program import engine_state
from slipway.project import ROOT, config_key
from slipway.settings.errors import PREFIX
from slipway.settings.names import CERTIFICATE_FILES, REGISTRY_PASSWORD
from slipway.settings.secret_checks import min_secret_length, required_secrets
from slipway.settings.settings import Settings
from slipway.settings.source_files import read_files

RANDOM_BYTES = 32


def create_missing(environment: Environment, base_settings: Settings, content: Content) -> list[str]:
    """Give an environment the secrets that it lacks, and return their names.

    Passwords of stores and secrets of services are random. Passwords of registries are those of the base. The file of
    the stack has them encrypted, and the engine hands that on to other clones. Raises EnvError if they are elsewhere.
    """
    name, tree = environment.name, stack_file.tree_of(content)
    required = sorted(required_secrets(tree))
    encrypted = read_files(name)[0].settings.items().keys() & {*required}
    folder_of_base = base_settings.secret_files

    def value(secret: str) -> str:
        if not secret.startswith(REGISTRY_PASSWORD):
            # Each byte gives more than one character.
            return secrets.token_urlsafe(max(RANDOM_BYTES, min_secret_length(tree, secret)))
        return (
            files.read_text(ROOT / folder_of_base / secret)
            if folder_of_base
            else engine_state.pulumi("config", "get", config_key(secret), "-s", environment.base).removesuffix("\n")
        )

    if folder_of_base:
        return _with_files(environment, required, encrypted, value, ROOT / folder_of_base)
    missing = [secret for secret in required if secret not in encrypted]
    for secret in missing:
        _encrypt(name, secret, value(secret))
    return missing


def _with_files(
    environment: Environment,
    required: Sequence[str],
    encrypted: Collection[str],
    new_value: Callable[[str], str],
    of_base: Path,
) -> list[str]:
    """Keep the same secrets in files, which the program reads, and encrypted. A file of this clone counts first."""
    folder = ROOT / stack_file.secrets_folder(environment.name)
    present = {secret: text for secret in required if (text := _text(folder / secret))}
    if required and not environment.is_empty and not present and not encrypted:
        raise EnvError(
            f"{environment.name}: its secrets are in files of the clone that made it. Run `./slipway env create` "
            f"there, which hands them on; or copy the folder {stack_file.secrets_folder(environment.name)} from there"
        )
    handed_on = _decrypted(environment.name) if encrypted else {}
    missing = [secret for secret in required if secret not in present and secret not in encrypted]
    kept = {**{secret: handed_on[secret] for secret in encrypted}, **present}
    with files.file_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for secret in required:
        value = kept[secret] if secret in kept else new_value(secret)
        if value != handed_on.get(secret):
            _encrypt(environment.name, secret, value)
        if secret not in present:
            files.write({folder / secret: value}, mode=0o600)
    # Those of the base are renewed.
    certificate = {file: text for file in CERTIFICATE_FILES if (text := _text(of_base / file))}
    files.write({folder / file: text for file, text in certificate.items() if text != _text(folder / file)}, mode=0o600)
    return missing


def _text(file: Path) -> str:
    """Return what a file holds; an empty text if there is none."""
    return files.read_text(file) if file.is_file() else ""


def _decrypted(stack: str) -> dict[str, str]:
    """Return the settings of a stack as texts, with its secrets in clear."""
    shown = json.loads(engine_state.pulumi("config", "--json", "--show-secrets", "-s", stack))
    return {key.removeprefix(PREFIX): entry["value"] for key, entry in shown.items()}


def _encrypt(stack: str, secret: str, value: str) -> None:
    # The engine takes one newline off the end.
    engine_state.pulumi("config", "set", "--secret", config_key(secret), "-s", stack, given=f"{value}\n")
