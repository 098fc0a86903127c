"""Every seeded defect is seen, and nothing is seen where there is none. `make mutants` writes the table."""

from __future__ import annotations

import pytest

from tests import mutants
from tests.mutants import MUTANTS
from tests.mutants.seeding import Mutant, declared, judged


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.place}: {mutant.defect}")
@pytest.mark.feature("N5")
def test_a_defect_is_seen(mutant: Mutant):
    assert mutants.seen_by(mutant), "no schema, house rule, reference or setting sees it"


@pytest.mark.parametrize("base", ["local", "prod", "gateway", "secret-store", "jobs", "two-services", "registry"])
def test_without_a_defect_nothing_is_seen(base: str):
    assert judged(declared(base)) == []


def test_there_are_enough_of_them_and_no_two_are_the_same():
    assert len(MUTANTS) >= 70
    assert len({(mutant.place, mutant.defect) for mutant in MUTANTS}) == len(MUTANTS)


def test_the_table_in_docs_is_fresh():
    assert mutants.DOCUMENT.read_text() == mutants.table(), "docs/mutants.md is stale: run `make mutants`"
