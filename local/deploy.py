"""The last mile: log in to the state in .slipway, `pulumi up`, and the first request."""

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

import api_client
import httpx2
from kubeconfig import KubeconfigError, load

from . import secrets, stack_file
from .certificates import issue_ingress
from .names import CONTEXT
from .places import Places, home, quoted
from .problems import Problem
from .progress import Step, Task

PROJECT, STACK = "slipway", "local"
# They would send the stack elsewhere, or beat the passphrase file.
FOREIGN = ("PULUMI_BACKEND_URL", "PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_STACK", "PULUMI_PROJECT")


class Deployment:
    """The local stack: prepared, brought up, asked for an answer."""

    def __init__(self, places: Places, context: str) -> None:
        self.places = places
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
        """What ./activate sets, and nothing that would lead Pulumi to another state or another cluster."""
        env = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        env |= {
            "PATH": f"{self.places.bin}:{self.places.venv / 'bin'}:{os.environ.get('PATH', os.defpath)}",
            "VIRTUAL_ENV": str(self.places.venv),
        }
        env |= {
            "PULUMI_HOME": str(self.places.pulumi_home),
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.places.passphrase),
        }
        env |= {"PULUMI_SKIP_UPDATE_CHECK": "true", "HOME": str(home())}
        return env | ({"KUBECONFIG": str(self.places.kubeconfig)} if self.context == CONTEXT else {})

    def pulumi(self, *arguments: str) -> list[str]:
        return [str(self.places.bin / "pulumi"), *arguments, "--non-interactive", "--color", "never"]

    def prepare(self, task: Task) -> str | None:
        """Secrets, login, and the stack; what is there is left alone."""
        told = [f"made {name}" for name in secrets.make(self.places)]
        if self.context != CONTEXT:
            check_context(self.context, task)
            issue_ingress(self.places)
        if secrets.repair(self.places.stack_file, self.places.passphrase):
            told.append("dropped an encryption salt of another passphrase from stacks/Pulumi.local.yaml")
        backend = "file://" + urllib.parse.quote(str(self.places.pulumi_state))
        if not self._logged_in(backend):
            task.run(self.pulumi("login", backend), cwd=self.places.clone, env=self.env)
            told.append("logged in to .slipway/state")
        if not (self.places.pulumi_state / ".pulumi" / "stacks" / PROJECT / f"{STACK}.json").exists():
            task.run(self.pulumi("stack", "select", "--create", STACK), cwd=self.places.clone, env=self.env)
            told.append(f"created stack {STACK}")
        self._unlock(task)
        return ", ".join(told) or None

    def _logged_in(self, backend: str) -> bool:
        try:
            return json.loads((self.places.pulumi_home / "credentials.json").read_text()).get("current") == backend
        except (OSError, ValueError):
            return False

    def _unlock(self, task: Task) -> None:
        """Remove the lock of a Pulumi that was killed; Problem if it still works."""
        for lock in (self.places.pulumi_state / ".pulumi" / "locks").rglob(f"{PROJECT}/{STACK}/*.json"):
            pid = int(json.loads(lock.read_text()).get("pid", 0))
            if runs(pid):
                raise Problem(
                    f"another Pulumi (pid {pid}) is working on stack {STACK}", "let it finish, then run `make up` again"
                )
            task.say(f"Pulumi (pid {pid}) was killed at work: removing its lock")
            task.run(self.pulumi("cancel", "--yes", "--stack", STACK), cwd=self.places.clone, env=self.env)

    def up(self, task: Task) -> str:
        # Without the preview, which would only tell the same twice.
        command = self.pulumi("up", "--stack", STACK, "--yes", "--skip-preview", "--suppress-outputs")
        try:
            task.run(command, cwd=self.places.clone, env=self.env, show=worth_showing)
        except Problem as problem:
            reason = first_error(task.log.read_text()) or problem.cause
            fix = f"the whole story is in {task.log}; try again with: . ./activate && pulumi up -s {STACK}"
            raise Problem(f"{task.name}: {reason}", fix) from problem
        finally:
            stack_file.hide_salt(self.places.clone)
        output = self.pulumi("stack", "output", "--json", "--stack", STACK)
        self.outputs = json.loads(task.read(output, cwd=self.places.clone, env=self.env))
        return f"stack {STACK} is up"

    def request(self, task: Task) -> str:
        """The app's answer over HTTPS, through the ingress, checked against the local CA."""
        url, version = self.outputs.get("url"), self.outputs.get("version")
        if not url or self.context != CONTEXT:
            return f"not made: {url or 'the stack has no url'}"
        seen = ""

        def answers() -> bool:
            nonlocal seen
            try:
                status, body = get(url, "/version", self.places.ca_certificate)
                seen = f"{status} {body}"
                return status == 200 and (not version or version in body)
            except (OSError, http.client.HTTPException) as error:
                seen = str(error)
                return False
            finally:
                task.note(seen)

        try:
            task.until(answers, f"{version or 200} from {url}/version", 120)
        except Problem as problem:
            raise Problem(
                f"{url}/version answers: {seen}",
                f"{self.places.bin / 'kubectl'} -n {self.outputs.get('namespace')} get pods,ingress",
            ) from problem
        return f"{url}/version answers {seen}"

    def farewell(self) -> str:
        """What one can do now."""
        url, namespace = self.outputs.get("url"), self.outputs.get("namespace")
        services: dict[str, str] = self.outputs.get("services") or {}
        service = next(iter(services), "api")
        others = "".join(f"\n         {other}" for other in services.values() if other != url)
        look = f"kubectl -n {namespace} logs -f --prefix --all-pods deployment/{service}"
        if self.context != CONTEXT:
            return (
                f"\n  URL    {url}{others}\n  logs   {look.replace('kubectl', f'kubectl --context {self.context}')}\n"
            )
        # curl knows *.localhost, but asks a proxy for it like for any other name.
        proxied = any(os.environ.get(name) for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"))
        curl = "curl --noproxy '*'" if proxied else "curl"
        return (
            f"\n  URL    {url}{others}"
            f"\n  try    {curl} --cacert {quoted(self.places.ca_certificate)} {url}/version"
            f"\n  shell  . ./activate    (then pulumi, kubectl and pytest work as they are)"
            f"\n  logs   . ./activate && {look}"
            f"\n  stop   make down    (keeps the data; make clean removes it)\n"
        )


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def worth_showing(line: str) -> bool:
    """What was done, and what went wrong; not each breath of what is being done."""
    return "error" in line or not re.search(r"@ updating|(creat|updat|delet|replac|refresh|read)ing \(\d+s\)", line)


def first_error(log: str) -> str:
    """The first thing Pulumi calls an error, without the resource it stands beside."""
    found = re.search(r"\berror: (.*\S)", log)
    return found[1] if found else ""


def get(url: str, path: str, ca: Path) -> tuple[int, str]:
    """Ask 127.0.0.1 under the URL's name: *.localhost is known to curl and browsers, but not to every resolver."""
    host = urllib.parse.urlsplit(url).hostname or ""
    context = ssl.create_default_context(cafile=str(ca))
    with (
        socket.create_connection(("127.0.0.1", 443), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        connection = http.client.HTTPConnection(host)
        connection.sock = secure
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace").strip()


def check_context(context: str, task: Task) -> None:
    """Problem unless the user's kubeconfig has the context, and its server answers."""
    where = f"stacks/Pulumi.local.yaml: slipway:cluster.context: {context}"
    try:
        access = load().access(context)
        server = api_client.http(access)
    except KubeconfigError as error:
        raise Problem(f"{where}: {error}", f"name another context, or {CONTEXT} for the native cluster") from None
    try:
        with server:
            server.get("/version")
    except httpx2.TransportError as error:
        raise Problem(
            f"{where}: its API server {access.server} cannot be reached: {error or type(error).__name__}",
            f"start that cluster, or name {CONTEXT} for the native cluster",
        ) from None
    task.say(f"kube context {context} ({access.server}), already there")
