"""The whole life of a stack under the Role of `./slipway access deployer`, and under no other permission.

Each test works with the token of a ServiceAccount on the local cluster. Only what an administrator does, such as
applying the Role, uses the kubeconfig of the cluster.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from slipway.image.reference import parts
from slipway.ops.access.manifests import account_of
from slipway.ops.access.roles import ROLES
from slipway.ops.program import config
from slipway.ops.program.recorder import declare
from tests.e2e import conftest as e2e
from tests.e2e.canaries import canary
from tests.e2e.cluster.test_adopt import Workspace
from tests.e2e.cluster.test_releases import IMPATIENT, SERVICES
from tests.e2e.conftest import LOCAL, NAMESPACE, NEEDS, ROOT, Edit, eventually, history, outputs, run, variable
from tests.e2e.load import Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

# Fixtures; pytest looks for them in the module that uses them.
api, edit, copy_of_project = e2e.api, e2e.edit, e2e.copy_of_project

FOR_AN_HOUR = "--duration=1h"


@dataclass(frozen=True)
class Member:
    """Somebody with the role of a stack, and with nothing else."""

    kubeconfig: Path

    def run(self, *command: str, ok: bool = True, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
        return run(*command, ok=ok, cwd=cwd, env={**env, "KUBECONFIG": str(self.kubeconfig)})

    def slipway(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("./slipway", *arguments, "-s", "local", ok=ok)

    def may(self, *request: str, namespace: str = NAMESPACE) -> bool:
        return self.run("kubectl", "auth", "can-i", *request, "-n", namespace, ok=False).stdout.strip() == "yes"


def admin(*arguments: str, text: str | None = None) -> str:
    """Run kubectl as the administrator of the cluster."""
    command = ["kubectl", "--context", "slipway-local", *arguments]
    done = subprocess.run(command, input=text, env=e2e.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def apply_role(role: str, stack: str = "local", cwd: Path = ROOT) -> str:
    """Give a role of a stack to its ServiceAccount, as the administrator does; return what was applied."""
    printed = run("./slipway", "access", role, "-s", stack, cwd=cwd).stdout
    admin("apply", "-f", "-", text=printed)
    return printed


def member(folder: Path, account: str, namespace: str = NAMESPACE) -> Member:
    """Return the member that logs in with a token of a ServiceAccount."""
    token = admin("create", "token", account, "-n", namespace, FOR_AN_HOUR).strip()
    kubeconfig: dict[str, Any] = json.loads((ROOT / ".slipway" / "kubeconfig").read_text())
    for entry in kubeconfig["users"]:
        entry["user"] = {"token": token}
    file = folder / "kubeconfig"
    file.touch(mode=0o600)
    file.write_text(json.dumps(kubeconfig))
    return Member(file)


@pytest.fixture(scope="module")
def deployer(tmp_path_factory: pytest.TempPathFactory) -> Generator[Member]:
    e2e.up()
    printed = apply_role("deployer")
    yield member(tmp_path_factory.mktemp("deployer"), account_of("deployer"))
    admin("delete", "--ignore-not-found", "-f", "-", text=printed)


@pytest.fixture(scope="module")
def previewer(tmp_path_factory: pytest.TempPathFactory) -> Generator[Member]:
    printed = apply_role("previewer")
    yield member(tmp_path_factory.mktemp("previewer"), account_of("previewer"))
    admin("delete", "--ignore-not-found", "-f", "-", text=printed)


Listed = set[tuple[str, str, str]]
"""Kind with its group, name of the object or nothing, and verb."""


def listed_by(*options: str, kubeconfig: Path | None = None) -> Listed:
    """Return what `kubectl auth can-i --list` prints, without permissions for URLs."""
    login = ["--kubeconfig", str(kubeconfig)] if kubeconfig else []
    text = admin("auth", "can-i", "--list", "--no-headers", "-n", NAMESPACE, *login, *options)
    rows = re.findall(r"^(\S+)\s+\[.*?\]\s+\[(.*?)\]\s+\[(.*?)\]$", text, re.MULTILINE)
    return {
        (resource, name, verb)
        for resource, names, verbs in rows
        for name in names.split() or [""]
        for verb in verbs.split()
    }


# The permissions ------------------------------------------------------------------------------------------------------


@pytest.mark.feature("I5")
@pytest.mark.parametrize("role", ROLES)
def test_the_cluster_lists_exactly_the_generated_permissions(role: str, deployer: Member, previewer: Member):
    permissions = ROLES[role](declare("local"), config.settings("local"))
    generated = {
        (f"{one.resource}.{one.group}" if one.group else one.resource, one.name, one.verb) for one in permissions
    }
    # Kubernetes lets everyone who is logged in ask about themselves.
    groups = ("--as-group=system:authenticated", "--as-group=system:serviceaccounts")
    everyone = listed_by(f"--as=system:serviceaccount:{NAMESPACE}:nobody", *groups)
    kubeconfig = {"deployer": deployer, "previewer": previewer}[role].kubeconfig
    assert listed_by(kubeconfig=kubeconfig) - everyone == generated


def test_a_deployer_has_no_permission_outside_the_namespace(deployer: Member):
    assert deployer.may("create", "deployments.apps")
    for request in (("get", "secrets"), ("create", "pods"), ("list", "pods"), ("create", "deployments.apps")):
        assert not deployer.may(*request, namespace="default"), request
    for request in (("create", "namespaces"), ("delete", f"namespaces/{NAMESPACE}"), ("get", "namespaces/kube-system")):
        assert not deployer.may(*request), request
    for request in (
        ("create", "roles.rbac.authorization.k8s.io"),
        ("create", "pods", "--subresource=exec"),
        ("impersonate", "users"),
    ):
        assert not deployer.may(*request), request


# The life of a stack --------------------------------------------------------------------------------------------------


def test_a_deployer_updates_the_stack_and_sees_that_it_is_healthy(deployer: Member, edit: Edit):
    edit(LOCAL, "LOG_LEVEL: debug", "LOG_LEVEL: warn")
    done = deployer.slipway("up", "--yes")
    assert "no permission" not in done.stdout + done.stderr
    assert "forbidden" not in done.stdout + done.stderr
    assert "clean-up of superseded configuration" not in done.stdout + done.stderr
    assert variable("LOG_LEVEL") == "warn"
    eventually(lambda: deployer.slipway("status", ok=False).returncode == 0, 120, "status says healthy")
    assert json.loads(deployer.slipway("status", "--json").stdout)["unread"] == ["nodes"]
    assert json.loads(deployer.slipway("history", "--json").stdout)["missing"] == []
    assert deployer.slipway("doctor").returncode == 0


def test_a_failed_update_of_a_deployer_names_its_cause_and_is_rolled_back(deployer: Member, edit: Edit):
    [before] = [row["revision"] for row in history() if row["inForce"]]
    edit(LOCAL, SERVICES, IMPATIENT)
    edit(LOCAL, NEEDS, f"{NEEDS}      migration: null\n      args: [nothing-of-the-kind]\n")
    done = deployer.slipway("up", "--yes", ok=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "crash loop: " in done.stderr, "the cause is in the log of the pod"
    assert "is in force again" in done.stderr
    assert "forbidden" not in done.stdout + done.stderr
    assert [row["revision"] for row in history() if row["inForce"]] == [before]


@pytest.mark.feature("I5", part="rollback and drift with that Role alone")
def test_a_deployer_rolls_back_and_sees_drift(deployer: Member, edit: Edit):
    edit(LOCAL, "LOG_LEVEL: debug", "LOG_LEVEL: info")
    deployer.slipway("up", "--yes")
    assert variable("LOG_LEVEL") == "info"
    deployer.slipway("rollback", "--yes")
    assert variable("LOG_LEVEL") != "info"
    edit(LOCAL, "LOG_LEVEL: info", "LOG_LEVEL: debug")
    deployer.slipway("up", "--yes")
    assert deployer.slipway("drift").stdout == "local: the cluster holds what was applied\n"
    patch = ("-n", NAMESPACE, "patch", "hpa", "web", "--field-manager=somebody", "-p")
    admin(*patch, '{"spec": {"maxReplicas": 9}}')
    try:
        assert "HorizontalPodAutoscaler/web: spec.maxReplicas: 4 -> 9" in deployer.slipway("drift", ok=False).stdout
    finally:
        admin(*patch, '{"spec": {"maxReplicas": 4}}')


def test_an_object_deleted_by_hand_is_made_again_by_a_deployer(deployer: Member):
    admin("-n", NAMESPACE, "delete", "service/web")
    done = deployer.slipway("up", "--yes")
    assert "made again: Service/web" in done.stderr
    assert deployer.slipway("drift").returncode == 0


def test_a_canary_is_measured_and_promoted_by_a_deployer(
    deployer: Member, edit: Edit, api: urllib3.HTTPSConnectionPool
):
    edit(LOCAL, NEEDS, canary(34))
    apply_role("deployer")  # a stack with canaries needs one permission more
    deployer.slipway("up", "--yes")
    edit("app/cmd/api/main.go", "package main", "package main // deployed by a Role")
    with Load(api, "/v1/shops") as load:
        time.sleep(2)
        done = deployer.slipway("up", "--yes")
        time.sleep(3)
    assert "local: api: the canary is good: " in done.stderr
    assert load.lost == []


def test_the_first_deployment_into_a_namespace_that_the_administrator_has_made_needs_no_more(
    copy_of_project: Path, tmp_path: Path
):
    workspace = Workspace(copy_of_project, outputs()["image"])
    write_stack_file(workspace)
    admin("create", "namespace", workspace.namespace)
    printed = apply_role("deployer", "dev", workspace.project)
    try:
        first = member(tmp_path, account_of("deployer"), workspace.namespace)
        for command in (("adopt", "--yes"), ("up", "--yes"), ("drift",)):
            done = first.run("./slipway", *command, "-s", "dev", ok=False, cwd=workspace.project, **workspace.env)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            assert "forbidden" not in done.stdout + done.stderr
        labels = json.loads(admin("get", "namespace", workspace.namespace, "-o", "json"))["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        assert not first.may("delete", f"namespaces/{workspace.namespace}", namespace=workspace.namespace)
    finally:
        admin("delete", "--ignore-not-found", "-f", "-", text=printed)
        admin("delete", "namespace", workspace.namespace, "--wait=false")


def write_stack_file(workspace: Workspace) -> None:
    """Let stack dev of the copy run the image of the local stack, with one service and no stores."""
    repository, _, digest = parts(workspace.image)
    service = {"resources": {"cpu": "50m"}, "autoscaling": {"min": 1, "max": 2}}
    settings = {
        "cluster": {"context": "slipway-local"},
        "image": {"source": "prebuilt", "repository": repository, "digest": digest},
        "namespace": workspace.namespace,
        "services": {"api": None, "web": None, "shop": service},
    }
    file = workspace.project / "stacks" / "Pulumi.dev.yaml"
    content = {"config": {f"slipway:{key}": value for key, value in settings.items()}}
    # The engine has written there how the secrets of this stack are encrypted.
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **content}))


@pytest.mark.feature("I5", part="every test of the main path but the destruction of the namespace")
@pytest.mark.timeout(1800)
def test_the_main_path_passes_with_the_permissions_of_a_deployer(deployer: Member):
    apply_role("deployer")
    main_path = "tests/e2e/cluster/test_main_path.py"
    # An administrator's: it deletes the namespace.
    destruction = f"{main_path}::test_destroy_leaves_no_object_behind_and_up_recreates_everything"
    command = ("pytest", "-m", "e2e", "-p", "no:cacheprovider", main_path, "--deselect", destruction)
    done = run(*command, env={e2e.DEPLOYER: str(deployer.kubeconfig)}, seconds=1800)
    assert "1 deselected" in done.stdout
    assert re.search(r"\b[1-9]\d passed", done.stdout), done.stdout


# Previews -------------------------------------------------------------------------------------------------------------


@pytest.mark.feature("K2", part="a previewer sees the plan and changes nothing")
def test_a_previewer_previews_and_can_change_nothing(previewer: Member, edit: Edit):
    edit(LOCAL, "LOG_LEVEL: debug", "LOG_LEVEL: error")
    assert "Deployment/api" in previewer.slipway("preview").stdout
    assert json.loads(previewer.slipway("status", "--json", ok=False).stdout)["unread"] == ["nodes", "secrets"]
    before = variable("LOG_LEVEL")
    done = previewer.run("pulumi", "up", "-s", "local", "--yes", "--non-interactive", ok=False)
    assert done.returncode != 0
    assert "forbidden" in done.stdout + done.stderr
    assert variable("LOG_LEVEL") == before
    for verb in ("create", "patch", "update", "delete"):
        for kind in ("configmaps", "secrets", "deployments.apps", "pods", "services", "jobs.batch"):
            assert not previewer.may(verb, kind), (verb, kind)
    assert not previewer.may("get", "secrets")
    assert not previewer.may("get", "pods", "--subresource=log")


def test_a_preview_needs_no_permission_at_all(edit: Edit, tmp_path: Path):
    admin("-n", NAMESPACE, "create", "serviceaccount", "nobody")
    try:
        edit(LOCAL, "LOG_LEVEL: debug", "LOG_LEVEL: error")
        assert "Deployment/api" in member(tmp_path, "nobody").slipway("preview").stdout
    finally:
        admin("-n", NAMESPACE, "delete", "serviceaccount", "nobody")


def test_the_files_of_this_clone_are_deployed_again_after_the_tests():
    e2e.up()
    e2e.pulumi("preview", "--expect-no-changes")
