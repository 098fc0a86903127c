"""Runs a job of a workflow as a runner of GitHub does: a shallow clone, CI=true, no terminal, and only given secrets.

Scripts really run. Of the actions of others, checkout is done by git, and the rest (Python, Go, artifacts) is left out:
this machine has what they bring.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.paths import REPOSITORY
from tests.workflows.expressions import Context, filled, holds

WORKFLOWS = REPOSITORY / ".github" / "workflows"
FILES = sorted(WORKFLOWS.glob("*.yml"))
SETUP = "./.github/actions/slipway"

Job = Mapping[str, Any]
Step = Mapping[str, Any]


def jobs(workflow: str) -> dict[str, Job]:
    """Return the jobs of a workflow: `jobs("preview")`."""
    return yaml.safe_load((WORKFLOWS / f"{workflow}.yml").read_text())["jobs"]


@dataclass
class Runner:
    """A machine that runs one job."""

    folder: Path
    origin: Path | None
    """The repository that is cloned, at the commit of its HEAD. None: there is only what `programs` stand for."""
    context: Context
    programs: Path | None = None
    """A folder with programs in place of those of the runner, such as `gh`."""
    job_env: Mapping[str, str] = field(default_factory=dict[str, str])
    output: dict[str, str] = field(default_factory=dict[str, str])
    """What each step with a script printed, by its name, id or first line."""

    @property
    def workspace(self) -> Path:
        """The clone."""
        return self.folder / "work"

    @property
    def temp(self) -> Path:
        """RUNNER_TEMP."""
        return self.folder / "temp"

    def file(self, name: str) -> str:
        """Return what was written to a file of GitHub, such as GITHUB_STEP_SUMMARY."""
        file = self.temp / name
        return file.read_text() if file.exists() else ""

    def run(self, job: Job) -> bool:
        """Run all steps, and return whether the job succeeded. A step after a failed one runs if its `if` says so."""
        self.temp.mkdir(parents=True, exist_ok=True)
        self.job_env = {name: filled(str(value), self.context) for name, value in (job.get("env") or {}).items()}
        failed = False
        for step in job["steps"]:
            if holds(step.get("if"), self.context, failed=failed):
                failed = not self._step(step) or failed
        return not failed

    def _step(self, step: Step) -> bool:
        uses = str(step.get("uses", ""))
        if uses.startswith("actions/checkout@") and self.origin:
            self._clone(step.get("with") or {})
        elif uses == SETUP and self.origin:
            given = {f"inputs.{name}": filled(value, self.context) for name, value in (step.get("with") or {}).items()}
            inner = {**self.context, "inputs.engine": "false", "inputs.kubeconfig": "", **given}
            return False not in [self.script(part, inner) for part in _setup_scripts(inner)]
        return self.script(step, self.context) if "run" in step else True

    def _clone(self, given: Mapping[str, Any]) -> None:
        depth = ["--depth", str(given.get("fetch-depth", 1))]
        run = ["git", "clone", "-q", *depth, f"file://{self.origin}", str(self.workspace)]
        subprocess.run(run, check=True, capture_output=True)
        _link_environment(self.workspace)

    def script(self, step: Step, context: Context) -> bool:
        """Run the script of a step. Return whether it succeeded."""
        env = {name: filled(str(value), context) for name, value in (step.get("env") or {}).items()}
        # GitHub's shell without `shell: bash` is `bash -e`.
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail"] if step.get("shell") else ["bash", "-e"]
        done = subprocess.run(
            [*shell, "-c", step["run"]],
            cwd=self.workspace if self.workspace.exists() else self.folder,
            env={**self._environment(), **self.job_env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            start_new_session=True,  # so that there is no terminal to ask
            check=False,
        )
        title = step.get("name") or step.get("id") or step["run"].splitlines()[0]
        self.output[title] = done.stdout + done.stderr
        return done.returncode == 0

    def _environment(self) -> dict[str, str]:
        added = self.file("GITHUB_PATH").splitlines()[::-1]
        given = [str(self.programs)] if self.programs else []
        files = ("GITHUB_PATH", "GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")
        return {
            "PATH": os.pathsep.join([*given, *added, str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
            "HOME": str(self.folder / "home"),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "RUNNER_TEMP": str(self.temp),
            **{name: str(self.temp / name) for name in files},
            **dict(line.split("=", 1) for line in self.file("GITHUB_ENV").splitlines()),
        }


def recorder(folder: Path, name: str, script: str = "") -> Path:
    """Write a program that stands for another one: it logs its arguments, then runs a script. Return its folder."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f'#!/bin/bash\necho "{name} $*" >> {folder / "log"}\n{script}\n')
    program.chmod(0o755)
    return folder


def calls(folder: Path) -> list[str]:
    """Return what the programs of `recorder` were called with."""
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


def _setup_scripts(context: Context) -> Iterator[Step]:
    action = yaml.safe_load((REPOSITORY / SETUP / "action.yml").read_text())
    for step in action["runs"]["steps"]:
        if "run" in step and holds(step.get("if"), context):
            yield step


def _link_environment(clone: Path) -> None:
    """Give a clone the Python environment of this repository, so that `make venv` has nothing to install."""
    own = Path(sys.prefix)
    (clone / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (clone / ".venv" / name).symlink_to(own / name)
    (clone / ".venv" / "slipway-installed").touch()
