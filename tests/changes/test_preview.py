"""`./slipway preview` as people and CI run it: two git revisions, no cluster, engine or secret."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slipway.ops.changes import preview, stack_models
from slipway.ops.changes.classify import classify_all
from slipway.ops.changes.comparison import Change, Model, compare
from slipway.ops.changes.preview import Preview, as_markdown, as_table, command
from slipway.ops.changes.stack_models import ModelError
from slipway.ops.changes.verdict import Class
from slipway.ops.program.recorder import UnknownStackError, stacks
from tests.conftest import Declare, declared, recorded
from tests.paths import PROJECT, REPOSITORY
from tests.variants import model

PARTS = [*(PROJECT / part for part in ("app", "stacks", "Pulumi.yaml")), REPOSITORY / "infra", REPOSITORY / "README.md"]
COMMENT = Path(__file__).parent / "verdicts" / "comment.md"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git clone of what the preview reads, with one commit on a branch that left main there."""
    folder = tmp_path_factory.mktemp("preview") / "slipway"
    folder.mkdir()
    for part in PARTS:
        copy = shutil.copytree if part.is_dir() else shutil.copy2
        copy(part, folder / part.name)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    git(folder, "checkout", "-qb", "edits")
    return folder


def git(folder: Path, *arguments: str) -> None:
    me = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *me, *arguments], check=True, capture_output=True)


