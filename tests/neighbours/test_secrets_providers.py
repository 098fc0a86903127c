"""The key of a stack's secrets: changed, held by a key management service, moved to a bucket, and lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import Page
from tests.e2e.conftest import ROOT, environment, run
from tests.neighbours import object_store
from tests.neighbours.object_store import REGION, ObjectStore

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PAGE = Page(ROOT / "docs" / "state-and-secrets.md")
PROGRAM = 'import pulumi\npulumi.export("word", pulumi.Config().require_secret("word"))\n'
NAME = "shop:word"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Generator[ObjectStore]:
    with object_store.running(tmp_path_factory.mktemp("store")) as started:
        yield started


@dataclass
class Stack:
    """A stack with one secret, in a folder of states of its own."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict[str, str])

    def pulumi(
        self, *arguments: str, passphrase: str | None = None, given: str = "", ok: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with a passphrase; without one there is none."""
        command = ["pulumi", *arguments, "-s", "dev", "--non-interactive", "--color", "never"]
        env = {name: value for name, value in environment().items() if not name.startswith("PULUMI_CONFIG_PASSPHRASE")}
        env |= self.env | ({"PULUMI_CONFIG_PASSPHRASE": passphrase} if passphrase is not None else {})
        done = subprocess.run(
            command, cwd=self.folder, env=env, input=given, capture_output=True, text=True, check=False
        )
        assert (done.returncode == 0) == ok, f"{' '.join(command)} -> {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def word(self, passphrase: str | None = None) -> list[str]:
        """Return the secret as the stack file and as the state has it."""
        read = ("config", "get", NAME), ("stack", "output", "word", "--show-secrets")
        return [self.pulumi(*command, passphrase=passphrase).stdout.strip() for command in read]

    @property
    def file(self) -> Path:
        return self.folder / "Pulumi.dev.yaml"


@pytest.fixture
def stack(tmp_path: Path, store: ObjectStore) -> Stack:
    """A stack whose secret `swordfish` is encrypted by the passphrase `first`."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "states").mkdir()
    (tmp_path / "shop" / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (tmp_path / "shop" / "__main__.py").write_text(PROGRAM)
    folders = {"PULUMI_BACKEND_URL": f"file://{tmp_path}/states", "PULUMI_HOME": f"{tmp_path}/home"}
    made = Stack(tmp_path / "shop", {**folders, **store.variables})
    made.pulumi("stack", "init", passphrase="first")
    made.pulumi("config", "set", "--secret", NAME, "swordfish", passphrase="first")
    made.pulumi("up", "--yes", "--skip-preview", passphrase="first")
    return made


def test_after_a_change_of_the_passphrase_secrets_are_read_with_the_new_one_only(stack: Stack):
    encrypted = [line for line in stack.file.read_text().splitlines() if "salt" in line or "secure" in line]
    stack.pulumi("stack", "change-secrets-provider", "passphrase", passphrase="first", given="second\n")
    assert stack.word("second") == ["swordfish", "swordfish"]
    for command in (("config", "get", NAME), ("stack", "output", "word", "--show-secrets"), ("up", "--yes")):
        refused = stack.pulumi(*command, passphrase="first", ok=False)
        assert "incorrect passphrase" in refused.stdout + refused.stderr
    stack.pulumi("preview", "--expect-no-changes", passphrase="second")
    assert len(encrypted) == 2
    assert set(encrypted).isdisjoint(stack.file.read_text().splitlines())


def test_a_wrong_old_passphrase_changes_no_key(stack: Stack):
    before = stack.file.read_text()
    refused = stack.pulumi(
        "stack", "change-secrets-provider", "passphrase", passphrase="guess", given="second\n", ok=False
    )
    assert "incorrect passphrase" in refused.stderr
    assert stack.file.read_text() == before
    assert stack.word("first") == ["swordfish", "swordfish"]


def test_the_history_of_a_stack_keeps_the_former_key_as_the_page_says(stack: Stack):
    salt = yaml.safe_load(stack.file.read_text())["encryptionsalt"]
    stack.pulumi("stack", "change-secrets-provider", "passphrase", passphrase="first", given="second\n")
    states = stack.folder.parent / "states" / ".pulumi"
    kept = {file.relative_to(states).parts[0] for file in states.rglob("*.json*") if salt in file.read_text()}
    assert kept >= {"backups", "history"}
    assert "**The history keeps the old key.**" in PAGE.text


def test_a_key_of_a_key_management_service_takes_the_place_of_the_passphrase_and_back(stack: Stack, store: ObjectStore):
    store.create_key("slipway-prod")
    key = f"awskms://alias/slipway-prod?region={REGION}"
    stack.pulumi("stack", "change-secrets-provider", key, passphrase="first")
    written = yaml.safe_load(stack.file.read_text())
    assert written["secretsprovider"] == key
    assert "encryptionsalt" not in written
    assert stack.word() == ["swordfish", "swordfish"], "no passphrase is needed"
    stack.pulumi("preview", "--expect-no-changes")

    stack.pulumi("stack", "change-secrets-provider", key)
    assert yaml.safe_load(stack.file.read_text())["encryptedkey"] != written["encryptedkey"], "a new data key"
    assert stack.word() == ["swordfish", "swordfish"]

    stack.pulumi("stack", "change-secrets-provider", "passphrase", passphrase="second")
    assert stack.word("second") == ["swordfish", "swordfish"]


def test_a_stack_moves_from_a_folder_to_a_bucket_with_its_secrets(stack: Stack, store: ObjectStore):
    former = stack.env["PULUMI_BACKEND_URL"]
    stack.env["PULUMI_BACKEND_URL"] = store.backend_url
    options = ("--secrets-provider", "passphrase", "--yes", "--non-interactive")
    run(
        "pulumi",
        "stack",
        "migrate",
        former,
        "dev",
        *options,
        cwd=stack.folder,
        env={**stack.env, "PULUMI_CONFIG_PASSPHRASE": "first"},
    )
    assert ".pulumi/stacks/shop/dev.json" in store.keys(".pulumi/stacks/")
    assert stack.word("first") == ["swordfish", "swordfish"]
    stack.pulumi("preview", "--expect-no-changes", passphrase="first")


def test_when_the_key_is_lost_the_steps_of_the_page_make_a_stack_with_a_new_one(stack: Stack):
    """The passphrase `first` is not used any more from here on."""
    written = yaml.safe_load(stack.file.read_text())
    del written["encryptionsalt"]
    stack.file.write_text(yaml.safe_dump({**written, "config": {}}))
    stack.pulumi("config", "set", "--secret", NAME, "herring", passphrase="new")
    stack.pulumi("stack", "export", "--file", "state.json")
    [program] = PAGE.blocks("python")
    run(sys.executable, "-c", program, cwd=stack.folder)
    stack.pulumi("stack", "import", "--file", "state.json", passphrase="new")
    stack.pulumi("up", "--yes", "--skip-preview", passphrase="new")
    assert stack.word("new") == ["herring", "herring"]
    assert "herring" not in json.dumps(json.loads(stack.pulumi("stack", "export").stdout))
    stack.pulumi("preview", "--expect-no-changes", passphrase="new")
