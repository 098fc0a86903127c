"""Build contexts are complete, built once for each content, and shared by concurrent runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pulumi
import pytest

from slipway.image import build_context
from slipway.image.build_context import IN_USE_SECONDS, KEPT, prepared
from slipway.settings.sections.images import Image
from tests.image.test_oci import write_app
from tests.paths import INFRA, REPOSITORY
from tests.plugins.watchdog import child

HERE = Image(repository="r.io/slipway/api", target="prebuilt")


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tags for which the compiler has run, with a small app and an empty folder of contexts."""
    tags: list[str] = []

    def compile_(context: Path, _image: Image, tag: str, **_: Any) -> None:
        tags.append(tag)
        (context / "dist" / "api").write_bytes(b"ELF " + tag.encode())

    monkeypatch.setattr("slipway.image.source.compile_program", compile_)
    write_app(tmp_path / "app")
    monkeypatch.setattr("slipway.image.source.ROOT", tmp_path)
    monkeypatch.setattr("slipway.image.build_context.FOLDER", tmp_path / "context")
    return tags


def test_a_tag_is_built_once(compiled: list[str]):
    first = prepared(HERE, "src-1")
    assert prepared(HERE, "src-1") == first
    assert (first / "dist" / "api").read_bytes() == b"ELF src-1"
    assert compiled == ["src-1"]


def test_another_tag_leaves_earlier_folders_unchanged(compiled: list[str]):
    first = prepared(HERE, "src-1")
    second = prepared(HERE, "src-2")
    assert first != second
    assert (first / "dist" / "api").read_bytes() == b"ELF src-1"
    assert compiled == ["src-1", "src-2"]


@pytest.mark.parametrize("damage", ["edited", "removed", "added", "mode", "all gone", "record gone"])
def test_a_changed_folder_is_built_again(compiled: list[str], damage: str):
    folder = prepared(HERE, "src-1")
    before = build_context.digest(folder)
    if damage == "edited":
        (folder / "dist" / "api").write_bytes(b"ELF src-1 and more")
    if damage == "removed":
        (folder / "go.mod").unlink()
    if damage == "added":
        (folder / "cmd" / "api" / "more.go").write_text("package main")
    if damage == "mode":
        (folder / "go.mod").chmod(0o755)
    if damage == "all gone":
        folder.rename(folder.with_name("elsewhere"))
    if damage == "record gone":
        folder.with_suffix(".digest").unlink()
    assert build_context.digest(prepared(HERE, "src-1")) == before
    assert compiled == ["src-1", "src-1"]


def test_a_build_that_fails_leaves_nothing(compiled: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def fail(*_: object, **__: object) -> None:
        raise pulumi.RunError("app/ does not compile")

    monkeypatch.setattr("slipway.image.source.compile_program", fail)
    with pytest.raises(pulumi.RunError, match="does not compile"):
        prepared(HERE, "src-1")
    assert [path.name for path in (tmp_path / "context").iterdir()] == [".src-1.lock"]


def test_only_the_last_used_folders_are_kept_and_those_that_may_be_in_use(compiled: list[str], tmp_path: Path):
    for number in range(KEPT + 3):
        prepared(HERE, f"src-{number:02}")
    folders = {path.name for path in (tmp_path / "context").iterdir() if path.is_dir()}
    assert len(folders) == KEPT + 3
    long_ago = time.time() - IN_USE_SECONDS - 100
    (tmp_path / "context" / ".src-killed-1").mkdir()
    for number, path in enumerate(sorted((tmp_path / "context").iterdir())):
        os.utime(path, (long_ago + number, long_ago + number))
    prepared(HERE, "src-00")
    left = {path.name for path in (tmp_path / "context").iterdir()}
    newest = {f"src-{number:02}" for number in range(KEPT + 3 - (KEPT - 1), KEPT + 3)} | {"src-00"}
    assert left == newest | {f"{name}.digest" for name in newest}


RUN = """\
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from slipway.image import build_context, source
from slipway.settings.sections.images import Image
folder = Path(sys.argv[2])
source.ROOT, build_context.FOLDER = folder, folder / "context"

def compile_(context, image, tag, **_):
    (folder / f"compiled-{time.monotonic_ns()}").touch()
    time.sleep(0.3)
    (context / "dist" / "api").write_text(tag)

source.compile_program = compile_
for tag in ("src-1", "src-2", "src-1"):
    context = build_context.prepared(Image(repository="r.io/a", target="prebuilt"), tag)
    time.sleep(0.05)
    files = sorted(str(path.relative_to(context)) for path in context.rglob("*") if path.is_file())
    assert files == ["Dockerfile", "cmd/api/main.go", "dist/api", "dist/ca-certificates.crt", "go.mod"], files
    assert (context / "dist" / "api").read_text() == tag
"""


def test_previews_and_updates_at_the_same_time_see_whole_folders_and_build_each_once(tmp_path: Path):
    write_app(tmp_path / "app")
    command = [sys.executable, "-c", RUN, str(INFRA), str(tmp_path)]
    with ExitStack() as children:
        options = {"cwd": REPOSITORY, "stderr": subprocess.PIPE, "text": True}
        runs = [children.enter_context(child(command, **options)) for _ in range(4)]
        ended = [(run.communicate(timeout=60)[1], run.returncode) for run in runs]
    assert ended == [("", 0)] * 4
    assert len(list(tmp_path.glob("compiled-*"))) == 2


def test_a_folder_that_cannot_be_written_is_reported_in_one_message(compiled: list[str], tmp_path: Path):
    (tmp_path / "context").write_text("a file where the folder should be")
    with pytest.raises(pulumi.RunError, match=r"the image cannot be prepared: .*/context"):
        prepared(HERE, "src-1")