def slipway(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`./slipway preview` in that clone, with nothing on the PATH but git."""
    bare = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": f"{clone}:{clone}/infra"}
    run = [sys.executable, "-m", "slipway", "preview", *arguments]
    return subprocess.run(run, cwd=os.sep, env=bare, capture_output=True, text=True, check=False)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.feature("K3", "K2")
def test_edits_are_classed_for_each_stack_and_prod_forbids_what_exposes(clone: Path):
    replace(clone / "README.md", "# Slipway", "# Slipway!")
    replace(clone / "stacks" / "Pulumi.prod.yaml", "host: api.example.com", "host: shops.example.com")
    replace(clone / "stacks" / "Pulumi.prod.yaml", "max: 10", "max: 5")
    replace(clone / "app" / "cmd" / "api" / "main.go", "package main", "package main // edited")
    git(clone, "commit", "-qam", "edits")  # the base is where this branch left main, committed or not
    done = slipway(clone, "--json")
    found = {stack["stack"]: stack for stack in json.loads(done.stdout)["stacks"]}
    classes = {
        name: {change["object"]: change["class"] for change in stack["changes"]} for name, stack in found.items()
    }
    assert list(classes) == ["local", "dev", "staging", "prod"]
    # The image is built for these, and promoted to the others later.
    rolled = ("Deployment/api", "Deployment/web", "Job/api-migration")
    assert classes["local"] == classes["dev"] == dict.fromkeys(rolled, "rolls-pods")
    assert classes["staging"] == {}  # the README is no part of anything
    assert classes["prod"]["Ingress/api"] == "exposes"
    assert classes["prod"]["HorizontalPodAutoscaler/api"] == "scales-down"
    assert [stack["forbidden"] for stack in found.values()] == [[], [], [], ["Ingress/api"]]
    assert found["prod"]["unchanged"] >= 10
    assert done.returncode == 2
    assert "prod forbids what exposes: Ingress/api shops.example.com/ is open to the outside" in done.stderr
    assert "pass --allow exposes" in done.stderr
    assert "dev: compared with revision main (" in done.stderr
    assert "since `pulumi` is not here" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("dev", "v99", "exposes"), "git does not know the revision 'v99'"),
        (("dev", "--output=x", "exposes"), "git does not know the revision '--output=x'"),
        (("qa", "HEAD", "exposes"), "Stacks here: local, dev, staging, prod"),
        (("dev", "HEAD", "downtime"), "--allow downtime: no such class. One of: loses-data, replaces"),
    ],
)
def test_what_cannot_be_previewed_is_refused_in_a_sentence(
    clone: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, str, str], told: str
):
    stack, base, allow = arguments
    monkeypatch.setattr(stack_models, "ROOT", clone)
    with pytest.raises((ModelError, UnknownStackError), match=re.escape(told)):
        command([stack], base, [allow], as_json=False, markdown=False)


def test_a_base_whose_program_refuses_its_own_stack_file_is_named(clone: Path, tmp_path: Path):
    shutil.copytree(clone, tmp_path / "base")
    replace(tmp_path / "base" / "stacks" / "Pulumi.dev.yaml", "max: 2", "max: many")
    with pytest.raises(ModelError, match=r"(?s)base revision does not run: dev: .*many.*--base"):
        stack_models.of_folder(["dev"], tmp_path / "base")


def test_a_base_from_before_the_recorder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "README.md").touch()
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    own = tmp_path / "infra" / "slipway" / "ops" / "program" / "recorder.py"
    own.parent.mkdir(parents=True)
    own.touch()
    monkeypatch.setattr(stack_models, "ROOT", tmp_path)
    commit, _ = stack_models.revision("HEAD")
    with pytest.raises(ModelError, match=r"is older than `./slipway render`"), stack_models.checked_out(commit):
        pass


def test_a_link_that_leads_out_of_the_project_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "app").symlink_to("../elsewhere")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    monkeypatch.setattr(stack_models, "ROOT", tmp_path)
    commit, _ = stack_models.revision("HEAD")
    refused = pytest.raises(ModelError, match=r"app is a link to \.\./elsewhere, out of the project")
    with refused, stack_models.checked_out(commit):
        pass


def test_a_stack_the_base_has_not_is_new_and_may_pass(tmp_path: Path, program: Declare):
    assert stack_models.of_folder(["dev"], tmp_path) == {"dev": {}}
    found = preview.preview_of("prod", "", compare({}, stack_models.of_program(program("prod"))), frozenset())
    assert {verdict.primary for verdict in found.changes} == {Class.ADDS, Class.EXPOSES}
    assert found.forbidden == []


@pytest.mark.parametrize(
    ("secret", "readers"),
    [
        ("signing-key", {"Secret/api-secret", "Secret/api-migration-secret"}),
        ("mysql-password", {"Secret/api-secret"}),
        ("mysql-migration-password", {"Secret/api-migration-secret"}),
    ],
)
def test_a_new_value_of_a_secret_rolls_the_pods_that_read_it(
    tmp_path: Path, program: Declare, secret: str, readers: set[str]
):
    def with_ciphertext(text: str) -> Model:
        file = tmp_path / f"{text}.yaml"
        file.write_text(f"config:\n  slipway:{secret}: {{secure: {text}}}\n")
        declared = [[r.urn, r.type, r.name, r.inputs, r.options] for r in program("prod").resources]
        return stack_models.model_of(declared, file)

    found = classify_all(compare(with_ciphertext("v1:aaaa"), with_ciphertext("v1:bbbb")))
    changed = [verdict for verdict in found if verdict.primary is not Class.NO_OP]
    assert {verdict.change.name for verdict in changed} == readers
    assert {verdict.primary for verdict in changed} == {Class.ROLLS_PODS}
    assert "aaaa" not in str(changed)


def test_a_new_password_of_any_registry_is_seen_in_the_login_of_all_of_them(tmp_path: Path, sdk: None):
    def with_password(text: str) -> Model:
        file = tmp_path / "Pulumi.dev.yaml"
        lines = ("registry-example-com: {secure: v1:same}", f"ghcr-io: {{secure: {text}}}")
        file.write_text("config:\n" + "".join(f"  slipway:registry-password-{line}\n" for line in lines))
        declared = [[r.urn, r.type, r.name, r.inputs, r.options] for r in model("images").resources]
        return stack_models.model_of(declared, file)

    found = classify_all(compare(with_password("v1:aaaa"), with_password("v1:bbbb")))
    [changed] = [verdict for verdict in found if verdict.primary is not Class.NO_OP]
    assert changed.change.name == "Secret/registry"


EDITS: dict[str, dict[str, Any]] = {
    "local": {"services.api.file.notice": "hello <b> | @all"},
    "dev": {},
    "staging": {"services.api.autoscaling.max": 3},
    "prod": {"services.api.ingress.host": "shops.example.com", "services.api.autoscaling.min": 3},
}


@pytest.fixture(scope="module")
def edited() -> list[Preview]:
    """All four stacks with an edit each, but for dev."""

    def edits(stack: str) -> list[Change]:
        return compare(stack_models.of_program(recorded(stack)), stack_models.of_program(declared(stack, EDITS[stack])))

    called = "revision main (1a2b3c4d5e6f)"
    return [Preview(stack, called, classify_all(edits(stack)), frozenset()) for stack in stacks()]


@pytest.mark.feature("K1")
def test_one_comment_tells_what_changes_in_all_four_stacks_and_no_more(edited: list[Preview]):
    text = as_markdown(edited)
    assert text == COMMENT.read_text(), f"if it is meant, {COMMENT.name} is to read:\n{text}"


@pytest.mark.feature("K1", part="the comment fits into what GitHub accepts")
def test_a_comment_that_would_be_too_long_counts_what_it_leaves_out(edited: list[Preview]):
    after: Model = {f"Secret/token-{number}": {"kind": "Secret"} for number in range(2000)}
    everywhere = [Preview(one.stack, one.source, classify_all(compare({}, after)), frozenset()) for one in edited]
    text = as_markdown(everywhere)
    assert 10_000 < len(text) <= 65_000
    assert text.count("<details") == text.count("</details>") == 4
    assert "\n1900 more: `./slipway preview -s prod` lists all.\n" in text
    assert len(as_markdown(everywhere, limit=500)) < 1500  # the row of each stack is always there


def test_a_comment_on_a_change_of_nothing_has_no_table():
    assert as_markdown([Preview("dev", "revision main", [], frozenset())]).splitlines()[3:] == [
        "No changes: dev.",
        "",
        "Compared with revision main.",
    ]


def test_what_is_allowed_by_name_passes_and_nothing_else(
    edited: list[Preview], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def allowing(names: list[str], base: str | None, allowed: frozenset[Class]) -> list[Preview]:
        return [Preview(one.stack, one.source, one.verdicts, allowed) for one in edited]

    monkeypatch.setattr(preview, "previews", allowing)
    codes = {flag: command([], "main", [flag], as_json=False, markdown=False) for flag in ("exposes", "loses-data")}
    assert codes == {"exposes": 0, "loses-data": 2}
    said = capsys.readouterr().out
    lines = [line.split() for line in said.splitlines()]
    assert ["prod", "1", "exposes,", "1", "config", "only", "27"] in [line[:7] for line in lines]
    assert "forbidden: exposes" in said


def test_the_table_puts_the_most_dangerous_first_and_counts_the_rest(capsys: pytest.CaptureFixture[str]):
    hpa = {"kind": "HorizontalPodAutoscaler", "spec": {"maxReplicas": 10}}
    before = {"HorizontalPodAutoscaler/api": hpa, "Namespace/slipway": {"kind": "Namespace"}, "Service/api": {}}
    after = {"HorizontalPodAutoscaler/api": {**hpa, "spec": {"maxReplicas": 5}}, "Service/api": {}}
    as_table([Preview("dev", "revision 123", classify_all(compare(before, after)), frozenset())])
    head, first, second = capsys.readouterr().out.splitlines()
    assert head == "dev: 1 loses data, 1 scales down · 1 unchanged (against revision 123)"
    assert " ".join(first.split()) == "loses data Namespace/slipway is deleted, and everything in it with it"
    assert " ".join(second.split()) == "scales down HorizontalPodAutoscaler/api spec.maxReplicas: 10 -> 5"


def test_json_carries_every_reason_and_both_values(
    edited: list[Preview], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(preview, "previews", lambda *_: edited)
    command([], "main", [], as_json=True, markdown=False)
    prod = json.loads(capsys.readouterr().out)["stacks"][-1]
    [ingress] = [change for change in prod["changes"] if change["object"] == "Ingress/api"]
    assert ingress["classes"] == ["exposes"]
    assert [reason["class"] for reason in ingress["reasons"]] == ["exposes"]
    assert ingress["fields"][0] == {
        "path": "spec.rules[0].host",
        "before": "api.example.com",
        "after": "shops.example.com",
    }
