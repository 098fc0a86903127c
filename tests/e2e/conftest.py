"""Fixtures and commands for the real engine, plugins, cluster, registry and app, as `make up` started them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3

from local.bootstrap import debian
from local.progress import Screen, Task

# Its asserts count as those of the tests that call it (tests/plugins/guard.py).
pytest.register_assert_rewrite("tests.e2e.json_api")

ROOT = Path(__file__).resolve().parents[2]
HOST = "api.slipway.localhost"
NAMESPACE = "slipway-local"
LOCAL = "stacks/Pulumi.local.yaml"
# The last key of the service `api` there. Tests add further keys of the service behind it.
NEEDS = "      needs: [mysql, redis]\n"
# Variable with the kubeconfig by which `pulumi()` logs in, instead of that of the cluster's administrator.
DEPLOYER = "SLIPWAY_TEST_DEPLOYER_KUBECONFIG"

Edit = Callable[[str, str, str], None]
"""Type of the fixture `edit`: file, old text, new text."""


def environment() -> dict[str, str]:
    """Return the environment that `. ./activate` sets up. The project is that of the working folder."""
    home = ROOT / ".slipway"
    return {
        **{name: value for name, value in os.environ.items() if name != "SLIPWAY_PROJECT"},
        "PATH": f"{home}/bin:{ROOT}/.venv/bin:{os.environ['PATH']}",
        "PULUMI_HOME": f"{home}/pulumi",
        "KUBECONFIG": f"{home}/kubeconfig",
        "PULUMI_CONFIG_PASSPHRASE_FILE": f"{home}/passphrase",
    }


def run(
    *command: str, cwd: Path = ROOT, ok: bool = True, env: dict[str, str] | None = None, seconds: int = 600
) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would. A failure shows its whole output."""
    done = subprocess.run(
        command, cwd=cwd, env=environment() | (env or {}), capture_output=True, text=True, timeout=seconds, check=False
    )
    if ok:
        assert done.returncode == 0, f"{' '.join(command)} -> {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def pulumi(
    *arguments: str, ok: bool = True, cwd: Path = ROOT, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `pulumi ... -s local`, unless another stack is named; as DEPLOYER if that is set."""
    stack = () if "-s" in arguments else ("-s", "local")
    login = {"KUBECONFIG": os.environ[DEPLOYER]} if DEPLOYER in os.environ else {}
    command = ("pulumi", *arguments, *stack, "--non-interactive", "--color", "never")
    return run(*command, ok=ok, cwd=cwd, env=login | (env or {}))


def up() -> str:
    """Run `pulumi up --yes`, and return its output."""
    return pulumi("up", "--yes", "--skip-preview").stdout


def outputs() -> dict[str, Any]:
    """Return the outputs of the stack."""
    return json.loads(pulumi("stack", "output", "--json").stdout)


def planned_changes() -> dict[str, str]:
    """Return the changes of a preview: `{"kubernetes:apps/v1:Deployment::api": "update"}`."""
    steps = json.loads(pulumi("preview", "--json").stdout)["steps"]
    named = {
        "::".join((step["urn"].split("::")[2].split("$")[-1], step["urn"].split("::")[3])): step["op"] for step in steps
    }
    return {urn: op for urn, op in named.items() if op != "same"}


def kubectl(*arguments: str, ok: bool = True) -> str:
    """Run `kubectl ... -n slipway-local`, and return its output."""
    return run("kubectl", "--context", "slipway-local", "-n", NAMESPACE, *arguments, ok=ok).stdout


def eventually(holds: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait until the condition holds, and return the seconds it took."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() < begin + seconds, f"not within {seconds} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - begin


def provide(folder: Path, packages: dict[str, str]) -> None:
    """Install the Debian packages whose programs are missing. `packages` is by program; the log is in the folder."""
    task = Task("packages", folder / "apt.log", Screen(sys.stderr), threading.Event())
    debian.install(task, [package for program, package in packages.items() if not debian.which(program)])


def running_pods(service: str | None = None) -> dict[str, int]:
    """Return the restarts of each pod that is not terminating, by name; of all services or of one."""
    chosen = ("-l", f"app.kubernetes.io/name={service}") if service else ()
    pods = json.loads(kubectl("get", "pods", *chosen, "-o", "json"))["items"]
    return {
        pod["metadata"]["name"]: sum(status["restartCount"] for status in pod["status"].get("containerStatuses", []))
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
    }


def variables() -> str:
    """Return the name of the ConfigMap with the variables of new pods of the API. It contains a hash of them."""
    pod = json.loads(kubectl("get", "deployment", "api", "-o", "json"))["spec"]["template"]["spec"]
    [source] = pod["containers"][0]["envFrom"]
    return source["configMapRef"]["name"]


def variable(name: str) -> str:
    """Return the value of a variable in new pods of the API."""
    return json.loads(kubectl("get", "configmap", variables(), "-o", "json"))["data"][name]


def history() -> list[dict[str, Any]]:
    """Return the releases, newest first, and check that no record is missing."""
    report = json.loads(run("./slipway", "history", "-s", "local", "--json").stdout)
    assert report["missing"] == []
    return report["history"]


def version(api: urllib3.HTTPSConnectionPool) -> str:
    """Return the version of the app that answers."""
    return api.request("GET", "/version").json()["version"]


class Replicas:
    """Collects the values of a Deployment's `replicas` during the `with` block."""

    def __init__(self, deployment: str, namespace: str = NAMESPACE) -> None:
        path = "jsonpath={.spec.replicas}{'\\n'}"
        where = ("--context", "slipway-local", "-n", namespace)
        self._command = ["kubectl", *where, "get", "deployment", deployment, "--watch", "-o", path]
        self.observed: set[int] = set()

    def __enter__(self) -> Replicas:
        self._watch = subprocess.Popen(self._command, env=environment(), stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.terminate()
        self.observed = {int(line) for line in self._watch.communicate()[0].split()}


def try_evict(pod: str, namespace: str = NAMESPACE) -> bool:
    """Evict a pod as `kubectl drain` does. Return False if the disruption budget refuses."""
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
    command = ["kubectl", "--context", "slipway-local", "create", "--raw", path, "-f", "-"]
    done = subprocess.run(
        command, input=json.dumps(eviction), capture_output=True, text=True, check=False, env=environment()
    )
    assert done.returncode == 0 or "disruption budget" in done.stderr, done.stderr
    return done.returncode == 0


def ingress_pool(host: str) -> urllib3.HTTPSConnectionPool:
    """Return connections to a host of the Ingress, verified with the local CA. No retries hide a lost request."""
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
    """Connections to the API, as its users reach it."""
    return ingress_pool(HOST)


@contextmanager
def edited() -> Generator[Edit]:
    """Yield a function that changes files of the project, which are restored at the end of the block."""
    before: dict[Path, bytes] = {}

    def change(name: str, old: str, new: str) -> None:
        file = ROOT / name
        content = file.read_bytes()
        before.setdefault(file, content)
        assert old.encode() in content, f"{name} does not contain {old!r}"
        file.write_bytes(content.replace(old.encode(), new.encode(), 1))

    try:
        yield change
    finally:
        for file, content in before.items():
            file.write_bytes(content)


@pytest.fixture
def edit() -> Generator[Edit]:
    """`edit("app/x.go", "old", "new")` changes a file of the project, which is restored when the test ends."""
    with edited() as change:
        yield change


@pytest.fixture
def copy_of_project(tmp_path: Path) -> Path:
    """Copy the files that git tracks or would add to another folder with a state of its own."""
    copy = tmp_path / "slipway"
    files = run("git", "ls-files", "--cached", "--others", "--exclude-standard").stdout.splitlines()
    for name in files:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    (tmp_path / "state").mkdir()
    return copy
