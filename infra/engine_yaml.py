"""YAML as the engine reads it, each value with the line it stands on.

The engine reads stack files with Go's yaml.v3, which is neither YAML 1.1 nor 1.2: `yes` and `on` are text, `017` and
`0o17` are numbers, `12:30` is text, a key given twice is refused. What it would pass on silently and nobody can mean is
refused here: a second document, tags, control characters.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeAlias

import yaml
from mistakes import PREFIX, Key, Mistake, Place, dotted

# The engine hands everything over in one environment variable, and Linux gives one no more.
MOST_BYTES = 128 * 1024
# Anchors that multiply each other make a small file endless.
MOST_VALUES = 20_000

Scalar: TypeAlias = "str | int | float | bool | None"


@dataclass(frozen=True)
class Node:
    """A value and where it stands."""

    value: dict[str, Node] | list[Node] | Scalar
    place: Place | None = None

    @classmethod
    def of(cls, value: Any, place: Place | None = None) -> Node:
        """A plain value, all of it at one place."""
        if isinstance(value, dict):
            return cls({str(key): cls.of(item, place) for key, item in value.items()}, place)
        return cls([cls.of(item, place) for item in value] if isinstance(value, list) else value, place)

    def plain(self) -> Any:
        """The value without its places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        return [node.plain() for node in self.value] if isinstance(self.value, list) else self.value

    def items(self) -> dict[str, Node]:
        """The entries of a mapping; none of anything else."""
        return self.value if isinstance(self.value, dict) else {}

    def nearest(self, key: Key) -> Node:
        """What stands at the key or, if there is nothing, the innermost section around it."""
        inner: Node | None = None
        if key and isinstance(self.value, dict):
            inner = self.value.get(str(key[0]))
        elif key and isinstance(self.value, list) and isinstance(key[0], int) and key[0] < len(self.value):
            inner = self.value[key[0]]
        return inner.nearest(key[1:]) if inner else self


class Unreadable(Exception):
    """A text that is no YAML mapping the engine could pass on; `mistake` says why."""

    def __init__(self, rule: str, file: str, line: int = 1) -> None:
        super().__init__(rule)
        self.mistake = Mistake((), rule, place=Place(file, line))


@functools.lru_cache(maxsize=8)  # whoever runs the program has looked into its files before
def read(content: bytes, file: str) -> tuple[Node, tuple[Mistake, ...]]:
    """The mapping in a file and what is wrong with it; `Unreadable` if there is none."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("is not UTF-8", file, content[: error.start].count(b"\n") + 1) from None
    if len(content) > MOST_BYTES:
        raise Unreadable(f"has {len(content) // 1024} KiB; the engine can pass {MOST_BYTES // 1024} KiB on", file)
    try:
        root = yaml.compose(text, Loader=_Loader)
        reading = _Reading(file)
        node = reading.node(root, (), Place(file, 1)) if root else Node({}, Place(file, 1))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        told = ", ".join(part for part in (error.context, error.problem) if part)
        raise Unreadable(f"is not YAML: {told}", file, mark.line + 1 if mark else 1) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise Unreadable(f"holds the control character {_code(text[error.position])}", file, line) from None
    except RecursionError:
        raise Unreadable("is nested too deeply", file) from None
    if not isinstance(node.value, dict):
        raise Unreadable("should be a mapping that holds `config:`", file)
    return node, tuple(reading.mistakes)


_PLAIN = "plain"
_TEXT = "tag:yaml.org,2002:str"
_TAGS = {_PLAIN, _TEXT, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}


class _Loader(yaml.SafeLoader):
    """Leaves plain scalars unread: what they mean is not what PyYAML makes of them."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else _TEXT
        return super().resolve(kind, value, implicit)


