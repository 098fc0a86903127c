"""`make mutants`: plants defects one by one, and checks that each is detected before anything reaches a cluster.

Defects are planted in the objects of a stack, in a stack file, or in the program. A schema of Kubernetes, a house rule
or the reading of the stack file has to detect each; tests and golden files do not count here.
docs/reference/mutants.md lists all defects with what detects them.
"""

from __future__ import annotations

import functools
import sys

from tests.mutants.configuration import CONFIG, JOBS
from tests.mutants.program import PROGRAM
from tests.mutants.references import LINKS, NETWORK
from tests.mutants.seeding import Mutant
from tests.mutants.stack_files import STACK_FILES
from tests.mutants.workloads import IMAGE, LIFE, RIGHTS, SCALE
from tests.paths import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "reference" / "mutants.md"
MUTANTS = [*LIFE, *SCALE, *RIGHTS, *IMAGE, *LINKS, *NETWORK, *CONFIG, *JOBS, *STACK_FILES, *PROGRAM]
HEAD = """\
<!-- Written by `make mutants`. -->
# Mutants

{count} planted defects, {survivors} of them not detected. What may detect a defect before it reaches a cluster: a house
rule (SW..., SR..., SA...; see [policies.md](policies.md)), Kubernetes' own schema, or the reading of the stack file
(settings).

| no | planted in | defect | detected by |
|---|---|---|---|
"""


@functools.cache
def detected_by(mutant: Mutant) -> tuple[str, ...]:
    """Return what detects the defect."""
    return tuple(mutant.run())


def table() -> str:
    """Return all mutants as Markdown, with what detects each."""
    rows = [
        f"| {number} | {mutant.place} | {mutant.defect} | {', '.join(detected_by(mutant)) or '**nothing**'} |\n"
        for number, mutant in enumerate(MUTANTS, start=1)
    ]
    return HEAD.format(count=len(MUTANTS), survivors=len(survivors())) + "".join(rows)


def survivors() -> list[Mutant]:
    """Return the defects that nothing detects."""
    return [mutant for mutant in MUTANTS if not detected_by(mutant)]


def main() -> int:
    """Write the table; return 1 if nothing detects some defect."""
    DOCUMENT.write_text(table())
    for mutant in survivors():
        print(f"not detected: {mutant.defect} (planted in {mutant.place})", file=sys.stderr)
    print(f"{len(MUTANTS)} defects, {len(survivors())} not detected; {DOCUMENT.relative_to(REPOSITORY)} is written")
    return int(bool(survivors()))
