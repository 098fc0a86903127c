"""YAML as Pulumi's engine reads it, with the line of each value.

The program needs the lines for its error messages, and `./slipway` reads stack files without the engine. PyYAML's own
meaning of a file is not the engine's, which uses Go's yaml.v3 (neither YAML 1.1 nor 1.2). Failures behind this module:

- For the engine `yes` and `on` are text, `0o17` is 15 and `12:30` is text; for PyYAML they are true, text and 750. The
  engine refuses a key that is given twice; PyYAML takes the second one.
- `pulumi stack init` writes `2027-01-31` back as `2027-01-31 00:00:00 +0000 UTC`, which silently became the value of a
  variable, and null at the top level as an empty text, which was no mapping. Integers of more than 64 bits lose digits.
- Anchors that multiply each other did not end, nor did a number of 5000 digits; deep nesting ended in a traceback.

What the engine would pass on, but nobody can mean, is refused: a second document, tags, control characters.
tests/e2e/program/test_stack_files.py compares this module with the real engine.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeAlias

import yaml

from slipway.settings.errors import PREFIX, InvalidSetting, Key, Location, dotted

# The engine passes all values in one environment variable, and Linux limits its size.
MAX_BYTES = 128 * 1024
# Anchors that refer to each other can multiply the values of a small file without end.
MAX_VALUES = 20_000

Scalar: TypeAlias = "str | int | float | bool | None"


@dataclass(frozen=True)
class Node:
    """A value and its location."""

    value: dict[str, Node] | list[Node] | Scalar
    location: Location | None = None

    @classmethod
    def of(cls, value: Any, location: Location | None = None) -> Node:
        """Return a plain value as nodes that all have one location."""
        if isinstance(value, dict):
            return cls({str(key): cls.of(item, location) for key, item in value.items()}, location)
        return cls([cls.of(item, location) for item in value] if isinstance(value, list) else value, location)

    def plain(self) -> Any:
        """Return the value without locations."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        return [node.plain() for node in self.value] if isinstance(self.value, list) else self.value

    def items(self) -> dict[str, Node]:
        """Return the entries of a mapping; nothing for any other value."""
        return self.value if isinstance(self.value, dict) else {}

    def nearest(self, key: Key) -> Node:
        """Return the node at a key or, if there is none, that of the innermost section around it."""
        inner: Node | None = None
        if key and isinstance(self.value, dict):
            inner = self.value.get(str(key[0]))
        elif key and isinstance(self.value, list) and isinstance(key[0], int) and key[0] < len(self.value):
            inner = self.value[key[0]]
        return inner.nearest(key[1:]) if inner else self


class StackFileSyntaxError(Exception):
    """The text is no YAML mapping that the engine could pass on; `error` says why."""

    def __init__(self, rule: str, file: str, line: int = 1) -> None:
        super().__init__(rule)
        self.error = InvalidSetting((), rule, location=Location(file, line))


@functools.lru_cache(maxsize=8)  # a command reads the same files several times
def read(content: bytes, file: str) -> tuple[Node, tuple[InvalidSetting, ...]]:
    """Return the mapping in a file, and the errors in it. Raise `StackFileSyntaxError` if there is no mapping."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise StackFileSyntaxError("is not UTF-8", file, content[: error.start].count(b"\n") + 1) from None
    if len(content) > MAX_BYTES:
        raise StackFileSyntaxError(
            f"has {len(content) // 1024} KiB; the engine can pass {MAX_BYTES // 1024} KiB on", file
        )
    try:
        root = yaml.compose(text, Loader=_Loader)
        reading = _Reading(file)
        node = reading.node(root, (), Location(file, 1)) if root else Node({}, Location(file, 1))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise StackFileSyntaxError(f"is not YAML: {problem}", file, mark.line + 1 if mark else 1) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise StackFileSyntaxError(f"holds the control character {_code(text[error.position])}", file, line) from None
    except RecursionError:
        raise StackFileSyntaxError("is nested too deeply", file) from None
    if not isinstance(node.value, dict):
        raise StackFileSyntaxError("should be a mapping that holds `config:`", file)
    return node, tuple(reading.errors)


_PLAIN = "plain"
_TEXT = "tag:yaml.org,2002:str"
_TAGS = {_PLAIN, _TEXT, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}


class _Loader(yaml.SafeLoader):
    """Leaves plain scalars as they are: PyYAML would give some of them another meaning than the engine."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else _TEXT
        return super().resolve(kind, value, implicit)