class _Reading:
    """One pass over a file's nodes; collects what is wrong on the way."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.mistakes: list[Mistake] = []
        self._inside: set[int] = set()
        self._values = 0

    def node(self, node: yaml.Node, at: Key, place: Place) -> Node:
        self._values += 1
        if id(node) in self._inside:
            raise Unreadable("an anchor holds itself", self.file, place.line)
        if self._values > MOST_VALUES:
            raise Unreadable(f"holds more than {MOST_VALUES} values, anchors filled in", self.file, place.line)
        if node.tag not in _TAGS:
            self._wrong(at, f"the tag {node.tag.replace('tag:yaml.org,2002:', '!!')} is not read; leave it out", place)
        self._inside.add(id(node))
        value = self._value(node, at, place)
        self._inside.remove(id(node))
        return Node(value, place)

    def _value(self, node: yaml.Node, at: Key, place: Place) -> dict[str, Node] | list[Node] | Scalar:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.node(item, (*at, index), self._place(item, (*at, index))) for index, item in enumerate(node.value)
            ]
        value = scalar(node.value) if node.tag == _PLAIN else _as_written(node.value)
        if isinstance(value, float) and not isfinite(value):
            self._wrong(at, "is no number the engine could pass on", place)
        if node.tag == _PLAIN and _changes_when_written(node.value):
            self._wrong(at, "would be written in another way by the engine: put it in quotes", place)
        if node.tag == _PLAIN and _MOMENT_WRITTEN.fullmatch(node.value) and not _DAY_WRITTEN.fullmatch(node.value):
            self._wrong(at, "is a time as the engine has written it: write in quotes what was meant", place)
        if isinstance(value, str):
            self._printable(value, at, place)
        return value

    def _mapping(self, node: yaml.MappingNode, at: Key) -> dict[str, Node]:
        found: dict[str, Node] = {}
        lines: dict[str, int] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _PLAIN and key_node.value == "<<":
                merged += self._merged(value_node, at, self._place(key_node, at))
                continue
            key = self._key(key_node, at)
            place = self._place(key_node, (*at, key))
            self._printable(key, at, place)
            if key in lines:
                self._wrong((*at, key), f"is given twice, on lines {lines[key]} and {place.line}", place)
            lines[key] = place.line
            found[key] = self.node(value_node, (*at, key), place)
        for under in merged:
            found = {**under.items(), **found}
        return found

    def _merged(self, node: yaml.Node, at: Key, place: Place) -> list[Node]:
        """What `<<:` brings in; of several mappings the first wins."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        nodes = [self.node(source, at, place) for source in sources]
        if not all(isinstance(source.value, dict) for source in nodes):
            self._wrong(at, "`<<` takes a mapping or a list of mappings", place)
        return nodes

    def _key(self, node: yaml.Node, at: Key) -> str:
        """A key as text: the engine writes `404:` and `true:` as such."""
        place = self._place(node, at)
        if not isinstance(node, yaml.ScalarNode):
            raise Unreadable("a mapping's key should be text", self.file, place.line)
        value = scalar(node.value) if node.tag == _PLAIN else node.value
        if value is None or isinstance(value, float) or (node.tag == _PLAIN and _MOMENT.fullmatch(node.value)):
            self._wrong(at, f"the key {node.value!r} should stand in quotes", place)
        return str(value).lower() if isinstance(value, bool) else str(value)

    def _printable(self, text: str, at: Key, place: Place) -> None:
        if bad := _CONTROL.search(text):
            self._wrong(at, f"holds the control character {_code(bad[0])}", place)

    def _place(self, node: yaml.Node, at: Key) -> Place:
        return Place(self.file, node.start_mark.line + 1, _setting(at))

    def _wrong(self, at: Key, rule: str, place: Place) -> None:
        key = _setting(at)
        self.mistakes.append(Mistake(key, rule if key or not at else f"{dotted(at)}: {rule}", place=place))


def _setting(at: Key) -> Key:
    """The setting at a key of the file: `("config", "slipway:image", "from")` -> `("image", "from")`."""
    return (str(at[1]).removeprefix(PREFIX), *at[2:]) if at[:1] == ("config",) and len(at) > 1 else ()


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

# What yaml.v3 takes for a moment, and the one form of it that is the same before and after.
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt][0-9:.]+(Z|[-+][0-9:]+)| [0-9:.]+)?")
# What it makes of them when it writes the file anew, as `pulumi stack init` does.
_DAY_WRITTEN = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}) 00:00:00 \+0000 UTC")
_MOMENT_WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]{8,} [-+][0-9]{4} \S+")

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
# Python refuses to read longer integers, and nobody means so many digits as a number.
_LONGEST_NUMBER = 400
_INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def _as_written(text: str) -> str:
    """Return the day that the engine has made a moment of: `2027-01-31 00:00:00 +0000 UTC` -> `2027-01-31`."""
    day = _DAY_WRITTEN.fullmatch(text)
    return day[1] if day else text


def _changes_when_written(text: str) -> bool:
    """Whether a text without quotes means something else once the engine has written the file anew."""
    if _MOMENT.fullmatch(text):
        return not _DAY.fullmatch(text)
    value = scalar(text)
    # It takes integers of more than 64 bits for floats, and so loses digits.
    digits = re.fullmatch(r"[-+]?[0-9_]+", text) is not None
    return digits and isinstance(value, int | float) and not -(2**63) <= value < 2**63


def scalar(text: str) -> Scalar:
    """What yaml.v3 makes of a text without quotes, after its way through JSON: `017` -> 15, `1e3` -> 1000."""
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
        # JSON knows no difference between 10 and 10.0.
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    return _as_written(text)


def _integer(digits: str) -> int:
    """Base by prefix; a leading 0 alone is octal, too."""
    for prefix, base in (("0x", 16), ("0b", 2), ("0o", 8), ("0", 8)):
        if digits.lower().startswith(prefix) and len(digits) > len(prefix):
            return int(digits[len(prefix) :], base)
    return int(digits)
