"""How our Python is laid out: which part of the program may import which, and how big folders and files may be."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.paths import INFRA, PROJECT, REPOSITORY

# The packages and modules of infra/slipway. Each may import those above it, and none below.
ORDER = [
    "sdk",
    "files",
    "suggestions",
    "schemas",
    "project",
    "naming",
    "objects",
    "engine",
    "settings",
    "scope",
    "cluster",
    "image",
    "rules",
    "network",
    "monitoring",
    "environment",
    "rollout",
    "service",
    "stores",
    "monitoring_objects",
    "releases",
    "retention",
    "program",
    "exec_credential",
    "ops",
    "__main__",
]
PARTS = ("infra", "local", "policy")
MAX_FILES, MAX_LINES = 14, 350


def imports(file: Path) -> Iterator[str]:
    """Yield the modules of `slipway` that a file imports, including late imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("slipway"))
        elif isinstance(node, ast.ImportFrom) and node.module == "slipway":
            yield from (f"slipway.{name.name}" for name in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("slipway."):
            yield str(node.module)


def part_of(file: Path) -> str:
    """Return the package or module of infra/slipway that contains a file."""
    path = file.relative_to(INFRA).with_suffix("")
    return path.parts[1] if path.parts[0] == "slipway" else path.name


PROGRAM = [file for file in sorted(INFRA.rglob("*.py")) if file.name != "__init__.py"]


def test_every_part_of_the_program_has_its_place_in_the_order():
    assert {part_of(file) for file in PROGRAM} <= set(ORDER)


@pytest.mark.parametrize("file", PROGRAM, ids=lambda file: str(file.relative_to(INFRA)))
def test_a_part_of_the_program_imports_only_parts_above_it_in_the_order(file: Path):
    own = part_of(file)
    imported = {module.split(".")[1] for module in imports(file)} - {own}
    below = [part for part in imported if ORDER.index(part) > ORDER.index(own)]
    assert not below, f"{own} comes before {below} in ORDER: move what it needs up, or pass it in"


def our_files() -> list[Path]:
    """Return all Python files of the project except its tests."""
    return [file for part in PARTS for file in sorted((REPOSITORY / part).rglob("*.py"))]


def too_big(sizes: Mapping[str, int], limit: int) -> dict[str, int]:
    """Return the files or folders above a limit, with their sizes."""
    return {path: size for path, size in sizes.items() if size > limit}


def test_no_folder_holds_more_than_14_python_files():
    assert too_big(Counter(str(file.parent.relative_to(REPOSITORY)) for file in our_files()), MAX_FILES) == {}


def test_no_python_file_has_more_than_350_lines():
    lines = {str(file.relative_to(REPOSITORY)): len(file.read_text().splitlines()) for file in our_files()}
    assert too_big(lines, MAX_LINES) == {}


def test_files_that_our_code_names_exist():
    path = re.compile(rf"(?<![\w/.])((?:{'|'.join(PARTS)}|tests|docs)/[\w./-]*\.(?:py|md|sh|go))\b")
    files = [*our_files(), REPOSITORY / "Makefile"]
    named = {(str(file.relative_to(REPOSITORY)), name) for file in files for name in path.findall(file.read_text())}
    assert len(named) > 20
    assert sorted((file, name) for file, name in named if not (REPOSITORY / name).exists()) == []


def test_the_program_of_the_tests_project_is_that_of_the_repository():
    """A copy would go on declaring what the program declared when it was made."""
    links = sorted((PROJECT / "infra").glob("*.py"))
    assert links
    assert all(link.is_symlink() and link.resolve() == INFRA / link.name for link in links)
