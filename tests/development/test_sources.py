"""What `./slipway dev` notices of the files it follows, and which services it can follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slipway.image.source import sources
from slipway.ops.development import build
from slipway.ops.development.errors import DevError
from slipway.ops.development.sources import Watched
from slipway.ops.development.target import targets
from slipway.settings.sections.images import Image
from tests import api_server


def test_edited_added_and_removed_files_are_named_once(app: Path):
    (app / "old.go").write_text("package main\n")
    watched = Watched(lambda: sources(app))
    assert watched.changes() == []
    (app / "main.go").write_text("package main // edited\n")
    (app / "new.go").write_text("package main\n")
    (app / "old.go").unlink()
    assert watched.has_changed
    assert watched.changes() == ["main.go", "new.go", "old.go"]
    assert not watched.has_changed
    assert watched.changes() == []


def test_files_that_are_no_part_of_the_image_are_not_followed(app: Path):
    (app / ".dockerignore").write_text("**/*_test.go\n")
    watched = Watched(lambda: sources(app))
    (app / "main_test.go").write_text("package main\n")
    assert watched.changes() == []


def test_files_that_are_saved_one_after_the_other_are_one_change(app: Path, monkeypatch: pytest.MonkeyPatch):
    watched = Watched(lambda: sources(app))
    (app / "first.go").write_text("package main\n")
    pauses: list[float] = []

    def meanwhile(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            (app / "second.go").write_text("package main\n")

    monkeypatch.setattr("slipway.ops.development.sources.time.sleep", meanwhile)
    assert watched.changes() == ["first.go", "second.go"]
    assert len(pauses) == 2


def test_a_file_that_is_gone_while_it_is_looked_at_is_no_error(tmp_path: Path):
    watched = Watched(lambda: {"gone.go": tmp_path / "gone.go"})
    assert watched.changes() == []


def test_the_image_is_that_of_the_stage_prebuilt_where_the_dockerfile_has_one(app: Path, image: Image):
    (app / "Dockerfile").write_text(
        "FROM golang:1.27 AS release\nRUN go build\nFROM scratch AS prebuilt\nARG VERSION\nARG COLOUR\n"
        'LABEL version="${VERSION}-${COLOUR}"\nCOPY dist/api /bin/api\n'
    )
    by_docker = image.model_copy(update={"builder": "docker", "args": {"COLOUR": "red"}})
    built = build.compiled(by_docker, "dev-1")
    layer, config = built.blobs
    assert b"bin/api" in layer.content
    assert b'"version":"dev-1-red"' in config.content


def test_a_version_of_a_session_leaves_no_folder_behind(app: Path, image: Image, tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    build.compiled(image, "dev-1")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_all_services_of_an_image_are_followed_and_one_can_be_chosen():
    settings = api_server.settings("local", {"services.web": {}})
    [target], refused = targets(settings, None)
    assert (target.services, target.image.context, refused) == (("api", "web"), "app", [])
    [target], _ = targets(settings, "web")
    assert target.services == ("web",)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ({"source": "prebuilt", "digest": f"sha256:{'0' * 64}"}, "its image is not built from sources of this project"),
        ({"context": "docs"}, "docs/ has no go.mod, and only Go programs are compiled on this machine"),
    ],
    ids=["no sources", "no Go"],
)
def test_what_this_machine_cannot_compile_is_refused_with_the_reason(image: dict[str, str], reason: str):
    settings = api_server.settings("dev")
    assert settings.image is not None
    settings = settings.model_copy(update={"image": settings.image.model_copy(update=image)})
    with pytest.raises(DevError, match=f"api is not followed: {reason}"):
        targets(settings, None)


def test_a_program_that_steps_of_a_dockerfile_compile_is_refused_with_what_would_do(app: Path, image: Image):
    (app / "Dockerfile").write_text("FROM golang:1.27 AS build\nRUN go build\nFROM gcr.io/distroless/static\n")
    settings = api_server.settings("dev")
    settings = settings.model_copy(update={"image": image.model_copy(update={"builder": "docker"})})
    with pytest.raises(DevError, match="which take Docker; give that a stage `prebuilt` that copies the program into"):
        targets(settings, None)


def test_a_service_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(DevError, match="there is no service 'ap' here"):
        targets(api_server.settings("dev"), "ap")
