"""Releases made by kubectl and by Helm are adopted under load: no object is replaced, and no request is lost.

Both run the image of this clone, in a namespace and a stack of their own. Helm itself is not used: its objects are
created under its field manager, with its labels, annotations and release record. tests/neighbours/test_helm.py uses
Helm.
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

from slipway.image.reference import parts
from tests.e2e.conftest import ROOT, Replicas, outputs, pulumi, run, up
from tests.e2e.load import Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

# Names of the release made by kubectl, as in a tutorial, and of the one made by Helm.
TUTORIAL, CHART = "tutorial", "catalogue"
TUTORIAL_LABELS = {"app": TUTORIAL}
CHART_LABELS = {"app.kubernetes.io/name": "a-chart", "app.kubernetes.io/instance": CHART}
KINDS = {TUTORIAL: ("deployment", "service", "ingress", "hpa"), CHART: ("deployment", "service", "ingress")}
REPLICAS = 3


def release(name: str, labels: dict[str, str], image: str, **metadata: Any) -> list[dict[str, Any]]:
    """Return Deployment, Service and Ingress of a release."""
    meta = {"name": name, "labels": labels, **metadata}
    container = {
        "name": "app",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8080}],
        # A pod that stops at once on SIGTERM loses requests, however it is deployed.
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


def helm_release_secret() -> dict[str, Any]:
    labels = {"owner": "helm", "name": CHART, "status": "deployed", "version": "1"}
    name = f"sh.helm.release.v1.{CHART}.v1"
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "metadata": metadata}


def host(name: str) -> str:
    return f"{name}.slipway.localhost"


def unverified_pool(name: str) -> urllib3.HTTPSConnectionPool:
    """Return connections to the Ingress of a service, which has no certificate. No retries hide a lost request."""
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


class Workspace:
    """A namespace, and a copy of the project whose stack dev is deployed to it."""

    def __init__(self, project: Path, image: str) -> None:
        self.project, self.image = project, image
        self.namespace = f"adopt-{secrets.token_hex(3)}"
        self.env = {"PULUMI_BACKEND_URL": f"file://{project.parent}/state"}
        (project / ".venv").symlink_to(ROOT / ".venv")
        pulumi("stack", "init", "-s", "dev", cwd=project, env=self.env)

    def kubectl(self, *arguments: str, ok: bool = True) -> str:
        return run("kubectl", "--context", "slipway-local", "-n", self.namespace, *arguments, ok=ok).stdout

    def create(self, objects: list[dict[str, Any]], *verb: str) -> None:
        file = self.project.parent / "objects.yaml"
        file.write_text(yaml.safe_dump_all(objects))
        self.kubectl(*verb, "-f", str(file))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return json.loads(self.kubectl("get", kind, name, "--show-managed-fields", "-o", "json"))

    def uids(self) -> dict[str, str]:
        objects = [(kind, name) for name, kinds in KINDS.items() for kind in kinds]
        return {f"{kind}/{name}": self.get(kind, name)["metadata"]["uid"] for kind, name in objects}

    def write_stack_file(self, selectors: dict[str, dict[str, str]]) -> None:
        """Write the stack file. A service without a selector here selects its pods by the stack's own labels."""
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
def existing_releases(project: Path, create_chart: Callable[[Workspace], None]) -> Generator[Workspace]:
    """Create two releases that are not in the state of the stack, and wait until they serve."""
    up()
    workspace = Workspace(project, outputs()["image"])
    run("kubectl", "--context", "slipway-local", "create", "namespace", workspace.namespace)
    try:
        workspace.create([*release(TUTORIAL, TUTORIAL_LABELS, workspace.image), autoscaler(TUTORIAL)], "apply")
        create_chart(workspace)
        for name in KINDS:
            workspace.kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s")
        yield workspace
    finally:
        run("kubectl", "--context", "slipway-local", "delete", "namespace", workspace.namespace, "--wait=false")


def create_as_helm(workspace: Workspace) -> None:
    annotations = {"meta.helm.sh/release-name": CHART, "meta.helm.sh/release-namespace": workspace.namespace}
    labels = {"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "a-chart-1.0.0"}
    chart = release(CHART, CHART_LABELS, workspace.image, annotations=annotations)
    for manifest in chart:
        manifest["metadata"] |= {"labels": {**CHART_LABELS, **labels}}
    workspace.create([*chart, helm_release_secret()], "create", "--field-manager=helm")


@pytest.mark.feature("O2")
def test_releases_of_kubectl_and_helm_are_adopted_with_no_object_replaced_and_no_request_lost(
    copy_of_project: Path,
):
    with existing_releases(copy_of_project, create_as_helm) as workspace:
        adopt_under_load(workspace)


def adopt_under_load(workspace: Workspace) -> None:
    """Adopt both releases under load. The output includes the command that makes Helm forget its release."""
    uids = workspace.uids()

    workspace.write_stack_file({})
    refused = workspace.slipway("adopt", "--yes")
    assert refused.returncode == 1, refused.stderr
    assert f'    {TUTORIAL}:\n      selector:\n        app: "{TUTORIAL}"\n' in refused.stderr
    assert "Traceback" not in refused.stderr
    managers = {entry["manager"] for entry in workspace.get("service", CHART)["metadata"]["managedFields"]}
    assert managers == {"helm"}, "the adoption was refused, but it changed the Service"

    workspace.write_stack_file({TUTORIAL: TUTORIAL_LABELS, CHART: CHART_LABELS})
    urllib3.disable_warnings()
    with (
        Load(unverified_pool(TUTORIAL), "/v1/shops", rate=25) as tutorial,
        Load(unverified_pool(CHART), "/v1/shops", rate=25) as chart,
        Replicas(TUTORIAL, workspace.namespace) as tutorial_replicas,
        Replicas(CHART, workspace.namespace) as chart_replicas,
    ):
        adopted = workspace.slipway("adopt", "--yes")
    assert adopted.returncode == 0, adopted.stdout + adopted.stderr
    assert "adopted 8 objects, 0 replaced" in adopted.stderr  # the namespace is one of them
    assert f"delete secret -l owner=helm,name={CHART}" in adopted.stderr
    assert tutorial.sent > 10 * 25
    assert (tutorial.lost, chart.lost) == ([], [])
    assert workspace.uids() == uids
    assert min(tutorial_replicas.observed | chart_replicas.observed) >= REPLICAS

    for name in KINDS:
        [container] = workspace.get("deployment", name)["spec"]["template"]["spec"]["containers"]
        assert container["name"] == name
        assert "FROM_BEFORE" not in json.dumps(container)
        assert [port["port"] for port in workspace.get("service", name)["spec"]["ports"]] == [80]
        assert "meta.helm.sh" not in json.dumps(workspace.get("ingress", name)["metadata"].get("annotations", {}))
    pulumi("preview", "--expect-no-changes", "-s", "dev", cwd=workspace.project, env=workspace.env)
    drift = workspace.slipway("drift")
    assert drift.returncode == 0, drift.stdout
    again = workspace.slipway("adopt", "--yes")
    assert (again.returncode, "nothing to adopt" in again.stderr) == (0, True), again.stderr
