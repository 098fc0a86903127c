"""`./slipway preview`: what a change would do to each environment, and whether the environment forbids it.

`--json` prints, and keys are only ever added to it:

    {"stacks": [{
      "stack": "prod",
      "source": "revision main (1a2b3c4d5e6f)" or "the stack's state",
      "unchanged": 14,
      "forbidden": ["Ingress/api"],                     objects with a change that the environment forbids
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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from slipway.objects import UNKNOWN
from slipway.ops.changes import stack_models
from slipway.ops.changes.classify import classify_all
from slipway.ops.changes.comparison import ABSENT, KNOWN_LATER, Change, compare
from slipway.ops.changes.verdict import Class, Reason, Verdict, barred_in
from slipway.ops.markdown import MAX_LENGTH, cell
from slipway.ops.program.recorder import stack_config, stacks
from slipway.ops.terminal.tables import styled, table
from slipway.settings.stack_file import stack_tier

EXIT_FORBIDDEN = 2
"""The preview succeeded, and an environment forbids a change."""
MARK = "<!-- slipway preview -->"
"""The first line of a comment on a pull request, by which the next run finds it."""


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
        changes = [verdict for verdict in self.verdicts if verdict.primary is not Class.NO_OP]
        return sorted(changes, key=lambda verdict: (verdict.primary.rank, verdict.change.name))

    @property
    def forbidden(self) -> list[tuple[Verdict, Reason]]:
        """The changes that the environment forbids, each with its most dangerous reason."""
        classes = barred_in(stack_tier(self.stack).name, self.allowed)
        forbidden = [(verdict, [r for r in verdict.reasons if r[0] in classes]) for verdict in self.changes]
        return [(verdict, min(reasons, key=lambda reason: reason[0].rank)) for verdict, reasons in forbidden if reasons]

    @property
    def counts(self) -> str:
        """How many changes of each class there are: `1 exposes, 2 rolls pods`."""
        counts = {class_: sum(verdict.primary is class_ for verdict in self.changes) for class_ in Class}
        return ", ".join(f"{count} {class_.value}" for class_, count in counts.items() if count) or "no changes"

    @property
    def unchanged(self) -> int:
        """How many objects do not change."""
        return len(self.verdicts) - len(self.changes)

    @property
    def outcome(self) -> str:
        """Whether the environment forbids the changes, and which classes."""
        named = {reason[0].value: None for _, reason in self.forbidden}
        return f"forbidden: {', '.join(named)}" if named else "may pass"

    def data(self) -> dict[str, Any]:
        """Return what `--json` prints for the stack."""
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
    return None if value is ABSENT else json.loads(json.dumps(value).replace(UNKNOWN, KNOWN_LATER))


def previews(names: list[str], base: str | None, allowed: frozenset[Class]) -> list[Preview]:
    """Return the verdicts on some stacks.

    With a `base`, or for a stack that the engine does not know, two revisions are compared, which needs only git.
    Otherwise the engine previews, which knows what was deployed. The choice is reported on stderr.
    Raises `stack_models.ModelError` if neither works.
    """
    for name in names:
        stack_config(name)  # raises for an unknown stack before anything is done
    deployed = stack_models.known_to_engine() if base is None else set[str]()
    changes: dict[str, tuple[str, list[Change]]] = {
        name: ("the stack's state", stack_models.of_engine(name)) for name in names if name in deployed
    }
    if others := [name for name in names if name not in deployed]:
        commit, revision = stack_models.revision(base)
        with stack_models.checked_out(commit) as tree, ThreadPoolExecutor(1) as beside:
            # A process of its own, which a second core runs meanwhile.
            before = beside.submit(stack_models.of_folder, others, tree)
            after = {name: stack_models.of_tree(name) for name in others}
        changes |= {name: (f"revision {revision}", compare(before.result()[name], after[name])) for name in others}
    if base is None:
        for name in names:
            why = (
                "`pulumi` is here and has deployed it"
                if name in deployed
                else "`pulumi` is not here, or knows no state"
            )
            sys.stderr.write(
                f"{name}: compared with {changes[name][0]}, since {why}; --base REF compares with a revision\n"
            )
    return [preview_of(name, *changes[name], allowed) for name in names]


def preview_of(stack: str, source: str, changes: list[Change], allowed: frozenset[Class]) -> Preview:
    """Return the preview of a stack's changes. A new stack may do anything: it has nothing to lose yet."""
    is_new = all(change.before is None for change in changes)
    return Preview(stack, source, classify_all(changes), frozenset(Class) if is_new else allowed)


