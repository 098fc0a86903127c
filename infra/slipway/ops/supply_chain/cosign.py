"""Signatures and attestations of images by cosign, with a key pair. Nobody but the image's registry is asked.

cosign stores them beside the image, under tags that name its digest. There is no transparency log: whoever has the
private key can sign.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from slipway.image.reference import parts
from slipway.image.registry import is_local
from slipway.ops.errors import UserError
from slipway.ops.supply_chain.tools import COSIGN, attempt, compiled, last_lines

Predicate = Literal["cyclonedx", "vuln", "slsaprovenance1"]
"""Types of attestations, as cosign calls them: SBOM, scan result, provenance."""

WORDS = {"signature": "a signature", "sbom": "an SBOM", "scan": "a scan result", "provenance": "a provenance"}
_PROOFS: dict[Predicate, str] = {"cyclonedx": "sbom", "vuln": "scan", "slsaprovenance1": "provenance"}

# What cosign says of an image that has no evidence of a kind.
_NOTHING_THERE = ("no signatures found", "no matching attestations: \n", "none of the attestations matched")

KEY_VARIABLE, PASSWORD_VARIABLE = "SLIPWAY_SIGNING_KEY", "COSIGN_PASSWORD"
"""Environment variables with the private key, as cosign takes it (a file, `env://NAME` or a KMS), and its password."""


class EvidenceError(UserError):
    """Evidence is missing, wrong, or cannot be made."""


def named_key(key: str) -> str:
    """Return what names a private key, as cosign takes it.

    Raises EvidenceError for the key itself: as an argument of cosign, others on this machine could read it.
    """
    if "-----BEGIN" in key:
        raise EvidenceError(
            f"{KEY_VARIABLE} or --key holds a private key itself, where it has to name one. Fix: put the key into "
            f"another variable, as SIGNING_KEY, and set {KEY_VARIABLE}=env://SIGNING_KEY. Nothing was signed"
        )
    return key


def make_key_pair(folder: Path, password: str) -> None:
    """Write cosign.key, encrypted with the password, and cosign.pub into a folder. Raises EvidenceError."""
    code, _, message = _run("generate-key-pair", "--output-key-prefix", str(folder / "cosign"), password=password)
    if code != 0:
        raise EvidenceError(f"cosign generate-key-pair failed: {_last(message)}")


def public_key(key: Path, password: str) -> str:
    """Return the public key of a private one. Raises EvidenceError, also for another password."""
    code, output, message = _run("public-key", "--key", str(key), password=password)
    if code != 0:
        raise EvidenceError(f"{key} cannot be read with the password in {PASSWORD_VARIABLE}: {_last(message)}")
    return output


def sign(reference: str, key: str) -> None:
    """Sign an image by digest. Raises EvidenceError."""
    _made(reference, "sign", "--key", key, "--tlog-upload=false", "--yes")


def attest(reference: str, kind: Predicate, predicate: Mapping[str, Any], key: str) -> None:
    """Sign a statement about an image by digest, in place of a former one of this type. Raises EvidenceError."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", prefix="slipway-") as file:
        json.dump(predicate, file)
        file.flush()
        options = ["--key", key, "--type", kind, "--predicate", file.name, "--replace", "--tlog-upload=false", "--yes"]
        _made(reference, "attest", *options)


def verify_signature(reference: str, public_key: Path) -> None:
    """Raise EvidenceError, with the reason, unless the image has a signature by this key."""
    _verified(reference, WORDS["signature"], "verify", public_key)


def attested(reference: str, kind: Predicate, public_key: Path) -> list[dict[str, Any]]:
    """Return the predicates of this type that the key has signed of an image. Raises EvidenceError if there is none."""
    output = _verified(reference, WORDS[_PROOFS[kind]], "verify-attestation", public_key, "--type", kind)
    envelopes = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    if not envelopes:
        raise EvidenceError(f"cannot be verified ({WORDS[_PROOFS[kind]]}): cosign printed none")
    return [json.loads(base64.b64decode(envelope["payload"]))["predicate"] for envelope in envelopes]


def _made(reference: str, verb: str, *options: str) -> None:
    code, _, message = _cosign(reference, verb, *options)
    if code != 0:
        raise EvidenceError(f"cosign {verb} {reference} failed: {_last(message)}")


def _verified(reference: str, what: str, verb: str, public_key: Path, *options: str) -> str:
    """Return what cosign prints. Raises EvidenceError with the reason in our words, where cosign's are known."""
    given = ["--key", str(public_key), "--insecure-ignore-tlog=true", "--offline=true", *options]
    code, output, message = _cosign(reference, verb, *given)
    if code == 0:
        return output
    if any(text in f"{message}\n" for text in _NOTHING_THERE):
        raise EvidenceError(f"lacks {what}")
    if "no matching" in message:
        raise EvidenceError(f"has {what} that key {public_key.name} does not verify: {_last(message)}")
    raise EvidenceError(f"cannot be verified ({what}): {_last(message)}")


def _cosign(reference: str, verb: str, *options: str) -> tuple[int, str, str]:
    """Run cosign on an image. Return exit code, output and message."""
    host = parts(reference)[0].partition("/")[0]
    plain = ["--allow-http-registry"] if is_local(host) else []
    return _run(verb, *options, *plain, reference, password=os.environ.get(PASSWORD_VARIABLE, ""))


def _run(*arguments: str, password: str) -> tuple[int, str, str]:
    # Without a password cosign would ask for one. With a file of roots, which no key needs, it does not load those of
    # Sigstore from the network.
    environment = {**os.environ, PASSWORD_VARIABLE: password, "SIGSTORE_ROOT_FILE": os.devnull}
    done = attempt(compiled(COSIGN), *arguments, environment=environment)
    return done.returncode, done.stdout, done.stderr


def _last(message: str) -> str:
    """Return the last line of cosign's message that says something."""
    lines = [line for line in last_lines(message).splitlines() if line.strip() and "error during command" not in line]
    return lines[-1].removeprefix("Error: ") if lines else "no message"
