"""The vulnerability gate: reachable vulnerabilities are findings, waivers end on their day, nothing passes silently."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from slipway.__main__ import app
from slipway.ops.supply_chain import govulncheck, scan, vulnerability_database, waivers
from slipway.ops.supply_chain.govulncheck import Vulnerability, parse
from slipway.ops.supply_chain.tools import ToolError
from slipway.ops.supply_chain.vulnerability_database import PINNED, Database
from slipway.rules import house_rules
from slipway.settings.sections.images import Image
from slipway.settings.sections.stack import Waiver
from tests.api_server import settings

TODAY = date(2026, 12, 1)
PARSER = Vulnerability(
    "GO-2021-0113", "golang.org/x/text", "v0.3.5", "v0.3.7", "api.main -> language.ParseAcceptLanguage"
)


def frame(package: str, function: str = "", **fields: str) -> dict[str, Any]:
    """A frame as govulncheck prints it: without a function where only the package or module is known to be there."""
    return {"package": package, **({"function": function} if function else {}), **fields}


def message(osv: str, *trace: dict[str, Any], fixed: str = "v0.3.7") -> str:
    return json.dumps({"finding": {"osv": osv, "fixed_version": fixed, "trace": list(trace)}}, indent=2)


PACKAGE = "golang.org/x/text/language"
TEXT = {"module": "golang.org/x/text", "version": "v0.3.5"}
MAIN = frame("planted/cmd/api", "main", module="planted")
CALLED = message("GO-2021-0113", frame(PACKAGE, "ParseAcceptLanguage", **TEXT), MAIN)
IMPORTED = message("GO-2022-1059", frame(PACKAGE, **TEXT))
REQUIRED = message("GO-2026-5970", TEXT)


def waiver(until: date = TODAY, rule: str = PARSER.id, object: str | None = None) -> Waiver:
    return Waiver.model_construct(rule=rule, object=object, reason="no header of ours gets there", until=until)


@pytest.mark.feature("A11", part="a finding names what is reached, and how")
def test_only_what_the_program_can_call_is_a_finding():
    assert parse("\n".join([json.dumps({"config": {}}), REQUIRED, IMPORTED, CALLED])) == [PARSER]
    assert PARSER.text == (
        "GO-2021-0113 golang.org/x/text v0.3.5, fixed in v0.3.7: api.main -> language.ParseAcceptLanguage"
    )


def test_of_several_ways_to_a_vulnerability_the_shortest_is_shown():
    server = frame("net/http", "Serve", receiver="*Server", module="stdlib")
    longer = message("GO-2021-0113", frame(PACKAGE, "Parse", **TEXT), server, MAIN)
    assert parse(longer + CALLED) == parse(CALLED + longer) == [PARSER]
    assert [one.path for one in parse(longer)] == ["api.main -> http.Server.Serve -> language.Parse"]


def test_a_vulnerability_without_a_fixed_version_says_so():
    (found,) = parse(message("GO-2026-5932", frame("golang.org/x/crypto/openpgp", "Sign", **TEXT), fixed=""))
    assert ", no fixed version: " in found.text


@pytest.mark.feature("A11", part="dated waivers")
@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ([], [PARSER.text]),
        ([waiver()], []),
        ([waiver(TODAY - timedelta(days=1))], [f"{PARSER.text} (its waiver ended on 2026-11-30)"]),
        ([waiver(TODAY - timedelta(days=1)), waiver()], []),
        ([waiver(rule="GO-2022-1059")], [PARSER.text]),
        ([waiver(object="Image/api")], []),
        ([waiver(object="Image/worker")], [PARSER.text]),
    ],
    ids=["none", "last day", "ended", "renewed", "another id", "this image", "another image"],
)
def test_a_waiver_lets_one_vulnerability_pass_until_its_day(given: list[Waiver], refused: list[str]):
    assert waivers.verdict_on("api", [PARSER], given, TODAY).refused == refused


def test_a_waived_vulnerability_is_shown_with_reason_and_day():
    (line,) = waivers.verdict_on("api", [PARSER], [waiver()], TODAY).waived
    assert line == f"{PARSER.text} (waived until 2026-12-01: no header of ours gets there)"


def test_the_stack_file_takes_waivers_of_vulnerabilities_beside_those_of_house_rules():
    given = {"rule": PARSER.id, "object": "Image/api", "reason": "no header of ours gets there", "until": "2020-01-31"}
    (read,) = settings("dev", {"waivers": [given]}).waivers
    (finding,) = house_rules.check([], "dev", [read], TODAY)
    assert finding.rule == "SW903"
    assert "slipway:waivers[0]: until was 2020-01-31" in finding.text


@pytest.fixture
def vulnerabilities(monkeypatch: pytest.MonkeyPatch) -> list[Vulnerability]:
    """What govulncheck would find in each image; no Go is needed."""
    given: list[Vulnerability] = []
    monkeypatch.setattr(scan, "database", lambda newest: Database(Path("/db"), PINNED))
    monkeypatch.setattr(scan, "reachable", lambda *_: list(given))
    return given


def scanned(*stacks: str) -> Any:
    options = [argument for stack in stacks for argument in ("-s", stack)]
    return CliRunner().invoke(app, ["scan", *options])


@pytest.mark.feature("A11", part="the gate stops a deployment")
def test_a_reachable_vulnerability_is_one_line_and_ends_the_scan_with_exit_code_1(vulnerabilities: list[Vulnerability]):
    vulnerabilities.append(PARSER)
    result = scanned("dev")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [f"dev: image api: {PARSER.text}"]
    assert "waive the id in slipway:waivers until a day" in result.stderr


def test_a_clean_scan_says_what_it_compared_with_and_what_it_did_not_scan(vulnerabilities: list[Vulnerability]):
    result = scanned("dev", "prod")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "dev: image api reaches no known vulnerability" in result.stderr
    assert "dev: server mysql is not scanned: docker.io/library/mysql:8.4@sha256:" in result.stderr
    assert "prod: image api is not scanned: it is promoted from staging" in result.stderr
    assert f"vulnerability database {PINNED}, of 2026-11-05" in result.stderr


def test_programs_read_the_same_result_as_json(vulnerabilities: list[Vulnerability]):
    vulnerabilities.append(PARSER)
    result = CliRunner().invoke(app, ["scan", "-s", "dev", "-s", "prod", "--json"])
    report = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (1, "")
    assert report["database"] == {"version": PINNED, "day": "2026-11-05"}
    images = {(one["stack"], one["subject"]): one for one in report["images"]}
    assert images["dev", "image api"]["refused"] == [PARSER.text]
    assert images["dev", "image api"]["notScanned"] is None
    assert images["prod", "image api"]["refused"] == []
    assert images["prod", "image api"]["notScanned"] == "it is promoted from staging, where it was scanned"
    assert ("dev", "server mysql") in images


def test_without_stacks_all_are_scanned_and_an_unknown_one_is_refused_before_the_scan(
    vulnerabilities: list[Vulnerability], monkeypatch: pytest.MonkeyPatch
):
    assert all(f"{stack}: image api" in scanned().stderr for stack in ("local", "dev", "staging", "prod"))
    monkeypatch.setattr(scan, "reachable", pytest.fail)
    assert "there is no stack" in str(scanned("dev", "no-such").exception)


def test_an_image_without_go_sources_is_named_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("slipway.image.source.ROOT", tmp_path)
    image = Image(repository="r.io/pages", context="pages")
    assert scan.why_not(image) == "pages/ has no go.mod, and only Go programs are scanned"
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "go.mod").touch()
    assert scan.why_not(image) == ""


def test_a_machine_without_go_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"there is no `go` on the PATH. Install Go 1\.26 or newer"):
        vulnerability_database.database()
    assert list(tmp_path.rglob("*-*")) == [tmp_path / "slipway" / "supply-chain"]  # nothing is left half done


def test_each_platform_is_scanned_with_the_compiler_of_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "go.mod").write_text("module planted\n\ntoolchain go1.27.3\n")
    seen: list[tuple[str, str]] = []

    def run(*command: object, environment: dict[str, str], folder: Path) -> str:
        seen.append((environment["GOARCH"], environment["GOTOOLCHAIN"]))
        assert (command[1:], folder) == (("-format", "json", "-db", "file:///db", "."), tmp_path)
        return CALLED

    monkeypatch.setattr(govulncheck, "run", run)
    monkeypatch.setattr(govulncheck, "compiled", lambda *_: Path("govulncheck"))
    image = Image(repository="r.io/a", builder="daemonless", platforms=["linux/amd64", "linux/arm64"])
    assert govulncheck.reachable(tmp_path, image, Database(Path("/db"), PINNED)) == [PARSER]
    assert seen == [("amd64", "go1.27.3"), ("arm64", "go1.27.3")]
