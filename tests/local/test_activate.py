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
    for file in ("activate", "slipway"):
        shutil.copy(CLONE / file, clone)
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
    shells_own = {"PWD", "OLDPWD", "SHLVL", "_", "PATH", "HOME", "LOGNAME"}
    assert set(env) - shells_own == {"PULUMI_HOME", "PULUMI_CONFIG_PASSPHRASE_FILE", "KUBECONFIG"}


def test_sourcing_it_twice_has_the_effect_of_once(shell: list[str], clone: Path) -> None:
    once, twice = activated(shell, clone), activated(shell, clone, times=2)
    assert {name: once[name] for name in ("PATH", "KUBECONFIG")} == {
        name: twice[name] for name in ("PATH", "KUBECONFIG")
    }


def test_the_users_own_clusters_remain_accessible(shell: list[str], clone: Path, tmp_path: Path) -> None:
    ours = f"{clone}/.slipway/kubeconfig"
    assert activated(shell, clone, KUBECONFIG="/a:/b")["KUBECONFIG"] == f"{ours}:/a:/b"
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text("")
    assert activated(shell, clone, HOME=str(tmp_path))["KUBECONFIG"] == f"{ours}:{tmp_path}/.kube/config"


def test_it_finds_its_folder_through_links_to_files_and_folders(shell: list[str], clone: Path, tmp_path: Path) -> None:
    link = linked(clone / "activate", tmp_path)
    done = subprocess.run(
        [*shell, "-c", f". '{link}'; echo $PULUMI_HOME"], cwd="/", check=True, capture_output=True, text=True
    )
    assert done.stdout == f"{clone}/.slipway/pulumi\n"


def test_cdpath_does_not_lead_it_to_another_folder(shell: list[str], clone: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / clone.name).mkdir(parents=True)
    script = f". './{clone.name}/activate'; cd '{tmp_path}'; . '{clone.name}/activate'; echo $PULUMI_HOME"
    env = {"PATH": os.environ["PATH"], "CDPATH": str(tmp_path / "elsewhere")}
    done = subprocess.run([*shell, "-c", script], cwd=tmp_path, env=env, check=True, capture_output=True, text=True)
    assert done.stdout == f"{clone}/.slipway/pulumi\n"


def test_a_shell_without_the_name_of_the_sourced_file_gets_the_hint_to_change_the_folder(
    clone: Path, tmp_path: Path
) -> None:
    command = ["sh", "-c", f". '{clone}/activate' || true; echo ${{PULUMI_HOME-unset}}"]
    env = {"PATH": os.environ["PATH"]}
    here = subprocess.run(command, cwd=clone, env=env, check=True, capture_output=True, text=True)
    assert here.stdout == f"{clone}/.slipway/pulumi\n"
    there = subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True, text=True)
    assert there.stdout == "unset\n"
    assert there.stderr == (
        f"activate: {tmp_path} is not the project's folder. Fix: cd to it first, or use bash or zsh\n"
    )


def linked(file: Path, folder: Path) -> Path:
    """A relative link to a link to the file, in a folder that is reached by a link itself."""
    (folder / "deep" / "bin").mkdir(parents=True)
    (folder / "bin").symlink_to("deep/bin")
    (folder / "deep" / "first").symlink_to(file)
    (folder / "deep" / "bin" / "second").symlink_to("../first")
    return folder / "bin" / "second"


@pytest.mark.parametrize("shell", [[], ["dash"], ["bash"], ["zsh"]], ids=["by-itself", "dash", "bash", "zsh"])
def test_slipway_runs_through_links_on_the_path_and_from_any_folder(
    shell: list[str], clone: Path, tmp_path: Path
) -> None:
    if shell and not shutil.which(shell[0]):
        pytest.skip(f"no {shell[0]} on this machine")
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$PYTHONPATH" "$@"\n')
    python.chmod(0o755)
    link = linked(clone / "slipway", tmp_path)
    env = {"PATH": f"{link.parent}:{os.environ['PATH']}"}
    command = [*shell, str(link)] if shell else [link.name]
    done = subprocess.run([*command, "--help"], cwd="/", env=env, check=True, capture_output=True, text=True)
    assert done.stdout == f"{clone}:{clone}/infra -m slipway --help\n"
