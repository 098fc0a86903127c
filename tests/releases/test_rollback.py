"""`./slipway rollback`: what the engine gets, who can read it, and to which releases one can roll back."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway.ops.diagnosis import autoscalers
from slipway.ops.program import engine_state
from slipway.ops.releases import rollback
from slipway.ops.releases.rollback import UnknownReleaseError, choose, config_file, stack_file_of
from slipway.releases import Release
from slipway.settings import engine_yaml, source_files
from tests.monitoring_objects.declared import MAIL, RECEIVERS, SERVERS

IMAGE = "registry.example.com/slipway/api:src-0@sha256:" + "5" * 64
SETTINGS: dict[str, Any] = {
    "cluster": {"context": "dev"},
    "namespace": "slipway-dev",
    "services": {"api": {"secrets": ["signing-key"], "env": {"BUILD": "1e3", "OCTAL": "0o17"}}},
}
RELEASE = Release("0a1b2c3d", SETTINGS, IMAGE, commit="72015a6")
STACK_FILE = """\
encryptionsalt: v1:salt
config:
  slipway:cluster: {context: dev}
  slipway:image: {source: build}
  slipway:services: {api: {env: {LOG_LEVEL: debug}}}
  slipway:signing-key: {secure: v1:ciphertext}
  slipway:later-key: {secure: v1:another}
  kubernetes:suppressHelmHookWarnings: "true"
"""


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where today's stack file lies; its defaults.yaml says what no former release does."""
    (tmp_path / "Pulumi.dev.yaml").write_text(STACK_FILE)
    (tmp_path / "defaults.yaml").write_text("config:\n  slipway:service: {env: {LATER: '1'}}\n")
    monkeypatch.setattr(source_files, "STACKS", tmp_path)
    monkeypatch.setattr(rollback, "STACKS", tmp_path)
    return tmp_path


def test_the_recorded_settings_are_handed_over_whole_and_as_they_are():
    config = stack_file_of("dev", RELEASE)["config"]
    assert {key: config[f"slipway:{key}"] for key in SETTINGS} == SETTINGS
    assert "slipway:service" not in config
    assert config["slipway:release"] == {"revision": "0a1b2c3d", "commit": "72015a6"}


def test_the_recorded_image_is_taken_by_its_digest_under_the_same_name():
    assert stack_file_of("dev", RELEASE)["config"]["slipway:image"] == {
        "source": "prebuilt",
        "repository": "registry.example.com/slipway/api",
        "tag": "src-0",
        "digest": "sha256:" + "5" * 64,
    }


def test_secrets_are_today_s_and_stay_encrypted():
    file = stack_file_of("dev", RELEASE)
    assert file["encryptionsalt"] == "v1:salt"
    assert file["config"]["slipway:signing-key"] == {"secure": "v1:ciphertext"}
    assert file["config"]["kubernetes:suppressHelmHookWarnings"] == "true"


def test_a_secret_that_the_release_did_not_know_is_left_out_as_the_program_would_refuse_it():
    assert "slipway:later-key" not in stack_file_of("dev", RELEASE)["config"]


def test_a_candidate_is_handed_over_beside_the_release_with_the_secrets_of_both():
    candidate = {"services": {"api": {"secrets": ["later-key"]}}}
    config = stack_file_of("dev", RELEASE, candidate)["config"]
    assert config["slipway:candidate"] == candidate
    assert config["slipway:services"] == SETTINGS["services"]
    assert config["slipway:later-key"] == {"secure": "v1:another"}
    assert config["slipway:signing-key"] == {"secure": "v1:ciphertext"}


def test_where_secrets_come_from_is_today_s_too(files: Path):
    store = "  slipway:secretStore: {name: vault, entries: values, versions: {signing-key: '7'}}\n"
    (files / "Pulumi.dev.yaml").write_text(STACK_FILE + store)
    config = stack_file_of("dev", RELEASE)["config"]
    assert config["slipway:secretStore"] == {"name": "vault", "entries": "values", "versions": {"signing-key": "7"}}
    assert "slipway:signing-key" not in config


