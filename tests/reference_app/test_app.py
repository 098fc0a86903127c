"""What stack files and pages say about the reference app is what its source says."""

from __future__ import annotations

import re

import yaml

from tests.docs.pages import Page
from tests.paths import PROJECT, REPOSITORY
from tests.reference_app import only_with_the_reference_app

pytestmark = only_with_the_reference_app


def test_the_length_that_defaults_demand_is_the_app_s_own():
    source = (REPOSITORY / "app" / "internal" / "config" / "secret.go").read_text()
    [shortest] = re.findall(r"minSigningKeyLength = (\d+)", source)
    lengths = yaml.safe_load((REPOSITORY / "stacks" / "defaults.yaml").read_text())["config"]["slipway:services"]["api"]
    assert lengths["secretLengths"] == {"signing-key": int(shortest), "signing-key-previous": int(shortest)}


def test_the_program_that_is_started_by_hand_is_there():
    typed = next(line for line in Page(REPOSITORY / "docs" / "reference-app.md").lines if line.startswith("(cd "))
    folder, package = re.fullmatch(r"\(cd (\S+) && go run (\S+)\)", typed).groups()  # pyright: ignore[reportOptionalMemberAccess]
    assert (REPOSITORY / folder / package / "main.go").is_file()


def test_the_tests_project_reads_the_variables_of_the_reference_app():
    """Otherwise stack files for it would be judged by other variables than those of the app they were copied from."""
    own, fixture = ((root / "app" / "variables.txt").read_text() for root in (REPOSITORY, PROJECT))
    assert own
    assert fixture == own
