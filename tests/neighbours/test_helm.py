"""A release that Helm itself made is taken over, and forgotten by Helm as `./slipway adopt` says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.e2e.cluster.test_adopt import CHART, OF_CHART, Place, release, released, take_over
from tests.e2e.conftest import ROOT, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


def helm(place: Place, *arguments: str) -> str:
    """`helm ... -n <its namespace>`; the program is compiled if it is not here yet."""
    program = ROOT / ".slipway" / "bin" / "helm"
    if not program.exists():
        run("go", "build", "-o", str(program), "helm.sh/helm/v4/cmd/helm", cwd=ROOT / "tests/neighbours/helm")
    return run(str(program), "--kube-context", "slipway-local", "-n", place.namespace, *arguments).stdout


def install(place: Place) -> None:
    """The same objects as a chart of one template."""
    chart = place.project.parent / "a-chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "a-chart", "version": "1.0.0"}))
    (chart / "templates" / "all.yaml").write_text(yaml.safe_dump_all(release(CHART, OF_CHART, place.image)))
    helm(place, "install", CHART, str(chart))


@pytest.mark.feature("O2", part="a release that Helm itself made")
def test_a_release_of_helm_is_taken_over_and_helm_forgets_it_and_nothing_else(copy_of_project: Path):
    with released(copy_of_project, install) as place:
        take_over(place)
        assert [one["name"] for one in json.loads(helm(place, "list", "-o", "json"))] == [CHART]
        uids = place.uids()
        place.kubectl("delete", "secret", "-l", f"owner=helm,name={CHART}")
        assert json.loads(helm(place, "list", "-o", "json")) == []
        assert place.uids() == uids
