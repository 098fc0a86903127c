"""What `make bench` measures, and what it makes of it. How long something takes is no matter of a test."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bench import __main__ as bench
from tests.bench import growth, image, page, plain
from tests.bench.measure import Command, Run, Series, actions_in_turns, in_turns
from tests.paths import REPOSITORY


def test_a_run_counts_the_cpu_time_of_its_command_alone():
    idle = Command("idle", (sys.executable, "-c", "print()"))
    busy = Command("busy", (sys.executable, "-c", "print(sum(range(30_000_000)))"))
    [_, second, third] = [in_turns([command], 1)[0].runs[0] for command in (idle, busy, idle)]
    assert second.cpu_seconds > third.cpu_seconds > 0
    assert 0 < third.first_output <= third.seconds


def test_a_command_that_fails_ends_the_measurement():
    broken = Command("broken", (sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(SystemExit, match="broken fails"):
        in_turns([broken], 1)


def test_a_ratio_compares_runs_of_the_same_turn():
    """The machine was half as fast in the second turn."""
    base = Series(Command("base", ()), [Run(1, 1, 1, 1), Run(2, 2, 2, 1)])
    own = Series(Command("own", ()), [Run(3, 3, 3, 1), Run(6, 6, 6, 1)])
    assert own.ratio(base, "seconds") == 3
    assert own.text("seconds") == "4.50 (3.00–6.00)"


def test_a_project_for_growth_declares_each_of_its_services(tmp_path: Path):
    root = growth.project(tmp_path, 3)
    words = (REPOSITORY / "slipway", "render", "-s", growth.STACK, "-o", tmp_path / "objects")
    in_turns([Command("render", words, root)], 0)
    deployments = {file.name for file in (tmp_path / "objects").glob("deployment-*.yaml")}
    assert deployments == {f"deployment-shop-{number}.yaml" for number in range(3)}


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page and its pictures, in a folder of the test."""
    monkeypatch.setattr(page, "DOCUMENT", tmp_path / "benchmarks.md")
    monkeypatch.setattr(page, "PICTURES", tmp_path / "benchmarks")
    return page.DOCUMENT


def test_the_page_has_a_table_and_a_picture_for_a_section(document: Path):
    picture = page.Picture("growth.svg", "Growth", "services", "seconds", [(2, 1.0), (10, 2.0)])
    page.write([page.Section("Growth", "Of a run.", page.table(["services"], [["2"]]), picture)], 7)
    text = document.read_text()
    assert "## Growth\n\nOf a run.\n\n| services |\n| --- |\n| 2 |\n\nMedians of 7 runs." in text
    assert "\n\n![Growth](benchmarks/growth.svg)\n" in text
    assert (page.PICTURES / "growth.svg").read_text().startswith("<?xml")


def test_a_section_that_is_measured_again_leaves_the_others_as_they_are(document: Path):
    first, second = (page.Section(title, "Of a run.", page.table(["n"], [["1"]])) for title in ("First", "Second"))
    page.write([first, second], 7)
    before = document.read_text()
    page.write([page.Section("First", "Of a run.", page.table(["n"], [["2"]]))], 3)
    after = document.read_text()
    assert "| 2 |\n\nMedians of 3 runs." in after
    assert after.count("## First") == 1
    assert after[after.index("## Second") :] == before[before.index("## Second") :]


def test_actions_are_called_in_turns_and_the_first_turn_does_not_count():
    values = iter([9.0, 9.0, 1.0, 2.0, 3.0, 12.0])
    own, other = actions_in_turns({"own": lambda: next(values), "other": lambda: next(values)}, 2)
    assert (own.values, other.values) == ([1.0, 3.0], [2.0, 12.0])
    assert other.ratio(own) == 3
    assert own.text(1) == "2.0 (1.0–3.0)"


def test_the_program_without_slipway_declares_each_rendered_object_and_starts_no_pod(tmp_path: Path):
    metadata = {"name": "api", "namespace": "slipway-local"}
    rendered: list[dict[str, Any]] = [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": 2}},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata, "roleRef": {}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata},
    ]
    (tmp_path / "objects").mkdir()
    for one in rendered:
        (tmp_path / "objects" / f"{one['kind']}.yaml").write_text(yaml.safe_dump(one))
    assert plain.write(tmp_path / "plain", tmp_path / "objects") == 3
    text = (tmp_path / "plain" / "__main__.py").read_text()
    compile(text, "__main__.py", "exec")
    assert "k8s.apps.v1.Deployment('deployment-api'," in text
    assert "'replicas': 0" in text
    assert "k8s.rbac.v1.RoleBinding('rolebinding-api', **{'metadata'" in text
    assert "'role_ref': {}" in text
    assert "Ingress" not in text
    assert "slipway-local" not in text


def test_an_image_is_smaller_when_it_is_compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    certificates, program = tmp_path / "certificates", tmp_path / "api"
    certificates.write_bytes(b"c" * 10_000)
    program.write_bytes(b"p" * 100_000)
    monkeypatch.setattr(image, "SYSTEM_CERTIFICATES", certificates)
    unpacked, compressed = image.sizes_of(program)
    assert compressed < 10_000
    assert unpacked > 110_000


def test_every_section_can_be_chosen_by_its_name():
    for name in (*bench.WITH_CLUSTER, *bench.ON_THE_HOST):
        assert callable(importlib.import_module(f"tests.bench.{name}").measured)


def test_a_chart_has_the_same_objects_in_a_namespace_of_its_own_and_replaces_nothing_in_them(tmp_path: Path):
    metadata = {"name": "web", "namespace": "slipway-local"}
    found = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"page": "{{ .Title }}"}}
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "one.yaml").write_text(yaml.safe_dump(found))
    chart = plain.write_chart(tmp_path / "chart", tmp_path / "objects")
    text = (chart / "templates" / "all.yaml").read_text()
    assert "{{ `{{` }} .Title }}" in text
    assert yaml.safe_load(text)["metadata"]["namespace"] == plain.HELM_NAMESPACE
