"""Stack files have the same settings after the real engine has rewritten them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slipway.settings import engine_yaml
from tests.e2e.conftest import pulumi
from tests.settings.test_stack_file import ENGINE, WRITTEN_BACK

pytestmark = pytest.mark.e2e

# Values that are quoted on purpose, or that YAML versions read differently.
TEXTS = dict.fromkeys(
    [*WRITTEN_BACK, *ENGINE, "'2027-01-31'", "'yes'", "'null'", "''", "'1.10'", "[a, 1.10, 2027-01-31]"]
)


def test_pulumi_stack_init_changes_no_setting(tmp_path: Path):
    (tmp_path / "Pulumi.yaml").write_text("name: slipway\nruntime: yaml\n")
    file = tmp_path / "Pulumi.dev.yaml"
    texts = [text for text in TEXTS if not read(f"config:\n  slipway:a:\n    b: {text}\n")[1]]
    lines = [f"    v{number}: {text}\n" for number, text in enumerate(texts)]
    before = "".join(["config:\n  slipway:day: 2027-01-31\n  slipway:nothing: null\n", "  slipway:a:\n", *lines])
    file.write_text(before)
    (tmp_path / "state").mkdir()
    backend = {"PULUMI_BACKEND_URL": f"file://{tmp_path}/state", "PULUMI_CONFIG_PASSPHRASE": "for this test"}
    pulumi("stack", "init", "-s", "dev", cwd=tmp_path, env=backend)
    assert "2027-01-31 00:00:00 +0000 UTC" in file.read_text()  # the engine has rewritten the file
    (values, errors), (former, _) = read(file.read_text()), read(before)
    assert errors == ()
    assert values["config"]["slipway:a"] == former["config"]["slipway:a"]
    assert values["config"]["slipway:day"] == "2027-01-31"


def read(text: str) -> tuple[Any, Any]:
    node, errors = engine_yaml.read(text.encode(), "Pulumi.dev.yaml")
    return node.plain(), errors
