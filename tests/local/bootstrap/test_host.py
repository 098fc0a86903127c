"""Everything that is missing is reported at once, with cause and fix."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local.bootstrap import host
from local.bootstrap.host import DiskNeed, Listener
from local.errors import SetupError, SetupFailedError, raise_errors
from slipway.ops.prerequisites.docker import docker_answers

CLONE = Path(__file__).resolve().parents[3]


def lines(error: SetupError | None) -> list[str]:
    return str(error).splitlines()


def test_another_system_is_pointed_to_its_own_cluster() -> None:
    cause, fix = lines(host.check_system("Darwin"))
    assert cause == "error: the native local cluster needs Linux, this is Darwin"
    assert "stacks/Pulumi.local.yaml" in fix
    assert host.check_system("Linux") is None


def test_users_without_root_get_the_hint_of_sudo_and_other_clusters() -> None:
    cause, fix = lines(host.check_root(1000))
    assert "needs root" in cause
    assert "sudo make up" in fix and "kind" in fix
    assert host.check_root(0) is None


def test_a_taken_port_is_reported_with_its_process() -> None:
    errors = host.check_ports([Listener(443, 812, "nginx")], ours=set())
    assert lines(errors[0]) == [
        "error: port 443, needed by the ingress (HTTPS), is taken by nginx (pid 812)",
        "  fix: stop it (kill 812), then run `make up` again",
    ]


def test_ports_of_our_own_cluster_are_no_error() -> None:
    assert host.check_ports([Listener(6443, 812, "kube-apiserver")], ours={812}) == []


def test_every_taken_port_is_reported() -> None:
    errors = host.check_ports([Listener(port, 1, "x") for port in (80, 443, 5000, 6443)], ours=set())
    assert [error.cause.split(",")[0] for error in errors] == ["port 80", "port 443", "port 5000", "port 6443"]


def test_a_listening_socket_is_found_with_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(host, "PORTS", {port: "a test"})
        assert host.listeners() == [Listener(port, os.getpid(), Path(sys.orig_argv[0]).name)]
    assert host.listeners() == []


def test_needs_on_one_disk_are_added_up(tmp_path: Path) -> None:
    needs = [DiskNeed(tmp_path / "not" / "there", 3, "Go's caches"), DiskNeed(tmp_path, 2, "programs")]
    assert host.check_disk(needs, lambda _: 5.0) == []
    (error,) = host.check_disk(needs, lambda _: 4.9)
    assert error.cause.startswith("the disk is too full: 4.9 GB free, 5.0 GB needed (3.0 GB for Go's caches")


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.26 linux/amd64", (1, 26, 0)),
        ("go version go1.27rc1 linux/arm64", (1, 27, 0)),
        ("gccgo (Debian 12.2.0)", ()),
    ],
)
def test_the_version_of_go_is_read(output: str, version: tuple[int, ...]) -> None:
    assert host.go_version(output) == version


def test_a_go_that_is_too_old_is_skipped(tmp_path: Path) -> None:
    for name, version in (("old", "1.22.1"), ("new", "1.26.8")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n")
        (tmp_path / name).chmod(0o755)
    assert host.find_go([tmp_path / "old"]) is None
    go = host.find_go([tmp_path / "none", tmp_path / "old", tmp_path / "new"])
    assert str(go) == f"Go 1.26.8 ({tmp_path / 'new'})"


def test_an_unreachable_registry_is_reported_with_the_setting_for_a_mirror() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    (error,) = host.check_registries({"PyPI": url})
    assert error.cause.startswith(f"PyPI cannot be reached at {url}: ")
    assert "pip config set global.index-url" in error.fix


def test_an_unreachable_docker_daemon_is_not_used(tmp_path: Path) -> None:
    assert not docker_answers({"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"})


def test_all_errors_are_reported_at_once() -> None:
    with pytest.raises(SetupFailedError) as caught:
        raise_errors([SetupError("no root", "sudo"), SetupError("no space", "tidy up")])
    assert str(caught.value) == "error: no root\n  fix: sudo\nerror: no space\n  fix: tidy up"


def test_an_old_python_gets_a_message_before_anything_is_imported() -> None:
    script = "import sys, runpy; sys.version_info = (3, 9, 2); runpy.run_module('local', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", script], cwd=CLONE, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: Python 3.11 or newer is needed, this is 3.9.2 ({sys.executable})",
        "  fix: install a newer one and name it: make up PYTHON=python3.12",
    ]


def test_an_old_python_can_parse_the_file_with_that_message() -> None:
    import ast

    assert ast.parse((CLONE / "local" / "__main__.py").read_text(), feature_version=(3, 5)).body
