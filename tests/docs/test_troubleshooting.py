"""Every message that docs/troubleshooting.md explains is one that the source prints."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import Page
from tests.paths import REPOSITORY
from tests.program.test_layout import our_files

PAGE = Page(REPOSITORY / "docs" / "troubleshooting.md")
HEADINGS = [
    heading.strip("` ") if heading.startswith("`` ") else heading.strip("`")
    for heading in re.findall(r"^### (.+)$", PAGE.text, re.MULTILINE)
]
SCRIPTS = ("slipway", "activate")


def texts(file: Path) -> Iterator[str]:
    """Yield the text literals of a module but docstrings; `…` stands for what an f-string fills in."""
    tree = ast.parse(file.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


PRINTED = [
    *{text for file in our_files() for text in texts(file)},
    *((REPOSITORY / script).read_text() for script in SCRIPTS),
]


def is_printed(message: str) -> bool:
    """Whether a literal has all parts of a message, in their order."""
    parts = [part for part in re.split("…|NAME", message) if part.strip(" .:;,")]
    pattern = re.compile(".*?".join(map(re.escape, parts)), re.DOTALL)
    return bool(parts) and any(pattern.search(text) for text in PRINTED)


@pytest.mark.parametrize("message", HEADINGS)
def test_a_message_that_is_explained_is_one_that_the_source_prints(message: str):
    assert is_printed(message)


def test_a_message_that_nobody_prints_is_seen():
    assert not is_printed("the cluster has no such Gremlin")
    assert not is_printed("… nothing here prints this …")


def test_the_page_explains_the_labels_of_status_that_are_met_most():
    assert len(HEADINGS) > 25
    assert {"image cannot be pulled", "crash loop", "out of memory", "migration failed"} <= set(HEADINGS)
