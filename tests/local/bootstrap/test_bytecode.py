"""An install compiles what a run imports, so that runs start fast where Python may not write bytecode."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from local.bootstrap import bytecode, python_packages
from local.bootstrap.bytecode import ENTRIES
from local.paths import ClonePaths
from tests.paths import REPOSITORY

RENDER = "import runpy, sys; sys.argv[1:] = ['render', '-s', 'prod']; runpy.run_module('slipway', run_name='__main__')"


def compiled_at_start(code: str, bytecode: Path) -> set[str]:
    """Return the modules that Python compiles when it runs `code` with the bytecode of a folder."""
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": str(bytecode)}
    command = [sys.executable, "-v", "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=True)
    loaded = re.findall(r"^# (code object from|.* matches) '?(.*?\.py)'?$", done.stderr, re.MULTILINE)
    ours = [(how, path) for how, path in loaded if not path.startswith(sys.base_prefix)]  # not Python's own
    assert len(ours) > 300
    return {path for how, path in ours if how == "code object from"}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bytecode that an install writes although PYTHONDONTWRITEBYTECODE is set."""
    folder = tmp_path_factory.mktemp("bytecode")
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": str(folder)}
    subprocess.run([sys.executable, "-m", "local.bootstrap.bytecode"], cwd=REPOSITORY, env=env, check=True)
    return folder


def test_a_run_of_the_program_compiles_nothing_after_the_install(compiled: Path):
    # runpy compiles the file that it runs each time: one of three lines.
    mains = {f"{REPOSITORY}/infra/__main__.py"}
    assert compiled_at_start(RENDER, compiled) - mains == set()


def test_a_start_of_the_offline_plugins_compiles_nothing_after_the_install(compiled: Path, tmp_path: Path):
    plugins = [entry for entry in ENTRIES if entry.startswith("local.plugins")]
    assert len(plugins) == 3
    start = f"import {', '.join(plugins)}"
    assert compiled_at_start(start, compiled) == set()
    assert len(compiled_at_start(start, tmp_path)) > 300


def test_an_install_succeeds_where_the_folder_of_python_may_not_be_written(tmp_path: Path):
    source = tmp_path / "early.py"
    source.touch()
    (tmp_path / "__pycache__").write_text("a file where the folder would be")
    spec = spec_from_file_location("early", source)
    assert spec
    bytecode.compile_early_modules([module_from_spec(spec)])


def test_modules_of_the_clone_are_compiled_again_when_they_were_edited(tmp_path: Path):
    paths = ClonePaths(tmp_path, tmp_path / "cache")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    paths.python.symlink_to(sys.executable)
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "edited.py").write_text("VALUE = 1\n")
    python_packages.compile_modules(paths)
    [pyc] = (tmp_path / "infra" / "__pycache__").iterdir()
    first = pyc.read_bytes()
    (tmp_path / "infra" / "edited.py").write_text("VALUE = 1_000\n")
    os.utime(tmp_path / "infra" / "edited.py", (0, 0))  # a file's time is compared in seconds
    python_packages.compile_modules(paths)
    assert pyc.read_bytes() != first
