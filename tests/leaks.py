"""Looks for a secret in everything that is written somewhere, in each form it could have been turned into."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Mapping

# Shorter pieces of random text turn up by chance.
PIECE = 12


def forms(secret: str) -> dict[str, str]:
    """How a leaked secret may look, by name of the form.

    Base64 depends on what stands before the secret: three alignments, without the digits that neighbours change.
    """
    shifted = {
        f"base64 at offset {n}": base64.b64encode(b"\0" * n + secret.encode()).decode()[(8 * n + 5) // 6 :][:-4]
        for n in range(3)
    }
    return {
        "plain": secret,
        **shifted,
        "url-quoted": urllib.parse.quote(secret, safe=""),
        "json": json.dumps(secret)[1:-1],
        "upper case": secret.upper(),
        "lower case": secret.lower(),
        "hex": secret.encode().hex(),
        "reversed": secret[::-1],
        f"first {PIECE} characters": secret[:PIECE],
        f"last {PIECE} characters": secret[-PIECE:],
    }


def leaks(secret: str, artefacts: Mapping[str, str]) -> list[str]:
    """`artefact: form` for each form of the secret found in an artefact."""
    return [
        f"{name}: {form}" for name, text in artefacts.items() for form, value in forms(secret).items() if value in text
    ]
