"""A canary is judged by metrics from Prometheus instead of metrics read from its pods."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import pytest
import urllib3

from tests.e2e.canaries import canary, canary_objects, deploy_bad_canary, slipway_up
from tests.e2e.conftest import LOCAL, NAMESPACE, NEEDS, Edit, eventually, kubectl, up
from tests.e2e.load import Load
from tests.neighbours.prometheus_server import serving, updated_targets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

PERCENT = 34
INSTEAD = "reading the metrics of the pods themselves"


def targets() -> list[dict[str, Any]]:
    """Return the pods as scrape targets. Debian's build of Prometheus has no Kubernetes discovery."""
    pods = json.loads(kubectl("get", "pods", "-l", "slipway/service", "-o", "json"))["items"]
    return [
        {
            "targets": [f"{pod['status']['podIP']}:9090"],
            "labels": {"namespace": NAMESPACE, "pod": pod["metadata"]["name"]},
        }
        for pod in pods
        if "podIP" in pod["status"]
    ]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """Start Prometheus, and yield its address."""
    folder = tmp_path_factory.mktemp("prometheus")
    job = {"job_name": "pods", "file_sd_configs": [{"files": [str(folder / "targets.json")]}]}
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [job]}
    with serving(folder, config) as server, updated_targets(folder / "targets.json", targets):
        yield server.url


def test_a_good_canary_is_promoted(edit: Edit, api: urllib3.HTTPSConnectionPool, prometheus: str):
    up()
    edit(LOCAL, NEEDS, canary(PERCENT, f", prometheus: '{prometheus}'"))
    edit("app/cmd/api/main.go", "package main", "package main // to be promoted by Prometheus")
    with Load(api, "/v1/shops") as load:
        output = slipway_up()
    assert "local: api: the canary is good: " in output
    assert INSTEAD not in output
    assert load.lost == []


@pytest.mark.feature("D7", part="judged by a real Prometheus")
def test_a_bad_canary_is_withdrawn(edit: Edit, api: urllib3.HTTPSConnectionPool, prometheus: str):
    up()
    edit(LOCAL, NEEDS, canary(PERCENT, f", prometheus: '{prometheus}'"))
    slipway_up()
    bad = deploy_bad_canary(edit, api)
    assert bad.done.returncode == 1, bad.done.stdout + bad.done.stderr
    assert "answers were errors (5xx)" in bad.done.stderr
    assert f"by Prometheus at {prometheus}" in bad.done.stderr
    assert bad.failed <= bad.answered * PERCENT / 100 + 2
    eventually(lambda: canary_objects() == "", 60, "no object of the canary is left")


def test_without_an_answer_from_prometheus_the_metrics_of_the_pods_are_read(
    edit: Edit, api: urllib3.HTTPSConnectionPool
):
    up()
    edit(LOCAL, NEEDS, canary(PERCENT, ", prometheus: 'http://127.0.0.1:9'"))
    edit("app/cmd/api/main.go", "package main", "package main // that no Prometheus sees")
    with Load(api, "/v1/shops") as load:
        output = slipway_up()
    assert "Prometheus at http://127.0.0.1:9 does not answer" in output
    assert INSTEAD in output
    assert "local: api: the canary is good: " in output
    assert load.lost == []


def test_the_files_of_this_clone_are_deployed_again_after_the_tests():
    assert "Traceback" not in up()
