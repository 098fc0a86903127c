"""`./slipway --help`: groups, examples, and what fits a terminal or a pipe."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from slipway.__main__ import VERBS, app
from slipway.ops.terminal.help import help_text
from tests.docs.test_commands import wrong_in
from tests.ops.terminal.pseudo_terminal import COLUMNS, LINES, output_on_terminal, without_escapes
from tests.paths import REPOSITORY
from tests.workflows.test_commands import parse

SLIPWAY = str(REPOSITORY / "slipway")
BOX = re.compile(r"╭.*?╯", re.DOTALL)


def every_verb(command: Any = None, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each verb and verb of a group, as it is typed."""
    command = command or get_command(app)
    for name, verb in getattr(command, "commands", {}).items():
        typed = f"{path} {name}".strip()
        yield typed, verb
        yield from every_verb(verb, typed)


EVERY_VERB = dict(every_verb())


@functools.cache
def piped(*typed: str) -> subprocess.CompletedProcess[str]:
    """Run ./slipway in a pipe, where other tools would be told to use colours nevertheless."""
    env = {**os.environ, "GITHUB_ACTIONS": "true", "FORCE_COLOR": "1"}
    return subprocess.run([SLIPWAY, *typed], capture_output=True, text=True, check=False, env=env)


def test_the_verbs_of_every_day_come_first():
    names = [verb.__name__ for verb in VERBS["Every day"]]
    assert next(iter(VERBS)) == "Every day"
    assert {"up", "preview", "status", "logs", "rollback", "history"} <= set(names)
    text = piped("--help").stdout
    assert re.findall(r"^(\w.*):$", text, re.MULTILINE) == ["Options", *VERBS]
    assert text.index(" up ") < text.index(" status ") < text.index(" promote ") < text.index(" init ")


@pytest.mark.parametrize("typed", ["", "env", "config", "new"])
def test_no_line_and_no_box_of_the_help_is_longer_than_a_small_terminal(typed: str):
    shown = without_escapes(output_on_terminal(SLIPWAY, *typed.split(), "--help"))
    boxes = BOX.findall(shown)
    assert len(boxes) >= 2
    assert [line for line in shown.splitlines() if len(line) > COLUMNS] == []
    assert [box for box in boxes if len(box.splitlines()) >= LINES] == []


def test_each_verb_takes_one_line_of_the_list():
    summaries = {name: verb.help.splitlines()[0] for name, verb in EVERY_VERB.items() if " " not in name}
    for shown in (without_escapes(output_on_terminal(SLIPWAY, "--help")), piped("--help").stdout):
        assert [name for name, summary in summaries.items() if summary not in shown] == []


def test_a_pipe_gets_plain_lines_for_help_and_errors():
    for done in (piped("--help"), piped("status", "--help"), piped("deploy"), piped("status")):
        text = done.stdout + done.stderr
        assert "Usage: slipway" in text
        assert not re.search(r"[\x1b╭│╰─]", text)
        assert [line for line in text.splitlines() if len(line) > COLUMNS or line != line.rstrip()] == []


def test_no_color_is_respected_on_a_terminal():
    assert re.search(r"\x1b\[[\d;]*3\dm", output_on_terminal(SLIPWAY, "--help"))
    assert not re.search(r"\x1b\[[\d;]*3\dm", output_on_terminal(SLIPWAY, "--help", NO_COLOR="1"))


@pytest.mark.parametrize("typed", [name for name, verb in EVERY_VERB.items() if not hasattr(verb, "commands")])
def test_the_help_of_each_verb_has_an_example_or_two_that_can_be_typed(typed: str):
    _, heading, block = EVERY_VERB[typed].help.rpartition("Example")
    examples = [line.strip() for line in block.splitlines()[1:]]
    assert heading
    assert 1 <= len(examples) <= 2
    for example in examples:
        command = example.split(" | ")[0]
        assert wrong_in(command) == []
        assert parse(command.removeprefix("./slipway ")) == typed


def test_paragraphs_are_wrapped_by_the_terminal_and_examples_are_not():
    docstring = "Do it.\n\nIn two\nlines.\n\nExamples:\n  a\n  b"
    assert help_text(docstring, plain=False) == "Do it.\n\nIn two lines.\n\nExamples:\n  a\n  b"
    assert help_text(docstring, plain=True).endswith("\n\n\b\nExamples:\n  a\n  b")
