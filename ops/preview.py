"""`./slipway preview`: what a change would do to each environment, and whether that may pass.

`--json` prints, and keys are only ever added to it:

    {"stacks": [{
      "stack": "prod",
      "source": "revision main (1a2b3c4d5e6f)" or "the stack's state",
      "unchanged": 14,
      "forbidden": ["Ingress/api"],                     objects with a change the environment forbids
      "changes": [{                                     the most dangerous first
        "object": "Ingress/api",                        kind and logical name
        "class": "exposes",                             the most dangerous of its classes
        "classes": ["exposes"],                         all of them, see `Class` in verdict.py
        "reasons": [{"class": "exposes", "text": "www.example.com/ is open to the outside"}],
        "fields": [{"path": "spec.rules[0].host", "before": "...", "after": "..."}]      null: is not there
      }]
    }]}
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ops import models
from ops.changes import ABSENT, Change, compare
from ops.judge import judge_all
from ops.recorder import stack_config, stacks
from ops.verdict import Class, Reason, Verdict, barred_in

EXIT_FORBIDDEN = 2
"""The preview went well, and what it found may not pass."""
MARK = "<!-- slipway preview -->"
"""The first line of a comment, by which the next run finds it."""


@dataclass(frozen=True)
class Preview:
    """The verdicts on one stack."""

    stack: str
    source: str
    """What was compared with: `revision main (1a2b3c4d5e6f)` or `the stack's state`."""
    verdicts: list[Verdict]
    allowed: frozenset[Class]

    @property
    def changes(self) -> list[Verdict]:
        """All but the no-ops, the most dangerous first."""
        found = [verdict for verdict in self.verdicts if verdict.primary is not Class.NO_OP]
        return sorted(found, key=lambda verdict: (verdict.primary.rank, verdict.change.name))

    @property
    def forbidden(self) -> list[tuple[Verdict, Reason]]:
        """The changes the environment does not let pass, each with the first reason why."""
        barred = barred_in(self.stack, self.allowed)
        found = [(verdict, [r for r in verdict.reasons if r[0] in barred]) for verdict in self.changes]
        return [(verdict, min(reasons, key=lambda reason: reason[0].rank)) for verdict, reasons in found if reasons]

    @property
    def counts(self) -> str:
        """`1 exposes, 2 rolls pods`."""
        counts = {class_: sum(verdict.primary is class_ for verdict in self.changes) for class_ in Class}
        return ", ".join(f"{count} {class_.value}" for class_, count in counts.items() if count) or "no changes"

    @property
    def unchanged(self) -> int:
        """The objects that stay as they are, which nobody wants to read about."""
        return len(self.verdicts) - len(self.changes)

    @property
    def outcome(self) -> str:
        """What the environment says to it."""
        named = {reason[0].value: None for _, reason in self.forbidden}
        return f"forbidden: {', '.join(named)}" if named else "may pass"

    def data(self) -> dict[str, Any]:
        """What `--json` prints for the stack."""
        return {
            "stack": self.stack,
            "source": self.source,
            "unchanged": self.unchanged,
            "forbidden": [verdict.change.name for verdict, _ in self.forbidden],
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

    With a `base`, or where the engine does not know the stack, two revisions are compared, which needs nothing but git;
    else the engine previews, which knows what was deployed. Which it was, and why, is told on stderr.
    `models.NoModel` if neither can be had.
    """
    for name in names:
        stack_config(name)  # an unknown stack is refused before anything is done
    deployed = models.known_to_engine() if base is None else set[str]()
    found: dict[str, tuple[str, list[Change]]] = {
        name: ("the stack's state", models.of_engine(name)) for name in names if name in deployed
    }
    if others := [name for name in names if name not in deployed]:
        commit, called = models.revision(base)
        with models.checked_out(commit) as tree:
            before = models.of_folder(others, tree)
        found |= {name: (f"revision {called}", compare(before[name], models.of_tree(name))) for name in others}
    if base is None:
        for name in names:
            why = (
                "`pulumi` is here and has deployed it"
                if name in deployed
                else "`pulumi` is not here, or knows no state"
            )
            sys.stderr.write(
                f"{name}: compared with {found[name][0]}, since {why}; --base REF compares with a revision\n"
            )
    return [judged(name, *found[name], allowed) for name in names]


def judged(stack: str, source: str, changes: list[Change], allowed: frozenset[Class]) -> Preview:
    """Where there was nothing, nothing is lost, and an address is what one wants: a new stack may pass."""
    is_new = all(change.before is None for change in changes)
    return Preview(stack, source, judge_all(changes), frozenset(Class) if is_new else allowed)


