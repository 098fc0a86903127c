"""Where each program comes from, and what its place in the cache says."""

from __future__ import annotations

import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local import python_packages, toolchain
from local.downloads import Downloads, in_cache
from local.places import Places, places, quoted
from local.progress import Screen, Task
from local.toolchain import CLUSTER, INGRESS, PULUMI, Toolchain, source_hash

CLONE = Path(__file__).resolve().parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Places:
    where = Places(tmp_path / "a clone", tmp_path / "cache")
    where.clone.mkdir()
    where.make()
    return where


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return Task("test", tmp_path / "test.log", Screen(io.StringIO()), threading.Event())


def plugin_folder(path: Path) -> Path:
    """A folder as PLUGINS=DIR wants it."""
    path.mkdir()
    lines = [
        f'mkdir -p "$1/plugins/resource-{name}-v{version}"\n'
        f'echo official >"$1/plugins/resource-{name}-v{version}/pulumi-resource-{name}"\n'
        for name, version in toolchain.PLUGINS.items()
    ]
    (path / "install").write_text("#!/bin/sh\nset -e\n" + "".join(lines))
    (path / "install").chmod(0o755)
    return path


def test_a_build_is_named_by_its_version_and_its_sources(tmp_path: Path) -> None:
    sources = tmp_path / "cluster"
    sources.mkdir()
    (sources / "go.mod").write_text("module x\nrequire (\n\tk8s.io/kubernetes v1.36.3\n)\n")
    (sources / "main.go").write_text("package main\n")
    name = CLUSTER.cache_name(tmp_path)
    assert name.startswith("cluster-1.36.3-")
    (sources / "main_test.go").write_text("package main\n")
    assert CLUSTER.cache_name(tmp_path) == name
    (sources / "main.go").write_text("package main // changed\n")
    assert CLUSTER.cache_name(tmp_path) != name


def test_the_same_sources_have_the_same_name_in_every_clone(tmp_path: Path) -> None:
    for clone in ("one", "two"):
        (tmp_path / clone).mkdir()
        (tmp_path / clone / "main.go").write_text("package main\n")
    (tmp_path / "two" / "main.go").chmod(0o600)
    assert source_hash(tmp_path / "one") == source_hash(tmp_path / "two")


def test_versions_are_those_of_go_mod() -> None:
    assert CLUSTER.version(CLONE / "local") == "1.36.3"
    assert PULUMI.version(CLONE / "local") == toolchain.PULUMI_VERSION
    assert f"gitVersion=v{CLUSTER.version(CLONE / 'local')}" in CLUSTER.flags(CLONE / "local")
    assert INGRESS.flags(CLONE / "local").endswith(f"Version=v{INGRESS.version(CLONE / 'local')}")


def test_the_plugins_are_those_the_program_asks_for() -> None:
    requirements = (CLONE / "requirements.txt").read_text()
    for name, version in toolchain.PLUGINS.items():
        assert f"pulumi-{name}=={version}" in requirements
    assert f"pulumi=={toolchain.PULUMI_VERSION}" in requirements


def test_what_was_interrupted_is_not_in_the_cache(tmp_path: Path) -> None:
    def interrupted(folder: Path) -> None:
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_cache(tmp_path / "part-1.0", interrupted)
    assert list(tmp_path.iterdir()) == []


def test_given_plugins_are_used_instead_of_any_other(clone: Places, task: Task, tmp_path: Path) -> None:
    assert "official" in Toolchain(clone, plugin_folder(tmp_path / "plugins")).plugins(task)
    binary = clone.pulumi_home / "plugins" / "resource-docker-v5.1.0" / "pulumi-resource-docker"
    assert binary.read_text() == "official\n"
    assert not binary.parent.is_symlink()  # the engine passes over those


def test_plugins_that_were_given_once_are_replaced_when_they_are_not_given_again(
    clone: Places, task: Task, tmp_path: Path
) -> None:
    Toolchain(clone, plugin_folder(tmp_path / "plugins")).plugins(task)
    offline = Toolchain(clone, None)
    offline.downloads = Downloads(clone, "http://127.0.0.1:9")
    assert "offline stand-in" in offline.plugins(task)
    binary = clone.pulumi_home / "plugins" / "resource-docker-v5.1.0" / "pulumi-resource-docker"
    assert f"PYTHONPATH='{clone.clone}'" in binary.read_text()


def test_a_plugin_folder_without_an_installer_is_refused(tmp_path: Path) -> None:
    assert "has no executable `install`" in str(toolchain.check_plugins(tmp_path))
    assert toolchain.check_plugins(plugin_folder(tmp_path / "plugins")) is None
    assert toolchain.check_plugins(None) is None


def test_a_go_that_is_not_first_on_the_path_is_put_there(
    clone: Places, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, version in (("old", "1.22.1"), ("new", "1.26.8")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "go").write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n")
        (tmp_path / folder / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{clone.bin}:{tmp_path}/old:{tmp_path}/new:/bin")
    assert "1.26.8" in Toolchain(clone, None).find_go(task)
    assert (clone.bin / "go").readlink() == tmp_path / "new" / "go"
    monkeypatch.setenv("PATH", f"{clone.bin}:{tmp_path}/new:/bin")
    Toolchain(clone, None).find_go(task)
    assert not (clone.bin / "go").exists()


def test_official_releases_are_unpacked_into_the_cache(clone: Places, task: Task, tmp_path: Path) -> None:
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    site = tmp_path / "site"
    site.mkdir()
    with tarfile.open(site / "pulumi.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("pulumi/pulumi")
        entry.size, entry.mode = 4, 0o755
        archive.addfile(entry, io.BytesIO(b"tool"))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        downloads = Downloads(clone, f"http://127.0.0.1:{server.server_port}")
        found = downloads.get(task, "pulumi-1", "pulumi.tar.gz", strip=1)
        missing = downloads.get(task, "pulumi-2", "other.tar.gz")
        server.shutdown()
    assert found and (found / "pulumi").read_text() == "tool"
    assert missing is None
    assert not (clone.cache / "pulumi-2-official").exists()


def test_the_cache_is_where_xdg_says(tmp_path: Path) -> None:
    assert places(tmp_path, {"XDG_CACHE_HOME": "/big", "HOME": "/root"}).cache == Path("/big/slipway")
    assert places(tmp_path, {"HOME": "/home/u"}).cache == Path("/home/u/.cache/slipway")


def test_a_machine_without_home_has_a_cache_too(tmp_path: Path) -> None:
    assert places(tmp_path, {}).cache.is_absolute()


def test_pips_settings_hold_for_uv() -> None:
    config = (
        "global.index-url='https://mirror/simple'\nglobal.extra-index-url='https://a https://b'\n:env:.cert='/ca.pem'\n"
    )
    assert python_packages.uv_settings(config, {}) == {
        "UV_DEFAULT_INDEX": "https://mirror/simple",
        "UV_INDEX": "https://a https://b",
        "SSL_CERT_FILE": "/ca.pem",
    }
    assert "UV_DEFAULT_INDEX" not in python_packages.uv_settings(config, {"UV_DEFAULT_INDEX": "https://own"})


def test_an_environment_variable_beats_pips_file() -> None:
    config = ":env:.index-url='https://env'\nglobal.index-url='https://file'\n"
    assert python_packages.uv_settings(config, {})["UV_DEFAULT_INDEX"] == "https://env"


def test_a_path_with_a_space_can_be_pasted() -> None:
    assert quoted(Path("/a b/it's")) == "'/a b/it'\\''s'"
    assert quoted(Path("/srv/clone")) == "/srv/clone"
