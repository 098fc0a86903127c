"""From an edit of the app to the new version in all pods: `pulumi up`, a chain by hand, and `./slipway dev`."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from slipway.image.compiler import toolchain
from tests.bench.measure import actions_in_turns
from tests.bench.page import Section, table
from tests.e2e.cluster.test_dev import CORES, HANDLER, Developer, await_rollouts, cores
from tests.e2e.conftest import HOST, Edit, edited, eventually, ingress_pool, run, up
from tests.paths import REPOSITORY

NAMESPACE = "slipway-bench"
REPOSITORY_NAME = "localhost:5000/slipway/bench"
KUBECTL = ("kubectl", "--context", "slipway-local", "-n", NAMESPACE)
DOCKERFILE = 'FROM scratch\nCOPY api /api\nUSER 65532:65532\nENTRYPOINT ["/api"]\n'


def measured(runs: int) -> Section:
    numbers = itertools.count(1000)
    try:
        with tempfile.TemporaryDirectory(prefix="slipway-bench-") as name, edited() as edit:
            folder, before = Path(name), (REPOSITORY / HANDLER).read_bytes()
            save = partial(_save, edit, before, numbers)
            _deploy_by_hand(folder)
            chains = {
                "go build, docker build and push, kubectl set image, rollout status": partial(_by_hand, folder, save),
                "`pulumi up` of the local stack": partial(_by_slipway, save),
            }
            series = actions_in_turns(chains, runs)
            developer = Developer(folder)
            try:
                series += actions_in_turns({"`./slipway dev`, to the first answer": partial(_saved, save)}, runs)
            finally:
                developer.stop()
    finally:
        run(*KUBECTL[:3], "delete", "namespace", NAMESPACE, "--ignore-not-found")
        # The sources are as before: so is what runs.
        up()
        await_rollouts()
    rows = [[one.name, one.text(1), f"{one.ratio(series[0]):.1f}"] for one in series]
    text = (
        "One line of the app's source is edited each time, so that the compiler has work. The chain by hand rolls "
        f"out a Deployment of two pods in a namespace of its own ({NAMESPACE}), with the same program and a "
        "readiness probe, but with its data in memory. The update by Pulumi rolls out both services, with the "
        "migration Job, checks every object against the policies, and ends when all pods are ready."
    )
    return Section(
        "From an edit to the new version", text, table(["chain", "time, s", "times the chain by hand"], rows)
    )


def _save(edit: Edit, before: bytes, numbers: Iterator[int]) -> int:
    """Edit the number that /version reports; return what it will be."""
    number = next(numbers)
    (REPOSITORY / HANDLER).write_bytes(before)
    edit(HANDLER, CORES, f"{CORES} + {number}")
    return number + 1


def _by_slipway(save: Callable[[], int]) -> float:
    expected, started = save(), time.perf_counter()
    up()
    pool = ingress_pool(HOST)
    eventually(lambda: cores(pool) == expected, 60, "the answer of the new version")
    return time.perf_counter() - started


def _by_hand(folder: Path, save: Callable[[], int]) -> float:
    number, started = save(), time.perf_counter()
    image = _pushed(folder, str(number))
    run(*KUBECTL, "set", "image", "deployment/api", f"api={image}")
    run(*KUBECTL, "rollout", "status", "deployment/api", "--timeout=120s")
    return time.perf_counter() - started


def _saved(save: Callable[[], int]) -> float:
    pool = ingress_pool(HOST)
    expected = save()
    seconds = eventually(lambda: cores(pool) == expected, 180, "the answer of the saved handler")
    # Otherwise the next save would meet the rollout of this one.
    await_rollouts()
    return seconds


def _pushed(folder: Path, tag: str) -> str:
    """Compile the app, and push an image with it; return its name."""
    app, image = REPOSITORY / "app", f"{REPOSITORY_NAME}:{tag}"
    compiler = {"CGO_ENABLED": "0", "GOTOOLCHAIN": toolchain(app / "go.mod")}
    flags = ("-trimpath", "-buildvcs=false", "-ldflags", "-s -w")
    run("go", "build", *flags, "-o", str(folder / "api"), "./cmd/api", cwd=app, env=compiler)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    run("docker", "build", "-q", "-t", image, str(folder))
    run("docker", "push", "-q", image)
    return image


def _deploy_by_hand(folder: Path) -> None:
    run(*KUBECTL[:3], "create", "namespace", NAMESPACE)
    file = folder / "deployment.yaml"
    file.write_text(yaml.safe_dump(deployment(_pushed(folder, "first"))))
    run(*KUBECTL, "apply", "-f", str(file))
    run(*KUBECTL, "rollout", "status", "deployment/api", "--timeout=120s")


def deployment(image: str) -> dict[str, Any]:
    """Return the Deployment of the chain by hand, as a tutorial writes it."""
    labels = {"app": "api"}
    container: dict[str, Any] = {
        "name": "api",
        "image": image,
        "ports": [{"containerPort": 8080}, {"containerPort": 9090}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 9090}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"}, "spec": spec}
