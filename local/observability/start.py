"""`make observability`: Jaeger, VictoriaLogs and vlagent beside the local stack, in a namespace of their own.

They are compiled from Go modules, as the cluster is. `make up` neither builds nor starts them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from local.bootstrap import host
from local.bootstrap.toolchain import CLUSTER, INGRESS, GoProgram, Toolchain
from local.down import other_clone
from local.errors import SetupError, raise_errors
from local.node import daemons
from local.node.cluster import LocalCluster, image_reference, render
from local.node.names import CONTEXT, NODE_ADDRESS
from local.paths import ClonePaths, home, quoted, write
from local.progress import Runner, Screen, Step, Task
from local.stack import stack_file

NAMESPACE = "observability"
OBJECTS = "observability/objects.yaml"
WORKLOADS = ("deployment/jaeger", "deployment/victoria-logs", "daemonset/vlagent")

JAEGER = GoProgram(
    name="jaeger", folder="observability/jaeger", module="github.com/jaegertracing/jaeger",
    packages={"jaeger": "github.com/jaegertracing/jaeger/cmd/jaeger"},
    stamps=("github.com/jaegertracing/jaeger/internal/version.latestVersion=v{version}",),
)  # fmt: skip
VICTORIA_LOGS = GoProgram(
    name="victoria-logs", folder="observability/logs", module="github.com/VictoriaMetrics/VictoriaLogs",
    packages={name: f"github.com/VictoriaMetrics/VictoriaLogs/app/{name}" for name in ("victoria-logs", "vlagent")},
    stamps=("github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version=v{version}",),
)  # fmt: skip

MESSAGE = """
Traces:    kubectl -n observability port-forward service/jaeger 16686
           http://127.0.0.1:16686/api/traces/TRACE
Log lines: kubectl -n observability port-forward service/victoria-logs 9428
           http://127.0.0.1:9428/select/vmui
The stack sends its traces there once stacks/Pulumi.local.yaml says so:
  slipway:tracing:
    endpoint: http://jaeger.observability:4318
    namespace: observability
    podLabels: {app.kubernetes.io/name: jaeger}
To remove all of it: kubectl delete namespace observability
"""


class Observability:
    """The namespace with the stores of traces and log lines, on the cluster of one clone."""

    def __init__(self, paths: ClonePaths) -> None:
        self.paths = paths
        self.tools = Toolchain(paths, None)
        self.cluster = LocalCluster(
            paths, self.tools.cached(CLUSTER) / "slipway-cluster", self.tools.cached(INGRESS) / "traefik"
        )

    def steps(self) -> list[Step]:
        """Return the steps with their dependencies. Jaeger comes first: it takes several times as long to compile."""
        return [
            Step("Go", self.tools.find_go),
            Step("Jaeger", partial(self.build, program=JAEGER), after=("Go",)),
            Step("VictoriaLogs", partial(self.build, program=VICTORIA_LOGS), after=("Go",)),
            Step("images", self.import_images, after=("Jaeger", "VictoriaLogs")),
            Step("observability", self.apply, after=("images",)),
        ]

    def build(self, task: Task, program: GoProgram) -> str:
        return f"{program.version(self.paths.sources)} in {self.tools.build(task, program)}"

    def programs(self) -> dict[str, Path]:
        """Return the program of each image."""
        names = [(JAEGER, name) for name in JAEGER.packages] + [
            (VICTORIA_LOGS, name) for name in VICTORIA_LOGS.packages
        ]
        return {name: self.tools.cached(program) / name for program, name in names}

    def import_images(self, task: Task) -> str | None:
        return self.cluster.import_programs(task, self.programs())

    def apply(self, task: Task) -> str:
        """Apply the objects, and wait until their pods are ready."""
        rendered = self.paths.cluster / "etc" / "observability.yaml"
        write(rendered, objects((self.paths.sources / OBJECTS).read_text(), self.programs()))
        kubectl = [self.paths.bin / "kubectl", "--request-timeout=30s"]
        env = self.cluster.env
        task.run([*kubectl, "apply", "--server-side", "--force-conflicts", "-f", rendered], env=env)
        for workload in WORKLOADS:
            command = [self.paths.bin / "kubectl", "-n", NAMESPACE, "rollout", "status", workload, "--timeout=180s"]
            task.run(command, env=env, fix=f"run: . ./activate && kubectl -n {NAMESPACE} describe pods")
        return f"Jaeger, VictoriaLogs and vlagent are ready in the namespace {NAMESPACE}"


def run(paths: ClonePaths, screen: Screen) -> str:
    """Build what is missing, start all of it, and return the closing message."""
    started = Observability(paths)
    raise_errors(problems(started))
    Runner(paths.logs, screen).run(started.steps())
    return MESSAGE


def problems(started: Observability) -> list[SetupError]:
    """Return what would make a step fail: another cluster, one that does not run, or a full disk."""
    paths = started.paths
    if (context := stack_file.context(paths.stack_file.read_text())) != CONTEXT:
        cause = f"make observability is for the native cluster ({CONTEXT}); the local stack uses {context}"
        return [SetupError(cause, "name a collector of that cluster under slipway:tracing instead")]
    if other := other_clone(paths):
        cause = f"the local cluster of another clone runs on this machine: {other}"
        return [SetupError(cause, f"make -C {quoted(other)} observability")]
    if not started.cluster.processes.get("kube-apiserver"):
        return [SetupError("the local cluster does not run", "make up")]
    if all(started.tools.cached(program).is_dir() for program in (JAEGER, VICTORIA_LOGS)):
        return []
    needs = [host.DiskNeed(home() / ".cache" / "go-build", 4.0, "Go's caches")]
    return host.check_disk(needs, host.free_gigabytes)


def objects(text: str, programs: Mapping[str, Path]) -> str:
    """Return the text of the objects with all names filled in."""
    images = {f"{name.replace('-', '_').upper()}_IMAGE": image_reference(name, file) for name, file in programs.items()}
    values = {"POD_LOGS": str(daemons.DATA / "pod-logs"), "API_SERVER": NODE_ADDRESS}
    # Pods do not notice a new ConfigMap.
    values |= {"CONFIG_HASH": hashlib.sha256(text.encode()).hexdigest()[:8]}
    return render(text, {**images, **values}, f"local/{OBJECTS}")
