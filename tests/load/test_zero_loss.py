"""What a team does to a running service, under load: nobody loses a request. The table is docs/load.md."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import pytest

from local.down import records
from local.processes import Processes
from tests.e2e.conftest import HOST, NAMESPACE, ROOT, eventually, kubectl, outputs, run, running_pods, up
from tests.load.attack import Attack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

Edit = Callable[[str, str, str], None]
LOCAL = "stacks/Pulumi.local.yaml"
DOCUMENT = ROOT / "docs" / "load.md"
SCALED = "autoscaling: {min: 2, max: 4}"


@dataclass
class Table:
    """What was measured, in the order of the tests."""

    rows: list[str] = field(default_factory=list[str])

    def add(self, scenario: str, attack: Attack, seconds: float) -> None:
        """A row, also on the screen."""
        lost = sum(attack.lost.values())
        why = f" ({', '.join(attack.lost)})" if lost else ""
        self.rows.append(f"| {scenario} | {seconds:.0f} s | {attack.sent:,} | {lost:,}{why} | {attack.p99:.0f} ms |")
        print(self.rows[-1])


@pytest.fixture(scope="module")
def table() -> Generator[Table]:
    """Written down once every scenario was measured."""
    up()
    found = Table()
    yield found
    if len(found.rows) == len(SCENARIOS) + 1:
        heading = "| at 200 requests a second | took | sent | lost | p99 |\n|---|---|---|---|---|\n"
        DOCUMENT.write_text(INTRODUCTION + heading + "\n".join(found.rows) + "\n")


INTRODUCTION = """<!-- Written by `make e2e-load`. -->
# Load

One node, two cores shared by the cluster, the app and the load. Half of the requests come on kept connections, half
each on one of its own, with TLS. Lost is whatever was not answered with 200 within 10 s.

