"""`make mutants`: defects put in one by one, to see that each is seen before anything reaches a cluster.

They are put into the objects a stack declares, into a stack file, or into the program. Seen means: by a schema of
Kubernetes, a house rule, the reference graph, or the reading of the stack file; tests and golden files do not count
here. docs/mutants.md lists them all, with what sees each.
"""

from __future__ import annotations

import functools
import sys

from ops.recorder import ROOT
from tests.mutants.objects import OBJECTS
from tests.mutants.program import PROGRAM
from tests.mutants.seeding import Mutant
from tests.mutants.stack_files import STACK_FILES

DOCUMENT = ROOT / "docs" / "mutants.md"
MUTANTS = [*OBJECTS, *STACK_FILES, *PROGRAM]
HEAD = """\
<!-- Written by `make mutants`. -->
# Mutants

{count} defects put in one by one, {survivors} of them seen by nothing. What may see a defect before it reaches a
cluster: a house rule (SW...), the reference graph (SR...; both in [policies.md](policies.md)), Kubernetes' own schema,
or the reading of the stack file (settings).

| no | put into | defect | seen by |
|---|---|---|---|
"""


@functools.cache
def seen_by(mutant: Mutant) -> tuple[str, ...]:
    """What sees the defect."""
    return tuple(mutant.run())


def table() -> str:
    """All mutants as Markdown, with what sees each."""
    rows = [
        f"| {number} | {mutant.place} | {mutant.defect} | {', '.join(seen_by(mutant)) or '**nothing**'} |\n"
        for number, mutant in enumerate(MUTANTS, start=1)
    ]
    return HEAD.format(count=len(MUTANTS), survivors=len(survivors())) + "".join(rows)


def survivors() -> list[Mutant]:
    """The defects nothing sees."""
    return [mutant for mutant in MUTANTS if not seen_by(mutant)]


def main() -> int:
    """Write the table; 1 if a defect is seen by nothing."""
    DOCUMENT.write_text(table())
    for mutant in survivors():
        print(f"seen by nothing: {mutant.defect} (put into {mutant.place})", file=sys.stderr)
    print(f"{len(MUTANTS)} defects, {len(survivors())} seen by nothing; {DOCUMENT.relative_to(ROOT)} is written")
    return int(bool(survivors()))
