"""An image assembled without Docker is a valid OCI image, and the same on every machine."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tarfile
import time
from pathlib import Path

import pulumi
import pytest

from slipway.image.daemonless import from_context
from slipway.image.oci import OciImage
from slipway.image.source import arguments, content_tag, prepare
from slipway.settings.sections.images import Image
from tests.conftest import Changed

DAEMONLESS = Image(repository="r.io/slipway/api", builder="daemonless")

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="compiles: there is no `go` on the PATH")


def write_app(folder: Path) -> Path:
    """The smallest app that compiles."""
    (folder / "cmd" / "api").mkdir(parents=True)
    (folder / "go.mod").write_text("module tiny\n\ngo 1.21\n")
    (folder / "cmd" / "api" / "main.go").write_text("package main\n\nvar version string\n\nfunc main() {}\n")
    (folder / "Dockerfile").write_text("FROM scratch\n")
    return folder


def build(app: Path, monkeypatch: pytest.MonkeyPatch) -> OciImage:
    """Assemble an image as the program does, in a folder beside the app."""
    monkeypatch.setattr("slipway.image.source.ROOT", app.parent)
    tag = content_tag(app, arguments(DAEMONLESS))
    shutil.rmtree(app.parent / "context", ignore_errors=True)
    prepare(app.parent / "context", DAEMONLESS, tag)
    return from_context(app.parent / "context", DAEMONLESS, tag)


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OciImage:
    """An image with a made-up binary: needs no Go."""
    monkeypatch.setattr(
        "slipway.image.source.compile_program", lambda context, *_, **__: (context / "dist" / "api").write_bytes(b"ELF")
    )
    return build(write_app(tmp_path / "app"), monkeypatch)


def content(image: OciImage, digest: str) -> bytes:
    """Return the blob that a registry would return for a digest."""
    return {blob.digest: blob.content for blob in image.blobs}[digest]


@needs_go
@pytest.mark.feature("A6")
def test_two_clean_builds_of_one_tree_give_one_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = build(write_app(tmp_path / "here" / "app"), monkeypatch)
    time.sleep(1.1)  # times of files and archives are in seconds
    monkeypatch.setenv("GOFLAGS", "-gcflags=-N")  # a user who builds for debugging
    umask = os.umask(0o077)
    try:
        second = build(write_app(tmp_path / "there" / "deep" / "below" / "app"), monkeypatch)
    finally:
        os.umask(umask)
    assert first.digest == second.digest
    assert len(content(first, json.loads(first.manifest.content)["layers"][1]["digest"])) > 500_000


@needs_go
def test_another_source_gives_another_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    app = write_app(tmp_path / "app")
    first = build(app, monkeypatch)
    (app / "cmd" / "api" / "main.go").write_text('package main\n\nvar version string\n\nfunc main() { print("x") }\n')
    assert build(app, monkeypatch).digest != first.digest


@needs_go
def test_an_app_that_does_not_compile_is_reported_with_the_output_of_the_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    app = write_app(tmp_path / "app")
    (app / "cmd" / "api" / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
    with pytest.raises(pulumi.RunError, match=r"cmd/api/main.go:3:15: undefined: nonsense"):
        build(app, monkeypatch)


def test_without_go_the_message_names_the_other_builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pulumi.RunError, match=r"no `go` on the PATH. Install Go, or set builder: docker"):
        build(write_app(tmp_path / "app"), monkeypatch)


def test_the_compiler_is_the_toolchain_of_go_mod_even_if_gotoolchain_is_local(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    app = write_app(tmp_path / "app")
    (app / "go.mod").write_text("module tiny\n\ngo 1.21\n\ntoolchain go1.27.3\n")
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text('#!/bin/sh\nprintf "%s %s %s" "$GOTOOLCHAIN" "$GOOS/$GOARCH" "$CGO_ENABLED" > dist/api\n')
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    monkeypatch.setenv("GOTOOLCHAIN", "local")
    build(app, monkeypatch)
    assert (tmp_path / "context" / "dist" / "api").read_text() == "go1.27.3 linux/amd64 0"


def test_a_compiler_that_cannot_be_downloaded_is_reported_with_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text('#!/bin/sh\necho "go: download $GOTOOLCHAIN for linux/amd64: toolchain not available" >&2\nexit 1\n')
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    app = write_app(tmp_path / "app")
    (app / "go.mod").write_text("module tiny\n\ngo 1.21\n\ntoolchain go1.27.3\n")
    with pytest.raises(pulumi.RunError, match=r"it needs go1\.27\.3 .*\n.*not available\nInstall that version, or"):
        build(app, monkeypatch)


def test_the_image_has_the_media_types_and_digests_of_the_specification(image: OciImage):
    manifest = json.loads(image.manifest.content)
    assert image.manifest.media_type == manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert manifest["schemaVersion"] == 2
    assert manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    assert [layer["mediaType"] for layer in manifest["layers"]] == ["application/vnd.oci.image.layer.v1.tar"] * 2
    config = json.loads(content(image, manifest["config"]["digest"]))
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    assert config["rootfs"] == {"type": "layers", "diff_ids": [layer["digest"] for layer in manifest["layers"]]}
    assert all(layer["size"] == len(content(image, layer["digest"])) for layer in manifest["layers"])
    assert image.size == len(image.manifest.content) + sum(len(blob.content) for blob in image.blobs)


def test_the_layers_hold_root_s_files_without_a_time(image: OciImage):
    entries: list[tuple[str, int]] = []
    for layer in json.loads(image.manifest.content)["layers"]:
        with tarfile.open(fileobj=io.BytesIO(content(image, layer["digest"]))) as archive:
            for entry in archive:
                assert (entry.uid, entry.gid, entry.uname, entry.gname, entry.mtime) == (0, 0, "", "", 0)
                entries.append((entry.name, entry.mode))
    certificates = [("etc", 0o755), ("etc/ssl", 0o755), ("etc/ssl/certs", 0o755)]
    assert entries == [*certificates, ("etc/ssl/certs/ca-certificates.crt", 0o644), ("api", 0o755)]


@pytest.mark.feature("A5", part="under mocks")
def test_pods_have_the_digest_already_in_a_preview_and_docker_builds_no_image(changed: Changed):
    program = changed("local", {"image.builder": "daemonless", "image.target": None})
    assert "Image" not in {resource.kind for resource in program.resources}
    [container] = program.manifests()["Deployment", "api"]["spec"]["template"]["spec"]["containers"]
    assert re.fullmatch(r"localhost:5000/slipway/api:src-[0-9a-f]{16}@sha256:[0-9a-f]{64}", container["image"])
    assert program.outputs["image"] == container["image"]


def test_a_builder_and_a_target_that_contradict_each_other_are_refused(changed: Changed):
    with pytest.raises(pulumi.RunError, match="target: release needs builder: docker; leave target out"):
        changed("dev", {"image.builder": "daemonless", "image.target": "release"})
