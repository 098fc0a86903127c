"""Deploy the local stack: log in to the state in .slipway, run `pulumi up`, and send a first request."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import urllib.parse
from pathlib import Path
from typing import Any

import httpx2

from local.errors import SetupError
from local.node.certificates import issue_ingress
from local.node.names import CONTEXT
from local.paths import ClonePaths, home, quoted
from local.processes import current_process
from local.progress import Step, Task
from local.stack import secrets, stack_file
from slipway.cluster import api_client
from slipway.cluster.kubeconfig import KubeconfigError, load
from slipway.project import PROJECT

STACK = "local"
# They would select another state or stack, or override the passphrase file.
REMOVED_VARIABLES = (
    "PULUMI_BACKEND_URL",
    "PULUMI_ACCESS_TOKEN",
    "PULUMI_CONFIG_PASSPHRASE",
    "PULUMI_STACK",
    "PULUMI_PROJECT",
)


class StackDeployment:
    """Deploys the local stack to the cluster of a kube context."""

    def __init__(self, paths: ClonePaths, context: str) -> None:
        self.paths = paths
        self.context = context
        self.outputs: dict[str, Any] = {}

    def steps(self) -> list[Step]:
        native = self.context == CONTEXT
        waits = ("stack", "containers", "ingress and DNS", "volumes", "data images") if native else ("stack",)
        prepare = Step("stack", self.prepare, after=("certificates",) if native else ())
        return [
            prepare,
            Step("pulumi up", self.up, after=waits),
            Step("first request", self.request, after=("pulumi up",)),
        ]

    @property
    def env(self) -> dict[str, str]:
        """The variables that ./activate sets, without those that would lead Pulumi to another state or cluster."""
        env = {name: value for name, value in os.environ.items() if name not in REMOVED_VARIABLES}
        env |= {
            "PATH": f"{self.paths.bin}:{self.paths.venv / 'bin'}:{os.environ.get('PATH', os.defpath)}",
            "VIRTUAL_ENV": str(self.paths.venv),
            "PULUMI_HOME": str(self.paths.pulumi_home),
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.paths.passphrase),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "HOME": str(home()),
        }
        return env | ({"KUBECONFIG": str(self.paths.kubeconfig)} if self.context == CONTEXT else {})

    def pulumi(self, *arguments: str) -> list[str]:
        return [str(self.paths.bin / "pulumi"), *arguments, "--non-interactive", "--color", "never"]

    def prepare(self, task: Task) -> str | None:
        """Create the secrets and the stack that do not exist yet."""
        messages = [f"created {name}" for name in secrets.create_secrets(self.paths)]
        if self.context != CONTEXT:
            check_context(self.context, task)
            issue_ingress(self.paths)
        if secrets.drop_foreign_salt(self.paths.stack_file, self.paths.passphrase):
            messages.append("removed the encryption salt of another passphrase from stacks/Pulumi.local.yaml")
        messages += self._select_stack(task)
        self._unlock(task)
        return ", ".join(messages) or None

    def _select_stack(self, task: Task) -> list[str]:
        """Log in to the state of this clone and create the stack, where this is not done yet."""
        messages: list[str] = []
        backend = "file://" + urllib.parse.quote(str(self.paths.pulumi_state))
        if not self._logged_in(backend):
            task.run(self.pulumi("login", backend), cwd=self.paths.clone, env=self.env)
            messages.append("logged in to .slipway/state")
        if not (self.paths.pulumi_state / ".pulumi" / "stacks" / PROJECT / f"{STACK}.json").exists():
            task.run(self.pulumi("stack", "select", "--create", STACK), cwd=self.paths.clone, env=self.env)
            messages.append(f"created stack {STACK}")
        return messages

    def _logged_in(self, backend: str) -> bool:
        try:
            return json.loads((self.paths.pulumi_home / "credentials.json").read_text()).get("current") == backend
        except (OSError, ValueError):
            return False

    def _unlock(self, task: Task) -> None:
        """Remove the lock of a Pulumi that was killed. Raise SetupError if it still runs."""
        for lock in (self.paths.pulumi_state / ".pulumi" / "locks").rglob(f"{PROJECT}/{STACK}/*.json"):
            pid = int(json.loads(lock.read_text()).get("pid", 0))
            if current_process(pid).alive:
                raise SetupError(
                    f"another Pulumi (pid {pid}) is updating stack {STACK}", "let it finish, then run `make up` again"
                )
            task.report(f"Pulumi (pid {pid}) was killed during an update: removing its lock")
            task.run(self.pulumi("cancel", "--yes", "--stack", STACK), cwd=self.paths.clone, env=self.env)

    def up(self, task: Task) -> str:
        # Without the preview, which would only print the same twice.
        command = self.pulumi("up", "--stack", STACK, "--yes", "--skip-preview", "--suppress-outputs")
        try:
            task.run(command, cwd=self.paths.clone, env=self.env, show=worth_showing)
        except SetupError as error:
            reason = first_error(task.log.read_text()) or error.cause
            fix = f"the whole log is {task.log}; try again with: . ./activate && pulumi up -s {STACK}"
            raise SetupError(f"{task.name}: {reason}", fix) from error
        finally:
            stack_file.hide_salt(self.paths.clone)
        output = self.pulumi("stack", "output", "--json", "--stack", STACK)
        self.outputs = json.loads(task.read(output, cwd=self.paths.clone, env=self.env))
        return f"stack {STACK} is up"

    def request(self, task: Task) -> str:
        """Request the check path over HTTPS through the ingress, and verify the certificate by the local CA."""
        url, path = self.outputs.get("url"), self.check_path
        if not url or self.context != CONTEXT:
            return f"skipped: {url or 'the stack has no url'}"
        last = ""

        def answers() -> bool:
            nonlocal last
            try:
                status, body = get(url, path, self.paths.ca_certificate)
                last = str(status) if status == 200 else f"{status} {body}"
                return status == 200
            except (OSError, http.client.HTTPException) as error:
                last = str(error)
                return False
            finally:
                task.write_log(last)

        try:
            task.wait_until(answers, "no answer", 120)
        except SetupError as error:
            raise SetupError(
                f"{url}{path} answers: {last}",
                f"{self.paths.bin / 'kubectl'} -n {self.outputs.get('namespace')} get pods,ingress",
            ) from error
        return f"{url}{path} answers {last}"

    @property
    def check_path(self) -> str:
        """Return the path that answers 200 to anybody, of the service at the first URL."""
        # Brings pydantic along, which no other step needs.
        from slipway.ops.program import config  # noqa: PLC0415

        services: dict[str, str] = self.outputs.get("services") or {}
        declared = config.settings(STACK).services
        return next((declared[name].check_path for name in services if name in declared), "/")

    def summary(self) -> str:
        """Return the URLs of the stack and the next commands for the user."""
        url, namespace = self.outputs.get("url"), self.outputs.get("namespace")
        services: dict[str, str] = self.outputs.get("services") or {}
        service = next(iter(services), "api")
        others = "".join(f"\n         {other}" for other in services.values() if other != url)
        logs = f"kubectl -n {namespace} logs -f --prefix --all-pods deployment/{service}"
        if self.context != CONTEXT:
            return (
                f"\n  URL    {url}{others}\n  logs   {logs.replace('kubectl', f'kubectl --context {self.context}')}\n"
            )
        # curl resolves *.localhost itself, but sends it to a proxy as it does any other name.
        proxied = any(os.environ.get(name) for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"))
        curl = "curl --noproxy '*'" if proxied else "curl"
        return (
            f"\n  URL    {url}{others}"
            f"\n  try    {curl} --cacert {quoted(self.paths.ca_certificate)} {url}{self.check_path}"
            f"\n  shell  . ./activate    (then use pulumi, kubectl and pytest directly)"
            f"\n  logs   . ./activate && {logs}"
            f"\n  stop   make down    (keeps the data; make clean removes it)\n"
        )


def worth_showing(line: str) -> bool:
    """Return whether a line of Pulumi shows a result or an error, and not only progress."""
    return "error" in line or not re.search(r"@ updating|(creat|updat|delet|replac|refresh|read)ing \(\d+s\)", line)


def first_error(log: str) -> str:
    """Return the first error in the log of Pulumi, without its resource."""
    match = re.search(r"\berror: (.*\S)", log)
    return match[1] if match else ""


def get(url: str, path: str, ca: Path) -> tuple[int, str]:
    """Send a request to 127.0.0.1 with the host of the URL, because not every resolver knows *.localhost."""
    host = urllib.parse.urlsplit(url).hostname or ""
    context = ssl.create_default_context(cafile=str(ca))
    with (
        socket.create_connection(("127.0.0.1", 443), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        connection = http.client.HTTPConnection(host)
        connection.sock = secure
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace").strip()


def check_context(context: str, task: Task) -> None:
    """Raise SetupError unless the kubeconfig of the user has the context, and its server answers."""
    where = f"stacks/Pulumi.local.yaml: slipway:cluster.context: {context}"
    try:
        access = load().access(context)
        server = api_client.http(access)
    except KubeconfigError as error:
        raise SetupError(f"{where}: {error}", f"use another context, or {CONTEXT} for the native cluster") from None
    try:
        with server:
            server.get("/version")
    except httpx2.TransportError as error:
        raise SetupError(
            f"{where}: its API server {access.server} cannot be reached: {error or type(error).__name__}",
            f"start that cluster, or use {CONTEXT} for the native cluster",
        ) from None
    task.report(f"using kube context {context} ({access.server})")
