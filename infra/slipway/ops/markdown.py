"""Texts for comments and issues on GitHub."""

from __future__ import annotations

MAX_LENGTH = 65_000
"""Characters that a comment or an issue of ours has at most. GitHub refuses one with more than 65,536."""


def cell(text: str) -> str:
    """Return text escaped for a cell of a table: it cannot end the cell, mention a user, or embed an image."""
    for character in "\\|`*_[]#~":
        text = text.replace(character, f"\\{character}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;").replace("\n", " ")
