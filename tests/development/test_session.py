"""`./slipway dev`: what happens from a saved file to a new pod, and what is left of it at the end."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from slipway.ops.cluster import connection, dev_build
from slipway.ops.cluster.connection import StackCluster
from slipway.ops.development import rollout, session
from slipway.ops.development.errors import DevError
from slipway.ops.development.session import Session
from slipway.ops.development.target import Target
from slipway.ops.diagnosis import locks
from slipway.ops.diagnosis.locks import Lock
from slipway.ops.program import config
from slipway.settings.sections.images import Image
from tests.development.fake_cluster import AUTOSCALED, CRASHES, PROVIDER, STARTS, FakeCluster, is_running

Save = Callable[[str], None]


@pytest.mark.feature("L1", part="what is compiled, delivered and rolled out")
def test_a_saved_file_is_compiled_delivered_and_rolled_out(
    session: Session, server: FakeCluster, save: Save, pushed: list[str], capsys: pytest.CaptureFixture[str]
):
    save("package main // 2\n")
    session.look()
    [version] = pushed
    assert version.startswith("dev-")
    assert server.image.startswith(f"registry.example.com/slipway/api:{version}@sha256:")
    assert server.version == version
    line = rf"dev: api: {version}: compiled \d+\.\d s · pushed \d+\.\d s · serving \d+\.\d s\n"
    assert re.search(line, capsys.readouterr().err)


def test_nothing_but_the_image_of_the_service_and_its_version_is_changed(
    session: Session, server: FakeCluster, save: Save
):
    save("package main // 2\n")
    session.look()
    assert server.deployment["spec"]["replicas"] == 3
    assert server.deployment["spec"]["template"]["spec"]["containers"][1] == {"name": "proxy", "image": "proxy"}
    assert AUTOSCALED in server.deployment["metadata"]["managedFields"]
    assert server.managers == [PROVIDER, "kube-controller-manager", "slipway-dev"]


def test_each_further_version_replaces_the_one_before(session: Session, server: FakeCluster, save: Save):
    for text in ("package main // two\n", "package main // three\n"):
        save(text)
        session.look()
    assert len(set(server.images)) == 2
    mark = dev_build.of(server.deployment)
    assert mark is not None
    assert (mark.image, mark.pid) == (server.release, os.getpid())


def test_the_logs_of_the_service_are_streamed_with_secrets_masked(
    session: Session, server: FakeCluster, capsys: pytest.CaptureFixture[str]
):
    shown, end = "", time.monotonic() + 30
    while "listening" not in shown and time.monotonic() < end:
        shown += capsys.readouterr().out
        time.sleep(0.05)
    assert shown == "api-1 listening with password=***\n"


@pytest.mark.usefixtures("pushed")
def test_sources_that_differ_from_the_release_at_the_start_are_rolled_out_at_once(
    cluster: StackCluster, server: FakeCluster, image: Image, save: Save, monkeypatch: pytest.MonkeyPatch
):
    save("package main // 2\n")
    started = Session(cluster, [Target("api", image, ("api",))])
    started.begin()
    monkeypatch.setattr(started, "look", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        started.follow()
    assert server.version.startswith("dev-")


def test_a_file_that_is_saved_without_a_change_rolls_nothing_out(
    session: Session, server: FakeCluster, save: Save, app: Path
):
    save("package main // 2\n")
    session.look()
    (app / "main.go").touch()
    session.look()
    assert len(server.images) == 1


@pytest.mark.feature("L1", part="a compile error keeps the version that runs")
def test_what_does_not_compile_is_told_in_the_compiler_s_words_and_the_version_that_runs_stays(
    session: Session, server: FakeCluster, save: Save, capsys: pytest.CaptureFixture[str]
):
    save("package main\n\nbroken\n")
    session.look()
    report = capsys.readouterr().err
    assert "# example.com/api\n./main.go:3:1: undefined: broken\n" in report
    assert "dev: api: the version that runs stays" in report
    assert server.image == server.release
    save("package main // mended\n")
    session.look()
    assert server.version.startswith("dev-")


def test_a_version_whose_pods_crash_is_told_and_the_next_save_replaces_it(
    session: Session, server: FakeCluster, save: Save, capsys: pytest.CaptureFixture[str]
):
    server.new_pods = CRASHES
    save("package main // 2\n")
    session.look()
    assert re.search(r"not serving: .*api", capsys.readouterr().err)
    server.new_pods = None
    save("package main // the third\n")
    session.look()
    assert re.search(r" · serving \d", capsys.readouterr().err)


def test_a_pod_that_fails_is_waited_for_no_longer(cluster: StackCluster, server: FakeCluster):
    server.new_pods = CRASHES
    dev_build.run(cluster, "api", "dev-1", "dev-1", killed(server.release))

    def waits() -> bool:
        raise AssertionError("it is still waited for")

    serves, reason = rollout.await_serving(cluster, ["api"], "dev-1", waits)
    assert not serves
    assert "api" in reason


def test_a_version_that_does_not_serve_in_time_is_told(
    session: Session,
    server: FakeCluster,
    save: Save,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(rollout, "SERVING_SECONDS", 0)
    server.new_pods = STARTS
    save("package main // 2\n")
    session.look()
    assert "not serving: no pod of api is ready after 0 s" in capsys.readouterr().err


def test_a_version_that_is_outdated_before_it_serves_is_not_waited_for(
    session: Session,
    server: FakeCluster,
    save: Save,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    server.new_pods = STARTS
    save("package main // 2\n")
    monkeypatch.setattr(Session, "_is_outdated", lambda _: True)
    session.look()
    assert "not serving: the sources changed again" in capsys.readouterr().err


def test_sources_that_change_while_they_are_compiled_are_not_rolled_out(
    session: Session, server: FakeCluster, save: Save, app: Path
):
    go = app.parent / "bin" / "go"
    go.write_text(go.read_text().replace("#!/bin/sh", f"#!/bin/sh\necho '// late' >> {app}/main.go"))
    save("package main // 2\n")
    session.look()
    assert server.images == []
    go.write_text("\n".join(line for line in go.read_text().splitlines() if "late" not in line))
    session.look()
    assert len(server.images) == 1


def test_the_sources_of_the_release_put_the_release_back(
    session: Session, server: FakeCluster, save: Save, app: Path, pushed: list[str]
):
    before = (app / "main.go").read_text()
    for text in ("package main // two\n", before):
        save(text)
        session.look()
    assert len(pushed) == 1
    assert server.image == server.release
    assert dev_build.of(server.deployment) is None


def test_saving_the_same_file_again_after_an_error_is_a_new_attempt(session: Session, server: FakeCluster, save: Save):
    server.is_down = True
    save("package main // 2\n")
    session.look()
    server.is_down = False
    save("package main // 2\n")
    session.look()
    assert server.version.startswith("dev-")


def test_a_source_that_vanishes_while_it_is_read_does_not_end_the_session(
    session: Session, save: Save, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def vanished(_: object) -> str:
        raise FileNotFoundError(2, "No such file or directory", "app/4913")

    monkeypatch.setattr("slipway.ops.development.session.tag_of", vanished)
    save("package main // 2\n")
    session.look()
    assert "No such file or directory: 'app/4913'" in capsys.readouterr().err


def test_the_release_is_put_back_also_when_nobody_reads_the_messages_any_more(
    session: Session, server: FakeCluster, save: Save, monkeypatch: pytest.MonkeyPatch
):
    save("package main // 2\n")
    session.look()

    def closed(*_: object, **__: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("typer.echo", closed)
    assert session.end()
    assert server.image == server.release


def test_an_error_of_the_cluster_is_told_and_the_next_save_tries_again(
    session: Session, server: FakeCluster, save: Save, capsys: pytest.CaptureFixture[str]
):
    server.is_down = True
    save("package main // 2\n")
    session.look()
    assert "does not answer: [Errno 111] Connection refused" in capsys.readouterr().err
    server.is_down = False
    save("package main // the third\n")
    session.look()
    assert server.version.startswith("dev-")


def test_after_an_update_the_new_release_is_what_is_put_back(session: Session, server: FakeCluster, save: Save):
    save("package main // 2\n")
    session.look()
    # As `./slipway up` does it in another terminal.
    list(dev_build.put_back_each(session.cluster, dev_build.marked(session.cluster)))
    server.release = is_running("src-9")
    server.deployment["spec"]["template"]["spec"]["containers"][0]["image"] = server.release
    save("package main // the third\n")
    session.look()
    assert server.version.startswith("dev-")
    assert session.end()
    assert server.image == is_running("src-9")


def test_after_an_update_the_sources_of_the_release_before_are_a_version_like_any_other(
    session: Session, server: FakeCluster, save: Save, app: Path
):
    before = (app / "main.go").read_text()
    save("package main // 2\n")
    session.look()
    list(dev_build.put_back_each(session.cluster, dev_build.marked(session.cluster)))
    server.release = is_running("src-9")
    server.deployment["spec"]["template"]["spec"]["containers"][0]["image"] = server.release
    save(before)
    session.look()
    assert server.version.startswith("dev-")


def test_during_an_update_nothing_is_rolled_out(
    session: Session,
    server: FakeCluster,
    save: Save,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(locks, "state_locks", lambda _: [Lock("ada", "another", 7, "2026-11-21T08:00:00Z")])
    save("package main // 2\n")
    session.look()
    assert "stack dev is locked by an update that is running: ada@another" in capsys.readouterr().err
    assert server.images == []


def test_a_changed_migration_is_told_to_take_an_update(session: Session, app: Path, capsys: pytest.CaptureFixture[str]):
    migrations = app / "migrations"
    settings = session.cluster.settings
    promotion = settings.promotion.model_copy(update={"migrations": [str(migrations)]})
    cluster = session.cluster
    session.cluster = StackCluster(
        cluster.stack, settings.model_copy(update={"promotion": promotion}), cluster.access, cluster.transport
    )
    migrations.mkdir()
    (migrations / "00001_shops.sql").write_text("CREATE TABLE shops (id INT)\n")
    session.look()
    told = f"dev: {migrations}/00001_shops.sql: migrations are not run here, so the database stays as it is: "
    assert f"{told}./slipway up -s dev\n" in capsys.readouterr().err


def test_a_changed_stack_file_is_told_to_take_an_update(
    cluster: StackCluster,
    server: FakeCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text("config: {}\n")
    monkeypatch.setattr(session, "stack_files", lambda _: {"stacks/Pulumi.dev.yaml": file})
    followed = Session(cluster, [])
    file.write_text("config: {a: b}\n")
    followed.look()
    told = "dev: stacks/Pulumi.dev.yaml changed, which this does not apply: ./slipway up -s dev\n"
    assert capsys.readouterr().err == told
    assert server.images == []


@pytest.mark.feature("L1", part="the release is put back at the end")
def test_at_the_end_the_release_runs_again_and_nothing_of_the_session_is_left(
    session: Session, server: FakeCluster, save: Save, capsys: pytest.CaptureFixture[str]
):
    save("package main // 2\n")
    session.look()
    assert session.end()
    assert (server.image, server.version) == (server.release, "src-0")
    assert server.managers == [PROVIDER, "kube-controller-manager"]
    assert server.deployment["metadata"]["annotations"] == {}
    assert re.search(r"dev: api: src-[0-9a-f]{16} of the release is put back\n$", capsys.readouterr().err)


def test_a_session_that_has_rolled_nothing_out_changes_nothing_at_its_end(session: Session, server: FakeCluster):
    assert session.end()
    assert server.images == []


def test_a_release_that_cannot_be_put_back_is_an_error_with_the_command_that_does_it(
    session: Session,
    server: FakeCluster,
    save: Save,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    save("package main // 2\n")
    session.look()
    monkeypatch.setattr("slipway.ops.development.session.PUT_BACK_SECONDS", -1)
    server.is_down = True
    assert not session.end()
    report = capsys.readouterr().err
    assert "dev: error: Deployment/api still runs a build of this session: the API server" in report
    assert "To put the release back: ./slipway up -s dev" in report


# The verb -------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_ends_the_session_and_puts_the_release_back(
    cluster: StackCluster,
    server: FakeCluster,
    save: Save,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
):
    monkeypatch.setattr(config, "settings", lambda _: cluster.settings)
    monkeypatch.setattr(connection, "connect", lambda *_: cluster)

    def edit_and_stop() -> None:
        save("package main // 2\n")
        end = time.monotonic() + 30
        while not server.version.startswith("dev-") and time.monotonic() < end:
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    threading.Timer(0.3, edit_and_stop).start()
    assert session.command("dev", None) == 0
    assert len(server.images) == 2
    assert server.image == server.release


@pytest.mark.parametrize("tier", ["staging", "prod"])
def test_a_stack_of_a_tier_that_people_depend_on_is_refused(
    cluster: StackCluster, server: FakeCluster, monkeypatch: pytest.MonkeyPatch, tier: str
):
    settings = cluster.settings.model_copy(update={"tier": tier})
    monkeypatch.setattr(config, "settings", lambda _: settings)
    with pytest.raises(DevError, match=f"stack dev is of tier {tier}; .* only these tiers take it: local, dev"):
        session.command("dev", None)
    assert server.images == []


def test_a_session_of_somebody_else_is_named_and_left_alone(cluster: StackCluster, server: FakeCluster, image: Image):
    mark = dev_build.DevBuild("ada", "another", 7, "2026-11-21T08:00:00Z", server.release, "src-0")
    dev_build.run(cluster, "api", "registry.example.com/slipway/api:dev-1", "dev-1", mark)
    with pytest.raises(DevError, match=r"Deployment/api runs a build of ./slipway dev \(ada@another, process 7, since"):
        rollout.require_release(cluster, "api", server.release)
    assert server.version == "dev-1"


def test_what_a_killed_session_has_left_is_put_back_before_the_next_one_begins(
    cluster: StackCluster, server: FakeCluster
):
    dev_build.run(cluster, "api", "registry.example.com/slipway/api:dev-1", "dev-1", killed(server.release))
    rollout.require_release(cluster, "api", server.release)
    assert server.image == server.release
    assert dev_build.of(server.deployment) is None


def test_a_deployment_that_runs_no_release_is_refused(cluster: StackCluster, server: FakeCluster):
    server.deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "by-hand"
    with pytest.raises(DevError, match="Deployment/api runs by-hand, and the release in force has registry"):
        rollout.require_release(cluster, "api", server.release)


def _interrupt() -> None:
    raise KeyboardInterrupt


def killed(image: str) -> dev_build.DevBuild:
    """Return the mark of a session of this machine whose process is gone."""
    mark = dev_build.DevBuild.begin(image, "src-0")
    return dev_build.DevBuild(mark.user, mark.host, 2**22 + 1, mark.since, image, "src-0")
