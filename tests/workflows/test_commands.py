"""Each command of ./slipway in a workflow is one that the command line takes: verb, options and arguments."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.exceptions import TyperException
from typer.main import get_command

from slipway.__main__ import app
from slipway.settings.tiers import TIERS
from tests.workflows.runner import FILES, jobs

# What stands for the variables of scripts.
VALUES = {"STACK": "dev", "SOURCE": "dev", "NAME": "pr-7", "allowed[@]": "--allow=exposes"}
COMMAND = re.compile(r"(?<![\w./$-])slipway ((?:\"[^\"\n]*\"|[^|><&;\n)#])+)")


def commands(workflow: str) -> list[str]:
    """Return the commands of ./slipway in the scripts of a workflow, without those in comments."""
    scripts = [step["run"] for job in jobs(workflow).values() for step in job.get("steps", []) if "run" in step]
    lines = [line for script in scripts for line in script.splitlines() if not line.lstrip().startswith("#")]
    return [found[1].strip() for line in lines if "<!--" not in line for found in COMMAND.finditer(line)]


def parse(command: str) -> str:
    """Let the command line read a command, without running it. Return the verb. Raises TyperException."""
    words = shlex.split(re.sub(r"\$\{?([\w@\[\]]+)\}?", lambda found: VALUES[found[1]], command))
    found: Any = get_command(app)
    context, path = found.make_context("slipway", words), list[str]()
    while hasattr(found, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, found, rest = found.resolve_command(context, rest)
        path.append(name)
        context = found.make_context(name, rest, parent=context)
    return " ".join(path)


# The verbs that do the work of each workflow; `test` runs targets of make.
VERBS = {
    "preview": {"preview", "stacks"},
    "drift": {"stacks", "drift"},
    "deploy": {"stacks", "scan", "up", "attest", "history", "promote"},
    "pr-env": {"env create", "env delete"},
    "test": set[str](),
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_command_is_one_that_the_command_line_takes(file: Path):
    assert {parse(command) for command in commands(file.stem)} == VERBS[file.stem]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("deploy -s dev", "No such command 'deploy'"),
        ('up -s "$STACK" --force', "No such option: --force"),
        ("up --yes", "Missing parameter: stack"),
        ("rollback -s dev one two", "unexpected extra argument"),
    ],
)
def test_a_command_that_does_not_exist_is_seen(command: str, message: str):
    with pytest.raises(TyperException, match=message):
        parse(command)


def test_no_script_has_an_expression_in_it_which_would_run_as_code():
    scripts = [
        step["run"] for file in FILES for job in jobs(file.stem).values() for step in job["steps"] if "run" in step
    ]
    assert len(scripts) > 10
    assert [script for script in scripts if "${{" in script] == []


def test_the_jobs_of_deploy_are_the_tiers():
    assert [*jobs("deploy")] == ["stacks", *(tier for tier in TIERS if tier != "local")]