def command(names: list[str], base: str | None, allow: list[str], *, as_json: bool, markdown: bool) -> int:
    """Print the verdicts; the exit code: 0, or 2 when an environment forbids what it found."""
    found = previews(names or stacks(), base, allowed(allow))
    if as_json:
        json.dump({"stacks": [preview.data() for preview in found]}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    elif markdown:
        sys.stdout.write(as_markdown(found))
    else:
        as_table(found)
    return EXIT_FORBIDDEN if refused(found) else 0


def allowed(flags: Iterable[str]) -> frozenset[Class]:
    """The classes of `--allow`; `models.NoModel` for one that there is not."""
    known = {class_.flag: class_ for class_ in Class if class_ is not Class.REFUSED}
    if unknown := sorted(set(flags) - known.keys()):
        raise models.NoModel(f"--allow {unknown[0]}: no such class. One of: {', '.join(known)}.")
    return frozenset(known[flag] for flag in flags)


def refused(found: Iterable[Preview]) -> bool:
    """Whether an environment forbids something; what, and what to do if it is meant, is told on stderr."""
    told = [
        f"error: {preview.stack} forbids what {class_.value}: {verdict.change.name} {text}. {_way_out(class_)}\n"
        for preview in found
        for verdict, (class_, text) in preview.forbidden
    ]
    sys.stderr.write("".join(told))
    return bool(told)


def _way_out(class_: Class) -> str:
    if class_ is Class.REFUSED:
        return "No option lets it pass: take the change back."
    return f"If it is meant, pass --allow {class_.flag}."


def _why(verdict: Verdict, most: int = 4) -> list[str]:
    """The reasons, the most dangerous first, those of another class than the first with its name."""
    ranked = sorted(verdict.reasons, key=lambda reason: reason[0].rank)
    texts = [text if class_ is verdict.primary else f"{class_.value}: {text}" for class_, text in ranked]
    return [*texts[:most], f"and {len(texts) - most} more"] if len(texts) > most else texts


def as_table(found: list[Preview]) -> None:
    """For people: each stack and its changes, the most dangerous first; of several stacks a summary at the end."""
    # Piped, a line stays a line: whoever reads it cuts it to size.
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 1000)
    for preview in found:
        told = f"{preview.counts} · {preview.unchanged} unchanged [dim](against {escape(preview.source)})[/dim]"
        console.print(f"[bold]{preview.stack}[/bold]: {told}")
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
        barred = [verdict for verdict, _ in preview.forbidden]
        for verdict in preview.changes:
            style = (
                "red" if verdict in barred else "yellow" if verdict.primary.rank < Class.ROLLS_PODS.rank else "green"
            )
            reasons = escape("\n".join(_why(verdict)))
            table.add_row(f"[{style}]{verdict.primary.value}[/]", verdict.change.name, reasons)
        if preview.changes:
            console.print(table)
    if len(found) > 1:
        summary = Table("stack", "changes", "unchanged", "outcome", box=None, padding=(0, 2, 0, 0))
        for preview in found:
            summary.add_row(preview.stack, preview.counts, str(preview.unchanged), preview.outcome)
        console.print("", summary)


def as_markdown(found: list[Preview]) -> str:
    """One comment for a pull request: a row per stack, and what changes in it folded below."""
    text = [
        MARK,
        "### What this does to each environment",
        "",
        "| stack | changes | unchanged | |",
        "|---|---|---|---|",
    ]
    text += [
        f"| {preview.stack} | {preview.counts} | {preview.unchanged} | {'⛔' if preview.forbidden else '✅'} "
        f"{preview.outcome} |"
        for preview in found
    ]
    for preview in (preview for preview in found if preview.changes):
        text += [
            "",
            f"<details{' open' if preview.forbidden else ''}>",
            f"<summary><b>{preview.stack}</b></summary>",
            "",
        ]
        text += ["| | object | why |", "|---|---|---|"]
        for verdict in preview.changes:
            reasons = "<br>".join(_cell(text) for text in _why(verdict))
            text.append(f"| {verdict.primary.value} | `{verdict.change.name}` | {reasons} |")
        text += ["", "</details>"]
    sources = dict.fromkeys(_cell(preview.source) for preview in found)
    return "\n".join([*text, "", f"Compared with {', '.join(sources)}."]) + "\n"


def _cell(text: str) -> str:
    """Text that is shown as it is: it cannot break out of its cell, mention anybody, or hold an image."""
    for character in "\\|`*_[]#~":
        text = text.replace(character, f"\\{character}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;").replace("\n", " ")
