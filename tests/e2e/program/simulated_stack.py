"""A Pulumi stack whose pods are simulated: a thread writes the status of each pod, so no kubelet or image is needed."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightkube
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ApiError
from lightkube.resources.core_v1 import Pod
from lightkube.types import PatchType

PLUGIN = Path(os.environ.get("PULUMI_HOME", "~/.pulumi")).expanduser() / "plugins/resource-kubernetes-v4.32.0"
EXECUTABLE = PLUGIN / "pulumi-resource-kubernetes"
OFFLINE = EXECUTABLE.exists() and EXECUTABLE.read_bytes()[:2] == b"#!"

PREAMBLE = """
import os, pulumi, pulumi_kubernetes as k8s
provider = k8s.Provider("cluster", context=os.environ["E2E_CONTEXT"], cluster_identifier="e2e",
    enable_config_map_mutable=True, enable_secret_mutable=True, enable_server_side_apply=True)
ours = pulumi.ResourceOptions(provider=provider)
NS, NODE = os.environ["E2E_NAMESPACE"], os.environ["E2E_NODE"]
namespace = k8s.core.v1.Namespace("namespace", metadata={"name": NS}, opts=ours)
here = {"namespace": namespace.metadata.name}
def pods(**spec):
    container = {"name": "main", "image": "localhost:5000/none:1"} | spec
    return {"metadata": {"labels": {"app": "web"}},
            "spec": {"node_name": NODE, "termination_grace_period_seconds": 0, "containers": [container]}}
def deployment(replicas=2, deadline=600, **spec):
    # The official plugin keeps waiting after a missed progress deadline.
    annotations = {"pulumi.com/timeoutSeconds": "30"} if deadline < 30 else {}
    return k8s.apps.v1.Deployment("web", metadata=here | {"name": "web", "annotations": annotations}, spec={
        "replicas": replicas, "progress_deadline_seconds": deadline,
        "selector": {"match_labels": {"app": "web"}}, "template": pods(**spec)}, opts=ours)
"""


class Cluster:
    """A direct client of the API server under test, without Pulumi."""

    def __init__(self) -> None:
        self.client = lightkube.Client(field_manager="kubectl-edit")
        context = KubeConfig.from_file(os.environ.get("KUBECONFIG", "~/.kube/config")).current_context
        self.context = context or ""


class Kubelet(threading.Thread):
    """Sets the status of the pods on its node every 0.2 s, and completes their deletion."""

    def __init__(self, client: Any, namespace: str, node: str) -> None:
        super().__init__(daemon=True)
        self.client, self.namespace, self.node = client, namespace, node
        self.status: Callable[[Any], dict[str, Any]] = running
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.2):
            try:
                self._set_statuses()
            except ApiError:
                continue  # a pod was deleted between two requests

    def _set_statuses(self) -> None:
        for pod in self.client.list(Pod, namespace=self.namespace, fields={"spec.nodeName": self.node}):
            if pod.metadata.deletionTimestamp:
                self.client.delete(Pod, pod.metadata.name, namespace=self.namespace, grace_period=0)
                continue
            status = {"status": self.status(pod)}
            self.client.patch(
                Pod.Status, pod.metadata.name, status, namespace=self.namespace, patch_type=PatchType.MERGE
            )


def running(_: Any) -> dict[str, Any]:
    return _pod_status("Running", ready=True, state={"running": {"startedAt": "2026-01-01T00:00:00Z"}})


def waiting(reason: str, message: str) -> Callable[[Any], dict[str, Any]]:
    return lambda _: _pod_status("Pending", ready=False, state={"waiting": {"reason": reason, "message": message}})


def ended(exit_code: int, reason: str) -> Callable[[Any], dict[str, Any]]:
    phase = "Failed" if exit_code else "Succeeded"
    return lambda _: _pod_status(phase, ready=False, state={"terminated": {"exitCode": exit_code, "reason": reason}})


def _pod_status(phase: str, *, ready: bool, state: dict[str, Any]) -> dict[str, Any]:
    when, truth = "2026-01-01T00:00:00Z", "True" if ready else "False"
    container = {"name": "main", "ready": ready, "restartCount": 0, "image": "none", "imageID": "", "state": state}
    conditions = [
        {"type": kind, "status": value, "lastTransitionTime": when}
        for kind, value in (("PodScheduled", "True"), ("ContainersReady", truth), ("Ready", truth))
    ]
    addresses = {"podIP": "10.244.9.9", "podIPs": [{"ip": "10.244.9.9"}]}
    return {"phase": phase, "conditions": conditions, "containerStatuses": [container], **addresses}


class Stack:
    """A temporary Pulumi stack with its own program, state and namespace."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder, self.client = folder, cluster.client
        self.namespace = f"e2e-{secrets.token_hex(4)}"
        (folder / "state").mkdir()
        (folder / "Pulumi.yaml").write_text("name: e2e\nruntime: {name: python}\nconfig: {size: {default: 1}}\n")
        self.env = os.environ | {
            "PULUMI_BACKEND_URL": f"file://{folder}/state",
            "PULUMI_CONFIG_PASSPHRASE": "e2e",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "E2E_CONTEXT": cluster.context,
            "E2E_NAMESPACE": self.namespace,
            "E2E_NODE": self.namespace,
        }
        self.env.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)
        self.declare("")
        self.run("stack", "init", "e2e")

    def declare(self, program: str) -> None:
        (self.folder / "__main__.py").write_text(PREAMBLE + program)

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = ["pulumi", *words, "--non-interactive"]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.folder, env=self.env, text=True, stdout=pipe, stderr=subprocess.STDOUT
        )

    def run(self, *words: str, fails: bool = False) -> str:
        process = self.start(*words)
        output, _ = process.communicate(timeout=300)
        assert (process.returncode != 0) == fails, output
        return output

    def up(self, program: str | None = None, *, fails: bool = False) -> str:
        if program is not None:
            self.declare(program)
        return self.run("up", "--yes", "--skip-preview", fails=fails)

    def preview(self, program: str | None = None, *words: str, fails: bool = False) -> str:
        if program is not None:
            self.declare(program)
        return self.run("preview", "--diff", *words, fails=fails)

    def is_settled(self) -> bool:
        preview = self.start("preview", "--expect-no-changes")
        preview.communicate(timeout=300)
        return preview.returncode == 0

    def state(self) -> dict[str, Any]:
        resources = json.loads(self.run("stack", "export"))["deployment"]["resources"]
        return {resource["urn"].rpartition("::")[2]: resource for resource in resources}

    def live(self, kind: Any, name: str) -> Any:
        return self.client.get(kind, name, namespace=self.namespace)

    def exists(self, kind: Any, name: str) -> bool:
        try:
            self.live(kind, name)
        except ApiError as error:
            assert error.status.code == 404
            return False
        return True
