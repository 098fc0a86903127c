"""`./slipway promote dev staging`: move what the recorded release of one stack runs to another, if evidence allows.

`--json` prints, and keys are only ever added to it:

    {"source": "dev", "target": "staging", "passes": true,
     "images": {"api": {"before": "repository:tag@sha256:...", "after": "repository:tag@sha256:..."}},
     "evidence": [{"item": "digest", "state": "passed", "why": "..."}]}       state: passed, refused, overridden,
                                                                              not demanded

What the update itself prints then goes to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext

import typer

from slipway.ops.changes.preview import EXIT_FORBIDDEN
from slipway.ops.delivery import evidence, migrations, stack_state, way_back
from slipway.ops.delivery.checklist import Evidence, Item, evaluate
from slipway.ops.delivery.plan import PromotionError, PromotionPlan, plan
from slipway.ops.errors import UserError
from slipway.ops.releases import up
from slipway.ops.streams import stdout_to_stderr
from slipway.ops.terminal.tables import table

BUDGET = "budget"
CHECKLIST = (
    Item("digest", evidence.recorded, is_of_every_tier=True, can_be_overridden=False),
    Item("first-request", evidence.answered),
    Item("supply-chain", evidence.verified),
    Item(BUDGET, evidence.within_budget, is_of_every_tier=True),
    Item("freeze", evidence.not_frozen, is_of_every_tier=True),
    Item("migration", migrations.can_go_back),
    Item("backup", way_back.backed_up),
    Item("rehearsal", way_back.rehearsed),
    Item("contract-tests", way_back.contract_tested),
)
"""All pieces of evidence, in the order of the table."""
_STYLES = {"refused": "red", "overridden": "yellow", "not demanded": "dim"}


def command(
    source: str,
    target: str,
    *,
    preview: bool,
    yes: bool,
    as_json: bool = False,
    overrides: Mapping[str, str] | None = None,
) -> int:
    """Print what moves and the evidence; without `preview`, update the target as `./slipway up` does.

    Return 2 if a piece of evidence is missing, 1 if the update failed. Raises PromotionError if nothing can be
    promoted.
    """
    overrides = overrides or {}
    found = plan(source, target)
    # Nothing is at stake where nothing moves.
    results = evaluate(found, CHECKLIST if found.moves else [], overrides if found.moves else {})
    if as_json:
        json.dump(data(found, results), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _print(found, results)
    if refused := [result.item for result in results if not result.passes]:
        typer.echo(
            f"error: {target}: not promoted, nothing was changed. Evidence that is missing: {', '.join(refused)}",
            err=True,
        )
        return EXIT_FORBIDDEN
    if not found.moves:
        typer.echo(f"{target}: nothing to promote: it runs the images of {source} already", err=True)
        return 0
    if preview:
        return 0
    _refuse_another_release(found)
    needed = {result.item: overrides[result.item] for result in results if result.state == "overridden"}
    with stdout_to_stderr() if as_json else nullcontext():
        return up.command(
            target,
            yes=yes,
            rolls_back=True,
            override=needed.pop(BUDGET, ""),
            overrides=needed,
            promotion=found.promotion,
        )


def _refuse_another_release(found: PromotionPlan) -> None:
    """Raise PromotionError if the target was updated meanwhile: the evidence is about the way back to what it ran."""
    before, now = found.target, stack_state.read_if_any(found.target.stack)
    if now.in_force != before.in_force:
        raise PromotionError(
            f"{now.stack} was updated by somebody else while its evidence was examined. Nothing was changed; run "
            f"./slipway promote {found.source.stack} {now.stack} again"
        )


def parse_overrides(given: Iterable[str]) -> dict[str, str]:
    """Return the reasons by item, of options such as `freeze=REASON`. Raises UserError for one without a reason."""
    pairs = [option.partition("=") for option in given]
    for item, _, reason in pairs:
        if not reason.strip():
            raise UserError(f'--override {item}: say why, as in --override {item or "freeze"}="ticket 17"')
    return {item.strip(): reason.strip() for item, _, reason in pairs}


def data(found: PromotionPlan, results: Sequence[Evidence]) -> dict[str, object]:
    """Return what `--json` prints."""
    return {
        "source": found.source.stack,
        "target": found.target.stack,
        "passes": all(result.passes for result in results),
        "images": {name: {"before": found.replaced[name], "after": image} for name, image in found.images.items()},
        "evidence": [{"item": result.item, "state": result.state, "why": result.why} for result in results],
    }


def _print(found: PromotionPlan, results: Sequence[Evidence]) -> None:
    release = found.source.in_force
    typer.echo(f"{found.source.stack} -> {found.target.stack}: release {release and release.revision}")
    for name, image in found.images.items():
        before = evidence.short(found.replaced[name])
        same = " (unchanged)" if found.replaced[name] == image else ""
        typer.echo(f"  {name}: {before} -> {evidence.short(image)}{same}")
    if results:
        rows = [(result.item, result.state, result.why) for result in results]
        styles = [_STYLES.get(result.state, "") for result in results]
        sys.stdout.write(table(rows, ("evidence", "state", "why"), styles))
