"""Reads a Dockerfile: its stages, and the build arguments it declares.

Docker builds; this only tells the program what to pass on, and gives the builder without a daemon the stages that
need none (scratch.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_FROM = re.compile(r"(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*", re.IGNORECASE)
_HERE_DOCUMENT = re.compile(r"<<-?[\"']?([A-Za-z_]\w*)[\"']?")


@dataclass(frozen=True)
class Instruction:
    """One instruction: `COPY dist/api /api` has the keyword COPY."""

    keyword: str
    text: str


@dataclass
class Stage:
    """One stage: from a FROM to the next one."""

    base: str
    name: str
    """Lower case, since names of stages ignore it; empty without a name."""
    instructions: list[Instruction] = field(default_factory=list[Instruction])


def stages(text: str) -> list[Stage]:
    """Return the stages in their order. What stands before the first FROM belongs to none."""
    found: list[Stage] = []
    for instruction in _instructions(text):
        if instruction.keyword == "FROM" and (match := _FROM.fullmatch(instruction.text)):
            found.append(Stage(match[1], (match[2] or "").lower()))
        elif found:
            found[-1].instructions.append(instruction)
    return found


def last_stage(text: str) -> str | None:
    """Return the name of the stage that Docker builds by default; None if it has no name."""
    found = stages(text)
    return (found[-1].name or None) if found else None


def declared_arguments(text: str) -> set[str]:
    """Return the build arguments that a stage declares.

    One that stands before the first FROM chooses a base image: its name may have any meaning.
    """
    inside = [instruction for stage in stages(text) for instruction in stage.instructions]
    before = {name for instruction in _before_stages(text) for name in _names(instruction)}
    return {name for instruction in inside for name in _names(instruction)} - before


def _names(instruction: Instruction) -> list[str]:
    """Return the names that an ARG declares."""
    return re.findall(r"(?:^|\s)([A-Za-z_]\w*)(?==|\s|$)", instruction.text) if instruction.keyword == "ARG" else []


def _before_stages(text: str) -> Iterator[Instruction]:
    for instruction in _instructions(text):
        if instruction.keyword == "FROM":
            return
        yield instruction


def _instructions(text: str) -> Iterator[Instruction]:
    """Yield the instructions: lines that end with a backslash joined, comments and here-documents left out."""
    lines = iter(text.splitlines())
    for line in lines:
        instruction = line.strip()
        if not instruction or instruction.startswith("#"):
            continue
        while instruction.endswith("\\") and (following := next(lines, None)) is not None:
            if not following.strip().startswith("#"):
                instruction = f"{instruction[:-1].rstrip()} {following.strip()}"
        for word in _HERE_DOCUMENT.findall(instruction):
            while (inside := next(lines, None)) is not None and inside.strip() != word:
                pass
        keyword, _, rest = instruction.partition(" ")
        yield Instruction(keyword.upper(), rest.strip())
