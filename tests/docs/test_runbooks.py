"""Each alert has a runbook, and each runbook says what can be typed as it stands."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from slipway.monitoring.groups import groups_of
from slipway.monitoring_objects import self_alerts
from slipway.ops.drills.catalogue import DRILLS
from tests.docs.pages import Page
from tests.monitoring.conftest import SLO, alerts_of_the_reference_app, settings_of
from tests.monitoring_objects.declared import CLUSTER
from tests.paths import HAS_REFERENCE_APP, REPOSITORY
from tests.reference_app import only_with_the_reference_app

FOLDER = REPOSITORY / "docs" / "runbooks"
INDEX = FOLDER / "README.md"
RUNBOOKS = sorted(set(FOLDER.glob("*.md")) - {INDEX})
# Verbs of kubectl that the pages use, with their options.
KUBECTL = {
    "get": {"-n", "-l", "-o"},
    "describe": {"-n"},
    "top": {"-n", "-l"},
    "exec": {"-n", "--"},
}
KINDS = {
    "certificate",
    "certificaterequest",
    "challenge",
    "deployment",
    "hpa",
    "nodes",
    "order",
    "pods",
    "pvc",
    "quota",
    "replicaset",
    "storageclass",
}

every_runbook = pytest.mark.parametrize("runbook", [Page(file) for file in RUNBOOKS], ids=str)


def alerts() -> dict[str, set[str]]:
    """Return the severities of all alerts that there are, by name."""
    changes = {"services.api.slo": SLO, **(alerts_of_the_reference_app() if HAS_REFERENCE_APP else {})}
    found: dict[str, set[str]] = {}
    own = settings_of("prod", CLUSTER)
    for group in [*groups_of(settings_of("prod", changes), "operator"), self_alerts.group(own)]:
        for rule in group["rules"]:
            if "alert" in rule:
                found.setdefault(rule["alert"], set()).add(rule["labels"]["severity"])
    return found


@only_with_the_reference_app
def test_each_alert_has_a_runbook_and_each_runbook_an_alert():
    assert {file.stem for file in RUNBOOKS} == alerts().keys()


@only_with_the_reference_app
@every_runbook
def test_a_runbook_begins_with_the_severity_of_its_alert(runbook: Page):
    first = runbook.text.splitlines()[2]
    assert set(re.findall(r"\b(page|ticket)\b", first)) == alerts()[runbook.file.stem]


@every_runbook
def test_a_runbook_says_what_it_means_how_to_look_what_to_do_and_which_drill_shows_it(runbook: Page):
    assert runbook.text.startswith(f"# {runbook.file.stem}\n")
    assert re.findall(r"^## (.+)$", runbook.text, re.MULTILINE) == ["Look", "Do", "Drill"]
    assert runbook.lines


@every_runbook
def test_drills_that_a_runbook_names_exist(runbook: Page):
    named = {shlex.split(command)[2] for command in runbook.commands if command.startswith("./slipway drill ")}
    assert named - {drill.name for drill in DRILLS} == set()


@every_runbook
def test_commands_of_kubectl_name_verbs_kinds_and_a_namespace(runbook: Page):
    typed = [shlex.split(line) for line in runbook.lines if line.startswith("kubectl ")]
    assert [words for words in typed if wrong_in_kubectl(words)] == []


@pytest.mark.parametrize(
    "command",
    ["kubectl get pods", "kubectl -n slipway-prod list pods", "kubectl -n slipway-prod get podz"],
)
def test_a_command_of_kubectl_that_does_not_exist_is_seen(command: str):
    assert wrong_in_kubectl(shlex.split(command))


def wrong_in_kubectl(words: list[str]) -> bool:
    """Whether a command lacks a namespace, or has a verb, kind or option that is not known here."""
    namespace, verb, rest = words[1:3], words[3:4], words[4:]
    if namespace != ["-n", "slipway-prod"] or verb[0] not in KUBECTL:
        return True
    own = rest[: rest.index("--")] if "--" in rest else rest
    options = {word for word in own if word.startswith("-")}
    values = {value for option, value in pairwise(own) if option.startswith("-")}
    names = [word for word in own if word not in options | values]
    return bool(options - KUBECTL[verb[0]]) or (verb != ["exec"] and not {*names[0].split(",")} <= KINDS)


def test_the_index_lists_each_runbook_with_its_first_line():
    rows = dict(re.findall(r"^\| \[\w+\]\((\w+)\.md\) \| (.+) \|$", INDEX.read_text(), re.MULTILINE))
    assert rows == {file.stem: first_line(file) for file in RUNBOOKS}


def first_line(runbook: Path) -> str:
    return runbook.read_text().splitlines()[2]
