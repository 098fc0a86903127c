"""`./slipway` itself: what a shell and a reader are told of its verbs."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from ops.recorder import ROOT

SLIPWAY = ROOT / "slipway"


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
