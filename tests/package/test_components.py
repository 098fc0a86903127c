"""Components are importable from `slipway` by programs that want only a part."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import slipway
from tests.docs.pages import Page
from tests.package import projects
from tests.paths import REPOSITORY

KINDS = """\
import json
from slipway.ops.program.recorder import declare
print(json.dumps(sorted(kind for kind, _ in declare("dev").manifests())))
"""


def test_every_name_that_is_offered_is_there():
    assert all(getattr(slipway, name) is not None for name in slipway.__all__)


def test_importing_the_package_loads_no_sdk():
    code = "import sys, slipway; print({'pulumi', 'pydantic'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_program_on_the_page_declares_a_namespace_and_nothing_else(tmp_path: Path):
    folder = projects.renamed(tmp_path / "shop", "shop")
    [documented] = Page(REPOSITORY / "docs" / "use-as-a-package.md").blocks("python")
    (folder / "infra" / "__main__.py").write_text(documented)
    done = projects.run(folder, "-c", KINDS)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"LimitRange", "Namespace", "NetworkPolicy", "ResourceQuota"}
