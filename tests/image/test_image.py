"""The image reference names its content: equal sources give equal names, different sources different ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slipway.image.app_image import pinned
from slipway.image.source import arguments, content_tag, prepare, sources
from slipway.settings.sections.images import Image
from tests.conftest import Changed

ARGUMENTS = {"target": "release"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / "cmd").mkdir(parents=True)
    (folder / "cmd" / "main.go").write_text("package main\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "README.md").write_text("read me\n")
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / ".dockerignore").write_text("# not in the image\n*.md\n")
    return folder


def test_the_same_content_has_the_same_tag_in_every_folder(source: Path, tmp_path: Path):
    before = content_tag(source, ARGUMENTS)
    assert content_tag(source.rename(tmp_path / "elsewhere"), ARGUMENTS) == before


@pytest.mark.feature("A4", part="tag")
def test_an_ignored_file_makes_no_difference(source: Path):
    before = content_tag(source, ARGUMENTS)
    (source / "README.md").write_text("read me twice\n")
    assert content_tag(source, ARGUMENTS) == before


@pytest.mark.parametrize(
    ("pattern", "path", "left_out"),
    [
        ("*.md", "README.md", True),
        ("docs", "docs/a/b.txt", True),
        ("docs/", "docs/a.txt", True),
        ("**/*_test.go", "internal/api/api_test.go", True),
        ("**/*_test.go", "main_test.go", True),
        ("**/testdata", "internal/testdata/x.json", True),
        ("docs", "docserver/main.go", False),
        ("*.md", "main.go", False),
    ],
)
def test_dockerignore_is_read_as_docker_reads_it(source: Path, pattern: str, path: str, left_out: bool):
    (source / ".dockerignore").write_text(pattern + "\n")
    (source / path).parent.mkdir(parents=True, exist_ok=True)
    (source / path).write_text("x")
    assert (path not in sources(source)) == left_out


def test_the_build_context_is_the_same_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Path
):
    monkeypatch.setattr("slipway.image.source.ROOT", source.parent)
    build = Image(repository="r.io/slipway/api")
    before = os.umask(0o077)
    try:
        prepare(tmp_path / "context", build, "src-1")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "context").rglob("*")}
    assert modes == {"cmd": 0o755, "main.go": 0o644, "run.sh": 0o644, "Dockerfile": 0o644}


def test_neither_umask_nor_time_makes_a_difference(source: Path):
    before = content_tag(source, ARGUMENTS)
    (source / "cmd" / "main.go").chmod(0o600)
    os.utime(source / "cmd" / "main.go", (0, 0))
    assert content_tag(source, ARGUMENTS) == before


def test_compiled_files_make_no_difference(source: Path):
    (source / "go.mod").write_text("module tiny\n")
    before = content_tag(source, ARGUMENTS)
    (source / "dist").mkdir()
    (source / "dist" / "api").write_bytes(b"ELF")
    assert content_tag(source, ARGUMENTS) == before


@pytest.mark.parametrize("change", ["content", "name", "executable", "argument", "moved bytes"])
def test_any_difference_in_the_image_makes_another_tag(source: Path, change: str):
    before = content_tag(source, ARGUMENTS)
    main = source / "cmd" / "main.go"
    if change == "content":
        main.write_text("package other\n")
    if change == "name":
        main.rename(source / "cmd" / "other.go")
    if change == "executable":
        (source / "run.sh").chmod(0o755)
    if change == "moved bytes":
        main.write_text("package main")
        (source / "run.sh").write_text("\n#!/bin/sh\n")
    arguments = {"target": "prebuilt"} if change == "argument" else ARGUMENTS
    assert content_tag(source, arguments) != before


def test_a_tag_is_a_valid_image_tag_and_label_value(source: Path):
    tag = content_tag(source, ARGUMENTS)
    assert tag.startswith("src-")
    assert len(tag) == 20


def test_a_pushed_image_is_pinned_to_its_digest():
    assert pinned("r.io/api:src-1", "r.io/api@sha256:ab") == "r.io/api:src-1@sha256:ab"


def test_a_local_image_id_never_reaches_a_pod():
    assert pinned("r.io/api:src-1", "sha256:ab") == "r.io/api:src-1"


@pytest.mark.parametrize("change", [{"builder": "daemonless"}, {"target": "prebuilt"}, {"platform": "linux/arm64"}])
def test_settings_that_make_another_image_make_another_tag(change: dict[str, str]):
    release, other = ({"repository": "r.io/slipway/api", **also} for also in ({}, change))
    assert arguments(Image.model_validate(other)) != arguments(Image.model_validate(release))


def test_the_same_files_from_another_builder_are_another_image():
    docker, daemonless = Image(repository="r.io/a", target="prebuilt"), Image(repository="r.io/a", builder="daemonless")
    assert arguments(docker) != arguments(daemonless)
    assert arguments(docker)["certificates"] == arguments(daemonless)["certificates"] != ""


def test_the_name_of_the_repository_makes_no_difference():
    assert arguments(Image(repository="r.io/a")) == arguments(Image(repository="elsewhere.io/b"))


def test_an_image_built_elsewhere_needs_no_daemon_and_no_compiler(
    changed: Changed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    digest = "sha256:" + "5" * 64
    program = changed("dev", {"image.source": "prebuilt", "image.digest": digest})
    [container] = program.manifests()["Deployment", "api"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"registry.example.com/slipway/api@{digest}"
    assert "Image" not in {resource.kind for resource in program.resources}
