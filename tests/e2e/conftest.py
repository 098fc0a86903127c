"""The real thing: engine, plugins, cluster, registry and app of this clone, as `make up` left them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from local.bootstrap import debian
from local.progress import Screen, Task

ROOT = Path(__file__).resolve().parents[2]
HOST = "api.slipway.localhost"
NAMESPACE = "slipway-local"
LOCAL = "stacks/Pulumi.local.yaml"
# The last key of the service `api` there: behind it stands what a test adds to that service.
NEEDS = "      needs: [mysql, redis]\n"

Edit = Callable[[str, str, str], None]
"""What the fixture `edit` gives: a file, what stands there, what takes its place."""


def environment() -> dict[str, str]:
    """What `. ./activate` gives a user, and nothing more."""
    home = ROOT / ".slipway"
    return {
        **os.environ,
        "PATH": f"{home}/bin:{ROOT}/.venv/bin:{os.environ['PATH']}",
        "PULUMI_HOME": f"{home}/pulumi",
        "KUBECONFIG": f"{home}/kubeconfig",
        "PULUMI_CONFIG_PASSPHRASE_FILE": f"{home}/passphrase",
    }


def run(
    *command: str, cwd: Path = ROOT, ok: bool = True, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would; its whole output is in the failure."""
    done = subprocess.run(
        command, cwd=cwd, env=environment() | (env or {}), capture_output=True, text=True, timeout=600, check=False
    )
    if ok:
        assert done.returncode == 0, f"{' '.join(command)} -> {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def pulumi(
    *arguments: str, ok: bool = True, cwd: Path = ROOT, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`pulumi ... -s local`, unless another stack is named."""
    stack = () if "-s" in arguments else ("-s", "local")
    return run("pulumi", *arguments, *stack, "--non-interactive", "--color", "never", ok=ok, cwd=cwd, env=env)


def up() -> str:
    """`pulumi up --yes`; what it printed."""
    return pulumi("up", "--yes", "--skip-preview").stdout


def outputs() -> dict[str, Any]:
    """The stack's outputs: the contract."""
    return json.loads(pulumi("stack", "output", "--json").stdout)


def planned_changes() -> dict[str, str]:
    """What a preview would change: `{"kubernetes:apps/v1:Deployment::api": "update"}`, without what stays the same."""
    steps = json.loads(pulumi("preview", "--json").stdout)["steps"]
    named = {
        "::".join((step["urn"].split("::")[2].split("$")[-1], step["urn"].split("::")[3])): step["op"] for step in steps
    }
    return {urn: op for urn, op in named.items() if op != "same"}


def kubectl(*arguments: str, ok: bool = True) -> str:
    """`kubectl ... -n slipway-local`."""
    return run("kubectl", "--context", "slipway-local", "-n", NAMESPACE, *arguments, ok=ok).stdout


def eventually(holds: Callable[[], bool], seconds: float, what: str) -> float:
    """Seconds until it holds."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() < begin + seconds, f"not within {seconds} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - begin


def provide(folder: Path, packages: dict[str, str]) -> None:
    """Have apt install the Debian packages whose programs are not here; `packages` is by program, the log in folder."""
    task = Task("packages", folder / "apt.log", Screen(sys.stderr), threading.Event())
    debian.install(task, [package for program, package in packages.items() if not debian.which(program)])


def running_pods(service: str | None = None) -> dict[str, int]:
    """Restarts of each pod that is not on its way out, by name; of all, or of one service."""
    chosen = ("-l", f"app.kubernetes.io/name={service}") if service else ()
    pods = json.loads(kubectl("get", "pods", *chosen, "-o", "json"))["items"]
    return {
        pod["metadata"]["name"]: sum(status["restartCount"] for status in pod["status"].get("containerStatuses", []))
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
    }


def variables() -> str:
    """Name of the ConfigMap with the variables that new pods of the API get; it says what is in it."""
    pod = json.loads(kubectl("get", "deployment", "api", "-o", "json"))["spec"]["template"]["spec"]
    [source] = pod["containers"][0]["envFrom"]
    return source["configMapRef"]["name"]


def variable(name: str) -> str:
    """A variable as new pods of the API get it."""
    return json.loads(kubectl("get", "configmap", variables(), "-o", "json"))["data"][name]


def history() -> list[dict[str, Any]]:
    """The newest first; nothing may be missing."""
    told = json.loads(run("./slipway", "history", "-s", "local", "--json").stdout)
    assert told["missing"] == []
    return told["history"]


def version(api: urllib3.HTTPSConnectionPool) -> str:
    """The version that answers."""
    return api.request("GET", "/version").json()["version"]


class Replicas:
    """Every number of pods a Deployment asks for, from entering until leaving the `with` block."""

    def __init__(self, deployment: str, namespace: str = NAMESPACE) -> None:
        path = "jsonpath={.spec.replicas}{'\\n'}"
        where = ("--context", "slipway-local", "-n", namespace)
        self._command = ["kubectl", *where, "get", "deployment", deployment, "--watch", "-o", path]
        self.seen: set[int] = set()

    def __enter__(self) -> Replicas:
        self._watch = subprocess.Popen(self._command, env=environment(), stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.terminate()
        self.seen = {int(line) for line in self._watch.communicate()[0].split()}


def evicted(pod: str, namespace: str = NAMESPACE) -> bool:
    """Ask as `kubectl drain` does; False when the disruption budget says not now."""
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
    command = ["kubectl", "--context", "slipway-local", "create", "--raw", path, "-f", "-"]
    done = subprocess.run(
        command, input=json.dumps(eviction), capture_output=True, text=True, check=False, env=environment()
    )
    assert done.returncode == 0 or "disruption budget" in done.stderr, done.stderr
    return done.returncode == 0


def served(host: str) -> urllib3.HTTPSConnectionPool:
    """A host of the Ingress, on HTTPS, verified with the local CA. No retries: what is lost counts."""
    return urllib3.HTTPSConnectionPool(
        "127.0.0.1",
        443,
        ca_certs=str(ROOT / ".slipway" / "ca.crt"),
        server_hostname=host,
        assert_hostname=host,
        headers={"Host": host},
        timeout=10,
        retries=False,
        maxsize=20,
    )


@pytest.fixture(scope="session")
def api() -> urllib3.HTTPSConnectionPool:
    """The API, as its users reach it."""
    return served(HOST)


@pytest.fixture
def edit() -> Generator[Edit]:
    """`edit("app/x.go", "old", "new")`: change a file of the project; it is put back when the test ends."""
    before: dict[Path, bytes] = {}

    def change(name: str, old: str, new: str) -> None:
        file = ROOT / name
        content = file.read_bytes()
        before.setdefault(file, content)
        assert old.encode() in content, f"{name} does not hold {old!r}"
        file.write_bytes(content.replace(old.encode(), new.encode(), 1))

    yield change
    for file, content in before.items():
        file.write_bytes(content)


@pytest.fixture
def copy_of_project(tmp_path: Path) -> Path:
    """The project as git has it, in another folder with a state of its own: the clone stays as it is."""
    copy = tmp_path / "slipway"
    files = run("git", "ls-files", "--cached", "--others", "--exclude-standard").stdout.splitlines()
    for name in files:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    (tmp_path / "state").mkdir()
    return copy
