"""An example of examples/, copied and deployed to the local cluster beside the main stack."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from tests.e2e.conftest import ROOT, eventually, ingress_pool, pulumi, run, try_evict

OK = 200


@dataclass(frozen=True)
class Example:
    """A copy of an example, which its own stack deploys. `services` are its Deployments."""

    folder: Path
    services: tuple[str, ...]
    host: str = ""
    """Host of its Ingress; empty for a worker."""
    path: str = ""
    """What the load asks for."""

    @property
    def name(self) -> str:
        """Name of the example, and of its project."""
        return self.folder.name

    @property
    def namespace(self) -> str:
        """Namespace of its stack."""
        return f"{self.name}-local"

    def deploy(self) -> float:
        """Deploy it for the first time, as its README does. Return the seconds until it answers over HTTPS."""
        begin = time.monotonic()
        self.pulumi("stack", "select", "--create")
        self.slipway("up", "--yes")
        if self.host:
            eventually(lambda: self.get(self.path).status == OK, 60, f"{self.name} answers")
        return time.monotonic() - begin

    def destroy(self) -> None:
        """Destroy the stack and its state, and check that nothing is left."""
        self.pulumi("destroy", "--yes", "--skip-preview")
        self.pulumi("stack", "rm", "--yes", "--preserve-config")
        left = run("kubectl", "--context", "slipway-local", "get", "namespace", self.namespace, ok=False)
        assert "NotFound" in left.stderr

    def slipway(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the CLI of this clone in the example's folder."""
        return run(str(ROOT / "slipway"), *arguments, "-s", "local", cwd=self.folder, ok=ok)

    def pulumi(self, *arguments: str) -> str:
        """Run `pulumi ... -s local` in the example's folder, and return its output."""
        return pulumi(*arguments, cwd=self.folder).stdout

    def up(self) -> None:
        """Run `pulumi up --yes`, which has no canary."""
        self.pulumi("up", "--yes", "--skip-preview")

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the example's namespace, and return its output."""
        return run("kubectl", "--context", "slipway-local", "-n", self.namespace, *arguments).stdout

    def pods(self, service: str) -> list[dict[str, Any]]:
        """Return the pods of a service that are not terminating."""
        listed = json.loads(self.kubectl("get", "pods", "-l", f"app.kubernetes.io/name={service}", "-o", "json"))
        return [pod for pod in listed["items"] if "deletionTimestamp" not in pod["metadata"]]

    def pod_names(self, service: str) -> set[str]:
        """Return the names of these pods."""
        return {pod["metadata"]["name"] for pod in self.pods(service)}

    def pod_spec(self, service: str) -> dict[str, Any]:
        """Return the pod spec of a Deployment."""
        return json.loads(self.kubectl("get", "deployment", service, "-o", "json"))["spec"]["template"]["spec"]

    def images(self) -> dict[str, str]:
        """Return the image of each Deployment."""
        return {service: self.pod_spec(service)["containers"][0]["image"] for service in self.services}

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        """Send a request through the Ingress, on a connection of its own."""
        return self.request("GET", path)

    def request(self, method: str, path: str, body: bytes | None = None) -> urllib3.BaseHTTPResponse:
        """Send a request through the Ingress, on a connection of its own."""
        with ingress_pool(self.host) as pool:
            return pool.request(method, path, body=body)

    def edit(self, file: str, old: str, new: str) -> None:
        """Change a file of the copy for good."""
        text = (self.folder / file).read_text()
        assert old in text, f"{file} does not contain {old!r}"
        (self.folder / file).write_text(text.replace(old, new, 1))

    def planned_changes(self) -> dict[str, str]:
        """Return what a preview would change: `{"Deployment::prices": "update"}`."""
        steps = json.loads(self.pulumi("preview", "--json"))["steps"]
        kinds = {step["urn"]: step["urn"].split("::")[2].rpartition(":")[2] for step in steps}
        return {f"{kinds[s['urn']]}::{s['urn'].split('::')[3]}": s["op"] for s in steps if s["op"] != "same"}

    def evict_all(self) -> None:
        """Evict each pod of the first service as a node's drain does, one after the other as its budget allows."""
        service = self.services[0]
        for name in sorted(self.pod_names(service)):
            eventually(lambda name=name: try_evict(name, self.namespace), 90, f"{name} is evicted")
        self.kubectl("rollout", "status", f"deployment/{service}", "--timeout=90s")


def copied(name: str, clone: Path, services: tuple[str, ...], host: str = "", path: str = "") -> Example:
    """Copy an example below a folder that has the .slipway of this clone, where its local stack file expects it."""
    link = clone / ".slipway"
    if not link.is_symlink():
        link.symlink_to(ROOT / ".slipway")
    folder = clone / "examples" / name
    shutil.copytree(ROOT / "examples" / name, folder, ignore=shutil.ignore_patterns(".slipway", "__pycache__"))
    return Example(folder, services, host, path)
