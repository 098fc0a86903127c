"""House rules in a real preview: checked by the program itself, and independently by the CrossGuard policy pack."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import ROOT, pulumi

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PulumiInCopy = Callable[..., str]
PACK = ("--policy-pack", "policy")
PRIVILEGED = "containers[0].securityContext.privileged is true; take it out"


@pytest.fixture
def pulumi_in_copy(copy_of_project: Path) -> PulumiInCopy:
    """`pulumi_in_copy("preview", "staging")` runs in a copy with its own state and unreachable clusters."""
    kubeconfig = copy_of_project.parent / "kubeconfig"
    contexts = [{"name": stack, "context": {"cluster": "nowhere", "user": "nobody"}} for stack in ("dev", "staging")]
    nowhere = {"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}
    nobody = {"name": "nobody", "user": {}}
    kubeconfig.write_text(yaml.safe_dump({"clusters": [nowhere], "users": [nobody], "contexts": contexts}))
    bare = {"PULUMI_BACKEND_URL": f"file://{copy_of_project.parent}/state", "KUBECONFIG": str(kubeconfig)}
    digest = f"digest: sha256:{'0' * 64}"
    staging = copy_of_project / "stacks" / "Pulumi.staging.yaml"
    _edit(staging, ("source: promote", "source: prebuilt"), ("from: dev", digest))
    initialized: set[str] = set()

    def run(*arguments: str) -> str:
        done = pulumi(*arguments, cwd=copy_of_project, ok=False, env=bare)
        return f"exit {done.returncode}\n{done.stdout}{done.stderr}"

    def run_verb(verb: str, stack: str, *arguments: str) -> str:
        if stack not in initialized:
            run("stack", "init", "-s", stack)
            for name in ("signing-key", "mysql-password", "mysql-migration-password", "redis-password"):
                run("config", "set", "--secret", name, secrets.token_hex(16), "-s", stack)
            initialized.add(stack)
        return run(*verb.split(), "-s", stack, *arguments)

    return run_verb


def _edit(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text()
    for old, new in changes:
        assert text.count(old) == 1, f"{file.name} contains {old!r} {text.count(old)} times"
        text = text.replace(old, new)
    file.write_text(text)


@pytest.fixture
def privileged(copy_of_project: Path) -> None:
    """Make every pod privileged."""
    hardened = "allow_privilege_escalation=False,"
    _edit(copy_of_project / "infra/slipway/service/container.py", (hardened, f"{hardened} privileged=True,"))


@pytest.fixture
def unchecked(copy_of_project: Path) -> None:
    """Remove the check of the rules from the program."""
    _edit(copy_of_project / "infra/slipway/program.py", ("\n    watch(", "\n    (lambda *_, **__: None)("))


@pytest.mark.parametrize("stack", ["dev", "staging"])
def test_the_program_passes_its_own_rule_check_and_the_policy_pack(pulumi_in_copy: PulumiInCopy, stack: str):
    output = pulumi_in_copy("preview", stack, *PACK)
    assert "exit 0" in output
    assert "slipway@v" in output
    assert not [word for word in ("[mandatory]", "[advisory]", "can't run policy", "Traceback") if word in output]


@pytest.mark.feature("I4")
def test_a_privileged_pod_ends_preview_and_up_before_anything_changes(pulumi_in_copy: PulumiInCopy, privileged: None):
    for verb in ("preview", "up --yes"):
        output = pulumi_in_copy(verb, "staging")
        assert "exit 0" not in output
        assert "1 house rule is broken in stack staging" in output
        assert f"SW001 Deployment/api: spec.template.spec.{PRIVILEGED}" in output
        # Both services, and the migration.
        assert "; the same in Deployment/web, Job/api-migration" in output
        assert "Traceback" not in output
    assert resources(pulumi_in_copy) == []


def test_an_update_without_a_preview_applies_no_object_that_breaks_a_rule(
    pulumi_in_copy: PulumiInCopy, copy_of_project: Path
):
    """Use the API server of the local cluster, because an update begins with a login."""
    local = yaml.safe_load((ROOT / ".slipway" / "kubeconfig").read_text())
    local["contexts"] = [{**local["contexts"][0], "name": "staging"}]
    (copy_of_project.parent / "kubeconfig").write_text(yaml.safe_dump(local))
    _edit(copy_of_project / "infra/slipway/environment.py", (': "restricted" for mode', ': "baseline" for mode'))
    output = pulumi_in_copy("up --yes --skip-preview", "staging")
    assert "exit 0" not in output
    assert "SW601 Namespace/slipway-staging" in output
    assert "Traceback" not in output
    assert [urn for urn in resources(pulumi_in_copy) if "kubernetes:core" in urn] == []


def resources(pulumi_in_copy: PulumiInCopy) -> list[str]:
    """Return the URNs in the state of staging."""
    state = pulumi_in_copy("stack export", "staging").partition("\n")[2]
    return [resource["urn"] for resource in json.loads(state)["deployment"].get("resources") or []]


def test_in_dev_it_is_a_warning(pulumi_in_copy: PulumiInCopy, privileged: None):
    output = pulumi_in_copy("preview", "dev")
    assert "exit 0" in output
    assert "warning: SW001 " in output
    assert "Deployment/api, Deployment/web" in output


@pytest.mark.feature("I4")
def test_the_policy_pack_finds_it_in_a_program_that_does_not_check(
    pulumi_in_copy: PulumiInCopy, privileged: None, unchecked: None
):
    assert "exit 0" in pulumi_in_copy("preview", "staging")
    refused = pulumi_in_copy("preview", "staging", *PACK)
    assert "exit 0" not in refused
    assert "[mandatory]  SW001-mandatory" in refused
    assert PRIVILEGED in refused
    advised = pulumi_in_copy("preview", "dev", *PACK)
    assert "exit 0" in advised
    assert "[advisory]  SW001-advisory" in advised
