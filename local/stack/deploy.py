"""Deploy the local stack: log in to the state in .slipway, run `pulumi up`, and send a first request."""

from __future__ import annotations

import functools
import json
import os
import re
import urllib.parse
from typing import Any

from local.errors import SetupError
from local.node import data_images
from local.node.certificates import issue_ingress
from local.node.names import CONTEXT, LOCAL_REPOSITORIES
from local.paths import ClonePaths, home, quoted
from local.processes import current_process
from local.progress import Step, Task
from local.stack import first_request, secrets, stack_file
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
        waits = ("containers", "ingress and DNS", "volumes") if native else ("cluster",)
        cluster = [] if native else [Step("cluster", self.check_cluster)]
        return [
            *cluster,
            Step("data images", self.data_images, after=("containers",) if native else ("cluster",)),
            Step("stack", self.prepare, after=("certificates",) if native else ("cluster",)),
            Step("pulumi up", self.up, after=("stack", "data images", *waits)),
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

    def check_cluster(self, task: Task) -> str:
        """Check that the cluster, which is not ours, and its registry have what the stack file names."""
        from local.stack import other_cluster  # noqa: PLC0415 - slow to import, and not needed on the native cluster

        other_cluster.check(task, other_cluster.read_settings())
        return f"{self.context} has what the stack file names"

    def data_images(self, task: Task) -> str | None:
        """Build the images of the stores that name none, and deliver them as the image of the app is."""
        if self.context == CONTEXT:
            return data_images.provide(task, self.paths, LOCAL_REPOSITORIES, CONTEXT)
        from local.stack import other_cluster  # noqa: PLC0415

        repositories = other_cluster.repositories(other_cluster.read_settings())
        return data_images.provide(task, self.paths, repositories, self.context)

    def prepare(self, task: Task) -> str | None:
        """Create the secrets and the stack that do not exist yet."""
        messages = [f"created {name}" for name in secrets.create_secrets(self.paths)]
        if self.context != CONTEXT:
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
        self._end_dev_builds(task)
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

    def _end_dev_builds(self, task: Task) -> None:
        """Put the release back where a killed `./slipway dev` left its build: Pulumi would leave it, or be refused."""
        import pulumi  # noqa: PLC0415 - not before .venv is there

        from slipway.cluster.kubeconfig import KubeconfigError, load  # noqa: PLC0415
        from slipway.ops.cluster import dev_build  # noqa: PLC0415
        from slipway.ops.cluster.connection import StackCluster  # noqa: PLC0415
        from slipway.ops.errors import UserError  # noqa: PLC0415
        from slipway.ops.program import config  # noqa: PLC0415

        try:
            access = load(str(self.paths.kubeconfig) if self.context == CONTEXT else "").access(self.context)
            cluster = StackCluster(STACK, config.settings(STACK), access)
            for line in dev_build.put_back_each(cluster, dev_build.marked(cluster)):
                task.report(line)
        except (KubeconfigError, UserError) as error:
            task.report(f"not checked for builds of ./slipway dev: {error}")
        except pulumi.RunError:
            return  # `pulumi up`, which follows, says what is wrong with the stack file

    def request(self, task: Task) -> str:
        """Request the check path through the ingress, and verify the certificate by the local CA."""
        url, path = self.outputs.get("url"), self.check_path
        if not url:
            return "skipped: the stack has no url"
        namespace, last = str(self.outputs.get("namespace")), ""
        native = self.context == CONTEXT
        addresses = first_request.addresses(url, [] if native else self._ingress_addresses(namespace))

        def answers() -> bool:
            nonlocal last
            status, last = first_request.get(url, path, self.paths.ca_certificate, addresses)
            task.write_log(last)
            return status == 200

        try:
            task.wait_until(answers, "no answer", 120)
        except SetupError as error:
            look = f"kubectl -n {namespace} get pods,ingress"
            fix = f"{self.paths.bin / look}"
            if not native:
                fix = first_request.unreached(last, look, self.context, addresses)
            raise SetupError(f"{url}{path} answers: {last}", fix) from error
        return f"{url}{path} answers {last}"

    @functools.cached_property
    def check_path(self) -> str:
        """Return the path that answers 200 to anybody, of the service at the first URL."""
        # Brings pydantic along, which no other step needs.
        from slipway.ops.program import config  # noqa: PLC0415

        services: dict[str, str] = self.outputs.get("services") or {}
        declared = config.settings(STACK).services
        return next((declared[name].check_path for name in services if name in declared), "/")

    def _ingress_addresses(self, namespace: str) -> list[str]:
        from local.stack import other_cluster  # noqa: PLC0415

        return other_cluster.ingress_addresses(self.context, namespace)

    def summary(self) -> str:
        """Return the URLs of the stack and the next commands for the user."""
        url, namespace = self.outputs.get("url"), self.outputs.get("namespace")
        services: dict[str, str] = self.outputs.get("services") or {}
        service = next(iter(services), "api")
        others = "".join(f"\n         {other}" for other in services.values() if other != url)
        logs = f"kubectl -n {namespace} logs -f --prefix --all-pods deployment/{service}"
        # curl resolves *.localhost itself, but sends it to a proxy as it does any other name.
        proxied = any(os.environ.get(name) for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"))
        curl = "curl --noproxy '*'" if proxied else "curl"
        head = (
            f"\n  URL    {url}{others}"
            f"\n  try    {curl} --cacert {quoted(self.paths.ca_certificate)} {url}{self.check_path}"
            f"\n  shell  . ./activate    (then use pulumi, kubectl and pytest directly)"
        )
        if self.context != CONTEXT:
            logs = logs.replace("kubectl", f"kubectl --context {self.context}")
            return f"{head}\n  logs   {logs}\n  stop   ./slipway destroy -s {STACK}    (deletes the data)\n"
        return (
            f"{head}\n  logs   . ./activate && {logs}\n  stop   make down    (keeps the data; make clean removes it)\n"
        )


def worth_showing(line: str) -> bool:
    """Return whether a line of Pulumi shows a result or an error, and not only progress."""
    return "error" in line or not re.search(r"@ updating|(creat|updat|delet|replac|refresh|read)ing \(\d+s\)", line)


def first_error(log: str) -> str:
    """Return the first error in the log of Pulumi, without its resource."""
    match = re.search(r"\berror: (.*\S)", log)
    return match[1] if match else ""
