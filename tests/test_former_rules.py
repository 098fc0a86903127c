"""A rule that has come since keeps nobody from going back to a release: it is a warning. Waivers are today's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
import releases
import stack_file
import yaml
from releases import Release

from ops import cluster, rollback
from ops.recorder import Program, declare
from ops.rollback import NoRelease, composed
from tests.conftest import Changed, Declare, with_changes
from tests.test_releases import recorded

WAIVER = {"rule": "SR051", "reason": "the variable goes with the next version", "until": "2020-01-31"}


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", said.append)
    return said


def with_settings(release: Release, changes: dict[str, Any]) -> Release:
    """The release as if it had been recorded with these settings too, by dotted keys."""
    settings = json.loads(json.dumps(release.settings))
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        section: Any = settings
        for key in path:
            section = section[key]
        section[last] = value
    return replace(release, settings=settings)


def back(stack: str, release: Release) -> Program:
    """What the program declares of a record, as `./slipway rollback` hands it over."""
    return declare(stack, composed(stack, release)["config"])


SINCE = {
    "a variable that the app no longer reads": (
        {"services.api.env.LATER_GONE": "1"},
        "holds LATER_GONE; the app reads",
    ),
    "a variable that the program sets now": ({"services.api.env.HTTP_PORT": "80"}, "HTTP_PORT is set by the program"),
    "a key that is gone": ({"services.api.colour": "blue"}, "slipway:services.api.colour: unknown key"),
    "too few pods": ({"services.api.autoscaling": {"min": 1, "max": 2}}, "autoscaling.min: prod needs at least 2"),
    "no TLS": ({"services.api.ingress.tls": None}, "slipway:services.api.ingress.tls: prod needs TLS"),
    "values that do not agree": (
        {"services.api.drain": {"preStopSeconds": 0, "delaySeconds": 0}},
        "= 0 s is less than",
    ),
    "an item twice": ({"services.web.needs": ["api", "api"]}, "needs.1: is in the list twice"),
}


@pytest.mark.parametrize("rule", SINCE)
@pytest.mark.feature("D4", part="a rule that has come since is a warning")
def test_a_rule_that_has_come_since_is_a_warning_in_a_rollback_and_refused_elsewhere(
    program: Declare, warned: list[str], rule: str
):
    changes, words = SINCE[rule]
    assert back("prod", with_settings(recorded(program("prod")), changes)).manifests()
    assert any(words in line for line in warned), warned
    with pytest.raises(pulumi.RunError) as refused:
        declare("prod", with_changes("prod", changes))
    assert words in str(refused.value)


def test_a_house_rule_is_a_warning_in_a_rollback_also_for_a_release_that_broke_none_before(
    program: Declare, warned: list[str], monkeypatch: pytest.MonkeyPatch
):
    former = recorded(program("prod"))
    monkeypatch.setattr("pod.USER_ID", 1000)
    assert back("prod", former).manifests()
    assert [line for line in warned if line.startswith("SW006 ")]
    with pytest.raises(pulumi.RunError, match="SW006"):
        declare("prod")


def test_a_waiver_that_has_run_out_since_the_release_keeps_nobody_from_going_back(program: Declare, warned: list[str]):
    former = with_settings(recorded(program("prod")), {"waivers": [WAIVER]})
    assert back("prod", former).manifests().keys() == program("prod").manifests().keys()
    assert not [line for line in warned if "SW903" in line]


def test_waivers_are_today_s_in_a_rollback(program: Declare, warned: list[str], monkeypatch: pytest.MonkeyPatch):
    former = with_settings(recorded(program("prod")), SINCE["a variable that the app no longer reads"][0])
    today = [{**WAIVER, "until": "2999-12-31"}, {"rule": "nonsense"}]
    monkeypatch.setattr(rollback, "effective", lambda *_: stack_file.Node.of({"waivers": today}))
    config = composed("prod", former)["config"]
    assert config["slipway:waivers"] == today[:1]
    declare("prod", config)
    assert not [line for line in warned if "SR051" in line]


def test_another_waiver_is_the_same_release(changed: Changed, program: Declare):
    waived = changed("prod", {"waivers": [{**WAIVER, "until": "2999-12-31"}]})
    assert recorded(waived) == recorded(program("prod"))
    record = waived.manifests()["ConfigMap", "release"]
    assert "waivers" not in yaml.safe_load(record["data"]["settings.yaml"])


def test_a_release_that_today_s_program_cannot_read_is_refused_by_its_name(program: Declare):
    former = with_settings(recorded(program("prod")), {"services.api.startupSeconds": "soon"})
    with pytest.raises(pulumi.RunError) as refused:
        back("prod", former)
    assert str(refused.value) == (
        f"release {former.revision}, as today's program reads it, has 1 mistake; nothing was changed.\n"
        "  slipway:services.api.startupSeconds: should be a whole number (found: 'soon'). Example: startupSeconds: 60"
    )


def test_a_secret_that_a_former_release_needs_and_nobody_has_any_more_is_refused(program: Declare):
    config = composed("prod", recorded(program("prod")))["config"]
    with pytest.raises(
        pulumi.RunError, match=r"(?s)^release \w{8}, as .* slipway:signing-key: secret is missing or empty"
    ):
        declare("prod", {**config, "slipway:signing-key": ""})


def test_a_mistake_in_today_s_stack_file_keeps_nobody_from_going_back(
    program: Declare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    present, asked = recorded(program("dev")), []
    text = (stack_file.STACKS / "Pulumi.dev.yaml").read_text()
    (tmp_path / "Pulumi.dev.yaml").write_text(f"{text}  slipway:colour: blue\n")
    (tmp_path / "defaults.yaml").write_text((stack_file.STACKS / "defaults.yaml").read_text())
    monkeypatch.setattr(stack_file, "STACKS", tmp_path)
    monkeypatch.setattr(
        cluster, "connect", lambda stack, settings: asked.append(settings) or SimpleNamespace(client=None)
    )
    monkeypatch.setattr(releases, "kept", lambda client, stack: [present])
    assert rollback.recorded("dev", present) == [present]
    assert asked[0].cluster.context == "dev"
    assert "colour: unknown key" in capsys.readouterr().err
    with pytest.raises(NoRelease, match="colour: unknown key"):
        rollback.recorded("dev")
