"""`./slipway preview`: what a change would do to each environment, and whether that may pass."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ops import models
from ops.changes import ABSENT, Change, compare
from ops.recorder import ROOT, stack_config, stacks
from ops.verdict import FORBIDDEN, Class, Verdict, judge

EXIT_FORBIDDEN = 2
"""The preview went well, and what it found may not pass."""


@dataclass(frozen=True)
class Preview:
    """The verdicts on one stack."""

    stack: str
    source: str
    """What was compared with: `revision abc123` or `the stack's state`."""
    verdicts: list[Verdict]
    allowed: frozenset[Class]

    @property
    def changes(self) -> list[Verdict]:
        """All but the no-ops, the most dangerous first."""
        found = [verdict for verdict in self.verdicts if verdict.primary is not Class.NO_OP]
        return sorted(found, key=lambda verdict: (verdict.primary.rank, verdict.change.name))

    @property
    def forbidden(self) -> list[Verdict]:
        """The changes the environment does not let pass."""
        barred = FORBIDDEN.get(self.stack, set()) - self.allowed
        return [verdict for verdict in self.changes if barred & set(verdict.classes)]

    @property
    def headline(self) -> str:
        """`2 rolls pods, 1 exposes · 14 unchanged`."""
        counts = {class_: sum(verdict.primary is class_ for verdict in self.changes) for class_ in Class}
        told = ", ".join(f"{count} {class_.value}" for class_, count in counts.items() if count)
        return f"{told or 'no changes'} · {len(self.verdicts) - len(self.changes)} unchanged"

    def data(self) -> dict[str, Any]:
        """What `--json` prints for the stack; keys are only ever added to it."""
        return {
            "stack": self.stack,
            "source": self.source,
            "forbidden": [verdict.change.name for verdict in self.forbidden],
            "unchanged": len(self.verdicts) - len(self.changes),
            "changes": [_data(verdict) for verdict in self.changes],
        }


def _data(verdict: Verdict) -> dict[str, Any]:
    return {
        "object": verdict.change.name,
        "class": verdict.primary.flag,
        "classes": [class_.flag for class_ in verdict.classes],
        "reasons": [{"class": class_.flag, "text": text} for class_, text in verdict.reasons],
        "fields": [
            {"path": field.path, "before": _plain(field.before), "after": _plain(field.after)}
            for field in verdict.change.fields
        ],
    }


def _plain(value: Any) -> Any:
    return None if value is ABSENT else value


def previews(names: list[str], base: str | None, allowed: frozenset[Class]) -> list[Preview]:
    """The verdicts on some stacks.

    With a `base`, or where the engine has no state of the stack at hand, two revisions are compared and nothing but
    git is needed; else the engine previews, which sees the live state. `models.NoModel` if neither can be had.
    """
    for name in names:
        stack_config(name)  # an unknown stack is refused before anything is done
    live = {name: models.of_engine(name) for name in names if base is None and _has_state(name)}
    others = [name for name in names if name not in live]
    revision = base or models.default_base()
    found = {name: _judged(name, "the stack's state", changes, allowed) for name, changes in live.items()}
    if others:
        with models.checked_out(revision) as tree:
            before = models.of_folder(others, tree)
        for name in others:
            changes = compare(before[name], models.of_tree(name))
            found[name] = _judged(name, f"revision {revision[:12]}", changes, allowed)
    return [found[name] for name in names]


def _judged(stack: str, source: str, changes: list[Change], allowed: frozenset[Class]) -> Preview:
    return Preview(stack, source, [judge(change) for change in changes], allowed)


def _has_state(stack: str) -> bool:
    """Whether the engine is there and knows the stack: a local backend's file, or a login to a remote one."""
    if not shutil.which("pulumi"):
        return False
    if os.environ.get("PULUMI_ACCESS_TOKEN") or not os.environ.get("PULUMI_BACKEND_URL", "file:").startswith("file:"):
        return True
    return any((ROOT / ".slipway" / "state" / ".pulumi" / "stacks").glob(f"*/{stack}.json"))


def command(names: list[str], base: str | None, allow: list[str], *, as_json: bool, markdown: bool) -> int:
    """Print the verdicts; the exit code: 0, or 2 when an environment forbids what it found."""
    known = {class_.flag: class_ for class_ in Class}
    if unknown := sorted(set(allow) - known.keys()):
        raise models.NoModel(f"--allow {unknown[0]}: no such class. One of: {', '.join(known)}.")
    found = previews(names or stacks(), base, frozenset(known[flag] for flag in allow))
    if as_json:
        json.dump({"stacks": [preview.data() for preview in found]}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    elif markdown:
        sys.stdout.write(as_markdown(found))
    else:
        as_table(found)
    for preview in found:
        for verdict in preview.forbidden:
            barred = next(c for c in verdict.classes if c in FORBIDDEN[preview.stack] - preview.allowed)
            why = next(text for class_, text in verdict.reasons if class_ is barred)
            sys.stderr.write(
                f"error: {preview.stack} forbids what {barred.value}: {verdict.change.name} {why}. "
                f"If it is meant, pass --allow {barred.flag}.\n"
            )
    return EXIT_FORBIDDEN if any(preview.forbidden for preview in found) else 0


def as_table(found: list[Preview]) -> None:
    """For people: a headline per stack and its changes, the most dangerous first."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    for preview in found:
        console.print(f"[bold]{preview.stack}[/bold]: {preview.headline} [dim](against {preview.source})[/dim]")
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
        for verdict in preview.changes:
            reasons = [text for class_, text in verdict.reasons if class_ is verdict.primary]
            style = "red" if verdict in preview.forbidden else "yellow" if verdict.primary.rank < _HARMLESS else "green"
            table.add_row(f"[{style}]{verdict.primary.value}[/]", verdict.change.name, escape("\n".join(reasons)))
        if preview.changes:
            console.print(table)


_HARMLESS = Class.ROLLS_PODS.rank


def as_markdown(found: list[Preview]) -> str:
    """One comment for a pull request: a line per stack, and its changes folded below."""
    text = ["### What this does to each environment", ""]
    for preview in found:
        mark = "⛔ " if preview.forbidden else ""
        text += [f"<details{' open' if preview.forbidden else ''}>"]
        text += [f"<summary>{mark}<b>{preview.stack}</b>: {preview.headline}</summary>", ""]
        if preview.changes:
            text += ["| | object | why |", "|---|---|---|"]
        for verdict in preview.changes:
            reasons = "<br>".join(_cell(text) for class_, text in verdict.reasons if class_ is verdict.primary)
            text.append(f"| {verdict.primary.value} | `{verdict.change.name}` | {reasons} |")
        text += ["", "</details>"]
    return "\n".join(text) + "\n"


def _cell(text: str) -> str:
    """Text that cannot break out of its table cell."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
