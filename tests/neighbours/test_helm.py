"""A release made by Helm is adopted, and Helm forgets it with the command that `./slipway adopt` prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.e2e import go_programs
from tests.e2e.cluster.test_adopt import CHART, CHART_LABELS, Workspace, adopt_under_load, existing_releases, release
from tests.e2e.conftest import run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


def helm(workspace: Workspace, *arguments: str) -> str:
    """Run `helm ... -n NAMESPACE`, and return its output."""
    return run(str(go_programs.helm()), "--kube-context", "slipway-local", "-n", workspace.namespace, *arguments).stdout


def install(workspace: Workspace) -> None:
    """Install the same objects as a chart with one template."""
    chart = workspace.project.parent / "a-chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "a-chart", "version": "1.0.0"}))
    (chart / "templates" / "all.yaml").write_text(yaml.safe_dump_all(release(CHART, CHART_LABELS, workspace.image)))
    helm(workspace, "install", CHART, str(chart))


@pytest.mark.feature("O2", part="a release that Helm itself made")
def test_a_release_of_helm_is_adopted_and_helm_forgets_it_and_nothing_else(copy_of_project: Path):
    with existing_releases(copy_of_project, install) as workspace:
        adopt_under_load(workspace)
        assert [entry["name"] for entry in json.loads(helm(workspace, "list", "-o", "json"))] == [CHART]
        uids = workspace.uids()
        workspace.kubectl("delete", "secret", "-l", f"owner=helm,name={CHART}")
        assert json.loads(helm(workspace, "list", "-o", "json")) == []
        assert workspace.uids() == uids