class _Reading:
    """One pass over the nodes of a file, which collects the errors."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.errors: list[InvalidSetting] = []
        self._inside: set[int] = set()
        self._values = 0

    def node(self, node: yaml.Node, at: Key, location: Location) -> Node:
        self._values += 1
        if id(node) in self._inside:
            raise StackFileSyntaxError("an anchor holds itself", self.file, location.line)
        if self._values > MAX_VALUES:
            raise StackFileSyntaxError(
                f"holds more than {MAX_VALUES} values, anchors filled in", self.file, location.line
            )
        if node.tag not in _TAGS:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            self._wrong(at, f"the tag {tag} is not read; leave it out", location)
        self._inside.add(id(node))
        value = self._value(node, at, location)
        self._inside.remove(id(node))
        return Node(value, location)

    def _value(self, node: yaml.Node, at: Key, location: Location) -> dict[str, Node] | list[Node] | Scalar:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.node(item, (*at, index), self._location(item, (*at, index)))
                for index, item in enumerate(node.value)
            ]
        value = scalar(node.value) if node.tag == _PLAIN else _as_written(node.value)
        if isinstance(value, float) and not isfinite(value):
            self._wrong(at, "is no number the engine could pass on", location)
        if node.tag == _PLAIN and _changes_when_written(node.value):
            self._wrong(at, "would be written in another way by the engine: put it in quotes", location)
        if node.tag == _PLAIN and _TIMESTAMP_WRITTEN.fullmatch(node.value) and not _DAY_WRITTEN.fullmatch(node.value):
            self._wrong(at, "is a time as the engine has written it: write in quotes what was meant", location)
        if isinstance(value, str):
            self._printable(value, at, location)
        return value

    def _mapping(self, node: yaml.MappingNode, at: Key) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        lines: dict[str, int] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _PLAIN and key_node.value == "<<":
                merged += self._merged(value_node, at, self._location(key_node, at))
                continue
            key = self._key(key_node, at)
            location = self._location(key_node, (*at, key))
            self._printable(key, at, location)
            if key in lines:
                self._wrong((*at, key), f"is given twice, on lines {lines[key]} and {location.line}", location)
            lines[key] = location.line
            entries[key] = self.node(value_node, (*at, key), location)
        for under in merged:
            entries = {**under.items(), **entries}
        return entries

    def _merged(self, node: yaml.Node, at: Key, location: Location) -> list[Node]:
        """Return the mappings that `<<:` merges; of several values of one key the first counts."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        nodes = [self.node(source, at, location) for source in sources]
        if not all(isinstance(source.value, dict) for source in nodes):
            self._wrong(at, "`<<` takes a mapping or a list of mappings", location)
        return nodes

    def _key(self, node: yaml.Node, at: Key) -> str:
        """Return a key as text, as the engine writes `404:` and `true:`."""
        location = self._location(node, at)
        if not isinstance(node, yaml.ScalarNode):
            raise StackFileSyntaxError("a mapping's key should be text", self.file, location.line)
        value = scalar(node.value) if node.tag == _PLAIN else node.value
        if value is None or isinstance(value, float) or (node.tag == _PLAIN and _TIMESTAMP.fullmatch(node.value)):
            self._wrong(at, f"the key {node.value!r} should stand in quotes", location)
        return str(value).lower() if isinstance(value, bool) else str(value)

    def _printable(self, text: str, at: Key, location: Location) -> None:
        if bad := _CONTROL.search(text):
            self._wrong(at, f"holds the control character {_code(bad[0])}", location)

    def _location(self, node: yaml.Node, at: Key) -> Location:
        return Location(self.file, node.start_mark.line + 1, _setting(at))

    def _wrong(self, at: Key, rule: str, location: Location) -> None:
        key = _setting(at)
        self.errors.append(InvalidSetting(key, rule if key or not at else f"{dotted(at)}: {rule}", location=location))


def _setting(at: Key) -> Key:
    """Return the setting at a key of the file: `("config", "slipway:image", "from")` -> `("image", "from")`."""
    return (str(at[1]).removeprefix(PREFIX), *at[2:]) if at[:1] == ("config",) and len(at) > 1 else ()


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

# What yaml.v3 reads as a timestamp, and the one form of it that keeps its meaning when the file is written back.
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt][0-9:.]+(Z|[-+][0-9:]+)| [0-9:.]+)?")
# Timestamps as the engine writes them back into the file, for example in `pulumi stack init`.
_DAY_WRITTEN = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}) 00:00:00 \+0000 UTC")
_TIMESTAMP_WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]{8,} [-+][0-9]{4} \S+")

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
# Python refuses to parse much longer integers; so many digits are a text.
_LONGEST_NUMBER = 400
_INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def _as_written(text: str) -> str:
    """Return the day that the engine has written as a timestamp: `2027-01-31 00:00:00 +0000 UTC` -> `2027-01-31`."""
    day = _DAY_WRITTEN.fullmatch(text)
    return day[1] if day else text


def _changes_when_written(text: str) -> bool:
    """Return whether a text without quotes changes its meaning when the engine writes the file back."""
    if _TIMESTAMP.fullmatch(text):
        return not _DAY.fullmatch(text)
    value = scalar(text)
    # It reads integers of more than 64 bits as floats, and so loses digits.
    digits = re.fullmatch(r"[-+]?[0-9_]+", text) is not None
    return digits and isinstance(value, int | float) and not -(2**63) <= value < 2**63


def scalar(text: str) -> Scalar:
    """Return the value of a text without quotes, as yaml.v3 and JSON have it: `017` -> 15, `1e3` -> 1000."""
    if text in _WORDS:
        return _WORDS[text]
    plain = text.replace("_", "") if text[:1] in "+-0123456789" else text
    if len(plain) > _LONGEST_NUMBER:
        return text
    if match := _INTEGER.fullmatch(plain):
        number = _integer(match[2]) * (-1 if match[1] == "-" else 1)
        if -(2**63) <= number < 2**64:
            return number
    if _FLOAT.fullmatch(plain) and isfinite(value := float(plain)):
        # JSON does not distinguish 10 from 10.0.
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    return _as_written(text)


def _integer(digits: str) -> int:
    """Parse an integer of any base; one with a leading 0 is octal."""
    for prefix, base in (("0x", 16), ("0b", 2), ("0o", 8), ("0", 8)):
        if digits.lower().startswith(prefix) and len(digits) > len(prefix):
            return int(digits[len(prefix) :], base)
    return int(digits)
