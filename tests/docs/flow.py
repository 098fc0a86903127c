"""docs/flow.svg: the way from a stack file to the cluster, drawn from what the program declares (`make picture`).

The components and their objects are those that the recorder sees in all stacks, in the order of the program. The
sections are those of the settings' reference. So a new component, kind of object or section shows up by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import escape

from slipway.ops.program.recorder import Declared, Program, declare, stacks
from tests.paths import REPOSITORY

PICTURE = REPOSITORY / "docs" / "flow.svg"
REFERENCE = REPOSITORY / "docs" / "reference" / "config.md"

# The sections a component is made from. A section that is not listed here is one for the program as a whole.
SECTIONS = {
    "AppImage": ("image",),
    "Environment": ("cluster", "namespace", "registry", "quota"),
    "MysqlStore": ("mysql", "imageFiles"),
    "RedisStore": ("redis",),
    "WebService": ("services", "secretStore", "secretFiles"),
}
PROGRAM = "settings"
RECORD = "release"
DOES = {
    PROGRAM: "typed; every error at once",
    "AppImage": "named by its content",
    "Environment": "namespace, quota, network",
    "MysqlStore": "where the stack runs MySQL itself",
    "RedisStore": "where the stack runs Redis itself",
    "WebService": "one for each service",
    RECORD: "recorded when all is rolled out",
}
KINDS = {"Image": "image in the registry", "StackReference": "or that of another stack"}

LINE, PAD, GAP = 20, 10, 12
CHARACTER = 7
FILE, PART, GATE, CLUSTER = (10, 190), (240, 230), (500, 40), (570, 420)
"""Left edge and width of the columns."""
TOP = 64

STYLE = """text { font: 12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 13px } .small { fill: #59636e; font-size: 11px }
.column { fill: #f6f8fa; stroke: #d1d9e0 } .chip { fill: #fff; stroke: #d1d9e0 }
.part { fill: #ddf4ff; stroke: #54aeff }
.gate { fill: #fff8c5; stroke: #d4a72c } .arrow { stroke: #59636e; fill: none; marker-end: url(#head) }"""


def draw(programs: list[Program], sections: list[str]) -> str:
    """Return the picture as SVG."""
    objects = components(programs)
    placed = {section for names in SECTIONS.values() for section in names}
    rows = {PROGRAM: ([name for name in sections if name not in placed], list[str]())}
    for name, kinds in objects.items():
        rows[name] = ([section for section in SECTIONS.get(name, ()) if section in sections], kinds)
    shapes, y = list[str](), float(TOP)
    for name, (left, right) in rows.items():
        row, height = _row(name, left, right, y)
        shapes += row
        y += height + GAP
    outputs = "outputs: " + ", ".join(sorted({name for program in programs for name in program.outputs}))
    bottom = y + PAD
    frame = [*_columns(bottom), *shapes, _text(CLUSTER[0] + PAD, bottom - 10, outputs, "small")]
    return _svg(bottom + 10, frame)


def components(programs: list[Program]) -> dict[str, list[str]]:
    """Return the kinds of objects by component, in the order in which the program declares the components."""
    kinds: dict[str, list[str]] = {}
    for resource in (resource for program in programs for resource in program.resources):
        component, kind = _component(resource), KINDS.get(resource.kind, resource.kind)
        if component and kind not in kinds.setdefault(component, []) and kind != component:
            kinds[component].append(kind)
    record = kinds.pop(RECORD, [])
    return {name: sorted(found) for name, found in {**kinds, RECORD: record}.items()}


def _component(resource: Declared) -> str:
    """The component an object belongs to. Only the record of a release is the stack's own; a provider is no object."""
    outermost = resource.urn.split("::")[2].partition("$")[0]
    if outermost.startswith("slipway:"):
        return outermost.rpartition(":")[2]
    return RECORD if resource.is_manifest else ""


def sections_of(reference: str) -> list[str]:
    """Return the names of the sections in the reference of settings."""
    return re.findall(r"^\| `slipway:([A-Za-z]+)` \|", reference, re.MULTILINE)


def _row(name: str, sections: list[str], kinds: list[str], y: float) -> tuple[list[str], float]:
    columns = ((sections, FILE), (kinds, CLUSTER))
    height = max(2 * LINE + 4, *(_chips(names, column, 0)[1] for names, column in columns))
    middle, shapes = y + height / 2, [_box(PART[0] + PAD, y, PART[1] - 2 * PAD, height, "part")]
    for names, column in columns:
        shapes += _chips(names, column, middle - _chips(names, column, 0)[1] / 2)[0]
    shapes += [
        _text(PART[0] + 2 * PAD, middle - 3, name, "title"),
        _text(PART[0] + 2 * PAD, middle + 13, DOES.get(name, ""), "small"),
    ]
    if sections:
        shapes.append(_arrow(FILE[0] + FILE[1], middle, PART[0] + PAD))
    if kinds:
        shapes += [_arrow(PART[0] + PART[1] - PAD, middle, GATE[0]), _arrow(GATE[0] + GATE[1], middle, CLUSTER[0])]
    return shapes, height


def _chips(names: list[str], column: tuple[int, int], y: float) -> tuple[list[str], float]:
    """Return the names as small boxes, broken into lines, and the height of them all."""
    left, width = column
    shapes, x, top = list[str](), left + PAD, y
    for name in names:
        size = round(len(name) * CHARACTER) + 14
        if x + size > left + width - PAD and x > left + PAD:
            x, top = left + PAD, top + LINE + 6
        shapes += [_box(x, top, size, LINE, "chip"), _text(x + 7, top + 14, name)]
        x += size + 6
    return shapes, top + LINE - y


def _columns(bottom: float) -> Iterator[str]:
    heads = (
        (FILE, "stack file", "in stacks/, over defaults.yaml"),
        (PART, "the program, infra/", "pulumi up, preview or render"),
        (CLUSTER, "the registry, and the stack's namespace in its cluster", "nothing is changed before all rules hold"),
    )
    for (x, width), title, small in heads:
        yield _box(x, 10, width, bottom - 10, "column")
        yield _text(x + PAD, 30, title, "title")
        yield _text(x + PAD, 46, small, "small")
    x, width = GATE
    yield _box(x, 10, width, bottom - 10, "gate")
    middle = x + width / 2 + 4
    place = f"translate({middle:g} {bottom / 2 + 90:g}) rotate(-90)"
    yield f'<text class="title" transform="{place}">house rules, in every run</text>'


def _svg(height: float, shapes: list[str]) -> str:
    size = 'markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto"'
    head = f'<marker id="head" {size}><path d="M0 0 L8 4 L0 8 z" fill="#59636e"/></marker>'
    title = "From a stack file through the program and the house rules to the objects in the cluster"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 {height:g}" role="img" aria-label="{title}">',
            "<!-- Written by `make picture` (tests/docs/flow.py). -->",
            f"<style>{STYLE}</style>",
            f"<defs>{head}</defs>",
            f'<rect width="1000" height="{height:g}" fill="#fff"/>',
            *shapes,
            "</svg>\n",
        ]
    )


def _box(x: float, y: float, width: float, height: float, style: str) -> str:
    return f'<rect class="{style}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5"/>'


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text{f" class={chr(34)}{style}{chr(34)}" if style else ""} x="{x:g}" y="{y:g}">{escape(text)}</text>'


def _arrow(x: float, y: float, to: float) -> str:
    return f'<path class="arrow" d="M{x:g} {y:g} H{to:g}"/>'


def picture(record: Callable[[str], Program] = declare) -> str:
    """Return docs/flow.svg as it has to be."""
    return draw([record(stack) for stack in stacks()], sections_of(REFERENCE.read_text()))


if __name__ == "__main__":
    PICTURE.write_text(picture())
