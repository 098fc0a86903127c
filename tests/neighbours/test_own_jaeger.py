"""The stack's own Jaeger (`slipway:tracing: {source: cluster}`) has the traces of its services.

Its program is the one of `make observability`.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from local.bootstrap.downloads import architecture
from local.observability.start import JAEGER, Observability
from local.paths import clone_paths
from local.progress import Screen, Task
from slipway.image.oci import File, assemble
from slipway.image.registry import push
from tests.e2e.conftest import LOCAL, ROOT, Edit, environment, eventually, kubectl, up
from tests.neighbours.test_traces_and_logs import visit

# Compiling Jaeger takes ten minutes of one core, once.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

SERVICES = "  slipway:services:\n"
PORT = 26686


def jaeger_image(folder: Path) -> str:
    """Compile Jaeger if it is not there yet, push an image with it, and return the image by digest."""
    started = Observability(clone_paths(ROOT))
    task = Task("Jaeger", folder / "jaeger.log", Screen(sys.stderr), threading.Event())
    started.tools.find_go(task)
    program = started.tools.build(task, JAEGER) / "jaeger"
    files = [File("jaeger", program.read_bytes(), mode=0o755)]
    image = assemble([files], {"User": "65532:65532", "Entrypoint": ["/jaeger"]}, f"linux/{architecture()}")
    repository = "localhost:5000/slipway/jaeger"
    push(image, repository, image.digest.removeprefix("sha256:")[:16])
    return f"{repository}@{image.digest}"


@pytest.fixture
def jaeger(edit: Edit, tmp_path: Path) -> Generator[str]:
    """Deploy the stack with a Jaeger of its own, and yield the address of its pages."""
    section = f"  slipway:tracing: {{source: cluster, image: '{jaeger_image(tmp_path)}'}}\n{SERVICES}"
    edit(LOCAL, SERVICES, section)
    up()
    kubectl("rollout", "status", "statefulset/jaeger", "--timeout=120s")
    command = ["./slipway", "port-forward", "jaeger", str(PORT), "-s", "local"]
    forwarding = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert forwarding.stdout
        assert f"127.0.0.1:{PORT} -> 16686" in forwarding.stdout.readline()
        yield f"http://127.0.0.1:{PORT}"
    finally:
        forwarding.send_signal(signal.SIGINT)
        forwarding.wait(timeout=10)
    edit(LOCAL, section, SERVICES)
    up()
    assert kubectl("get", "statefulset", "jaeger", "-o", "name", ok=False) == ""


def services_in(trace: dict[str, Any]) -> set[str]:
    """Return the services that a trace passed, as Jaeger's API answers it."""
    return {process["serviceName"] for data in trace.get("data") or [] for process in data["processes"].values()}


@pytest.mark.feature("H6", part="Jaeger of the stack itself")
def test_a_request_is_one_trace_in_the_stack_s_own_jaeger(jaeger: str):
    trace = visit("/")

    def has_arrived() -> bool:
        answer = urllib3.request("GET", f"{jaeger}/api/traces/{trace}")
        return services_in(json.loads(answer.data)) == {"api", "web"}

    eventually(has_arrived, 60, "Jaeger has the spans of both services")