def test_monitoring_is_today_s_with_the_images_of_its_servers(files: Path):
    (files / "prometheus").write_text("registry.example.com/prometheus@sha256:" + "1" * 64)
    monitoring = f"  slipway:monitoring: {{source: cluster}}\n  slipway:imageFiles: {files}\n"
    (files / "Pulumi.dev.yaml").write_text(STACK_FILE + monitoring)
    config = stack_file_of("dev", RELEASE)["config"]
    assert config["slipway:monitoring"] == {"source": "cluster"}
    assert config["slipway:imageFiles"] == str(files)


@pytest.fixture
def last_update(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The sections of the stack file of the last update, as the engine's history has them; empty by default."""
    sections: dict[str, Any] = {}
    config = {"secret": {"value": "[secret]", "secret": True}}

    def history(*_: str) -> str:
        given = {key: {"value": json.dumps(value), "objectValue": value} for key, value in sections.items()}
        named = {f"slipway:{key}": value for key, value in {**config, **given}.items()}
        failed = {"kind": "update", "result": "failed", "config": {"slipway:monitoring": {"value": "{}"}}}
        return json.dumps([failed, {"kind": "update", "result": "succeeded", "config": named}])

    monkeypatch.setattr(engine_state, "pulumi", history)
    return sections


def monitoring_in(files: Path, section: Any, **others: Any) -> Any:
    """Return the monitoring of a rollback with this one in today's stack file; None if there is none."""
    given = {"slipway:monitoring": section, **{f"slipway:{key}": value for key, value in others.items()}}
    (files / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": given}))
    return stack_file_of("dev", RELEASE)["config"].get("slipway:monitoring")


MISTAKES = {
    "no mapping": "cluster",
    "a source that there is not": {**SERVERS, "source": "clustr"},
    "an unknown key": {**SERVERS, "retension": "35d"},
    "a value of another kind": {**SERVERS, "retention": 35},
    "no image": {"source": "cluster"},
    "a receiver without its keys": {**SERVERS, "receivers": {"mail": {**MAIL, "host": None}}},
}


@pytest.mark.feature("D4", part="a mistake in monitoring")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_monitoring_prevents_no_rollback_which_takes_that_of_the_last_update(
    files: Path, last_update: dict[str, Any], capsys: pytest.CaptureFixture[str], mistake: str
):
    last_update["monitoring"] = SERVERS
    assert monitoring_in(files, MISTAKES[mistake]) == SERVERS
    assert "slipway:monitoring of today's stack file has a mistake, and that of the last update is used" in (
        capsys.readouterr().err
    )


@pytest.mark.feature("D4", part="a mistake in monitoring")
@pytest.mark.parametrize("before", [None, {"source": "clustr"}], ids=["none", "a mistake"])
def test_a_mistake_in_monitoring_leaves_it_out_where_the_last_update_has_none_that_can_be_used(
    files: Path, last_update: dict[str, Any], capsys: pytest.CaptureFixture[str], before: Any
):
    last_update |= {"monitoring": before} if before else {}
    assert monitoring_in(files, {"source": "clustr"}) is None
    assert "has a mistake, and none is used. Correct it and run ./slipway up" in capsys.readouterr().err


@pytest.mark.feature("D4", part="a receiver without its secret")
def test_a_receiver_whose_secret_is_missing_prevents_no_rollback(files: Path, capsys: pytest.CaptureFixture[str]):
    section = {**SERVERS, "receivers": RECEIVERS}
    there: Any = {f"receiver-{name}": {"secure": "v1:ciphertext"} for name in ("pager", "mail")}
    left: Any = monitoring_in(files, section, **there, **{"receiver-team": "in clear"})
    assert left["receivers"].keys() == {"pager", "mail"}
    said = capsys.readouterr().err
    assert "slipway:monitoring.receivers.team of today's stack file is left out: its secret receiver-team is" in said
    assert "receivers.wecom" in said and "receivers.pager" not in said
    (files / "receiver-team").write_text("https://hooks.example.com/1")
    assert list(monitoring_in(files, section, secretFiles=str(files))["receivers"]) == ["team"]
    store = {"name": "vault", "entries": "values"}
    assert monitoring_in(files, section, secretStore=store) == section


def test_objectives_and_alerts_are_today_s_and_a_mistake_in_one_prevents_no_rollback(files: Path):
    """What users may rely on, and who is told, does not change with the version that runs."""
    slo, alert = {"availability": 99.9}, {"expr": "x{$(selector)} > 1", "summary": "Too many."}
    shown: dict[str, Any] = {"slo": slo, "alerts": {"Busy": alert}, "panels": {"Misses": {"expr": "x{$(selector)}"}}}
    today: dict[str, Any] = {"api": {**shown, "env": {"LOG_LEVEL": "debug"}}, "later": {"slo": slo}}
    (files / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": {"slipway:services": today}}))
    services = stack_file_of("dev", RELEASE)["config"]["slipway:services"]
    assert services == {"api": {**SETTINGS["services"]["api"], **shown}}
    today["api"]["slo"] = {"availability": "many"}
    (files / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": {"slipway:services": today}}))
    assert stack_file_of("dev", RELEASE)["config"]["slipway:services"]["api"].keys() == {
        "secrets",
        "env",
        "alerts",
        "panels",
    }


def test_texts_that_look_like_numbers_reach_the_engine_as_texts():
    with config_file("dev", RELEASE) as file:
        root, mistakes = engine_yaml.read(file.read_bytes(), file.name)
    assert not mistakes
    assert root.plain()["config"]["slipway:services"] == SETTINGS["services"]


def test_only_who_goes_back_can_read_the_file_and_it_is_gone_afterwards_even_if_that_fails():
    seen: list[Path] = []
    with pytest.raises(RuntimeError), config_file("dev", RELEASE) as file:
        seen.append(file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        raise RuntimeError
    assert not seen[0].exists() and not seen[0].parent.exists()
    assert (source_files.STACKS / "Pulumi.dev.yaml").read_text() == STACK_FILE


def releases_of(*revisions: str) -> list[Release]:
    return [Release(revision, SETTINGS, IMAGE) for revision in revisions]


def test_without_a_revision_one_goes_back_to_the_release_before():
    now, former, first = releases_of("cccccccc", "bbbbbbbb", "aaaaaaaa")
    assert choose([now, former, first], now, None, "dev") == former
    assert choose([former, first], now, None, "dev") == former  # its record is gone


def test_one_can_go_back_to_the_release_in_force_itself():
    now, former = releases_of("bbbbbbbb", "aaaaaaaa")
    assert choose([now, former], now, "bbbbbbbb", "dev") == now


@pytest.mark.feature("D4", part="an unknown revision is one message")
def test_an_unknown_revision_is_answered_with_the_ones_there_are():
    known = releases_of("bbbbbbbb", "aaaaaaaa")
    with pytest.raises(
        UnknownReleaseError, match=r"no release 0000aaaa of stack dev\. Recorded, .*: bbbbbbbb, aaaaaaaa$"
    ):
        choose(known, known[0], "0000aaaa", "dev")
    with pytest.raises(UnknownReleaseError, match="no release but the one in force"):
        choose(known[:1], known[0], None, "dev")


# --- the engine's state -----------------------------------------------------------------------------------------------

RECORD = "urn:pulumi:dev::slipway::kubernetes:core/v1:ConfigMap::release"
JOB = "urn:pulumi:dev::slipway::slipway:index:WebService$kubernetes:batch/v1:Job::api-migration"
PARENT = "urn:pulumi:dev::slipway::slipway:index:AppImage::api"
BUILD = "urn:pulumi:dev::slipway::slipway:index:AppImage$docker:index/image:Image::api"
DOCKER = "urn:pulumi:dev::slipway::pulumi:providers:docker::default_5_1_0"


def resource(urn: str, name: str = "", *, created: str = "", **other: Any) -> dict[str, Any]:
    inputs = {"metadata": {"name": name}, "data": {"settings.yaml": yaml.safe_dump(SETTINGS), "image": IMAGE}}
    type_ = urn.split("::")[2].rpartition("$")[2]
    return {"urn": urn, "type": type_, "id": name, "created": created, "inputs": inputs, **other}


def state(*resources: dict[str, Any]) -> engine_state.State:
    return {"version": 3, "deployment": {"resources": list(resources)}}


def ids(found: engine_state.State) -> list[tuple[str, bool]]:
    return [(one["id"], one.get("delete", False)) for one in found["deployment"]["resources"]]


def test_the_release_in_force_is_the_one_the_engine_knows_and_not_one_on_its_way_out():
    found = engine_state.in_force(
        state(resource(RECORD, "release-ffffffff", delete=True), resource(RECORD, "release-0a1b2c3d"))
    )
    assert found and (found.revision, found.settings, found.image) == ("0a1b2c3d", SETTINGS, IMAGE)


@pytest.mark.parametrize("empty", [{"version": 3, "deployment": {}}, state(resource(JOB))])
def test_a_stack_from_before_there_were_releases_has_none_in_force(empty: engine_state.State):
    assert engine_state.in_force(empty) is None


def test_what_a_failed_update_was_to_replace_is_the_stack_s_again():
    after_two_failures = state(
        resource(JOB, "third", created="2026-11-21T03:00:00Z"),
        resource(PARENT, "parent"),
        resource(JOB, "second", created="2026-11-21T02:00:00Z", delete=True),
        resource(JOB, "first", created="2026-11-21T01:00:00Z", delete=True),
    )
    repaired = engine_state.undo_replacements(after_two_failures)
    assert ids(repaired) == [("first", False), ("parent", False), ("second", True), ("third", True)]


def test_the_former_job_comes_behind_the_image_it_needs_which_a_killed_rollback_has_not_come_to():
    killed = state(
        resource(PARENT, "parent"),
        resource(JOB, "second", created="2026-11-21T02:00:00Z"),
        resource(DOCKER, "docker"),
        resource(BUILD, "image", parent=PARENT, provider=f"{DOCKER}::docker"),
        resource(JOB, "first", created="2026-11-21T01:00:00Z", delete=True, dependencies=[BUILD]),
    )
    repaired = engine_state.undo_replacements(killed)
    assert ids(repaired) == [
        ("parent", False), ("docker", False), ("image", False), ("first", False), ("second", True)
    ]  # fmt: skip


def test_a_state_without_anything_half_replaced_stays_as_it_is():
    whole = state(resource(PARENT, "parent"), resource(JOB, "gone", delete=True))
    assert engine_state.undo_replacements(whole) == whole


def test_the_images_built_before_are_known_afterwards_each_behind_what_it_needs():
    before = state(resource(PARENT, "p"), resource(DOCKER, "d"), resource(BUILD, "b", parent=PARENT))
    after = state(resource(JOB, "j"), resource(PARENT, "p"), resource(RECORD, "release-0a1b2c3d"))
    found = engine_state.keep_built_images(after, before)
    assert [one for one, _ in ids(found)] == ["j", "p", "d", "b", "release-0a1b2c3d"]
    assert engine_state.keep_built_images(found, before) == found


def test_a_build_without_its_parent_is_not_put_back():
    before = state(resource(PARENT, "p"), resource(BUILD, "b", parent=PARENT))
    assert engine_state.keep_built_images(state(resource(JOB, "j")), before) == state(resource(JOB, "j"))


def test_of_several_images_those_are_put_back_that_the_release_has_too():
    cart = BUILD.replace("::api", "::cart"), PARENT.replace("::api", "::cart")
    before = state(
        resource(PARENT, "p"), resource(cart[1], "p2"), resource(BUILD, "b", parent=PARENT),
        resource(cart[0], "b2", parent=cart[1]),
    )  # fmt: skip
    found = engine_state.keep_built_images(state(resource(PARENT, "p"), resource(JOB, "j")), before)
    assert [one for one, _ in ids(found)] == ["p", "b", "j"]


def test_the_state_goes_back_to_the_engine_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "pulumi").write_text(f'#!/bin/sh\necho "$@" > "{tmp_path}/arguments"\ncat > "{tmp_path}/given"\n')
    (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    engine_state.restore("dev", state(resource(JOB, "j")))
    assert (tmp_path / "arguments").read_text() == "stack import -s dev --non-interactive\n"
    assert ids(json.loads((tmp_path / "given").read_text())) == [("j", False)]


def test_ctrl_c_lets_the_engine_stop_by_itself_and_so_give_back_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    engine = tmp_path / "pulumi"
    engine.write_text(f'#!/bin/sh\nkill -INT $PPID\nsleep 1\necho stopped > "{tmp_path}/end"\nexit 7\n')
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(engine_state, "export", lambda _: {"deployment": {"resources": []}})
    monkeypatch.setattr(autoscalers, "forget_lost", lambda *_: None)
    assert rollback.roll_back("dev", RELEASE, {"deployment": {"resources": []}}) == 7
    assert (tmp_path / "end").read_text() == "stopped\n"
