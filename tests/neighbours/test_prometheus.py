"""A canary that is judged by what Prometheus has seen, not by what its pods tell."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from tests.e2e.canaries import canary, of_canary, slipway_up, try_a_bad_one
from tests.e2e.conftest import LOCAL, NAMESPACE, NEEDS, Edit, eventually, kubectl, provide, up
from tests.e2e.load import Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

PERCENT = 34
INSTEAD = "reading the metrics of the pods themselves"


def targets() -> list[dict[str, Any]]:
    """The pods, as Prometheus names them by its own discovery, which Debian's build leaves out."""
    pods = json.loads(kubectl("get", "pods", "-l", "slipway/service", "-o", "json"))["items"]
    return [
        {
            "targets": [f"{pod['status']['podIP']}:9090"],
            "labels": {"namespace": NAMESPACE, "pod": pod["metadata"]["name"]},
        }
        for pod in pods
        if "podIP" in pod["status"]
    ]


@contextmanager
def kept_up_to_date(file: Path) -> Generator[None]:
    """The file with the targets, which Prometheus reads again whenever it changes."""
    over = threading.Event()

    def write() -> None:
        while not over.wait(1):
            fresh = file.with_suffix(".new")
            fresh.write_text(json.dumps(targets()))
            fresh.replace(file)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """Its address."""
    folder = tmp_path_factory.mktemp("prometheus")
    provide(folder, {"prometheus": "prometheus"})
    job = {"job_name": "pods", "file_sd_configs": [{"files": [str(folder / "targets.json")]}]}
    scraped = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [job]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(scraped))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    files = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["prometheus", *files, f"--web.listen-address={address}"],
            stdout=log,
            stderr=log,
            env=os.environ | {"PATH": f"{os.environ['PATH']}:/usr/bin"},
        )
    try:
        eventually(lambda: _is_ready(address), 60, "Prometheus is ready")
        with kept_up_to_date(folder / "targets.json"):
            yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def _is_ready(address: str) -> bool:
    try:
        return urllib3.request("GET", f"http://{address}/-/ready", retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def test_a_good_canary_is_promoted(edit: Edit, api: urllib3.HTTPSConnectionPool, prometheus: str):
    up()
    edit(LOCAL, NEEDS, canary(PERCENT, f", prometheus: '{prometheus}'"))
    edit("app/cmd/api/main.go", "package main", "package main // to be promoted by Prometheus")
    with Load(api, "/v1/shops") as load:
        told = slipway_up()
    assert "local: api: the canary is good: " in told
    assert INSTEAD not in told
    assert load.lost == []


@pytest.mark.feature("D7", part="judged by a real Prometheus")
def test_a_bad_canary_is_withdrawn(edit: Edit, api: urllib3.HTTPSConnectionPool, prometheus: str):
    up()
    edit(LOCAL, NEEDS, canary(PERCENT, f", prometheus: '{prometheus}'"))
    slipway_up()
    bad = try_a_bad_one(edit, api)
    assert bad.done.returncode == 1, bad.done.stdout + bad.done.stderr
    assert "answers were errors (5xx)" in bad.done.stderr
    assert f"by Prometheus at {prometheus}" in bad.done.stderr
    assert bad.failed <= bad.answered * PERCENT / 100 + 2
    eventually(lambda: of_canary() == "", 60, "nothing is left of the canary")


def test_where_no_prometheus_answers_the_pods_themselves_are_asked(edit: Edit, api: urllib3.HTTPSConnectionPool):
    up()
    edit(LOCAL, NEEDS, canary(PERCENT, ", prometheus: 'http://127.0.0.1:9'"))
    edit("app/cmd/api/main.go", "package main", "package main // that no Prometheus sees")
    with Load(api, "/v1/shops") as load:
        told = slipway_up()
    assert "Prometheus at http://127.0.0.1:9 does not answer" in told
    assert INSTEAD in told
    assert "local: api: the canary is good: " in told
    assert load.lost == []


def test_the_files_of_this_clone_are_deployed_again_after_the_tests():
    assert "Traceback" not in up()
