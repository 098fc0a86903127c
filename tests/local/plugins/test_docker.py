"""The docker plugin as the engine runs it, with a fake Docker daemon."""

import json
import os
import re
from pathlib import Path
from typing import Any, cast

import pytest
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime.proto import provider_pb2

from local.plugins.provider import wrap
from slipway.objects import UNKNOWN
from tests.local.plugins.docker_plugin import (
    LOCAL_ID,
    PUSHED,
    URN,
    FakeDaemon,
    FakeEngineLog,
    RunningPlugin,
    connect,
    digest,
    image,
    reasons,
    refusal,
    start_plugin,
)


def test_a_changed_source_file_is_detected_without_a_build(
    plugin: RunningPlugin, daemon: FakeDaemon, app: Path
) -> None:
    before = plugin.check(image(app, plugin)).inputs
    (app / "main.go").write_text("package main // changed\n")
    after = plugin.check(image(app, plugin)).inputs
    assert list(plugin.diff(before, after).detailedDiff) == ["build.contextDigest"]
    assert daemon.requests == []


def test_an_unchanged_context_is_no_change(plugin: RunningPlugin, app: Path) -> None:
    before = plugin.check(image(app, plugin)).inputs
    answer = plugin.diff(before, plugin.check(image(app, plugin)).inputs)
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_times_and_umask_do_not_change_the_digest(plugin: RunningPlugin, app: Path) -> None:
    before = digest(plugin, image(app, plugin))
    os.utime(app / "main.go", (1, 1))
    (app / "main.go").chmod(0o600)
    (app / "empty").mkdir()
    assert digest(plugin, image(app, plugin)) == before


@pytest.mark.parametrize("change", ["execute bit", "new name", "link target"])
def test_changes_that_affect_the_image_change_the_digest(plugin: RunningPlugin, app: Path, change: str) -> None:
    (app / "link").symlink_to("main.go")
    before = digest(plugin, image(app, plugin))
    match change:
        case "execute bit":
            (app / "main.go").chmod(0o755)
        case "new name":
            (app / "main.go").rename(app / "api.go")
        case _:
            (app / "link").unlink()
            (app / "link").symlink_to("Dockerfile")
    assert digest(plugin, image(app, plugin)) != before


def test_ignored_files_are_neither_hashed_nor_sent(plugin: RunningPlugin, daemon: FakeDaemon, app: Path) -> None:
    (app / ".dockerignore").write_text("# notes\n*.md\n!keep.md\n")
    before = digest(plugin, image(app, plugin))
    (app / "README.md").write_text("new")
    assert digest(plugin, image(app, plugin)) == before
    (app / "keep.md").write_text("new")
    assert digest(plugin, image(app, plugin)) != before
    plugin.create(plugin.check(image(app, plugin)).inputs)
    assert sorted(daemon.files()) == [".dockerignore", "Dockerfile", "keep.md", "main.go"]


def test_a_push_returns_the_digest_of_the_registry(plugin: RunningPlugin, daemon: FakeDaemon, app: Path) -> None:
    build = {"target": "prebuilt", "args": {"VERSION": "7"}, "platform": "linux/amd64"}
    outputs = plugin.create(plugin.check(image(app, plugin, build=build)).inputs)
    assert outputs["repoDigest"] == f"localhost:5000/api@{PUSHED}"
    assert outputs["imageName"] == outputs["baseImageName"] == "localhost:5000/api:1"
    built, pushed = daemon.requests
    for part in (
        "t=localhost%3A5000%2Fapi%3A1",
        "target=prebuilt",
        "VERSION",
        "platform=linux",
        "dockerfile=Dockerfile",
    ):
        assert part in built
    assert re.search(r"/images/localhost:5000/api/push\?tag=1$", pushed)
    assert "Step 1/1 : FROM scratch" in plugin.engine.messages


def test_layers_are_taken_from_the_images_given_as_cache(plugin: RunningPlugin, daemon: FakeDaemon, app: Path) -> None:
    plugin.create(plugin.check(image(app, plugin, build={"cacheFrom": {"images": ["r.io/api-cache:cache"]}})).inputs)
    assert "cachefrom=%5B%22r.io%2Fapi-cache%3Acache%22%5D" in daemon.requests[0]


