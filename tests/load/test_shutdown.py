"""What a rollout costs an app, by what the app does on SIGTERM: requests lost with and without preStop.

The app is tests/load/shutdown/app; the table is docs/reference/shutdown.md.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import ROOT, up
from tests.load.attack import Attack
from tests.load.conftest import results_table
from tests.load.examples.example import Example

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

RATE = 100
APPS = {
    "contract": "becomes not ready, serves on, then finishes (`contract: slipway`)",
    "finishes": "stops listening and finishes what it has begun",
    "ends": "ends at once, with requests open",
    "ignores": "ignores SIGTERM and is killed at the end of its grace period",
}
DOCUMENT = ROOT / "docs" / "reference" / "shutdown.md"
INTRODUCTION = """<!-- Written by `make e2e-load`. -->
# Requests lost by the way an app shuts down

A rollout of two pods at 100 requests a second, each of which takes 100 ms: sent, and lost, by what the app does on
SIGTERM. Without preStop means by a patch: the settings refuse it, and so does a house rule (SW113).

| on SIGTERM the app | preStop 5 s (default) | without preStop |
|---|---|---|
"""


@dataclass(frozen=True)
class Result:
    """One rollout under load."""

    app: str
    pre_stop: bool
    attack: Attack

    @property
    def text(self) -> str:
        """The numbers of sent and lost requests."""
        return f"{self.attack.lost.total():,} of {self.attack.sent:,}"


def document(results: list[Result]) -> str:
    """Return the table."""
    cells = {(result.app, result.pre_stop): result.text for result in results}
    rows = [f"| {what} | {cells.get((app, True))} | {cells.get((app, False))} |" for app, what in APPS.items()]
    return INTRODUCTION + "\n".join(rows) + "\n"


@pytest.fixture(scope="module")
def results() -> Generator[list[Result]]:
    with results_table(DOCUMENT, document, 2 * len(APPS)) as rows:
        yield rows


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Generator[Example]:
    """Deploy one service for each way, beside the main stack."""
    up()
    clone = tmp_path_factory.mktemp("shutdown")
    (clone / ".slipway").symlink_to(ROOT / ".slipway")
    folder = clone / "shutdown"
    shutil.copytree(ROOT / "tests" / "load" / "shutdown", folder)
    example = Example(folder, tuple(APPS), "contract.slipway.localhost", "/")
    try:
        example.deploy()
        yield example
    finally:
        example.destroy()


def change(example: Example, service: str, settings: dict[str, object]) -> None:
    """Change settings of a service in the stack file of the copy, and roll it out."""
    file = example.folder / "stacks" / "Pulumi.local.yaml"
    content = yaml.safe_load(file.read_text())
    content["config"]["slipway:services"][service] |= settings
    file.write_text(yaml.safe_dump(content))
    example.up()


def rolled_out_under_load(example: Example, service: str, folder: Path) -> Attack:
    """Roll a service out under load."""
    before = example.pod_names(service)
    attack = Attack(f"{service}.slipway.localhost", "/", folder, rate=RATE)
    with attack:
        time.sleep(2)
        change(example, service, {"env": {"ROUND": str(time.time())}})
        time.sleep(25)  # until the last pod is gone, also one that ignores SIGTERM
    assert not before & example.pod_names(service), "the rollout has replaced no pod"
    assert attack.sent > 5 * RATE
    return attack


@pytest.mark.parametrize("app", APPS)
def test_with_pre_stop_no_short_request_is_lost_whatever_the_app_does(
    apps: Example, results: list[Result], app: str, tmp_path: Path
):
    attack = rolled_out_under_load(apps, app, tmp_path)
    results.append(Result(app, True, attack))
    assert attack.lost == {}


@pytest.mark.parametrize("app", APPS)
def test_without_pre_stop_the_loss_is_counted(apps: Example, results: list[Result], app: str, tmp_path: Path):
    """How many are lost is for the table; that an app which ends at once loses some is why there is a preStop."""
    container = {"name": app, "lifecycle": None}
    patch = {"Deployment": {"spec": {"template": {"spec": {"containers": [container]}}}}}
    change(apps, app, {"patch": patch})
    assert "lifecycle" not in apps.pod_spec(app)["containers"][0]
    attack = rolled_out_under_load(apps, app, tmp_path)
    results.append(Result(app, False, attack))
    assert app != "ends" or attack.lost.total() > 0
