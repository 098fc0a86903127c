"""Rules that are newer than a release are warnings in a rollback to it. The current waivers apply."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
import yaml

from slipway import releases
from slipway.ops.cluster import connection
from slipway.ops.program.recorder import Program, declare
from slipway.ops.releases import rollback
from slipway.ops.releases.rollback import UnknownReleaseError, stack_file_of
from slipway.releases import Release
from slipway.settings import engine_yaml, source_files
from tests.conftest import Changed, Declare, with_changes
from tests.monitoring_objects.declared import RECEIVERS, SERVERS
from tests.program.test_releases import recorded

WAIVER = {"rule": "SW006", "reason": "the next version has another user", "until": "2020-01-31"}


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    return warnings


def with_settings(release: Release, changes: dict[str, Any]) -> Release:
    """Return the release as if it had been recorded with these settings, given by dotted keys."""
    settings = json.loads(json.dumps(release.settings))
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        section: Any = settings
        for key in path:
            section = section[key]
        section[last] = value
    return replace(release, settings=settings)


def back(stack: str, release: Release) -> Program:
    """Return what the program declares for a record that `./slipway rollback` passes."""
    return declare(stack, stack_file_of(stack, release)["config"])


SINCE = {
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
def test_a_newer_rule_is_a_warning_in_a_rollback_and_an_error_elsewhere(program: Declare, warned: list[str], rule: str):
    changes, words = SINCE[rule]
    assert back("prod", with_settings(recorded(program("prod")), changes)).manifests()
    assert any(words in line for line in warned), warned
    with pytest.raises(pulumi.RunError) as refused:
        declare("prod", with_changes("prod", changes))
    assert words in str(refused.value)


def test_a_newer_house_rule_is_a_warning_in_a_rollback(
    program: Declare, warned: list[str], monkeypatch: pytest.MonkeyPatch
):
    former = recorded(program("prod"))
    monkeypatch.setattr("slipway.rules.required.pod_security.MINIMUM_ID", 100_000)
    assert back("prod", former).manifests()
    assert [line for line in warned if line.startswith("SW006 ")]
    with pytest.raises(pulumi.RunError, match="SW006"):
        declare("prod")


def test_a_waiver_that_has_expired_since_the_release_does_not_prevent_a_rollback(program: Declare, warned: list[str]):
    former = with_settings(recorded(program("prod")), {"waivers": [WAIVER]})
    assert back("prod", former).manifests().keys() == program("prod").manifests().keys()
    assert not [line for line in warned if "SW903" in line]


def test_a_rollback_uses_the_current_waivers(program: Declare, warned: list[str], monkeypatch: pytest.MonkeyPatch):
    former = recorded(program("prod"))
    monkeypatch.setattr("slipway.rules.required.pod_security.MINIMUM_ID", 100_000)
    today = [{**WAIVER, "until": "2999-12-31"}, {"rule": "nonsense"}]
    monkeypatch.setattr(rollback, "effective", lambda *_: engine_yaml.Node.of({"waivers": today}))
    config = stack_file_of("prod", former)["config"]
    assert config["slipway:waivers"] == today[:1]
    declare("prod", config)
    assert not [line for line in warned if "SW006" in line]


@pytest.mark.feature("D4", part="a mistake in monitoring")
@pytest.mark.parametrize(
    "section",
    [{"source": "clustr"}, {"source": "cluster"}, {**SERVERS, "receivers": RECEIVERS}],
    ids=["no such source", "no image", "no secrets"],
)
def test_a_mistake_in_the_current_monitoring_does_not_prevent_a_rollback(
    program: Declare, monkeypatch: pytest.MonkeyPatch, section: dict[str, Any]
):
    former = recorded(program("prod"))
    monkeypatch.setattr(rollback, "effective", lambda *_: engine_yaml.Node.of({"monitoring": section}))
    assert former.images["api"] in str(back("prod", former).manifests())


def test_the_variables_of_a_former_app_are_not_compared_with_those_of_today_s(program: Declare, warned: list[str]):
    former = with_settings(recorded(program("prod")), {"services.api.env.LATER_GONE": "1"})
    assert back("prod", former).manifests()
    assert not [line for line in warned if "LATER_GONE" in line]
    with pytest.raises(pulumi.RunError, match="holds LATER_GONE; the app reads"):
        declare("prod", with_changes("prod", {"services.api.env.LATER_GONE": "1"}))


def test_another_waiver_makes_no_new_release(changed: Changed, program: Declare):
    waived = changed("prod", {"waivers": [{**WAIVER, "until": "2999-12-31"}]})
    assert recorded(waived) == recorded(program("prod"))
    record = waived.manifests()["ConfigMap", "release"]
    assert "waivers" not in yaml.safe_load(record["data"]["settings.yaml"])


def test_a_release_that_the_current_program_cannot_read_is_refused_by_name(program: Declare):
    former = with_settings(recorded(program("prod")), {"services.api.startupSeconds": "soon"})
    with pytest.raises(pulumi.RunError) as refused:
        back("prod", former)
    assert str(refused.value) == (
        f"release {former.revision}, as today's program reads it, has 1 mistake; nothing was changed.\n"
        "  slipway:services.api.startupSeconds: should be a whole number (found: 'soon'). Example: startupSeconds: 60"
    )


def test_a_rollback_to_a_release_whose_secret_is_gone_is_refused(program: Declare):
    config = stack_file_of("prod", recorded(program("prod")))["config"]
    with pytest.raises(
        pulumi.RunError, match=r"(?s)^release \w{8}, as .* slipway:signing-key: secret is missing or empty"
    ):
        declare("prod", {**config, "slipway:signing-key": ""})


def test_a_mistake_in_the_current_stack_file_does_not_prevent_a_rollback(
    program: Declare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    present, connected = recorded(program("dev")), []
    text = (source_files.STACKS / "Pulumi.dev.yaml").read_text()
    (tmp_path / "Pulumi.dev.yaml").write_text(f"{text}  slipway:colour: blue\n")
    (tmp_path / "defaults.yaml").write_text((source_files.STACKS / "defaults.yaml").read_text())
    monkeypatch.setattr(source_files, "STACKS", tmp_path)
    monkeypatch.setattr(
        connection, "connect", lambda stack, settings: connected.append(settings) or SimpleNamespace(client=None)
    )
    monkeypatch.setattr(releases, "kept", lambda client, stack: [present])
    assert rollback.recorded("dev", present) == [present]
    assert connected[0].cluster.context == "dev"
    assert "colour: unknown key" in capsys.readouterr().err
    with pytest.raises(UnknownReleaseError, match="colour: unknown key"):
        rollback.recorded("dev")