def test_without_push_the_digest_is_the_local_id(plugin: RunningPlugin, daemon: FakeDaemon, app: Path) -> None:
    inputs = plugin.check({**image(app, plugin, skipPush=True), "imageName": "api:1"}).inputs
    assert plugin.create(inputs)["repoDigest"] == LOCAL_ID
    assert len(daemon.requests) == 1


def test_a_preview_builds_nothing_and_the_digest_is_unknown(
    plugin: RunningPlugin, daemon: FakeDaemon, app: Path
) -> None:
    outputs = plugin.create(plugin.check(image(app, plugin)).inputs, preview=True)
    assert outputs["repoDigest"] == UNKNOWN
    assert outputs["imageName"] == "localhost:5000/api:1"
    assert daemon.requests == []


def test_build_on_preview_builds_but_does_not_push(plugin: RunningPlugin, daemon: FakeDaemon, app: Path) -> None:
    outputs = plugin.create(plugin.check(image(app, plugin, buildOnPreview=True)).inputs, preview=True)
    assert outputs["repoDigest"] == UNKNOWN
    assert [path.partition("?")[0].split("/")[-1] for path in daemon.requests] == ["build"]


def test_unknown_inputs_wait_for_the_update(plugin: RunningPlugin, daemon: FakeDaemon, app: Path) -> None:
    inputs = image(app, plugin, build={"args": {"BASE": UNKNOWN}}, buildOnPreview=True)
    assert plugin.create(plugin.check(inputs).inputs, preview=True)["repoDigest"] == UNKNOWN
    assert digest(plugin, image(app, plugin, build={"context": UNKNOWN})) == UNKNOWN
    assert daemon.requests == []


def test_a_failed_build_names_the_step_and_shows_its_last_lines(
    plugin: RunningPlugin, daemon: FakeDaemon, app: Path
) -> None:
    daemon.build_answer = [
        {"stream": "Step 1/2 : FROM scratch\n"},
        {"stream": "an earlier step's output\n"},
        {"stream": "Step 2/2 : RUN go build\n"},
        {"stream": "main.go:3: undefined: handler\n"},
        {"error": "The command '/bin/sh -c go build' returned a non-zero code: 1"},
    ]
    text = refusal(plugin.create, plugin.check(image(app, plugin)).inputs)
    assert text.splitlines() == [
        "docker build failed at Step 2/2 : RUN go build",
        "main.go:3: undefined: handler",
        "The command '/bin/sh -c go build' returned a non-zero code: 1",
    ]


def test_a_rejected_push_is_reported(plugin: RunningPlugin, daemon: FakeDaemon, app: Path) -> None:
    daemon.push_answer = [{"errorDetail": {"message": "denied"}, "error": "denied: no such project"}]
    text = refusal(plugin.create, plugin.check(image(app, plugin)).inputs)
    assert text == "docker push localhost:5000/api:1 failed: denied: no such project"


def test_the_password_stays_secret_and_out_of_messages(plugin: RunningPlugin, daemon: FakeDaemon, app: Path) -> None:
    registry = {"server": "localhost:5000", "username": "ci", "password": "hunter2"}
    daemon.push_answer.insert(0, {"status": "auth hunter2"})
    inputs = plugin.check(image(app, plugin, registry=registry)).inputs
    registry_checked = cast("dict[str, PropertyValue]", PropertyValue.unmarshal_map(inputs)["registry"].value)
    assert registry_checked["password"].is_secret
    outputs = plugin.create(inputs)
    assert "auth ***" in plugin.engine.messages
    assert "hunter2" not in json.dumps([outputs, plugin.engine.messages])
    assert daemon.login
    other = plugin.check(image(app, plugin, registry={**registry, "password": "new", "username": "bot"})).inputs
    assert plugin.diff(inputs, other).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_new_name_is_an_update_not_a_replacement(plugin: RunningPlugin, app: Path) -> None:
    old = plugin.check(image(app, plugin)).inputs
    new = plugin.check({**image(app, plugin), "imageName": "localhost:5000/api:2"}).inputs
    answer = plugin.diff(old, new)
    assert (list(answer.detailedDiff), list(answer.replaces)) == (["imageName"], [])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"build": {"network": "host"}}, "build.network is not supported"),
        ({"build": {"builderVersion": "V3"}}, "must be one of BuilderBuildKit, BuilderV1"),
        ({"imageName": "api:1"}, "names no registry to push to"),
        ({"imageName": ""}, "imageName is missing"),
        ({"pushTo": "x"}, "pushTo is not supported"),
    ],
)
def test_wrong_inputs_are_reported(plugin: RunningPlugin, app: Path, wrong: dict[str, Any], words: str) -> None:
    (reason,) = reasons(plugin.check({**image(app, plugin), **wrong}))
    assert words in reason


