"""Images of servers built from Debian packages: their content, names and push."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.errors import SetupError
from local.node import data_images
from local.node.data_images import (
    deliver,
    pack,
    package_files,
    provide,
    servers_to_build,
    tag_of,
)
from local.node.recipes import RECIPES, Recipe
from local.paths import ClonePaths
from local.progress import Screen, Task
from tests.image.fake_registry import FakeRegistry, serve_registry

URIS = (
    "Reading package lists...\n"
    "'http://deb.debian.org/debian/pool/p/perl/perl-base_5.36.0-7_amd64.deb' perl-base_5.36.0-7_amd64.deb 9 SHA256:0\n"
    "'http://deb.debian.org/redis-server.deb' redis-server_5%3a7.0.15-1~deb12u10_amd64.deb 9 SHA256:1\n"
    "'http://deb.debian.org/d/dash_0.5.12-2_amd64.deb' dash_0.5.12-2_amd64.deb 9 SHA256:2\n"
)
TRIAL = Recipe(
    name="trial", title="a trial", packages=("server",), programs=("server", "dash"), links={"sh": "dash"},
    data=r"usr/share/server/.+",
)  # fmt: skip
needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="no dpkg-deb on this machine")


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return Task("data images", tmp_path / "images.log", Screen(io.StringIO()), threading.Event())


def package(folder: Path, name: str, files: dict[str, str], links: dict[str, str] | None = None) -> Path:
    """A .deb with these files; their modes and dates are those of whoever runs the test."""
    root = folder / name
    (root / "DEBIAN").mkdir(parents=True)
    control = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: n\nDescription: d\n"
    (root / "DEBIAN" / "control").write_text(control)
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
        (root / path).chmod(0o4755)
    for path, target in (links or {}).items():
        (root / path).symlink_to(target)
    archive = folder / f"{name}_1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", root, archive], check=True, capture_output=True)
    return archive


def packages(folder: Path) -> list[Path]:
    server = {
        "usr/sbin/server": "#!", "usr/bin/other": "#!", "lib/x86_64-linux-gnu/libserver.so.1.2": "so",
        "usr/share/server/messages": "m", "usr/share/man/man1/server.1": "man", "usr/share/doc/server/copyright": "c",
    }  # fmt: skip
    library = {"lib/x86_64-linux-gnu/libserver.so.1": "libserver.so.1.2"}
    return [package(folder, "server", server, library), package(folder, "shell", {"bin/dash": "#!"})]


def image(folder: Path, tar: str, recipe: Recipe = TRIAL) -> dict[str, tarfile.TarInfo]:
    folder.mkdir()
    pack(folder / tar, recipe, packages(folder))
    with tarfile.open(folder / tar) as archive:
        return {member.name: member for member in archive}


def test_packages_for_maintainer_scripts_are_left_out() -> None:
    assert package_files(URIS) == ["dash_0.5.12-2_amd64.deb", "redis-server_5%3a7.0.15-1~deb12u10_amd64.deb"]


def test_a_tag_contains_the_version_and_changes_with_every_package_and_with_the_recipe() -> None:
    redis = RECIPES["redis"]
    tag = tag_of(redis, package_files(URIS))
    assert tag.startswith("7.0.15-")
    assert tag == tag_of(redis, package_files(URIS))
    assert tag != tag_of(redis, package_files(URIS.replace("0.5.12-2", "0.5.12-3")))
    assert tag != tag_of(replace(redis, programs=()), package_files(URIS))


@needs_dpkg
def test_an_image_contains_the_programs_of_its_recipe_with_their_libraries_and_data_only(tmp_path: Path) -> None:
    members = image(tmp_path / "a", "layer")
    assert {name for name, member in members.items() if member.isreg()} == {
        "usr/sbin/server", "usr/bin/dash", "usr/lib/x86_64-linux-gnu/libserver.so.1.2", "usr/share/server/messages",
        "usr/share/doc/server/copyright", "etc/passwd", "etc/group", "var/lib/dpkg/status.d/server",
        "var/lib/dpkg/status.d/shell",
    }  # fmt: skip
    links = {name: member.linkname for name, member in members.items() if member.issym()}
    assert links == {
        "bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64", "usr/bin/sh": "dash",
        "usr/lib/x86_64-linux-gnu/libserver.so.1": "libserver.so.1.2",
    }  # fmt: skip


@needs_dpkg
def test_a_link_may_lead_from_any_path_of_an_image(tmp_path: Path) -> None:
    recipe = replace(TRIAL, links={"served": "server", "etc/ssl/certs": "../../usr/share/server"})
    members = image(tmp_path / "a", "layer", recipe)
    assert members["usr/bin/served"].linkname == "server"
    assert members["etc/ssl/certs"].linkname == "../../usr/share/server"


def test_the_tag_of_each_image_contains_the_version_of_its_server() -> None:
    files = [f"{name}_1%3a2.42.0+ds-5_amd64.deb" for recipe in RECIPES.values() for name in recipe.packages[:1]]
    assert all(tag_of(recipe, files).startswith("2.42.0-") for recipe in RECIPES.values())


@needs_dpkg
def test_root_owns_all_files_of_an_image_and_no_program_is_setuid(tmp_path: Path) -> None:
    members = image(tmp_path / "a", "layer").values()
    assert {(member.uid, member.gid) for member in members} == {(0, 0)}
    assert [member.name for member in members if member.mode & 0o7022 and not member.issym()] == ["tmp"]


@needs_dpkg
def test_the_same_packages_give_the_same_bytes(tmp_path: Path) -> None:
    image(tmp_path / "a", "layer")
    os.umask(os.umask(0o077))
    image(tmp_path / "b", "layer")
    assert (tmp_path / "a" / "layer").read_bytes() == (tmp_path / "b" / "layer").read_bytes()


@needs_dpkg
def test_a_program_missing_from_the_packages_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="do not contain mariadbd"):
        image(tmp_path / "a", "layer", replace(TRIAL, programs=("server", "mariadbd")))


STACKS = [
    ("config: {slipway:imageFiles: x, slipway:mysql: {source: cluster}, slipway:redis: {}}", ["mysql", "redis"]),
    ("config: {slipway:imageFiles: x, slipway:mysql: {source: managed}}", []),
    ("config: {slipway:imageFiles: x, slipway:mysql: {image: own}, slipway:redis: {storage: 1Gi}}", ["redis"]),
    ("config: {slipway:mysql: {source: cluster}}", []),
    ("config: {slipway:imageFiles: x, slipway:monitoring: {source: cluster}}", ["prometheus"]),
    (
        "config: {slipway:imageFiles: x, slipway:monitoring: {source: cluster, image: own, receivers: {a: {}}}}",
        ["alertmanager"],
    ),
    ("config: {slipway:imageFiles: x, slipway:monitoring: {source: operator}}", []),
    ("config: {slipway:imageFiles: x, slipway:monitoring: {}}", []),
    ("", []),
]


@pytest.mark.parametrize(("text", "servers"), STACKS)
def test_images_are_built_for_servers_that_name_none(tmp_path: Path, text: str, servers: list[str]) -> None:
    (tmp_path / "stack.yaml").write_text(text)
    assert servers_to_build(tmp_path / "stack.yaml") == servers


def test_apt_resolves_packages_again_only_after_its_lists_changed(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "Packages").write_text("1")
    calls: list[Any] = []
    monkeypatch.setattr(data_images, "LISTS", lists)
    monkeypatch.setattr(data_images, "which", Path)
    monkeypatch.setattr(Task, "read", lambda *_, **__: calls.append(1) or URIS)
    paths = ClonePaths(tmp_path / "clone", tmp_path / "cache")
    first = [data_images.resolve(task, RECIPES["redis"], paths) for _ in range(3)]
    assert (first, len(calls)) == ([package_files(URIS)] * 3, 1)
    (lists / "Packages").write_text("12")
    data_images.resolve(task, RECIPES["redis"], paths)
    assert len(calls) == 2


def test_without_apt_the_fix_is_to_name_an_image(tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_images, "which", lambda _: None)
    with pytest.raises(SetupError, match="apt-get and dpkg-deb") as caught:
        data_images.resolve(task, RECIPES["mysql"], ClonePaths(tmp_path, tmp_path))
    assert "slipway:mysql" in caught.value.fix


# --- registry


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    yield from serve_registry()


def built(folder: Path) -> Path:
    """An image as build() leaves it in the cache."""
    folder.mkdir(parents=True)
    (folder / "config").write_text("{}")
    (folder / "layer").write_bytes(os.urandom(100_000))
    manifest = {
        "mediaType": data_images.MANIFEST,
        "config": data_images._blob(folder / "config", data_images.CONFIG),  # pyright: ignore[reportPrivateUsage]
        "layers": [data_images._blob(folder / "layer", data_images.LAYER)],  # pyright: ignore[reportPrivateUsage]
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_an_image_is_pushed_whole_and_only_once(tmp_path: Path, registry: FakeRegistry) -> None:
    folder = built(tmp_path / "image")
    assert deliver(folder, f"{registry.host}/slipway/redis", "7-1") is True
    assert deliver(folder, f"{registry.host}/slipway/redis", "7-1") is False
    manifest = json.loads(registry.manifests["7-1"])
    assert {blob["digest"] for blob in (*manifest["layers"], manifest["config"])} == registry.blobs.keys()
    assert all(len(registry.blobs[blob["digest"]]) == blob["size"] for blob in manifest["layers"])


@pytest.mark.parametrize(
    ("repository", "fix"),
    [("localhost:5000/slipway/redis", "make down && make up"), ("localhost:9/a/redis", "correct")],
)
def test_an_unreachable_registry_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: str, fix: str
) -> None:
    monkeypatch.setattr("slipway.image.registry.origin", lambda _: "http://127.0.0.1:9/")
    with pytest.raises(SetupError, match=r"registry localhost:\d+ cannot be reached") as caught:
        deliver(built(tmp_path / "image"), repository, "7-1")
    assert caught.value.fix.startswith(fix)


def test_the_stack_gets_the_digest_of_the_registry_that_its_nodes_pull_from(
    tmp_path: Path, task: Task, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = ClonePaths(tmp_path / "clone", tmp_path / "cache")
    (paths.clone / "stacks").mkdir(parents=True)
    paths.stack_file.write_text("config: {slipway:imageFiles: x, slipway:redis: {source: cluster}}")
    monkeypatch.setattr(data_images, "resolve", lambda *_: package_files(URIS))
    tag = tag_of(RECIPES["redis"], package_files(URIS))
    built(paths.cache / f"image-redis-{tag}")
    assert "Redis from Debian packages" in str(provide(task, paths, f"{registry.host}/team", "kind-dev"))
    digest = hashlib.sha256(registry.manifests[tag]).hexdigest()
    assert (paths.images / "redis").read_text() == f"{registry.host}/team/redis:{tag}@sha256:{digest}"
    assert provide(task, paths, f"{registry.host}/team", "kind-dev") is None
