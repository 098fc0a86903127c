"""The exit codes of `./slipway` are those of the documented table, whose text is that of the code."""

from __future__ import annotations

import subprocess
import sys

import pytest

from slipway.ops import exit_codes
from slipway.ops.changes.preview import EXIT_FORBIDDEN
from slipway.ops.diagnosis import drift, status
from slipway.ops.errors import CANNOT_TELL
from slipway.ops.monitoring import forecast, slo
from tests.ops.terminal.test_help import EVERY_VERB
from tests.paths import INFRA, REPOSITORY


def test_the_page_has_the_table_of_the_code():
    page = (REPOSITORY / "docs" / "operations.md").read_text()
    assert exit_codes.document() in page, "docs/operations.md has another table of exit codes"


@pytest.mark.parametrize("verb", exit_codes.MEANINGS)
def test_the_help_of_a_verb_has_its_exit_codes(verb: str):
    assert exit_codes.sentence(verb) in EVERY_VERB[verb].help


def test_no_help_speaks_of_exit_codes_that_are_not_in_the_table():
    other = [verb for verb in EVERY_VERB if verb not in exit_codes.MEANINGS]
    assert [verb for verb in other if "exit code" in EVERY_VERB[verb].help.lower()] == []


@pytest.mark.parametrize(
    ("verb", "code", "word"),
    [
        ("preview", EXIT_FORBIDDEN, "forbids"),
        ("rollback", EXIT_FORBIDDEN, "forbids"),
        ("promote", EXIT_FORBIDDEN, "missing"),
        ("status", status.HEALTHY, "healthy"),
        ("status", status.UNHEALTHY, "not healthy"),
        ("status", CANNOT_TELL, "unknown"),
        ("drift", drift.EXIT_DRIFT, "drift"),
        ("slo", slo.BURNT, "burnt"),
        ("slo", CANNOT_TELL, "unknown"),
        ("forecast", forecast.WINS, "it pays"),
        ("forecast", forecast.LOSES, "does not"),
        ("forecast", CANNOT_TELL, "unknown"),
    ],
)
def test_a_code_means_what_the_table_says(verb: str, code: int, word: str):
    assert word in exit_codes.MEANINGS[verb][code]


@pytest.mark.parametrize(
    ("typed", "code"),
    [("stacks", 0), ("history -s qa", 1), ("status -s qa", CANNOT_TELL), ("stacks --every", 2)],
)
def test_a_verb_ends_with_the_documented_code(typed: str, code: int):
    done = subprocess.run([REPOSITORY / "slipway", *typed.split()], capture_output=True, check=False)
    assert done.returncode == code


def test_ctrl_c_ends_with_130():
    code = """
        import sys; sys.argv[1:] = ["stacks"]
        from slipway.ops.program import recorder
        def interrupted(_): raise KeyboardInterrupt
        recorder.stacks = interrupted
        from slipway.__main__ import main
        main()
    """.replace("\n        ", "\n")
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(INFRA)}, check=False)
    assert done.returncode == 130
