"""`make scan` exempts no finding without a reason, and trusts no scanner that misses its planted fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import scan
from tests.scan import EXEMPT, Finding, Subject

FINDING = Finding("rule", "api.yaml: Deployment/api", "wrong")


def subject(folder: Path) -> Subject:
    return Subject([], folder, [], [], folder, folder)


def test_exemptions_are_few_and_each_says_why():
    assert len(EXEMPT) <= 8
    assert min(len(exemption.reason) for exemption in EXEMPT) > 40


def test_a_scanner_that_does_not_see_the_planted_fault_is_broken(tmp_path: Path):
    def blind(_: Subject, __: Path) -> Iterator[Finding]:
        return iter(())

    verdict = scan.run_scanner(blind, subject(tmp_path), subject(tmp_path), tmp_path)
    assert verdict.broken == "does not find the fault planted for it"


def test_a_scanner_that_prints_nothing_is_broken(tmp_path: Path):
    def silent(_: Subject, __: Path) -> Iterator[Finding]:
        scan.json.loads(scan.run("true"))
        yield FINDING

    verdict = scan.run_scanner(silent, subject(tmp_path), subject(tmp_path), tmp_path)
    assert verdict.broken == "Expecting value: line 1 column 1 (char 0)"


def test_a_scanner_that_fails_is_broken_with_its_reason(tmp_path: Path):
    with pytest.raises(scan.BrokenScannerError, match="sh ended with 3: no such database"):
        scan.run("sh", "-c", "echo no such database >&2; exit 3", codes=(0, 1))


def test_exempted_findings_are_counted_apart(tmp_path: Path):
    exempted = Finding("container-image-pull-policy", "prod: Deployment/api", "not Always")

    def sees_all(_: Subject, __: Path) -> Iterator[Finding]:
        yield from (FINDING, exempted)

    verdict = scan.run_scanner(sees_all, subject(tmp_path), subject(tmp_path), tmp_path)
    assert verdict == scan.Verdict([FINDING], [exempted], None)


def test_what_is_exempted_in_one_stack_is_a_finding_in_the_others():
    def exempted(place: str) -> bool:
        finding = Finding("horizontalpodautoscaler-replicas", place, "HPA few replicas")
        return any(exemption.covers(finding) for exemption in EXEMPT)

    assert exempted("dev: api")
    assert exempted("monitoring: api")
    assert not exempted("prod: api")
    assert not exempted("options: api")


def test_every_stack_and_every_committed_file_is_scanned(tmp_path: Path):
    everything = scan.project(tmp_path)
    assert {file.stem for file in everything.manifests} >= {"local", "dev", "staging", "prod", "options"}
    assert (everything.tree / "infra" / "__main__.py").is_file()
    assert not (everything.tree / ".slipway").exists()


def test_what_is_exempted_in_one_place_is_a_finding_elsewhere():
    def exempted(place: str) -> bool:
        finding = Finding("generic-api-key", place, "Detected a Generic API Key")
        return any(exemption.covers(finding) for exemption in EXEMPT)

    assert exempted("tests/diagnosis/test_masking.py:15 5bc97865")
    assert not exempted("stacks/Pulumi.prod.yaml:15 5bc97865")
