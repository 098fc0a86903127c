"""`./slipway` itself: what a shell and a reader are told of its verbs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap

import pytest

from slipway.ops import errors
from tests.paths import REPOSITORY

SLIPWAY = REPOSITORY / "slipway"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("./slipway dr", ["drift", "drill"]), ("./slipway status --", ["--stack", "--json", "--help"])],
    ids=["verbs", "options"],
)
def test_bash_completes_what_is_typed(typed: str, offered: list[str]):
    if not (bash := shutil.which("bash")):
        pytest.skip("no bash on this machine")
    words = typed.split()
    script = f"""
        eval "$('{SLIPWAY}' --show-completion bash)"
        COMP_WORDS=({typed}) COMP_CWORD={len(words) - 1}
        "$(complete -p slipway | sed 's/.*-F \\([^ ]*\\) .*/\\1/')" '{SLIPWAY}' '{words[-1]}' '{words[-2]}'
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == offered


def test_an_unknown_verb_is_told_by_its_name_and_where_to_find_the_others():
    done = subprocess.run([SLIPWAY, "deploy"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: slipway ")
    assert "No such command 'deploy'." in done.stderr
    assert "Try 'slipway --help'" in done.stderr


def test_help_and_completion_wait_for_no_sdk_and_no_api_client():
    slow = {"pulumi", "lightkube", "httpx2", "pydantic", "pytest"}
    code = f"import sys, slipway.__main__; print(*{slow} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_render_waits_for_nothing_that_tests_drills_pictures_and_clusters_need():
    slow = {"pytest", "_pytest", "matplotlib", "jsonschema", "kubernetes_validate", "jinja2", "promql_parser"}
    slow |= {"lightkube", "httpx2", "msgspec"}
    own = {"slipway.ops.drills", "slipway.ops.releases", "slipway.ops.diagnosis", "slipway.ops.monitoring"}
    code = f"""
        import sys, slipway.__main__ as cli
        sys.argv[1:] = ["render", "-s", "prod"]
        output, sys.stdout = sys.stdout, sys.stderr
        cli.app(standalone_mode=False)
        print(*{slow | own} & sys.modules.keys(), file=output)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "kind: Deployment" in done.stderr
    assert done.stdout == "\n"


def test_only_what_a_user_can_resolve_is_reduced_to_its_message():
    assert errors.message(errors.UserError("there is no stack")) == "there is no stack"
    assert errors.message(ValueError("a defect")) is None


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--base", "nope"], "error: git does not know the revision 'nope'."),
        (["--base", "HEAD", "--allow", "downtime"], "error: --allow downtime: no such class."),
        (["-s", "qa"], "error: there is no stacks/Pulumi.qa.yaml."),
    ],
)
def test_what_a_preview_cannot_compare_is_one_message(typed: list[str], message: str):
    done = subprocess.run([SLIPWAY, "preview", *typed], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
