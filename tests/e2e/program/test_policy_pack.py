"""House rules in a real preview: the program's own look, and the CrossGuard pack's, which does not rely on it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import ROOT, pulumi

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

Say = Callable[..., str]
PACK = ("--policy-pack", "policy")
PRIVILEGED = "containers[0].securityContext.privileged is true; take it out"


@pytest.fixture
def elsewhere(copy_of_project: Path) -> Say:
    """`elsewhere("preview", "staging")` in a copy with a state of its own, its clusters out of reach: what it says."""
    kubeconfig = copy_of_project.parent / "kubeconfig"
    contexts = [{"name": stack, "context": {"cluster": "nowhere", "user": "nobody"}} for stack in ("dev", "staging")]
    nowhere = {"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}
    nobody = {"name": "nobody", "user": {}}
    kubeconfig.write_text(yaml.safe_dump({"clusters": [nowhere], "users": [nobody], "contexts": contexts}))
    bare = {"PULUMI_BACKEND_URL": f"file://{copy_of_project.parent}/state", "KUBECONFIG": str(kubeconfig)}
    digest = f"digest: sha256:{'0' * 64}"
    staging = copy_of_project / "stacks" / "Pulumi.staging.yaml"
    _edit(staging, ("source: promote", "source: prebuilt"), ("from: dev", digest))
    made: set[str] = set()

    def run(*arguments: str) -> str:
        done = pulumi(*arguments, cwd=copy_of_project, ok=False, env=bare)
        return f"exit {done.returncode}\n{done.stdout}{done.stderr}"

    def said(verb: str, stack: str, *arguments: str) -> str:
        if stack not in made:
            run("stack", "init", "-s", stack)
            for name in ("signing-key", "mysql-password", "mysql-migration-password", "redis-password"):
                run("config", "set", "--secret", name, secrets.token_hex(16), "-s", stack)
            made.add(stack)
        return run(*verb.split(), "-s", stack, *arguments)

    return said


def _edit(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text()
    for old, new in changes:
        assert text.count(old) == 1, f"{file.name} holds {old!r} {text.count(old)} times"
        text = text.replace(old, new)
    file.write_text(text)


@pytest.fixture
def privileged(copy_of_project: Path) -> None:
    """Somebody makes every pod privileged."""
    hardened = "allow_privilege_escalation=False,"
    _edit(copy_of_project / "infra/slipway/service/pod.py", (hardened, f"{hardened} privileged=True,"))


@pytest.fixture
def unwatched(copy_of_project: Path) -> None:
    """Somebody takes the look at the rules out of the program."""
    _edit(copy_of_project / "infra" / "__main__.py", ("\nwatch(", "\n(lambda *_, **__: None)("))


@pytest.mark.parametrize("stack", ["dev", "staging"])
def test_the_program_passes_its_own_look_and_the_pack_s(elsewhere: Say, stack: str):
    said = elsewhere("preview", stack, *PACK)
    assert "exit 0" in said
    assert "slipway@v" in said
    assert not [word for word in ("[mandatory]", "[advisory]", "can't run policy", "Traceback") if word in said]


@pytest.mark.feature("I4")
def test_a_privileged_pod_ends_preview_and_up_before_anything_changes(elsewhere: Say, privileged: None):
    for verb in ("preview", "up --yes"):
        said = elsewhere(verb, "staging")
        assert "exit 0" not in said
        assert "1 house rule is broken in stack staging" in said
        assert f"SW001 Deployment/api: spec.template.spec.{PRIVILEGED}" in said
        # Both services, and the migration.
        assert "; the same in Deployment/web, Job/api-migration" in said
        assert "Traceback" not in said
    assert made(elsewhere) == []


def test_an_update_without_a_preview_hands_over_no_object_that_breaks_a_rule(elsewhere: Say, copy_of_project: Path):
    """On the API server of the local cluster, as an update begins with a sign-in."""
    local = yaml.safe_load((ROOT / ".slipway" / "kubeconfig").read_text())
    local["contexts"] = [{**local["contexts"][0], "name": "staging"}]
    (copy_of_project.parent / "kubeconfig").write_text(yaml.safe_dump(local))
    _edit(copy_of_project / "infra/slipway/environment.py", (': "restricted" for mode', ': "baseline" for mode'))
    said = elsewhere("up --yes --skip-preview", "staging")
    assert "exit 0" not in said
    assert "SW601 Namespace/slipway-staging" in said
    assert "Traceback" not in said
    assert [urn for urn in made(elsewhere) if "kubernetes:core" in urn] == []


def made(elsewhere: Say) -> list[str]:
    """What staging's state holds."""
    state = elsewhere("stack export", "staging").partition("\n")[2]
    return [resource["urn"] for resource in json.loads(state)["deployment"].get("resources") or []]


def test_in_dev_it_is_a_warning(elsewhere: Say, privileged: None):
    said = elsewhere("preview", "dev")
    assert "exit 0" in said
    assert "warning: SW001 " in said
    assert "Deployment/api, Deployment/web" in said


@pytest.mark.feature("I4")
def test_the_pack_finds_it_in_a_program_that_does_not_look(elsewhere: Say, privileged: None, unwatched: None):
    assert "exit 0" in elsewhere("preview", "staging")
    refused = elsewhere("preview", "staging", *PACK)
    assert "exit 0" not in refused
    assert "[mandatory]  SW001-mandatory" in refused
    assert PRIVILEGED in refused
    advised = elsewhere("preview", "dev", *PACK)
    assert "exit 0" in advised
    assert "[advisory]  SW001-advisory" in advised
