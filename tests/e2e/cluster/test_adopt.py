"""A release that kubectl made and one that Helm made are taken over under load: no object replaced, no request lost.

Both run the image of this clone, in a namespace and a stack of their own. Helm itself is not here: what it would have
made is made under its name, with its labels, its annotations and the record of its release. With Helm:
tests/neighbours/test_helm.py.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from slipway.image.app_image import parts
from tests.e2e.conftest import ROOT, Replicas, outputs, pulumi, run, up
from tests.e2e.load import Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

# By kubectl, as a plain tutorial has it; and by Helm.
TUTORIAL, CHART = "tutorial", "catalogue"
OF_TUTORIAL = {"app": TUTORIAL}
OF_CHART = {"app.kubernetes.io/name": "a-chart", "app.kubernetes.io/instance": CHART}
KINDS = {TUTORIAL: ("deployment", "service", "ingress", "hpa"), CHART: ("deployment", "service", "ingress")}
REPLICAS = 3


def release(name: str, labels: dict[str, str], image: str, **metadata: Any) -> list[dict[str, Any]]:
    """Deployment, Service and Ingress."""
    meta = {"name": name, "labels": labels, **metadata}
    container = {
        "name": "app",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8080}],
        # A pod that stops at once on SIGTERM loses requests, whoever deploys it.
        "env": [{"name": "DRAIN_DELAY", "value": "5s"}, {"name": "FROM_BEFORE", "value": "yes"}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 9090}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m"}},
    }
    backend = {"service": {"name": name, "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {
                "replicas": REPLICAS,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": meta,
            "spec": {
                "ingressClassName": "traefik",
                "rules": [{"host": host(name), "http": {"paths": [path]}}],
            },
        },
    ]


def autoscaler(name: str) -> dict[str, Any]:
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": REPLICAS,
            "maxReplicas": REPLICAS + 1,
            "metrics": [{"type": "Resource", "resource": cpu}],
        },
    }


def record_of_helm() -> dict[str, Any]:
    labels = {"owner": "helm", "name": CHART, "status": "deployed", "version": "1"}
    name = f"sh.helm.release.v1.{CHART}.v1"
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "metadata": metadata}


def host(name: str) -> str:
    return f"{name}.slipway.localhost"


def front_door(name: str) -> urllib3.HTTPSConnectionPool:
    """The Ingress of a service; it has no certificate of its own. No retries: what is lost counts."""
    return urllib3.HTTPSConnectionPool(
        "127.0.0.1",
        443,
        cert_reqs="CERT_NONE",
        assert_hostname=False,
        server_hostname=host(name),
        headers={"Host": host(name)},
        timeout=10,
        retries=False,
        maxsize=20,
    )


class Place:
    """A namespace, and a copy of the project whose stack dev belongs there."""

    def __init__(self, project: Path, image: str) -> None:
        self.project, self.image = project, image
        self.namespace = f"adopt-{secrets.token_hex(3)}"
        self.env = {"PULUMI_BACKEND_URL": f"file://{project.parent}/state"}
        (project / ".venv").symlink_to(ROOT / ".venv")
        pulumi("stack", "init", "-s", "dev", cwd=project, env=self.env)

    def kubectl(self, *arguments: str, ok: bool = True) -> str:
        return run("kubectl", "--context", "slipway-local", "-n", self.namespace, *arguments, ok=ok).stdout

    def make(self, objects: list[dict[str, Any]], *verb: str) -> None:
        file = self.project.parent / "objects.yaml"
        file.write_text(yaml.safe_dump_all(objects))
        self.kubectl(*verb, "-f", str(file))

    def one(self, kind: str, name: str) -> dict[str, Any]:
        return json.loads(self.kubectl("get", kind, name, "--show-managed-fields", "-o", "json"))

    def uids(self) -> dict[str, str]:
        every = [(kind, name) for name, kinds in KINDS.items() for kind in kinds]
        return {f"{kind}/{name}": self.one(kind, name)["metadata"]["uid"] for kind, name in every}

    def describe(self, selectors: dict[str, dict[str, str]]) -> None:
        """Write the stack file; who has no selector here finds its pods by the stack's own labels."""
        repository, _, digest = parts(self.image)
        file = self.project / "stacks" / "Pulumi.dev.yaml"
        before = yaml.safe_load(file.read_text())
        services: dict[str, Any] = {
            name: {
                "autoscaling": {"min": REPLICAS, "max": REPLICAS + 1},
                "resources": {"cpu": "50m"},
                "ingress": {"host": host(name), "className": "traefik"},
                "selector": selectors.get(name, {}),
            }
            for name in KINDS
        }
        config = {
            "slipway:cluster": {"context": "slipway-local"},
            "slipway:image": {"source": "prebuilt", "repository": repository, "digest": digest},
            "slipway:namespace": self.namespace,
            "slipway:services": {"api": None, "web": None, **services},
        }
        file.write_text(yaml.safe_dump({**before, "config": config}))

    def slipway(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run("./slipway", *arguments, "-s", "dev", cwd=self.project, env=self.env, ok=False)


@contextmanager
def released(project: Path, make_chart: Callable[[Place], None]) -> Generator[Place]:
    """Two releases that serve, and that the stack knows nothing of."""
    up()
    place = Place(project, outputs()["image"])
    run("kubectl", "--context", "slipway-local", "create", "namespace", place.namespace)
    try:
        place.make([*release(TUTORIAL, OF_TUTORIAL, place.image), autoscaler(TUTORIAL)], "apply")
        make_chart(place)
        for name in KINDS:
            place.kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s")
        yield place
    finally:
        run("kubectl", "--context", "slipway-local", "delete", "namespace", place.namespace, "--wait=false")


def as_if_by_helm(place: Place) -> None:
    annotations = {"meta.helm.sh/release-name": CHART, "meta.helm.sh/release-namespace": place.namespace}
    labels = {"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "a-chart-1.0.0"}
    chart = release(CHART, OF_CHART, place.image, annotations=annotations)
    for one in chart:
        one["metadata"] |= {"labels": {**OF_CHART, **labels}}
    place.make([*chart, record_of_helm()], "create", "--field-manager=helm")


@pytest.mark.feature("O2")
def test_releases_of_kubectl_and_helm_are_taken_over_with_no_object_replaced_and_no_request_lost(
    copy_of_project: Path,
):
    with released(copy_of_project, as_if_by_helm) as place:
        take_over(place)


def take_over(place: Place) -> None:
    """Adopt both releases under load; the command that makes Helm forget its own stands among what is told."""
    uids = place.uids()

    place.describe({})
    refused = place.slipway("adopt", "--yes")
    assert refused.returncode == 1, refused.stderr
    assert f'    {TUTORIAL}:\n      selector:\n        app: "{TUTORIAL}"\n' in refused.stderr
    assert "Traceback" not in refused.stderr
    managers = {one["manager"] for one in place.one("service", CHART)["metadata"]["managedFields"]}
    assert managers == {"helm"}, "it was refused and changed"

    place.describe({TUTORIAL: OF_TUTORIAL, CHART: OF_CHART})
    urllib3.disable_warnings()
    with (
        Load(front_door(TUTORIAL), "/v1/shops", rate=25) as tutorial,
        Load(front_door(CHART), "/v1/shops", rate=25) as chart,
        Replicas(TUTORIAL, place.namespace) as of_tutorial,
        Replicas(CHART, place.namespace) as of_chart,
    ):
        adopted = place.slipway("adopt", "--yes")
    assert adopted.returncode == 0, adopted.stdout + adopted.stderr
    assert "adopted 8 objects, 0 replaced" in adopted.stderr  # the namespace is one of them
    assert f"delete secret -l owner=helm,name={CHART}" in adopted.stderr
    assert tutorial.sent > 10 * 25
    assert (tutorial.lost, chart.lost) == ([], [])
    assert place.uids() == uids
    assert min(of_tutorial.seen | of_chart.seen) >= REPLICAS

    for name in KINDS:
        [container] = place.one("deployment", name)["spec"]["template"]["spec"]["containers"]
        assert container["name"] == name
        assert "FROM_BEFORE" not in json.dumps(container)
        assert [port["port"] for port in place.one("service", name)["spec"]["ports"]] == [80]
        assert "meta.helm.sh" not in json.dumps(place.one("ingress", name)["metadata"].get("annotations", {}))
    pulumi("preview", "--expect-no-changes", "-s", "dev", cwd=place.project, env=place.env)
    drift = place.slipway("drift")
    assert drift.returncode == 0, drift.stdout
    again = place.slipway("adopt", "--yes")
    assert (again.returncode, "nothing to adopt" in again.stderr) == (0, True), again.stderr
