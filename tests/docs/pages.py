"""The pages of the project and what they say: links, files, commands and fenced blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.paths import REPOSITORY

PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])
WRITTEN = [page for page in PAGES if not page.is_relative_to(REPOSITORY / "docs" / "reference")]
"""Those that people write; the others are what the program writes of itself."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Page:
    """One page in Markdown."""

    file: Path

    @property
    def text(self) -> str:
        """Everything that stands on it."""
        return self.file.read_text()

    @property
    def prose(self) -> str:
        """The text outside fenced blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self, *languages: str) -> list[str]:
        """Return the fenced blocks in one of these languages."""
        return [block for language, block in _FENCE.findall(self.text) if language in languages]

    @property
    def inline(self) -> list[str]:
        """What stands in backticks."""
        return re.findall(r"`([^`\n]+)`", self.prose)

    @property
    def lines(self) -> list[str]:
        """The command lines in shell blocks, without comments."""
        lines = [line for block in self.blocks("sh") for line in block.splitlines()]
        return [line for line in (re.split(r"\s+# ", line)[0].strip() for line in lines) if line]

    @property
    def commands(self) -> list[str]:
        """The command lines, and what stands in backticks."""
        return [*self.lines, *self.inline]

    @property
    def links(self) -> list[str]:
        """Where links and pictures lead."""
        return re.findall(r"\]\(([^)\s]+)\)", self.prose)

    @property
    def anchors(self) -> set[str]:
        """What a link can name after `#`, as GitHub makes it from the headings."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def __str__(self) -> str:
        return str(self.file.relative_to(REPOSITORY))
