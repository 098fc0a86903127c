"""Every planted defect is detected, and nothing is detected without one. `make mutants` writes the table."""

from __future__ import annotations

import pytest

from tests import mutants
from tests.mutants import MUTANTS
from tests.mutants.seeding import Mutant, declared, detect


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.place}: {mutant.defect}")
@pytest.mark.feature("N5")
def test_a_defect_is_detected(mutant: Mutant):
    assert mutants.detected_by(mutant), "no schema, house rule or setting detects it"


@pytest.mark.parametrize("base", ["local", "prod", "gateway", "secret-store", "jobs", "two-services", "registry"])
def test_without_a_defect_nothing_is_detected(base: str):
    assert detect(declared(base)) == []


def test_there_are_at_least_70_different_mutants():
    assert len(MUTANTS) >= 70
    assert len({(mutant.place, mutant.defect) for mutant in MUTANTS}) == len(MUTANTS)


def test_the_table_in_docs_is_fresh():
    assert mutants.DOCUMENT.read_text() == mutants.table(), "docs/reference/mutants.md is stale: run `make mutants`"
