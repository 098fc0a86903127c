"""What a team does to a running service, under load: nobody loses a request. The table is docs/reference/load.md."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import pytest

from local.down import records
from local.processes import Processes
from tests.e2e.conftest import (
    HOST,
    LOCAL,
    NAMESPACE,
    ROOT,
    Edit,
    eventually,
    evicted,
    kubectl,
    outputs,
    run,
    running_pods,
    served,
    up,
)
from tests.load.attack import Attack
from tests.load.conftest import written

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

DOCUMENT = ROOT / "docs" / "reference" / "load.md"
OK = 200
SCALED = "autoscaling: {min: 2, max: 4}"


@dataclass(frozen=True)
class Row:
    """What came of one scenario."""

    scenario: str
    seconds: float
    attack: Attack
    is_tutorial: bool = False

    @property
    def lost(self) -> str:
        """How many requests, and what came in place of their answers."""
        counts = [f"{count:,} {answer}" for answer, count in self.attack.lost.items()]
        return f"{sum(self.attack.lost.values()):,}" + (f" ({', '.join(counts)})" if counts else "")

    @property
    def told(self) -> str:
        """A line of a table."""
        sent, p99 = f"{self.attack.sent:,}", f"{self.attack.p99:.0f} ms"
        return f"| {self.scenario} | {self.seconds:.0f} s | {sent} | {self.lost} | {p99} |"


@pytest.fixture(scope="module")
def table() -> Generator[list[Row]]:
    """Filled by the tests, printed and written at the end."""
    up()
    with written(DOCUMENT, document, len(SCENARIOS) + len(OF_TUTORIAL)) as rows:
        yield rows


def document(rows: list[Row]) -> str:
    heading = "| at 200 requests a second | took | sent | lost | p99 |\n|---|---|---|---|---|\n"
    ours, theirs = ("\n".join(row.told for row in rows if row.is_tutorial == wanted) for wanted in (False, True))
    return INTRODUCTION + heading + ours + BESIDE + heading + theirs + "\n"


INTRODUCTION = """<!-- Written by `make e2e-load`. -->
# Load

One node, two cores shared by the cluster, the app and the load. Half of the requests come on kept connections, half
each on one of its own, with TLS. Lost is whatever was not answered with 200 within 10 s.

"""
BESIDE = """

The same image on the same cluster, deployed as tutorials do it: two pods, and nothing said of probes, of how a pod
leaves or how many may be away.

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
            evict(name, NAMESPACE)

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


def evict(pod: str, namespace: str) -> None:
    """Again until the disruption budget, if there is one, allows it."""
    eventually(lambda: evicted(pod, namespace), 90, f"{pod} may leave")


CHANGED_VARIABLE, SCALED_OUT_AND_IN = "changed variable", "scale out and in"
EVICTED, DELETED = "node drain (each pod evicted)", "pods deleted one by one"
SCENARIOS: dict[str, Callable[[Stack], None]] = {
    "nothing": lambda _: time.sleep(10),
    "image update": Stack.image_update,
    CHANGED_VARIABLE: Stack.changed_variable,
    "changed file": Stack.changed_file,
    "rotated secret": Stack.rotated_secret,
    "failed update, taken back": Stack.failed_update,
    "rollback": Stack.rollback,
    SCALED_OUT_AND_IN: Stack.scale_out_and_in,
    EVICTED: Stack.evicted_pods,
    DELETED: Stack.deleted_pods,
    "ingress restarted": Stack.restarted_ingress,
    "certificate renewed": Stack.renewed_certificate,
    "API server restarted": Stack.restarted_api_server,
}


@pytest.fixture
def attack(tmp_path: Path) -> Attack:
    return Attack(HOST, "/v1/shops", tmp_path)


@pytest.mark.feature("D5")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_request_is_lost(scenario: str, table: list[Row], attack: Attack, edit: Edit):
    up()
    begin = time.monotonic()
    with attack:
        time.sleep(3)
        SCENARIOS[scenario](Stack(edit))
        time.sleep(5)
    table.append(Row(scenario, time.monotonic() - begin, attack))
    print(table[-1].told)
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


class Tutorial:
    """What a team does to it with kubectl."""

    def kubectl(self, *arguments: str) -> str:
        return run("kubectl", "--context", "slipway-local", "-n", TUTORIAL, *arguments).stdout

    def rolled_out(self) -> None:
        self.kubectl("rollout", "status", f"deployment/{TUTORIAL}", "--timeout=90s")

    def pods(self) -> list[str]:
        return self.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.name}").split()

    def changed_variable(self) -> None:
        self.kubectl("set", "env", f"deployment/{TUTORIAL}", f"CHANGED={token_urlsafe(4)}")
        self.rolled_out()

    def scaled_out_and_in(self) -> None:
        self.kubectl("scale", f"deployment/{TUTORIAL}", "--replicas=4")
        self.rolled_out()
        self.kubectl("scale", f"deployment/{TUTORIAL}", "--replicas=2")
        eventually(lambda: len(self.pods()) == 2, 90, "two pods")

    def evicted_pods(self) -> None:
        for name in self.pods():
            evict(name, TUTORIAL)
        self.rolled_out()

    def deleted_pods(self) -> None:
        for name in self.pods():
            self.kubectl("delete", "pod", name, "--wait=false")
            self.rolled_out()
            time.sleep(2)


OF_TUTORIAL: dict[str, Callable[[Tutorial], None]] = {
    CHANGED_VARIABLE: Tutorial.changed_variable,
    SCALED_OUT_AND_IN: Tutorial.scaled_out_and_in,
    EVICTED: Tutorial.evicted_pods,
    DELETED: Tutorial.deleted_pods,
}


@pytest.fixture(scope="module")
def deployed_as_in_a_tutorial(tmp_path_factory: pytest.TempPathFactory) -> Generator[Tutorial]:
    deployed, objects = Tutorial(), tmp_path_factory.mktemp("tutorial") / "objects.json"
    objects.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": tutorial()}))
    run("kubectl", "--context", "slipway-local", "apply", "-f", str(objects))
    deployed.rolled_out()
    yield deployed
    run("kubectl", "--context", "slipway-local", "delete", "namespace", TUTORIAL)


def serves() -> bool:
    """Whether the Ingress leads to it already."""
    with served(TUTORIAL_HOST) as door:
        return door.request("GET", "/version").status == OK


@pytest.mark.parametrize("scenario", OF_TUTORIAL)
def test_what_the_same_image_loses_deployed_as_in_a_tutorial(
    scenario: str, deployed_as_in_a_tutorial: Tutorial, table: list[Row], tmp_path: Path
):
    eventually(serves, 90, "the tutorial's Deployment answers")
    attack, begin = Attack(TUTORIAL_HOST, "/version", tmp_path), time.monotonic()
    with attack:
        time.sleep(3)
        OF_TUTORIAL[scenario](deployed_as_in_a_tutorial)
        time.sleep(5)
    table.append(Row(scenario, time.monotonic() - begin, attack, is_tutorial=True))
    print(table[-1].told)
    assert attack.sent > 1000
    # Scaled in, it may be lucky.
    assert attack.lost or scenario == SCALED_OUT_AND_IN
