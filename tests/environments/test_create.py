"""`./slipway env create`: what an environment has of its own, what it shares, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest
import yaml

from slipway.ops.cluster.connection import StackCluster
from slipway.ops.environments import create, data, sleep, stack_file
from slipway.ops.environments.errors import EnvError
from slipway.ops.program import config, engine_state
from slipway.ops.program.engine_state import EngineError
from slipway.ops.program.recorder import UnknownStackError, declare
from tests import api_server
from tests.environments.conftest import SALT, World
from tests.environments.fake_cluster import named


@pytest.mark.feature("J5", part="its own stack, namespace, hosts and secrets")
def test_an_environment_has_a_stack_a_namespace_hosts_and_secrets_of_its_own(
    world: World, capsys: pytest.CaptureFixture[str]
):
    assert create.command("pr-123", "dev", "") == 0
    assert capsys.readouterr().out == "https://pr-123-api.dev.example.com\nhttps://pr-123-web.dev.example.com\n"
    assert world.commands == ["up pr-123"]
    document = world.file("pr-123")
    own = document["config"]
    assert (own["slipway:tier"], own["slipway:namespace"]) == ("dev", "slipway-pr-123")
    assert own["slipway:services"]["api"]["ingress"]["host"] == "pr-123-api.dev.example.com"
    assert own["slipway:services"]["web"]["ingress"] == {
        "host": "pr-123-web.dev.example.com",
        "tls": {"issuer": "dev-ca"},
    }
    assert document["encryptionsalt"] == SALT
    assert sorted(world.engine.given) == ["mysql-migration-password", "mysql-password", "redis-password", "signing-key"]
    assert len({*world.engine.given.values()}) == len(world.engine.given)


def test_on_stdout_are_only_its_addresses_and_what_the_engine_prints_is_on_stderr(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """pr-env.yml writes stdout into the summary of its run."""
    monkeypatch.setattr(
        create.up, "command", lambda *_, **__: subprocess.run(["echo", "Updating"], check=True).returncode
    )
    create.command("pr-123", "dev", "")
    printed = capfd.readouterr()
    assert printed.out == "https://pr-123-api.dev.example.com\nhttps://pr-123-web.dev.example.com\n"
    assert "Updating" in printed.err


def test_the_cluster_and_the_images_are_those_of_the_base(world: World):
    create.command("pr-123", "dev", "")
    base, own = world.file("dev")["config"], world.file("pr-123")["config"]
    for key in ("slipway:cluster", "slipway:image", "slipway:mysql", "slipway:redis"):
        assert own[key] == base[key]


@pytest.mark.feature("J5", part="its own stack, namespace, hosts and secrets")
def test_its_file_declares_a_valid_environment_with_a_quota(world: World):
    create.command("pr-123", "dev", "")
    objects = declare("pr-123").manifests()
    assert ("Namespace", "slipway-pr-123") in objects
    assert ("ResourceQuota", "quota") in objects
    assert {obj["metadata"].get("namespace", "slipway-pr-123") for obj in objects.values()} == {"slipway-pr-123"}


def test_no_secret_is_an_argument_of_a_command(world: World):
    create.command("pr-123", "dev", "")
    assert not any(value in call for value in world.engine.given.values() for call in world.engine.calls)


def test_creating_it_again_is_an_update_with_the_same_secrets(world: World):
    create.command("pr-123", "dev", "")
    first, before = dict(world.engine.given), world.file("pr-123")
    world.engine.given.clear()
    assert create.command("pr-123", "dev", "") == 0
    assert (world.engine.given, world.file("pr-123")) == ({}, before)
    assert first
    assert world.commands == ["up pr-123", "up pr-123"]


def test_another_clone_takes_the_secrets_from_the_last_update(world: World):
    create.command("pr-123", "dev", "")
    file = world.root / "stacks" / "Pulumi.pr-123.yaml"
    world.engine.last_update["pr-123"] = yaml.safe_dump(yaml.safe_load(file.read_text()))
    before = world.file("pr-123")
    file.unlink()
    world.engine.given.clear()
    create.command("pr-123", "dev", "")
    assert (world.engine.given, world.file("pr-123")) == ({}, before)


def test_the_stack_that_the_user_has_selected_stays_selected(world: World):
    create.command("pr-123", "dev", "")
    assert [name for name, stack in world.engine.known.items() if stack["current"]] == ["dev"]


def test_an_environment_that_sleeps_is_woken_by_the_next_create(world: World):
    create.command("pr-123", "dev", "")
    sleep.sleep(create.opened("pr-123"))
    world.cluster.changes.clear()
    create.command("pr-123", "dev", "")
    assert world.cluster.changes[0] == "mysql 1"


@pytest.fixture
def with_files(world: World) -> World:
    """A world in which this clone has made pr-123 of a base that has its secrets in files."""
    base = world.root / ".slipway" / "secrets"
    base.mkdir(parents=True)
    for name in ("tls.crt", "tls.key", "signing-key"):
        (base / name).write_text(name)
    assert create.command("pr-123", "local", "") == 0
    return world


def files_of(world: World) -> dict[str, str]:
    folder = world.root / ".slipway" / "environments" / "pr-123"
    return {file.name: file.read_text() for file in folder.iterdir()}


def leave_to_another_clone(world: World) -> None:
    """Remove what is not in git, and let the backend hand on the file of the last update."""
    file = world.root / "stacks" / "Pulumi.pr-123.yaml"
    world.engine.last_update["pr-123"] = yaml.safe_dump(yaml.safe_load(file.read_text()))
    file.unlink()
    shutil.rmtree(world.root / ".slipway" / "environments")
    world.engine.given.clear()


def test_a_base_with_secrets_in_files_gives_each_environment_a_folder_of_its_own(with_files: World):
    assert with_files.file("pr-123")["config"]["slipway:secretFiles"] == ".slipway/environments/pr-123"
    secrets = files_of(with_files)
    assert secrets["tls.key"] == "tls.key"
    assert len(secrets["signing-key"]) >= 32
    folder = with_files.root / ".slipway" / "environments" / "pr-123"
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


def test_an_environment_with_secrets_in_files_keeps_them_in_another_clone(with_files: World):
    before = files_of(with_files)
    leave_to_another_clone(with_files)
    create.command("pr-123", "local", "")
    assert files_of(with_files) == before
    assert with_files.engine.given == {}


def test_a_secret_that_was_replaced_in_its_file_is_handed_on(with_files: World):
    (with_files.root / ".slipway" / "environments" / "pr-123" / "signing-key").write_text("k" * 40 + "\n")
    with_files.engine.given.clear()
    create.command("pr-123", "local", "")
    assert with_files.engine.given == {"signing-key": "k" * 40 + "\n"}


def test_a_file_with_encrypted_secrets_is_valid_beside_the_folder(with_files: World):
    assert ("Namespace", "slipway-pr-123") in declare("pr-123").manifests()


def test_secrets_in_files_of_another_clone_are_not_replaced_by_new_ones(with_files: World):
    file = with_files.root / "stacks" / "Pulumi.pr-123.yaml"
    document = yaml.safe_load(file.read_text())
    own = {
        key: value for key, value in document["config"].items() if not isinstance(value, dict) or "secure" not in value
    }
    file.write_text(f"{file.read_text().splitlines()[0]}\n{yaml.safe_dump({**document, 'config': own})}")
    leave_to_another_clone(with_files)
    with pytest.raises(EnvError, match=r"copy the folder \.slipway/environments/pr-123 from there"):
        create.command("pr-123", "local", "")
    assert (with_files.commands, with_files.engine.given) == (["up pr-123"], {})


def test_the_password_of_a_registry_is_that_of_the_base_and_its_alerts_reach_nobody(world: World):
    file = world.root / "stacks" / "Pulumi.dev.yaml"
    receiver = "{hook: {kind: webhook, egress: [{cidr: 192.0.2.0/24, ports: [443]}]}}"
    images = f"image: {IMAGE}, alertmanagerImage: {IMAGE}"
    monitoring = f"  slipway:monitoring: {{source: cluster, {images}, receivers: {receiver}}}\n"
    file.write_text(f"{file.read_text()}  slipway:registry: {{username: puller}}\n{monitoring}")
    create.command("pr-123", "dev", "")
    assert world.engine.given["registry-password"] == "registry-password of dev"
    assert "slipway:monitoring" not in world.file("pr-123")["config"]
    assert not any(key.startswith("receiver-") for key in world.engine.given)


def test_monitoring_that_all_stacks_have_is_taken_out(world: World):
    file = world.root / "stacks" / "defaults.yaml"
    file.write_text(f"{file.read_text()}  slipway:monitoring: {{source: operator}}\n")
    base = world.root / "stacks" / "Pulumi.dev.yaml"
    base.write_text(
        base.read_text().replace("    context: dev", "    context: dev\n    monitoringNamespace: monitoring")
    )
    create.command("pr-123", "dev", "")
    assert config.settings("dev").monitoring.source == "operator"
    assert config.settings("pr-123").monitoring.source == "none"
    assert world.file("pr-123")["config"]["slipway:monitoring"] == ""


def test_where_prometheus_scales_the_pods_it_stays_and_tells_nobody(world: World):
    file = world.root / "stacks" / "Pulumi.dev.yaml"
    scaled = "autoscaling: {min: 1, max: 2, by: keda, schedule: [{cron: 0 8 * * *, until: 0 18 * * *, min: 2}]}"
    receiver = "{hook: {kind: webhook, egress: [{cidr: 192.0.2.0/24, ports: [443]}]}}"
    images = f"image: {IMAGE}, alertmanagerImage: {IMAGE}"
    text = file.read_text().replace("autoscaling: {min: 1, max: 2}", scaled, 1)
    file.write_text(f"{text}  slipway:monitoring: {{source: cluster, {images}, receivers: {receiver}}}\n")
    content = stack_file.of_base("dev", "pr-1")
    assert stack_file.settings_of("pr-1", content).monitoring.source == "cluster"
    assert "receivers" not in content["slipway:monitoring"]


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("api.example.com", "pr-1-api.example.com"),
        ("example.com", "pr-1.example.com"),
        ("*.shop.example.com", "*.pr-1.shop.example.com"),
        ("api.slipway.localhost", "pr-1-api.slipway.localhost"),
    ],
)
def test_the_host_of_an_environment_is_below_the_same_domain(host: str, own: str):
    assert stack_file.host_of(host, "pr-1") == own


def test_a_host_of_the_base_is_replaced_wherever_its_file_names_it(world: World):
    file = world.root / "stacks" / "Pulumi.dev.yaml"
    text = file.read_text().replace("env: {LOG_LEVEL: debug}", "env: {PUBLIC_URL: 'https://api.dev.example.com/v1'}", 1)
    file.write_text(text)
    env = stack_file.of_base("dev", "pr-1")["slipway:services"]["api"]["env"]
    assert env == {"PUBLIC_URL": "https://pr-1-api.dev.example.com/v1"}


IMAGE = "registry.example.com/prometheus:v3@sha256:" + "0" * 64
REFUSED = [
    (("prod", "dev"), EnvError, "prod is the name of a tier"),
    (("pr_1", "dev"), EnvError, "pr_1: the name of an environment"),
    (("pr-1", "qa"), UnknownStackError, "there is no stacks/Pulumi.qa.yaml"),
    (("pr-1", "prod"), EnvError, "stack prod is of tier prod, which is never copied"),
    (("pr-1", "staging"), EnvError, "stack staging uses a managed mysql and redis, so pr-1 would write to the data of"),
]


@pytest.mark.feature("J5", part="what is refused")
@pytest.mark.parametrize(("given", "error", "message"), REFUSED, ids=[given[0] + given[1] for given, _, _ in REFUSED])
def test_what_cannot_be_an_environment_is_refused_before_anything_is_done(
    world: World, given: tuple[str, str], error: type[Exception], message: str
):
    with pytest.raises(error, match=message):
        create.command(*given, "")
    assert world.engine.calls == []


def test_a_stack_a_file_or_a_namespace_of_others_is_left_alone(world: World):
    world.engine.known["qa"] = {"name": "qa"}
    with pytest.raises(EnvError, match=r"stack qa was not made by `./slipway env create`, so it is left alone"):
        create.command("qa", "dev", "")
    (world.root / "stacks" / "Pulumi.eu.yaml").write_text("config: {}\n")
    with pytest.raises(EnvError, match=r"Pulumi.eu.yaml was not made by `./slipway env create`, so it is left alone"):
        create.command("eu", "dev", "")
    world.cluster.objects["namespaces"]["slipway-pr-7"] = named("slipway-pr-7", "somebody")
    with pytest.raises(
        EnvError, match="there is a namespace slipway-pr-7 already, which this environment has not made"
    ):
        create.command("pr-7", "dev", "")
    world.cluster.objects["namespaces"]["slipway-pr-8"] = named("slipway-pr-8", "pr-8")
    with pytest.raises(EnvError, match="there is a namespace slipway-pr-8 already"):
        create.command("pr-8", "dev", "")  # an environment of a colleague, whose backend is another
    assert (world.engine.tags, world.commands) == ({}, [])


@pytest.mark.parametrize("name", ["../x", 'x"; ls "', "$(ls)", "a b"])
def test_what_is_no_name_of_a_backup_is_refused_before_anything_is_done(world: World, name: str):
    with pytest.raises(EnvError, match="is not the name of a backup"):
        create.command("pr-123", "dev", name)
    assert world.engine.calls == []


@pytest.mark.parametrize("error", [EngineError("no answer"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_a_stack_that_gets_no_tag_is_removed_so_that_create_can_be_repeated(
    world: World, monkeypatch: pytest.MonkeyPatch, error: BaseException
):
    def without_tags(*arguments: str, **options: Any) -> str:
        if arguments[:3] == ("stack", "tag", "set"):
            raise error
        return world.engine(*arguments, **options)

    monkeypatch.setattr(engine_state, "pulumi", without_tags)
    with pytest.raises(type(error)):
        create.command("pr-123", "dev", "")
    assert world.engine.known.keys() == {"dev"}
    monkeypatch.setattr(engine_state, "pulumi", world.engine)
    assert create.command("pr-123", "dev", "") == 0


def test_an_environment_keeps_its_base(world: World):
    create.command("pr-123", "dev", "")
    with pytest.raises(EnvError, match=r"pr-123 is a copy of dev, not of local\. Give --from dev"):
        create.command("pr-123", "local", "")


def test_an_update_that_fails_is_exit_code_1_and_restores_no_data(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(create.up, "command", lambda *_, **__: 1)
    monkeypatch.setattr(data, "restore", lambda *_: pytest.fail("it restores data"))
    assert create.command("pr-123", "dev", "newest") == 1
    assert "Run it again, or ./slipway env delete pr-123" in capsys.readouterr().err


def test_data_are_restored_once_the_environment_is_up(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(data, "restore", lambda *given: world.commands.append(f"restore {given}"))
    create.command("pr-123", "dev", "20261130T020000Z")
    assert world.commands == ["up pr-123", "restore ('dev', 'pr-123', '20261130T020000Z')"]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[Any] = []
    monkeypatch.setattr(StackCluster, "items", lambda *given, **_: found.append(given) or [])
    return found


def test_a_stack_that_is_no_environment_is_opened_by_its_own_file(world: World, seen: list[str]):
    assert create.opened("dev").namespace == api_server.settings("dev").namespace
    assert world.engine.calls == []
