"""The secrets of an environment: random ones, but those that only somebody else can give."""

from __future__ import annotations

import secrets

from slipway import files
from slipway.ops.environments import stack_file
from slipway.ops.environments.stack_file import Content
from slipway.ops.program import engine_state
from slipway.project import ROOT, config_key
from slipway.settings.engine_yaml import Node
from slipway.settings.names import CERTIFICATE_FILES, REGISTRY_PASSWORD
from slipway.settings.secret_checks import min_secret_length, required_secrets
from slipway.settings.settings import Settings
from slipway.settings.source_files import read_files

RANDOM_BYTES = 32


def create_missing(base: str, base_settings: Settings, name: str, content: Content) -> list[str]:
    """Give an environment the secrets that it lacks, and return their names.

    Passwords of stores and secrets of services are random. Passwords of registries are those of the base.
    """
    tree = stack_file.tree_of(content)
    if base_settings.secret_files:
        return _as_files(base_settings.secret_files, name, tree)
    present = read_files(name)[0].settings.items()
    missing = sorted(required_secrets(tree) - present.keys())
    for secret in missing:
        value = _of_base(base, secret) if secret.startswith(REGISTRY_PASSWORD) else _random(tree, secret)
        engine_state.pulumi("config", "set", "--secret", config_key(secret), "-s", name, given=value)
    return missing


def _as_files(folder_of_base: str, name: str, tree: Node) -> list[str]:
    """Write the secrets into a folder that only its owner may read."""
    folder, own = ROOT / stack_file.secrets_folder(name), ROOT / folder_of_base
    with files.file_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        required = {secret: _random(tree, secret) for secret in required_secrets(tree)}
        copied = [*CERTIFICATE_FILES, *(secret for secret in required if secret.startswith(REGISTRY_PASSWORD))]
        required |= {file: files.read_text(own / file) for file in copied if (own / file).is_file()}
        missing = sorted(secret for secret in required if not (folder / secret).is_file())
        for secret in missing:
            (folder / secret).touch(mode=0o600)
            (folder / secret).write_text(required[secret])
    return missing


def _of_base(base: str, secret: str) -> str:
    return engine_state.pulumi("config", "get", config_key(secret), "-s", base).removesuffix("\n")


def _random(tree: Node, secret: str) -> str:
    # Each byte gives more than one character.
    return secrets.token_urlsafe(max(RANDOM_BYTES, min_secret_length(tree, secret)))
