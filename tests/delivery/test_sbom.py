"""The SBOM of an image is what the Go command says of the program in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.delivery.go_project import IMPORTED, GoProject
from tests.delivery.oci_registry import serve
from tests.paths import REPOSITORY

# The first run compiles cyclonedx-gomod and a registry.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

SBOM = """\
import json, sys
from slipway.ops.supply_chain.sbom import sbom
print(json.dumps(sbom(sys.argv[1], "src-1")))
"""


@pytest.mark.feature("A10", part="the SBOM is what `go version -m` says of the binary in the image")
@pytest.mark.parametrize("app", ["small", "reference"])
def test_the_sbom_lists_the_modules_of_the_binary_and_no_others(tmp_path: Path, app: str):
    with serve(tmp_path / "blobs") as registry:
        project = GoProject(tmp_path / "project", registry.host)
        project.use(IMPORTED)
        if app == "reference":
            shutil.rmtree(project.folder / "app")
            shutil.copytree(REPOSITORY / "app", project.folder / "app", ignore=shutil.ignore_patterns("dist"))
        reference = project.release()
        registry.run("export", reference, str(tmp_path / "image.tar"))
        done = project.python("-c", SBOM, reference)
        again = project.python("-c", SBOM, reference)
    assert done.returncode == 0, done.stderr
    assert again.stdout == done.stdout
    subprocess.run(["tar", "-xf", tmp_path / "image.tar", "-C", tmp_path, "api"], check=True)
    command = ["go", "version", "-m", tmp_path / "api"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    modules = re.findall(r"^\tdep\t(\S+)\t(\S+)", lines, re.MULTILINE)
    compiler = re.search(r": (go\S+)", lines)
    assert compiler
    assert len(modules) > (20 if app == "reference" else 0)
    sbom = json.loads(done.stdout)
    assert sorted((part["name"], part["version"]) for part in sbom["components"]) == sorted(
        [*modules, ("std", compiler[1])]
    )
    assert f"\tmod\t{sbom['metadata']['component']['name']}\t" in lines
