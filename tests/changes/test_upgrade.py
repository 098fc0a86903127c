"""The compatibility promise: an update of Slipway replaces and deletes no object of an unchanged stack file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from slipway.ops.changes import stack_models
from slipway.ops.changes.classify import classify_all
from slipway.ops.changes.comparison import compare
from slipway.ops.changes.verdict import Class, Verdict
from slipway.ops.project.templates import PROGRAM
from tests.paths import REPOSITORY

# The last commit before the package was built as a wheel: version 0.1.0.
FIRST = "d5254bedfa67cf186cb5beff6ccff39bad77ad9f"
STACKS = ["local", "dev", "staging", "prod"]
# Why pods of an unchanged stack file roll, by object. Each belongs into the changelog.
_PROOF = "the account that dumps may use a second database, in which backups are proved"
ROLLED: dict[str, str] = {"ConfigMap/mysql-files": _PROOF, "StatefulSet/mysql": _PROOF}


@pytest.fixture(scope="module")
def upgrades(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Verdict]]:
    """What the first version and this one make of the stack files and the app of the first version."""
    known = subprocess.run(["git", "-C", str(REPOSITORY), "cat-file", "-e", FIRST], capture_output=True, check=False)
    if known.returncode != 0:
        pytest.skip(f"a shallow clone: git fetch --unshallow brings {FIRST[:7]}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stack_models, "ROOT", REPOSITORY)
        with stack_models.checked_out(FIRST) as first:
            now = _with_this_package(first, tmp_path_factory.mktemp("upgrade") / "slipway")
            before, after = (stack_models.of_folder(STACKS, folder) for folder in (first, now))
    return {stack: classify_all(compare(before[stack], after[stack])) for stack in STACKS}


def _with_this_package(first: Path, folder: Path) -> Path:
    """Write a project with the stack files and the app of a tree, which this package runs."""
    for part in ("stacks", "app"):
        shutil.copytree(first / part, folder / part)
    shutil.copy2(first / "Pulumi.yaml", folder)
    (folder / "infra").mkdir()
    (folder / "infra" / "__main__.py").write_text(PROGRAM)
    return folder


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.feature("P10")
def test_no_object_is_replaced_or_deleted(upgrades: dict[str, list[Verdict]], stack: str):
    assert len(upgrades[stack]) > 20
    harmful = {Class.REFUSED, Class.LOSES_DATA, Class.REPLACES, Class.WEAKENS_SECURITY, Class.EXPOSES, Class.REMOVES}
    found = {verdict.change.name: verdict.reasons for verdict in upgrades[stack] if verdict.primary in harmful}
    assert found == {}


@pytest.mark.parametrize("stack", STACKS)
def test_pods_roll_for_the_reasons_in_the_changelog_only(upgrades: dict[str, list[Verdict]], stack: str):
    rolled = {verdict.change.name for verdict in upgrades[stack] if Class.ROLLS_PODS in verdict.classes}
    assert rolled - ROLLED.keys() == set()
