"""`. ./activate` makes plain pulumi, kubectl and pytest work, from any folder, and changes nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CLONE = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["bash -eu", "zsh -eu"])
def shell(request: pytest.FixtureRequest) -> list[str]:
    words = str(request.param).split()
    if not shutil.which(words[0]):
        pytest.skip(f"no {words[0]} on this machine")
    return words


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    clone = tmp_path / "a clone"
    clone.mkdir()
    shutil.copy(CLONE / "activate", clone)
    return clone


def activated(shell: list[str], clone: Path, times: int = 1, **env: str) -> dict[str, str]:
    """The environment after sourcing it from another folder."""
    script = f". '{clone}/activate'; " * times + "env -0"
    start = {"PATH": os.environ["PATH"], **env}
    done = subprocess.run([*shell, "-c", script], cwd="/", env=start, check=True, capture_output=True, text=True)
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


def test_it_sets_four_variables_and_nothing_else(shell: list[str], clone: Path) -> None:
    env = activated(shell, clone)
    state = clone / ".slipway"
    assert env["PATH"] == f"{state}/bin:{clone}/.venv/bin:{os.environ['PATH']}"
    assert env["PULUMI_HOME"] == f"{state}/pulumi"
    assert env["PULUMI_CONFIG_PASSPHRASE_FILE"] == f"{state}/passphrase"
    assert env["KUBECONFIG"] == f"{state}/kubeconfig"
    shells_own = {"PWD", "OLDPWD", "SHLVL", "_", "PATH"}
    assert set(env) - shells_own == {"PULUMI_HOME", "PULUMI_CONFIG_PASSPHRASE_FILE", "KUBECONFIG"}


def test_twice_is_the_same_as_once(shell: list[str], clone: Path) -> None:
    once, twice = activated(shell, clone), activated(shell, clone, times=2)
    assert {name: once[name] for name in ("PATH", "KUBECONFIG")} == {
        name: twice[name] for name in ("PATH", "KUBECONFIG")
    }


def test_the_users_own_clusters_stay_within_reach(shell: list[str], clone: Path, tmp_path: Path) -> None:
    ours = f"{clone}/.slipway/kubeconfig"
    assert activated(shell, clone, KUBECONFIG="/a:/b")["KUBECONFIG"] == f"{ours}:/a:/b"
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text("")
    assert activated(shell, clone, HOME=str(tmp_path))["KUBECONFIG"] == f"{ours}:{tmp_path}/.kube/config"