"""


@dataclass(frozen=True)
class Stack:
    """What a scenario may do: change files, which are put back after it, and deploy."""

    edit: Edit

    def image_update(self) -> None:
        self.edit("app/cmd/api/main.go", "package main", f"package main // {token_urlsafe(4)}")
        up()

    def changed_variable(self) -> None:
        self.edit(LOCAL, "LOG_LEVEL: debug", "LOG_LEVEL: warn")
        up()

    def changed_file(self) -> None:
        self.edit("stacks/defaults.yaml", "file: {pageSize:", "file: {notice: load, pageSize:")
        up()

    def rotated_secret(self) -> None:
        key = ROOT / ".slipway" / "secrets" / "signing-key"
        self.edit(str(key.relative_to(ROOT)), key.read_text(), token_urlsafe(32))
        up()

    def failed_update(self) -> None:
        soon = "startupSeconds: 5\n      progressSeconds: 15\n      env: {LOG_LEVEL: nonsense"
        self.edit(LOCAL, "env: {LOG_LEVEL: debug", soon)
        assert run("./slipway", "up", "--yes", "-s", "local", ok=False).returncode == 1

    def rollback(self) -> None:
        run("./slipway", "rollback", "--yes", "-s", "local")

    def scale_out_and_in(self) -> None:
        self.edit(LOCAL, SCALED, "autoscaling: {min: 4, max: 4}")
        up()
        eventually(lambda: len(running_pods("api")) == 4, 60, "four pods")
        self.edit(LOCAL, "autoscaling: {min: 4, max: 4}", SCALED.replace("max: 4", "max: 2"))
        up()
        eventually(lambda: len(running_pods("api")) == 2, 90, "two pods")

    def evicted_pods(self) -> None:
        for name in running_pods("api"):
            body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": NAMESPACE}}
            path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
            file = ROOT / ".slipway" / "eviction.json"
            file.write_text(json.dumps(body))
            evicted = ("create", "--raw", path, "-f", str(file))
            eventually(lambda evicted=evicted: "Success" in kubectl(*evicted, ok=False), 90, f"{name} may leave")
            file.unlink()

    def deleted_pods(self) -> None:
        for name in running_pods("api"):
            kubectl("delete", "pod", name, "--wait=false")
            kubectl("rollout", "status", "deployment/api", "--timeout=90s")
            time.sleep(2)

    def renewed_certificate(self) -> None:
        (ROOT / ".slipway" / "tls" / "tls.crt").unlink()
        run("make", "up")

    def restarted_ingress(self) -> None:
        ingress = ("kubectl", "--context", "slipway-local", "-n", "ingress", "rollout")
        run(*ingress, "restart", "deployment/traefik")
        run(*ingress, "status", "deployment/traefik", "--timeout=90s")
        time.sleep(10)  # the former one serves on while it leaves

    def restarted_api_server(self) -> None:
        assert Processes(records(), ROOT / ".slipway" / "cluster" / "logs").stop("kube-apiserver")
        time.sleep(3)
        run("make", "up")


SCENARIOS: dict[str, Callable[[Stack], None]] = {
    "nothing": lambda _: time.sleep(10),
    "image update": Stack.image_update,
    "changed variable": Stack.changed_variable,
    "changed file": Stack.changed_file,
    "rotated secret": Stack.rotated_secret,
    "failed update, taken back": Stack.failed_update,
    "rollback": Stack.rollback,
    "scale out and in": Stack.scale_out_and_in,
    "node drain (each pod evicted)": Stack.evicted_pods,
    "pods deleted one by one": Stack.deleted_pods,
    "ingress restarted": Stack.restarted_ingress,
    "certificate renewed": Stack.renewed_certificate,
    "API server restarted": Stack.restarted_api_server,
}


@pytest.fixture
def attack(tmp_path: Path) -> Attack:
    return Attack(HOST, "/v1/shops", tmp_path)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_request_is_lost(scenario: str, table: Table, attack: Attack, edit: Edit):
    up()
    begin = time.monotonic()
    with attack:
        time.sleep(3)
        SCENARIOS[scenario](Stack(edit))
        time.sleep(5)
    table.add(scenario, attack, time.monotonic() - begin)
    assert attack.sent > 1000
    assert attack.lost == {}


TUTORIAL = "tutorial"
TUTORIAL_HOST = "web.slipway.localhost"  # the certificate has it; a path of its own leads here


def tutorial() -> list[dict[str, Any]]:
    """The same image as tutorials deploy it: no probes, no preStop, nothing said about rollouts."""
    labels = {"app": TUTORIAL}
    container = {"name": TUTORIAL, "image": outputs()["image"], "ports": [{"containerPort": 8080}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    rule = {
        "host": TUTORIAL_HOST,
        "http": {
            "paths": [
                {
                    "path": "/version",
                    "pathType": "Prefix",
                    "backend": {"service": {"name": TUTORIAL, "port": {"number": 80}}},
                }
            ]
        },
    }
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    address = {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}
    here = {"name": TUTORIAL, "namespace": TUTORIAL}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TUTORIAL}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": here, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": here, "spec": address},
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": here,
            "spec": {"ingressClassName": "traefik", "tls": [{"hosts": [TUTORIAL_HOST]}], "rules": [rule]},
        },
    ]


@pytest.fixture
def deployed_as_in_a_tutorial(tmp_path: Path) -> Generator[None]:
    objects = tmp_path / "tutorial.json"
    objects.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": tutorial()}))
    run("kubectl", "--context", "slipway-local", "apply", "-f", str(objects))
    roll_out()
    yield
    run("kubectl", "--context", "slipway-local", "delete", "namespace", TUTORIAL)


def roll_out() -> None:
    deployment = ("kubectl", "--context", "slipway-local", "-n", TUTORIAL, "rollout")
    run(*deployment, "status", f"deployment/{TUTORIAL}", "--timeout=90s")


def test_the_same_image_deployed_as_in_a_tutorial_loses_requests(
    deployed_as_in_a_tutorial: None, table: Table, tmp_path: Path
):
    attack = Attack(TUTORIAL_HOST, "/version", tmp_path)
    time.sleep(3)
    begin = time.monotonic()
    with attack:
        time.sleep(3)
        deployment = ("kubectl", "--context", "slipway-local", "-n", TUTORIAL)
        run(*deployment, "rollout", "restart", f"deployment/{TUTORIAL}")
        roll_out()
        time.sleep(5)
    table.add("a tutorial's Deployment: rollout", attack, time.monotonic() - begin)
    assert attack.lost
