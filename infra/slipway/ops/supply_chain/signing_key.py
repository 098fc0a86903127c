"""`./slipway attest --new-key`: the key pair by which the images of this project are signed and verified.

The private key is for the one who signs, encrypted and outside git; the public key is committed. A run that was
interrupted is completed by the next one, with the same key.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path

import typer

from slipway import files
from slipway.ops.supply_chain import cosign
from slipway.ops.supply_chain.cosign import KEY_VARIABLE, PASSWORD_VARIABLE, EvidenceError
from slipway.project import ROOT
from slipway.settings import source_files

PRIVATE, PUBLIC = "cosign.key", "cosign.pub"
MIN_PASSWORD = 12
"""Whoever gets hold of the file may try as many passwords as they like."""


def make(folder: Path) -> None:
    """Make a key pair: the private key in the folder, the public one in stacks/. Print how to use them.

    Raises EvidenceError for a folder in a git repository, without a good password, and if there is another key.
    """
    folder = folder.expanduser().absolute()
    private, public = folder / PRIVATE, source_files.STACKS / PUBLIC
    _check_outside_git(folder)
    if public.is_file() and not private.is_file():
        raise EvidenceError(
            f"stacks/{PUBLIC} is there already, and {private} is not its private key. To change the key: sign what "
            f"runs with the new one first, then replace that file (docs/supply-chain.md). Nothing was made"
        )
    password = _password()
    if not private.is_file():
        _make_private(private, password)
    text = cosign.public_key(private, password)
    if public.is_file() and files.read_text(public) != text:
        raise EvidenceError(f"stacks/{PUBLIC} is not the public key of {private}. Nothing was changed")
    files.write({public: text})
    typer.echo(f"private key: {private}, encrypted; keep its password elsewhere\npublic key: stacks/{PUBLIC}", err=True)
    sys.stdout.write(_next_steps(private))


def _make_private(private: Path, password: str) -> None:
    """Let cosign make the key, and give it its name once it is complete."""
    with files.file_errors():
        private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".slipway-", dir=private.parent) as made:
            cosign.make_key_pair(Path(made), password)
            new = Path(made) / PRIVATE
            new.chmod(0o600)
            # Fails where another run was faster, in place of replacing its key.
            os.link(new, private)


def _check_outside_git(folder: Path) -> None:
    # Not by git: it says nothing of a repository that belongs to another user.
    real = folder.resolve()
    if any((parent / ".git").exists() for parent in (real, *real.parents)) or real.is_relative_to(ROOT.resolve()):
        raise EvidenceError(
            f"--new-key {folder}: is in a git repository, where a private key may be committed. Give a folder outside, "
            "such as ~/.config/slipway. Nothing was made"
        )


def _password() -> str:
    """Return the password that encrypts the key: that of the environment, or what the user types twice."""
    password = os.environ.get(PASSWORD_VARIABLE, "")
    if not password and sys.stdin.isatty():
        password = typer.prompt("Password that encrypts the private key", hide_input=True, confirmation_prompt=True)
    if len(password) < MIN_PASSWORD:
        raise EvidenceError(
            f"{PASSWORD_VARIABLE} has to hold the password that encrypts the key, of {MIN_PASSWORD} characters or "
            f"more. `read -rs {PASSWORD_VARIABLE} && export {PASSWORD_VARIABLE}` reads one without showing it. "
            "Nothing was made"
        )
    return password


def _next_steps(private: Path) -> str:
    return (
        f"1. Commit stacks/{PUBLIC}, and name it in stacks/defaults.yaml, for all stacks:\n"
        "     config:\n"
        f"       slipway:evidence: {{publicKey: stacks/{PUBLIC}}}\n"
        f"2. To sign here: export {KEY_VARIABLE}={shlex.quote(str(private))}, and the password in {PASSWORD_VARIABLE}\n"
        f"3. To sign in CI: the content of {private.name} as the secret SIGNING_KEY, its password as the secret\n"
        f"   {PASSWORD_VARIABLE}; the workflow sets {KEY_VARIABLE}=env://SIGNING_KEY\n"
        "4. After ./slipway up -s dev: ./slipway attest -s dev, then ./slipway promote dev staging\n"
    )
