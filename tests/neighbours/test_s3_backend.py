"""The state of a stack in an S3-compatible bucket: updates, and what `./slipway doctor` says of locks there."""

from __future__ import annotations

import getpass
import json
import os
import signal
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, environment, eventually, run
from tests.neighbours import object_store
from tests.neighbours.object_store import BUCKET, ObjectStore

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

STATE = ".pulumi/stacks/shop/dev.json"
LOCKS = ".pulumi/locks/organization/shop/dev/"
PROGRAM = """
import os, time, pulumi
pulumi.export("word", pulumi.Config().require_secret("word"))
if os.environ.get("STARTED"):
    open(os.environ["STARTED"], "w").close()
    time.sleep(120)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Generator[ObjectStore]:
    with object_store.running(tmp_path_factory.mktemp("store")) as started:
        yield started


@dataclass(frozen=True)
class Project:
    """A small project whose stack dev has its state in the bucket."""

    folder: Path
    store: ObjectStore

    @property
    def env(self) -> dict[str, str]:
        return {
            **self.store.variables,
            "PULUMI_BACKEND_URL": self.store.backend_url,
            "PULUMI_HOME": str(self.folder.parent / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "correct horse",
        }

    def pulumi(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        command = ("pulumi", *arguments, "-s", "dev", "--non-interactive", "--color", "never")
        return run(*command, ok=ok, cwd=self.folder, env=self.env)

    def doctor(self, *options: str) -> tuple[int, str]:
        """Return the exit code and the messages of `./slipway doctor`."""
        done = run(
            str(ROOT / "slipway"), "doctor", "--state", "-s", "dev", *options, cwd=self.folder, env=self.env, ok=False
        )
        return done.returncode, done.stderr

    @contextmanager
    def update(self) -> Generator[int]:
        """Keep an update running, and yield the process id of its engine; it is killed at the end."""
        started = self.folder.parent / "started"
        command = ["pulumi", "up", "-s", "dev", "--yes", "--skip-preview", "--non-interactive"]
        env = environment() | self.env | {"STARTED": str(started)}
        engine = subprocess.Popen(
            command,
            cwd=self.folder,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            eventually(started.exists, 60, "the update runs")
            yield engine.pid
        finally:
            os.killpg(engine.pid, signal.SIGKILL)
            engine.wait()
            started.unlink(missing_ok=True)

    def lock(self, content: bytes) -> None:
        """Put a lock into the bucket, as an engine on another machine does."""
        self.store.request("PUT", f"/{LOCKS}another.json", content)


@pytest.fixture
def project(store: ObjectStore, tmp_path: Path) -> Generator[Project]:
    made = Project(tmp_path / "shop", store)
    (made.folder / "stacks").mkdir(parents=True)
    (made.folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\nstackConfigDir: stacks\n")
    (made.folder / "__main__.py").write_text(PROGRAM)
    (made.folder / "stacks" / "Pulumi.dev.yaml").write_text("{}\n")
    made.pulumi("stack", "init", "--no-select")
    made.pulumi("config", "set", "--secret", "word", "swordfish")
    made.pulumi("up", "--yes", "--skip-preview")
    yield made
    made.pulumi("cancel", "--yes")
    made.pulumi("stack", "rm", "--force", "--yes")


def test_a_stack_is_previewed_and_updated_and_its_secrets_are_not_in_the_bucket(project: Project, store: ObjectStore):
    project.pulumi("preview", "--expect-no-changes")
    assert project.pulumi("stack", "output", "word", "--show-secrets").stdout == "swordfish\n"
    objects = store.keys(".pulumi/")
    assert STATE in objects
    contents = [store.request("GET", f"/{key}") for key in objects]
    assert [key for key, content in zip(objects, contents, strict=True) if b"swordfish" in content] == []


def test_doctor_finds_a_state_without_a_lock_in_order_and_changes_nothing(project: Project, store: ObjectStore):
    state, stack_file = store.request("GET", f"/{STATE}"), (project.folder / "stacks/Pulumi.dev.yaml").read_text()
    assert project.doctor() == (0, "dev: the state is in order\n")
    assert store.request("GET", f"/{STATE}") == state
    assert store.keys(LOCKS) == []
    assert (project.folder / "stacks/Pulumi.dev.yaml").read_text() == stack_file


def test_doctor_names_who_holds_the_lock_of_a_running_update_and_leaves_it(project: Project, store: ObjectStore):
    with project.update() as engine:
        code, messages = project.doctor("--fix")
        assert code == 1
        holder = f"{getpass.getuser()}@{socket.gethostname()}, process {engine}, since "
        assert messages.startswith(f"dev: locked by an update that is running: {holder}")
        assert "`pulumi cancel -s dev`" in messages
        assert len(store.keys(LOCKS)) == 1


def test_doctor_removes_the_lock_of_a_killed_update_and_the_next_update_passes(project: Project, store: ObjectStore):
    with project.update():
        pass
    refused = project.pulumi("up", "--yes", "--skip-preview", ok=False)
    assert refused.returncode != 0
    assert "the stack is currently locked by 1 lock(s)" in refused.stderr
    code, messages = project.doctor()
    assert code == 1
    assert messages.startswith("dev: locked by an update that is gone: ")
    assert "./slipway doctor --fix -s dev" in messages
    assert len(store.keys(LOCKS)) == 1, "without --fix nothing is changed"
    assert project.doctor("--fix")[0] == 0
    assert store.keys(LOCKS) == []
    project.pulumi("up", "--yes", "--skip-preview")
    assert project.doctor() == (0, "dev: the state is in order\n")


def test_the_lock_of_another_machine_is_left_alone_because_its_process_cannot_be_seen(
    project: Project, store: ObjectStore
):
    content = {"pid": 2**22 + 1, "username": "ada", "hostname": "build-7", "timestamp": "2026-11-21T08:00:00Z"}
    project.lock(json.dumps(content).encode())
    code, messages = project.doctor("--fix")
    assert code == 1
    assert f"update that is running: ada@build-7, process {2**22 + 1}, since 2026-11-21T08:00:00Z" in messages
    assert len(store.keys(LOCKS)) == 1


def test_a_damaged_lock_is_one_message_with_the_command_that_removes_it(project: Project, store: ObjectStore):
    project.lock(b"")
    code, messages = project.doctor("--fix")
    assert code == 1
    assert messages.startswith(f"error: cannot find out whether stack dev is locked in s3://{BUCKET}: ")
    assert messages.endswith("`pulumi cancel -s dev`, then ./slipway doctor -s dev\n")
    assert messages.count("\n") == 1
    project.pulumi("cancel", "--yes")
    assert project.doctor() == (0, "dev: the state is in order\n")


def test_a_stack_that_is_not_in_the_bucket_is_not_made_by_doctor(project: Project, store: ObjectStore):
    (project.folder / "stacks" / "Pulumi.prod.yaml").write_text("{}\n")
    done = run(str(ROOT / "slipway"), "doctor", "--state", "-s", "prod", cwd=project.folder, env=project.env, ok=False)
    assert done.returncode == 1
    assert "no stack named 'prod' found" in done.stderr
    assert store.keys(".pulumi/stacks/shop/prod") == []
