"""Search output and files for a secret, in each encoding in which it may have leaked."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Mapping

# Shorter pieces of random text can occur by chance.
PIECE = 12


def forms(secret: str) -> dict[str, str]:
    """Return the forms of a leaked secret, by name.

    Base64 depends on the text before the secret, so there are three alignments, without the digits that adjacent text
    changes.
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
    """Return `artefact: form` for each form of the secret that an artefact contains."""
    return [
        f"{name}: {form}" for name, text in artefacts.items() for form, value in forms(secret).items() if value in text
    ]
