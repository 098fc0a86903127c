"""A planted vulnerable module stops a deployment, with the real govulncheck and database, and with no network."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.delivery.go_project import CLEAN, IMPORTED, VULNERABLE, GoProject
from tests.e2e.conftest import run

# The first run compiles govulncheck and indexes the database.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

# Nothing answers there: a Go command that had to ask the network would fail.
NOWHERE = "http://127.0.0.1:9"
OFFLINE = {"GOPROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "HTTP_PROXY": NOWHERE}
PLANTED = ["GO-2021-0113", "GO-2022-1059"]


@pytest.fixture
def project(tmp_path: Path) -> GoProject:
    return GoProject(tmp_path)


@pytest.fixture(scope="module", autouse=True)
def tools(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Fill the cache, which is all that needs the network."""
    project = GoProject(tmp_path_factory.mktemp("first"))
    project.use(VULNERABLE)
    assert project.slipway("scan").stdout


@pytest.mark.feature("A11")
def test_a_planted_module_is_refused_with_the_call_that_reaches_it_and_without_a_network(project: GoProject):
    project.use(VULNERABLE)
    result = project.slipway("scan", "-s", "dev", **OFFLINE)
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        f"dev: image api: {id} golang.org/x/text v0.3.5, fixed in {fixed}: api.main -> language.ParseAcceptLanguage"
        for id, fixed in zip(PLANTED, ["v0.3.7", "v0.3.8"], strict=True)
    ]


@pytest.mark.feature("A11", part="dated waivers")
def test_waivers_let_it_pass_until_their_day_and_name_it_again_after(project: GoProject):
    project.use(VULNERABLE)
    today, yesterday = date.today(), date.today() - timedelta(days=1)
    project.waive(PLANTED[0], str(today))
    result = project.slipway("scan", **OFFLINE)
    assert (result.returncode, len(result.stdout.splitlines())) == (1, 1)
    project.waive(PLANTED[1], str(today))
    result = project.slipway("scan", **OFFLINE)
    assert (result.returncode, result.stdout) == (0, "")
    assert f"waived until {today}: no client sets this variable" in result.stderr
    project.stack_file.write_text(project.stack_file.read_text().replace(str(today), str(yesterday)))
    result = project.slipway("scan", **OFFLINE)
    assert result.returncode == 1
    assert result.stdout.count(f"(its waiver ended on {yesterday})") == 2


@pytest.mark.parametrize("program", [CLEAN, IMPORTED], ids=["without the module", "without the call"])
def test_a_program_that_cannot_reach_it_passes(project: GoProject, program: str):
    project.use(program)
    result = project.slipway("scan", **OFFLINE)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "dev: image api reaches no known vulnerability" in result.stderr


def test_the_app_of_this_project_reaches_no_vulnerability_that_the_pinned_database_knows():
    result = run("./slipway", "scan", "-s", "local", "-s", "dev")
    assert "dev: image api reaches no known vulnerability" in result.stderr
