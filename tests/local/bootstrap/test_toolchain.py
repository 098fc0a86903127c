"""Where each program comes from, and how builds are named in the cache."""

from __future__ import annotations

import importlib.util
import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local.bootstrap import python_packages, toolchain
from local.bootstrap.downloads import Downloads, cached_folder
from local.bootstrap.toolchain import CLUSTER, INGRESS, PULUMI, Toolchain, source_hash
from local.paths import ClonePaths, clone_paths, quoted
from local.progress import Screen, Task

CLONE = Path(__file__).resolve().parents[3]


@pytest.fixture
def clone(tmp_path: Path) -> ClonePaths:
    where = ClonePaths(tmp_path / "a clone", tmp_path / "cache")
    where.clone.mkdir()
    where.create()
    return where


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return Task("test", tmp_path / "test.log", Screen(io.StringIO()), threading.Event())


def plugin_folder(path: Path) -> Path:
    """Create a folder as PLUGINS=DIR expects it."""
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


def test_the_plugins_have_the_versions_of_the_program() -> None:
    requirements = (CLONE / "requirements.txt").read_text()
    for name, version in toolchain.PLUGINS.items():
        assert f"pulumi-{name}=={version}" in requirements
    assert f"pulumi=={toolchain.PULUMI_VERSION}" in requirements


def test_an_interrupted_build_is_not_in_the_cache(tmp_path: Path) -> None:
    def interrupted(folder: Path) -> None:
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_folder(tmp_path / "part-1.0", interrupted)
    assert list(tmp_path.iterdir()) == []


def test_given_plugins_are_used_instead_of_any_other(clone: ClonePaths, task: Task, tmp_path: Path) -> None:
    assert "official" in Toolchain(clone, plugin_folder(tmp_path / "plugins")).plugins(task)
    binary = clone.pulumi_home / "plugins" / "resource-docker-v5.1.0" / "pulumi-resource-docker"
    assert binary.read_text() == "official\n"
    assert not binary.parent.is_symlink()  # the engine ignores links


def test_plugins_that_were_given_once_are_replaced_when_they_are_not_given_again(
    clone: ClonePaths, task: Task, tmp_path: Path
) -> None:
    Toolchain(clone, plugin_folder(tmp_path / "plugins")).plugins(task)
    offline = Toolchain(clone, None)
    offline.downloads = Downloads(clone, "http://127.0.0.1:9")
    assert "offline stand-in" in offline.plugins(task)
    binary = clone.pulumi_home / "plugins" / "resource-docker-v5.1.0" / "pulumi-resource-docker"
    assert f"PYTHONPATH='{clone.clone}'" in binary.read_text()


def test_a_plugin_folder_without_an_installer_is_refused(tmp_path: Path) -> None:
    assert "contains no executable `install`" in str(toolchain.check_plugins(tmp_path))
    assert toolchain.check_plugins(plugin_folder(tmp_path / "plugins")) is None
    assert toolchain.check_plugins(None) is None


def test_a_go_that_is_not_first_on_the_path_is_linked_into_bin(
    clone: ClonePaths, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_official_releases_are_unpacked_into_the_cache(clone: ClonePaths, task: Task, tmp_path: Path) -> None:
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
        folder = downloads.get(task, "pulumi-1", "pulumi.tar.gz", strip=1)
        missing = downloads.get(task, "pulumi-2", "other.tar.gz")
        server.shutdown()
    assert folder and (folder / "pulumi").read_text() == "tool"
    assert missing is None
    assert not (clone.cache / "pulumi-2-official").exists()


def test_the_cache_is_in_xdg_cache_home(tmp_path: Path) -> None:
    assert clone_paths(tmp_path, {"XDG_CACHE_HOME": "/big", "HOME": "/root"}).cache == Path("/big/slipway")
    assert clone_paths(tmp_path, {"HOME": "/home/u"}).cache == Path("/home/u/.cache/slipway")


def test_a_machine_without_home_has_a_cache_too(tmp_path: Path) -> None:
    assert clone_paths(tmp_path, {}).cache.is_absolute()


def test_pips_settings_apply_to_uv() -> None:
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


def test_the_start_script_of_an_earlier_version_is_replaced(clone: ClonePaths, task: Task) -> None:
    scripts = [
        clone.pulumi_home / "plugins" / f"resource-{name}-v{version}" / f"pulumi-resource-{name}"
        for name, version in toolchain.PLUGINS.items()
    ]
    for script in scripts:
        script.parent.mkdir(parents=True)
        script.write_text("#!/bin/sh\nexit 1\n")
    tools = Toolchain(clone, None)
    tools.downloads = Downloads(clone, "http://127.0.0.1:9")
    tools.plugins(task)
    for script, name in zip(scripts, toolchain.PLUGINS, strict=True):
        assert f"-m local.plugins.{name} " in script.read_text()
        assert importlib.util.find_spec(f"local.plugins.{name}.__main__")
