"""Names in the code keep to docs/glossary.md."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from tests.docs.pages import Page
from tests.paths import REPOSITORY
from tests.program.test_layout import our_files

FILES = our_files()


def banned_words() -> set[str]:
    """Return the left column of the last table of the glossary."""
    rows = re.findall(
        r"^\| ([a-z, ]+) \|", Page(REPOSITORY / "docs" / "glossary.md").text.partition("## Names")[2], re.MULTILINE
    )
    return set(chain.from_iterable(row.split(", ") for row in rows)) - {"not"}


def names(tree: ast.AST) -> Iterator[str]:
    """Yield every name that a module defines: of functions, classes, parameters, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def words(name: str) -> set[str]:
    """Split a name in any of Python's cases: `ClusterError` and `cluster_error` are the same words."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def misnamed_exceptions(trees: list[ast.Module]) -> list[str]:
    """Return the exceptions whose name does not end with `Error`, however deep their base is."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    bases = {node.name: {ast.unparse(base).split(".")[-1] for base in node.bases} for node in classes}
    found = {name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, Exception)}
    while more := {name for name, of in bases.items() if name not in found and of & found}:
        found |= more
    return sorted(name for name in bases if name in found and not name.endswith("Error"))


def banned_in(tree: ast.Module) -> list[str]:
    """Return the names of a module with a word that the glossary replaces."""
    return sorted({name for name in names(tree) if words(name) & banned_words()})


def test_exceptions_end_with_error():
    assert misnamed_exceptions([ast.parse(file.read_text()) for file in FILES]) == []


@pytest.mark.parametrize("folder", ["infra", "local", "policy"])
def test_names_have_no_word_that_the_glossary_replaces(folder: str):
    within = [file for file in FILES if file.is_relative_to(REPOSITORY / folder)]
    named = {str(file.relative_to(REPOSITORY)): banned_in(ast.parse(file.read_text())) for file in within}
    assert {file: found for file, found in named.items() if found} == {}
    assert [str(file) for file in within if words(Path(file).stem) & banned_words()] == []


def test_a_wrong_name_is_seen():
    tree = ast.parse("class Held(OSError): pass\nclass Many(x.Held): pass\ndef was_told(fewest): self.backing = 1")
    assert misnamed_exceptions([tree]) == ["Held", "Many"]
    assert banned_in(tree) == ["Held", "backing", "fewest", "was_told"]
