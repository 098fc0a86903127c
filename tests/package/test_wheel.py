"""The wheel: what it puts into site-packages, and a project of others that works with nothing but it."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.package import projects
from tests.paths import REPOSITORY


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this repository, built without the network."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed: make venv")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    return next(folder.glob("slipway-*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel alone; its dependencies are those of this one."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.EnvBuilder(symlinks=True).create(folder)
    python = folder / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    install = [
        _with_pip(),
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    (packages / "shared.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return python


def _with_pip() -> str:
    """Return a Python that has pip: that of this environment, or the one it was made from."""
    return sys.executable if importlib.util.find_spec("pip") else str(getattr(sys, "_base_executable", sys.executable))


def test_nothing_but_slipway_becomes_a_top_level_name(wheel: Path):
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"slipway"}


def test_it_holds_every_file_of_the_package_and_no_test(wheel: Path):
    package = REPOSITORY / "infra" / "slipway"
    ours = {f"slipway/{file.relative_to(package).as_posix()}" for file in package.rglob("*") if file.is_file()}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("slipway/")}
    assert {name for name in ours if "__pycache__" not in name} == held
    assert {"slipway/py.typed", "slipway/stores/mysql.sh"} < held


def test_what_it_requires_is_what_the_tests_run_on():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]["test"]
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)", (REPOSITORY / "requirements.txt").read_text(), re.MULTILINE))
    required = [Requirement(line) for line in [*project["dependencies"], *extras]]
    assert [str(r) for r in required if not r.specifier.contains(pinned.get(r.name, ""))] == []
    assert [r.name for r in required if not r.specifier] == []


@pytest.mark.feature("P10")
def test_a_project_of_others_renders_and_passes_its_tests_with_the_wheel_alone(python: Path, tmp_path: Path):
    shop = projects.go_service(tmp_path / "shop")
    written = projects.slipway(shop, "init", "--yes", python=python)
    assert written.returncode == 0, written.stderr
    assert re.search(r"slipway\[test\] @ file:///\S+/slipway-\S+\.whl", (shop / "requirements.txt").read_text())
    render = [python.with_name("slipway"), "render", "-s", "prod"]
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    console = subprocess.run(render, cwd=shop, env=bare, capture_output=True, text=True, check=True)
    assert console.stdout.count("\nkind: Deployment\n") == 1
    tested = projects.run(
        shop, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_my_stacks.py", python=python
    )
    assert tested.returncode == 0, tested.stdout


@pytest.mark.timeout(240)
def test_its_preview_compares_with_a_revision_that_has_no_package_either(python: Path, tmp_path: Path):
    shop = projects.go_service(tmp_path / "shop")
    assert projects.slipway(shop, "init", "--yes", python=python).returncode == 0
    me = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "."], [*me, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(shop), *arguments], check=True, capture_output=True)
    file = shop / "stacks" / "Pulumi.prod.yaml"
    file.write_text(file.read_text().replace("min: 2", "min: 3"))
    done = projects.slipway(shop, "preview", "--all", "--base", "HEAD", python=python)
    assert "HorizontalPodAutoscaler/shop" in done.stdout, done.stderr
    assert "dev: no changes" in done.stdout
