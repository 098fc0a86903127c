"""What looks like a credential: by the name under which it stands, or by its form."""

from __future__ import annotations

import re
from typing import Any

WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
SECRET_WORDS = {
    "password",
    "passwd",
    "pass",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "credentials",
    "key",
    "apikey",
}
# No character may start many attempts that each read on to the end: long values would take too long.
SECRET_VALUES = re.compile(
    r"[a-z][0-9+.-]*://[^\s/:@]*:[^\s/@]+@"  # postgres://user:pass@host
    r"|[^\s@/]:[^\s@/:]+:*@(tcp|unix)\("  # user:pass@tcp(host:3306)
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|(?<![\w-])(?=[\w-]*+\.[\w-]{10,}+\.)[\w-]*?\beyJ[\w-]{10,}\."  # a JSON web token
    r"|\b(AKIA[0-9A-Z]{16}|gh[pousr]_\w{36,}|xox[abprs]-[\w-]{10,})"
    r"|-(?=\w*(password|passwd|secret|token|apikey))\w++[= ]\S"
    r"|-\w*api-key\w*[= ]\S"
    r"|(?i:\b\w*(password|passwd|pwd)\s*=)[^\s;&'\"$/]"  # host=db password=..., PGPASSWORD=... exec app
)


def looks_secret(key: str, value: Any) -> bool:
    """Return whether the key or the value looks like a secret; a path only says where a secret is."""
    words = [word.lower() for word in WORDS.findall(key)]
    is_named = bool({*words[-1:]} & SECRET_WORDS) or words[-2:] == ["key", "base"]
    named = is_named and isinstance(value, str | int) and not isinstance(value, bool)
    return holds_secret(value) or (named and str(value) != "" and not str(value).startswith("/"))


def holds_secret(value: Any) -> bool:
    """Return whether a text has the form of a credential, or contains one."""
    return bool(SECRET_VALUES.search(str(value)))
