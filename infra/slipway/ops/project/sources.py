"""What can be seen in the sources of a service: its Dockerfile, and the text of its program."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from slipway.image.dockerfile import Stage, stages

# Folders that hold the work of others, or what a build makes.
_FOREIGN = {"node_modules", "vendor", "dist", "build", "target", "testdata", "venv", "__pycache__"}
_OF_THE_PROJECT = {"infra", "stacks", "tests", "test", "docs"}
_PROGRAMS = {".go", ".js", ".mjs", ".cjs", ".ts", ".py", ".rb", ".java", ".kt", ".rs", ".php", ".cs", ".ex", ".exs"}
_TEST = re.compile(r"_test\.|\.test\.|\.spec\.|^test_")
_MAX_BYTES = 500_000
_MAX_DEPTH = 2


@dataclass(frozen=True)
class Place:
    """A text that was found, and where."""

    text: str
    where: str
    """`main.go:12`."""


@dataclass(frozen=True)
class Dockerfile:
    """What a Dockerfile says about the pod of its image."""

    text: str

    @property
    def ports(self) -> list[int]:
        """The ports of EXPOSE, in their order."""
        exposed = [word for stage in stages(self.text) for words in _texts(stage, "EXPOSE") for word in words.split()]
        return [int(word.partition("/")[0]) for word in exposed if re.fullmatch(r"\d+(/tcp)?", word)]

    @property
    def user(self) -> str:
        """The last USER of the last stage, without its group; empty for none."""
        users = [user for stage in stages(self.text)[-1:] for user in _texts(stage, "USER")]
        return users[-1].partition(":")[0] if users else ""


def _texts(stage: Stage, keyword: str) -> list[str]:
    return [instruction.text for instruction in stage.instructions if instruction.keyword == keyword]


class Sources:
    """The files of one service."""

    def __init__(self, folder: Path, skipped: Iterable[Path] = ()) -> None:
        """Read the sources below a folder, but those below the folders of other services."""
        self.folder = folder
        self._skipped = set(skipped) - {folder}
        file = folder / "Dockerfile"
        self.dockerfile = Dockerfile(file.read_text(errors="replace")) if file.is_file() else None
        self._texts = {path: path.read_text(errors="replace") for path in self._programs()}

    @property
    def is_go(self) -> bool:
        """Whether it is a Go module."""
        return (self.folder / "go.mod").is_file()

    @property
    def main_packages(self) -> list[str]:
        """The Go packages with a program: `.` or `./cmd/shop`."""
        mains = {path.parent for path, text in self._texts.items() if re.search(r"^package main\b", text, re.MULTILINE)}
        relative = sorted(folder.relative_to(self.folder).as_posix() for folder in mains)
        return [name if name == "." else f"./{name}" for name in relative]

    @property
    def language(self) -> str:
        """The language, as far as the files of its packages say; empty for another one."""
        marks = {"go.mod": "go", "package.json": "node", "requirements.txt": "python", "pyproject.toml": "python"}
        return next((name for file, name in marks.items() if (self.folder / file).is_file()), "")

    def first(self, pattern: str) -> Place | None:
        """Return the first group of the first match of a pattern in the program, and its place."""
        return next(self._matches(pattern), None)

    def all(self, pattern: str) -> dict[str, Place]:
        """Return the first place of each different text that the pattern's group matches."""
        found: dict[str, Place] = {}
        for place in self._matches(pattern):
            found.setdefault(place.text, place)
        return found

    def _matches(self, pattern: str) -> Iterator[Place]:
        for path, text in self._texts.items():
            for match in re.finditer(pattern, text):
                line = text.count("\n", 0, match.start()) + 1
                yield Place(match[1], f"{path.relative_to(self.folder).as_posix()}:{line}")

    def _programs(self) -> Iterator[Path]:
        for parent, folders, names in os.walk(self.folder):
            here = Path(parent)
            left_out = _FOREIGN | (_OF_THE_PROJECT if here == self.folder else set())
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".") and name not in left_out and here / name not in self._skipped
            )
            for name in sorted(names):
                path = here / name
                if path.suffix in _PROGRAMS and not _TEST.search(name) and path.stat().st_size < _MAX_BYTES:
                    yield path


def folders_with_sources(root: Path) -> list[Path]:
    """Return the folders that are services: those with a Dockerfile, else those with a Go program."""
    folders = sorted(_folders(root, 0), key=lambda folder: (len(folder.parts), folder))
    with_dockerfile = [folder for folder in folders if (folder / "Dockerfile").is_file()]
    return with_dockerfile or [folder for folder in folders if (folder / "go.mod").is_file()]


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    yield folder
    if depth < _MAX_DEPTH:
        for inner in sorted(folder.iterdir()):
            is_ours = inner.name.startswith(".") or inner.name in _FOREIGN | _OF_THE_PROJECT
            if inner.is_dir() and not is_ours and not inner.is_symlink():
                yield from _folders(inner, depth + 1)