def test_all_wrong_inputs_are_reported_at_once(plugin: RunningPlugin) -> None:
    wrong = {"imageName": "api:1", "build": {"network": "host", "addHosts": ["a"]}, "registry": {"token": "x"}}
    assert len(reasons(plugin.check(wrong))) == 4


def test_a_dockerfile_given_relative_to_the_context_gets_a_hint(plugin: RunningPlugin, app: Path) -> None:
    (app / "api.Dockerfile").write_text("FROM scratch\n")
    text = refusal(plugin.check, image(app, plugin, build={"dockerfile": "api.Dockerfile"}))
    assert f"try setting `dockerfile` to '{app.relative_to(plugin.folder)}/api.Dockerfile'" in text


def test_a_dockerfile_outside_the_context_is_sent_along(plugin: RunningPlugin, daemon: FakeDaemon, app: Path) -> None:
    outside = app.parent / "Other"
    outside.write_text("FROM scratch\n")
    build = {"dockerfile": str(outside.relative_to(plugin.folder))}
    before = digest(plugin, image(app, plugin, build=build))
    plugin.create(plugin.check(image(app, plugin, build=build)).inputs)
    assert ".dockerfile.image" in daemon.files()
    assert "dockerfile=.dockerfile.image" in daemon.requests[0]
    outside.write_text("FROM scratch\nUSER 1\n")
    assert digest(plugin, image(app, plugin, build=build)) != before


def test_other_types_are_refused_in_one_line(plugin: RunningPlugin) -> None:
    text = refusal(plugin.check, {"name": "x"}, urn="urn:pulumi:a::b::docker:index/container:Container::c")
    assert text.startswith("docker:index/container:Container is not known to the offline docker plugin")
    assert "\n" not in text


def test_provider_options_that_would_be_ignored_are_refused(plugin: RunningPlugin) -> None:
    news = PropertyValue.marshal_map({"host": wrap("tcp://x"), "sshOpts": wrap("[]")})
    answer = plugin.stub.CheckConfig(provider_pb2.CheckRequest(urn=URN, news=news))
    assert [failure.property for failure in answer.failures] == ["sshOpts"]


def test_an_unreachable_daemon_is_reported_in_one_line_with_cause_and_fix(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    process = start_plugin("127.0.0.1:1", tmp_path, f"unix://{tmp_path}/no.sock")
    try:
        plugin = RunningPlugin(process, connect(process), FakeEngineLog(), tmp_path)
        plugin.stub.Configure(provider_pb2.ConfigureRequest())
        text = refusal(plugin.create, plugin.check({"imageName": "localhost:5000/api:1"}).inputs)
    finally:
        process.kill()
    assert text.startswith(
        f"the Docker daemon at unix://{tmp_path}/no.sock does not answer (No such file or directory):"
    )
    assert "make up" in text
    assert "\n" not in text


def test_the_plugin_ends_when_the_engine_is_gone(tmp_path: Path) -> None:
    process = start_plugin("127.0.0.1:1", tmp_path, "tcp://127.0.0.1:1")
    connect(process)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=10) == 0


def test_messages_do_not_fail_an_operation_when_the_engine_cannot_be_reached(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from local.plugins.provider import EngineLog

    EngineLog("127.0.0.1:1").warning(URN, "hello")
    assert capsys.readouterr().err == "hello\n"
