"""Kubeconfig files are read as kubectl reads them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway.cluster.kubeconfig import KubeconfigError, load


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`write(first={...}, second={...})`: kubeconfig files in folders of their names, in this order in KUBECONFIG."""

    def files(**contents: dict[str, Any] | str) -> None:
        paths: list[Path] = []
        for name, content in contents.items():
            path = tmp_path / name / "config"
            path.parent.mkdir()
            path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
            paths.append(path)
        monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, paths)))

    return files


def context(cluster: str = "c", user: str = "u", **more: str) -> dict[str, Any]:
    return {"contexts": [{"name": "dev", "context": {"cluster": cluster, "user": user, **more}}]}


def cluster(server: str = "https://10.0.0.1", **more: Any) -> dict[str, Any]:
    return {"clusters": [{"name": "c", "cluster": {"server": server, **more}}]}


def user(**fields: Any) -> dict[str, Any]:
    return {"users": [{"name": "u", "user": fields}]}


def test_context_cluster_and_user_may_come_from_different_files(write: Any):
    write(first=context(namespace="shop"), second=cluster(), third=user(token="t"))
    access = load().access("dev")
    assert (access.server, access.user, access.namespace) == ("https://10.0.0.1", {"token": "t"}, "shop")


def test_the_first_file_that_defines_something_wins(write: Any):
    write(
        first={**cluster(), "current-context": "dev"},
        second={**context(), **cluster("https://10.9.9.9"), **user(token="first"), "current-context": "prod"},
        third=user(token="second"),
    )
    access = load().access()
    assert (access.context, access.server, access.user["token"]) == ("dev", "https://10.0.0.1", "first")


def test_relative_paths_are_relative_to_the_file_that_contains_them(write: Any, tmp_path: Path):
    paths = {"client-certificate": "me.crt", "client-key": "/abs/me.key", "tokenFile": "../token"}
    plugin = {"exec": {"command": "./bin/login", "apiVersion": "client.authentication.k8s.io/v1"}}
    write(first=context(), second=cluster(**{"certificate-authority": "ca.crt"}), third=user(**paths, **plugin))
    access = load().access("dev")
    assert access.cluster["certificate-authority"] == f"{tmp_path}/second/ca.crt"
    assert access.user["client-certificate"] == f"{tmp_path}/third/me.crt"
    assert access.user["client-key"] == "/abs/me.key"
    assert access.user["tokenFile"] == f"{tmp_path}/third/../token"
    assert access.user["exec"]["command"] == f"{tmp_path}/third/bin/login"


def test_a_program_without_a_folder_is_left_to_the_path(write: Any):
    write(first={**context(), **cluster(), **user(exec={"command": "aws", "args": None, "env": None})})
    assert load().access("dev").user["exec"]["command"] == "aws"


def test_missing_and_empty_files_are_skipped(write: Any, monkeypatch: pytest.MonkeyPatch):
    write(first="", second={**context(), **cluster(), **user()})
    monkeypatch.setenv("KUBECONFIG", f"/none/such{os.pathsep}{os.environ['KUBECONFIG']}{os.pathsep}")
    assert load().access("dev").server == "https://10.0.0.1"


def test_without_kubeconfig_the_file_in_the_home_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(yaml.safe_dump({**context(), **cluster(), **user()}))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", "")
    assert load().access("dev").server == "https://10.0.0.1"


def test_a_context_without_a_user_is_anonymous(write: Any):
    write(first={**context(user=""), **cluster()})
    assert load().access("dev").user == {}


INSECURE: dict[str, Any] = {"insecure-skip-tls-verify": True}
UNUSABLE: list[tuple[dict[str, Any] | str, str]] = [
    ({}, r"context 'dev' is not in the kubeconfig .*first/config \(contexts there: none\)"),
    ({**context(), **user()}, r"context 'dev' names cluster 'c', which .* does not define \(clusters there: none\)"),
    ({**context(), **cluster()}, r"context 'dev' names user 'u', which .* does not define \(users there: none\)"),
    ({**context(), **cluster(""), **user()}, r"cluster 'c' of context 'dev' has no `server`"),
    (
        {**context(), **cluster(**{"certificate-authority": "a"}, **INSECURE), **user()},
        "both a certificate authority and `insecure-skip-tls-verify`",
    ),
    ("users:\n- name: u\n  user: {token: hunter2\n", r"first/config is not a kubeconfig: it is not YAML, line 4"),
    ("- hunter2", "first/config is not a kubeconfig: it is not a mapping"),
    ("users: hunter2", "first/config is not a kubeconfig: `users` is not a list"),
    ("users: [{user: {token: hunter2}}]", r"first/config is not a kubeconfig: users\[0\] has no name"),
    ("users: [{name: u, user: hunter2}]", "first/config is not a kubeconfig: user 'u' is not a mapping"),
    ("users: [{name: u, user: {tokenFile: 5}}]", "user 'u': `tokenFile` is not a text"),
    ("users: [{name: u}, {name: u}]", "defines user 'u' twice"),
]


@pytest.mark.parametrize(("content", "message"), UNUSABLE)
def test_an_unusable_kubeconfig_is_refused_in_one_message_that_quotes_no_key(write: Any, content: Any, message: str):
    write(first=content)
    with pytest.raises(KubeconfigError, match=message) as refused:
        load().access("dev")
    assert "hunter2" not in str(refused.value)
