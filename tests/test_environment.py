"""A stack touches its own cluster and no other."""

from __future__ import annotations

import os
from pathlib import Path

import pulumi
import pytest
import yaml
from environment import check_context
from settings import Cluster


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Contexts dev and prod in one file, prod with another server in a second one; this is an update, no preview."""
    first, second = tmp_path / "config", tmp_path / "other"
    first.write_text(contexts(dev="https://10.0.0.1:6443", prod="https://10.0.0.2:6443"))
    second.write_text(contexts(prod="https://10.9.9.9:6443", staging="https://10.0.0.3:6443"))
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, (first, tmp_path / "missing", second))))
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: False)
    monkeypatch.setattr("pulumi.get_stack", lambda: "dev")
    return first


def contexts(**servers: str) -> str:
    return yaml.safe_dump(
        {
            "current-context": next(iter(servers)),
            "clusters": [{"name": f"{name}-cluster", "cluster": {"server": url}} for name, url in servers.items()],
            "contexts": [{"name": name, "context": {"cluster": f"{name}-cluster", "user": "u"}} for name in servers],
        }
    )


def test_a_context_of_any_file_on_the_path_is_found(kubeconfig: Path):
    check_context(Cluster(context="dev"))
    check_context(Cluster(context="staging", server=r"https://10\.0\.0\.3:6443"))


def test_a_context_that_is_not_there_is_refused_with_those_that_are(kubeconfig: Path):
    with pytest.raises(pulumi.RunError, match=r"'qa' is not in the kubeconfig \(found: .*dev.*\).*nothing was changed"):
        check_context(Cluster(context="qa"))


def test_a_preview_goes_on_without_the_context(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch):
    warned: list[str] = []
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: True)
    monkeypatch.setattr("pulumi.log.warn", warned.append)
    check_context(Cluster(context="qa"))
    assert "This preview compares with the last known state only" in warned[0]


def test_the_right_name_with_another_server_is_refused(kubeconfig: Path):
    with pytest.raises(pulumi.RunError, match=r"'dev' leads to https://10\.0\.0\.1:6443, which does not match"):
        check_context(Cluster(context="dev", server=r"https://10\.0\.0\.2:6443"))


def test_of_two_contexts_with_one_name_the_first_file_s_counts(kubeconfig: Path):
    check_context(Cluster(context="prod", server=r"https://10\.0\.0\.2:6443"))


def test_the_pattern_has_to_match_the_whole_url(kubeconfig: Path):
    with pytest.raises(pulumi.RunError):
        check_context(Cluster(context="dev", server=r"https://10"))
