"""`./slipway up` and `rollback` while an error budget is burnt: what is refused, what passes, and what is recorded.

The engine is a script (conftest.py), and Prometheus answers from a table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from slipway import __main__ as slipway
from slipway import releases
from slipway.ops.changes import preview, stack_models
from slipway.ops.changes.comparison import Change
from slipway.ops.monitoring import gate, prometheus
from slipway.ops.monitoring.gate import BudgetBurntError
from slipway.ops.program import config
from slipway.ops.program.engine_history import updates_in
from slipway.ops.releases import history, rollback, up
from slipway.ops.releases.history import join
from slipway.releases import Release
from tests.ops.monitoring.fake_prometheus import FakePrometheus, monitored, spent
from tests.releases.conftest import RELEASE
from tests.releases.test_history import FIRST, OTHER, release, update

REASON = "it is the fix of ticket 17"
API = {"metadata": {"name": "api", "labels": {"app.kubernetes.io/name": "api"}}}
NEW_PODS = Change("Deployment/api", {**API, "spec": 1}, {**API, "spec": 2})


@pytest.fixture
def burnt(engine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the engine of a stack that has burnt the budget of api, and is about to update it.

    The engine notes the variable with the reason in `reason`.
    """
    script = (engine / "pulumi").read_text()
    noted = f'echo "${releases.OVERRIDE_VARIABLE}" > reason\n'
    (engine / "pulumi").write_text(script.replace("echo ", f"{noted}echo ", 1))
    monkeypatch.setattr(config, "settings", lambda _: monitored())
    monkeypatch.setattr(prometheus, "connect", lambda *_: FakePrometheus(spent(0.002)).client)
    monkeypatch.setattr(stack_models, "of_engine", lambda *_: [NEW_PODS])
    monkeypatch.setattr(up, "_without_missing", lambda _, state: state)
    return engine


@pytest.mark.feature("P2", part="`up` is refused before anything is started")
def test_an_update_is_refused_before_the_engine_is_started(burnt: Path):
    with pytest.raises(BudgetBurntError, match="-300 % of it is left"):
        up.command("dev", yes=True, rolls_back=True)
    assert not (burnt / "commands").exists()


def test_the_refusal_is_one_message_and_exit_code_1(
    burnt: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("sys.argv", ["slipway", "up", "-s", "dev", "--yes"])
    with pytest.raises(SystemExit) as ended:
        slipway.main()
    assert ended.value.code == 1
    assert "error: dev: the error budget of api is burnt; nothing was changed.\n" in capsys.readouterr().err


@pytest.mark.feature("P2", part="the override is passed on to the release and to the history")
def test_with_a_reason_it_is_updated_and_the_reason_goes_to_the_program_and_into_the_history(burnt: Path):
    done = CliRunner().invoke(slipway.app, ["up", "-s", "dev", "--yes", "--override-budget", f" {REASON} "])
    assert done.exit_code == 1  # the script of the engine fails
    [command] = (burnt / "commands").read_text().splitlines()
    assert f"up -s dev --yes --message error budget overridden: {REASON} --event-log" in command
    assert (burnt / "reason").read_text() == f"{REASON}\n"


def test_the_rollback_of_an_update_that_failed_is_not_asked_about_the_budget(burnt: Path):
    assert up.command("dev", yes=True, rolls_back=True, override=REASON) == 1
    assert (burnt / "rollback").read_text() == "dev 0a1b2c3d dev"


@pytest.mark.feature("P2", part="a rollback always passes")
def test_a_rollback_passes(burnt: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gate, "check", lambda *_: pytest.fail("a rollback was asked about the budget"))
    former = Release("4e5f6a7b", {}, RELEASE.image, at="2026-11-21T08:35:23+00:00")
    monkeypatch.setattr(rollback, "recorded", lambda *_: [former])
    monkeypatch.setattr(rollback, "stack_file_of", lambda *_: {})
    monkeypatch.setattr(preview, "as_table", lambda _: None)
    monkeypatch.setattr(preview, "refuse", lambda _: False)
    monkeypatch.setattr(rollback, "apply", lambda *_: 0)
    assert rollback.command("dev", None, [], yes=True) == 0


def test_an_update_without_a_burnt_budget_leaves_no_trace_of_one(burnt: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prometheus, "connect", lambda *_: FakePrometheus(spent(0.0001)).client)
    up.command("dev", yes=True, rolls_back=False)
    assert "--message" not in (burnt / "commands").read_text()
    assert (burnt / "reason").read_text() == "\n"


# The record, and the history


def test_the_reason_is_an_annotation_of_the_release(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(releases.OVERRIDE_VARIABLE, REASON)
    annotations: Any = releases._circumstances(monitored())  # pyright: ignore[reportPrivateUsage]
    assert annotations["slipway/budget-override"] == REASON
    read = Release.of("release-0a1b2c3d", {"settings.yaml": "{}"}, annotations)
    assert read.override == REASON


def test_a_release_without_an_override_has_no_annotation_of_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(releases.OVERRIDE_VARIABLE, raising=False)
    annotations: Any = releases._circumstances(monitored())  # pyright: ignore[reportPrivateUsage]
    assert "slipway/budget-override" not in annotations


@pytest.mark.feature("P2", part="the override stands in `history`")
def test_the_history_shows_the_reason_of_a_release_and_of_an_update_that_failed():
    overridden = f"error budget overridden: {REASON}"
    made = update("09:05:13", "09:05:22", "succeeded", overridden, {"replace": 3})
    failed = update("09:07:13", "09:07:22", "failed", overridden, {"replace": 1})
    last, kept, first = join([release("aee1ac53", "09:05:20")], updates_in([failed, made, FIRST]), "aee1ac53")
    assert (kept.revision, kept.message, kept.data()["override"]) == ("aee1ac53", overridden, REASON)
    assert (last.result, last.message, last.override) == ("failed", overridden, REASON)
    assert first.override == ""


def test_the_history_shows_the_reason_of_a_release_that_the_engine_has_forgotten(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    known = Release("aee1ac53", {}, RELEASE.image, at="2026-11-21T09:05:20+00:00", override=REASON)
    monkeypatch.setattr(history, "recorded", lambda _: [known])
    monkeypatch.setattr(history, "_updates", lambda *_: [])
    monkeypatch.setattr(history, "_in_force", lambda *_: known)
    history.command("dev", as_json=False)
    assert f"error budget overridden: {REASON}" in capsys.readouterr().out


def test_another_message_is_no_override():
    [row] = join([], updates_in([OTHER]), "")
    assert (row.message, row.override) == ("Log less", "")


def test_whoever_is_asked_in_the_terminal_still_is(burnt: Path, monkeypatch: pytest.MonkeyPatch):
    def no(*_: object, **__: object) -> bool:
        raise typer.Abort

    monkeypatch.setattr(typer, "confirm", no)
    up.command("dev", yes=False, rolls_back=False, override=REASON)
    assert " --yes " not in (burnt / "commands").read_text()