def command(names: list[str], base: str | None, allow: list[str], *, as_json: bool, markdown: bool) -> int:
    """Print the verdicts; return the exit code: 0, or 2 if an environment forbids a change."""
    results = previews(names or stacks(), base, allowed(allow))
    if as_json:
        json.dump({"stacks": [preview.data() for preview in results]}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    elif markdown:
        sys.stdout.write(as_markdown(results))
    else:
        as_table(results)
    return EXIT_FORBIDDEN if refuse(results) else 0


def allowed(flags: Iterable[str]) -> frozenset[Class]:
    """Return the classes of `--allow`. Raises `stack_models.ModelError` for an unknown one."""
    known = {class_.flag: class_ for class_ in Class if class_ is not Class.REFUSED}
    if unknown := sorted(set(flags) - known.keys()):
        raise stack_models.ModelError(f"--allow {unknown[0]}: no such class. One of: {', '.join(known)}.")
    return frozenset(known[flag] for flag in flags)


def refuse(results: Iterable[Preview]) -> bool:
    """Return whether an environment forbids a change, and report on stderr which, and how to allow it."""
    errors = [
        f"error: {preview.stack} forbids what {class_.value}: {verdict.change.name} {text}. {_how_to_allow(class_)}\n"
        for preview in results
        for verdict, (class_, text) in preview.forbidden
    ]
    sys.stderr.write("".join(errors))
    return bool(errors)


def _how_to_allow(class_: Class) -> str:
    if class_ is Class.REFUSED:
        return "No option allows it: take the change back."
    return f"If it is intended, pass --allow {class_.flag}."


def _reasons(verdict: Verdict, limit: int = 4) -> list[str]:
    """Return the reasons, the most dangerous first, with the class where it is not the verdict's own."""
    ranked = sorted(verdict.reasons, key=lambda reason: reason[0].rank)
    texts = [text if class_ is verdict.primary else f"{class_.value}: {text}" for class_, text in ranked]
    return [*texts[:limit], f"and {len(texts) - limit} more"] if len(texts) > limit else texts


def as_table(results: list[Preview]) -> None:
    """Print each stack with its changes, the most dangerous first, and a summary of several stacks at the end."""
    for preview in results:
        source = styled(f"(against {preview.source})", "dim")
        stack = styled(preview.stack, "bold")
        sys.stdout.write(f"{stack}: {preview.counts} · {preview.unchanged} unchanged {source}\n")
        forbidden = [id(verdict) for verdict, _ in preview.forbidden]
        rows = [(change.primary.value, change.change.name, "\n".join(_reasons(change))) for change in preview.changes]
        styles = [_style(change, is_forbidden=id(change) in forbidden) for change in preview.changes]
        sys.stdout.write(table(rows, styles=styles))
    if len(results) > 1:
        summary = [(preview.stack, preview.counts, str(preview.unchanged), preview.outcome) for preview in results]
        sys.stdout.write("\n" + table(summary, ("stack", "changes", "unchanged", "outcome")))


def _style(verdict: Verdict, *, is_forbidden: bool) -> str:
    if is_forbidden:
        return "red"
    return "yellow" if verdict.primary.rank < Class.ROLLS_PODS.rank else "green"


def as_markdown(results: list[Preview], limit: int = MAX_LENGTH) -> str:
    """Return a comment for a pull request: a row per stack that changes, and its changes folded below.

    A comment that would be longer than the limit shows fewer changes of each stack, and counts the rest.
    """
    texts = (_comment(results, max_changes) for max_changes in (None, 100, 50, 20, 5, 0))
    *longer, shortest = texts
    return next((text for text in longer if len(text) <= limit), shortest)


def _comment(results: list[Preview], max_changes: int | None) -> str:
    changed = [preview for preview in results if preview.changes]
    text = [MARK, "### What this does to each environment", ""]
    if changed:
        text += ["| stack | changes | unchanged | |", "|---|---|---|---|"]
    for preview in changed:
        outcome = f"{'⛔' if preview.forbidden else '✅'} {preview.outcome}"
        text.append(f"| {preview.stack} | {preview.counts} | {preview.unchanged} | {outcome} |")
    if same := [preview.stack for preview in results if not preview.changes]:
        text += [*([""] if changed else []), f"No changes: {', '.join(same)}."]
    for preview in changed:
        text += ["", *_details(preview, max_changes)]
    sources = dict.fromkeys(cell(preview.source) for preview in results)
    return "\n".join([*text, "", f"Compared with {', '.join(sources)}."]) + "\n"


def _details(preview: Preview, max_changes: int | None) -> list[str]:
    """Return the changes of a stack, folded unless one of them is forbidden."""
    shown = preview.changes[:max_changes]
    lines = [f"<details{' open' if preview.forbidden else ''}>", f"<summary><b>{preview.stack}</b></summary>", ""]
    lines += ["| | object | why |", "|---|---|---|"] if shown else []
    for verdict in shown:
        reasons = "<br>".join(cell(text) for text in _reasons(verdict))
        lines.append(f"| {verdict.primary.value} | `{verdict.change.name}` | {reasons} |")
    if hidden := len(preview.changes) - len(shown):
        lines += [*([""] if shown else []), f"{hidden} more: `./slipway preview -s {preview.stack}` lists all."]
    return [*lines, "", "</details>"]
