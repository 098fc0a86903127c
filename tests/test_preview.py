"""`./slipway preview` as people and CI run it: two git revisions, no cluster, engine or secret."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ops.changes import changed
from ops.models import NoModel
from ops.preview import Preview, as_markdown, as_table, command
from ops.recorder import ROOT
from ops.verdict import Class, judge

PARTS = ("app", "infra", "ops", "stacks", "Pulumi.yaml")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git clone of what the preview reads, committed once."""
    folder = tmp_path_factory.mktemp("preview") / "slipway"
    folder.mkdir()
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        copy(ROOT / part, folder / part)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def git(folder: Path, *arguments: str) -> None:
    me = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *me, *arguments], check=True, capture_output=True)


def preview(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The verb in that clone, with nothing on the PATH but git."""
    bare = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": str(clone)}
    run = [sys.executable, "-m", "ops", "preview", *arguments]
    return subprocess.run(run, cwd=os.sep, env=bare, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def verdict(clone: Path) -> subprocess.CompletedProcess[str]:
    """What all stacks are told after three edits in prod: a variable, a lower maximum, another host."""
    file = clone / "stacks" / "Pulumi.prod.yaml"
    before = file.read_text()
    text = before.replace("max: 10", "max: 5").replace("api.example.com", "www.example.com")
    file.write_text(text.rstrip() + "\n      env: {HTTP_IDLE_TIMEOUT: 60s}\n")
    done = preview(clone, "--all", "--base", "HEAD", "--json")
    file.write_text(before)
    return done


def of(verdict: subprocess.CompletedProcess[str], stack: str) -> dict[str, Any]:
    [found] = [found for found in json.loads(verdict.stdout)["stacks"] if found["stack"] == stack]
    return found


@pytest.mark.feature("K3", "K2")
def test_each_change_is_classed_without_cluster_engine_or_secret(verdict: subprocess.CompletedProcess[str]):
    prod = of(verdict, "prod")
    assert {change["object"]: change["class"] for change in prod["changes"]} == {
        "Ingress/api": "exposes",
        "HorizontalPodAutoscaler/api": "scales-down",
        "ResourceQuota/quota": "scales-down",
        "ConfigMap/api-env": "rolls-pods",
        "Deployment/api": "rolls-pods",
    }
    assert prod["unchanged"] >= 5
    assert prod["source"].startswith("revision ")


def test_prod_forbids_what_exposes_and_says_how_to_let_it_pass(verdict: subprocess.CompletedProcess[str]):
    assert verdict.returncode == 2
    assert of(verdict, "prod")["forbidden"] == ["Ingress/api"]
    assert "prod forbids what exposes: Ingress/api www.example.com/ is open to the outside" in verdict.stderr
    assert "--allow exposes" in verdict.stderr


@pytest.mark.parametrize("stack", ["local", "dev", "staging"])
def test_an_environment_that_is_not_touched_has_no_changes(verdict: subprocess.CompletedProcess[str], stack: str):
    assert of(verdict, stack)["changes"] == []
    assert of(verdict, stack)["unchanged"] > 10


def test_the_table_puts_the_most_dangerous_first_and_counts_the_rest(capsys: pytest.CaptureFixture[str]):
    hpa = {"kind": "HorizontalPodAutoscaler", "spec": {"maxReplicas": 10}}
    changes = [
        changed("HorizontalPodAutoscaler/api", hpa, {**hpa, "spec": {"maxReplicas": 5}}),
        changed("Namespace/slipway", {"kind": "Namespace"}, None),
        changed("Service/api", {"kind": "Service"}, {"kind": "Service"}),
    ]
    as_table([Preview("dev", "revision 123", [judge(change) for change in changes], frozenset())])
    head, first, second = capsys.readouterr().out.splitlines()
    assert head == "dev: 1 loses data, 1 scales down · 1 unchanged (against revision 123)"
    assert first.split(maxsplit=2)[:2] == ["loses", "data"]
    assert "spec.maxReplicas: 10 -> 5" in second


def test_a_revision_that_is_not_there_is_refused(clone: Path):
    done = preview(clone, "-s", "dev", "--base", "v99")
    assert done.returncode == 1
    assert "git does not know the revision 'v99'" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_stack_is_refused_with_those_there_are(clone: Path):
    done = preview(clone, "-s", "qa", "--base", "HEAD")
    assert done.returncode == 1
    assert "Stacks here: local, dev, staging, prod" in done.stderr


def test_an_unknown_class_is_refused_with_those_there_are():
    with pytest.raises(NoModel, match=r"--allow downtime: no such class\. One of: loses-data, replaces"):
        command([], "HEAD", ["downtime"], as_json=True, markdown=False)


@pytest.mark.feature("K1", part="the comment")
def test_the_comment_hides_no_ops_and_opens_what_is_forbidden():
    changes = [
        changed("Ingress/api", {"kind": "Ingress", "spec": {}}, None),
        changed("ConfigMap/api-file", {"data": {"a": "x|<b>"}}, {"data": {"a": "y"}}),
        changed("Service/api", {"kind": "Service"}, {"kind": "Service"}),
    ]
    prod = Preview("prod", "revision 123", [judge(change) for change in changes], frozenset())
    dev = Preview("dev", "revision 123", [judge(changes[2])], frozenset())
    text = as_markdown([dev, prod])
    assert "<summary><b>dev</b>: no changes · 1 unchanged</summary>" in text
    assert "<details open>\n<summary>⛔ <b>prod</b>: 1 replaces (downtime), 1 config only · 1 unchanged" in text
    assert "| replaces (downtime) | `Ingress/api` | is deleted: what it served is gone |" in text
    assert "Service/api" not in text


def test_allowing_a_class_opens_the_gate_for_it_and_no_other():
    change = judge(changed("Ingress/api", {"kind": "Ingress", "spec": {}}, None))
    assert Preview("prod", "", [change], frozenset()).forbidden == [change]
    assert Preview("prod", "", [change], frozenset({Class.REPLACES})).forbidden == []
    assert Preview("prod", "", [change], frozenset({Class.EXPOSES})).forbidden == [change]
    assert Preview("dev", "", [change], frozenset()).forbidden == []
