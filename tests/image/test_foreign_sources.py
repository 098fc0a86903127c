"""Sources as other people have them: ignore files, links, Go modules of any layout, several platforms."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pulumi
import pytest

from slipway.image import source
from slipway.image.app_image import build_daemonless
from slipway.image.compiler import binary_name, main_package, toolchain
from slipway.image.daemonless import assembled, from_context
from slipway.image.source import content_tag, prepare, sources
from slipway.settings.sections.images import Image
from tests.image.fake_registry import FakeRegistry, serve_registry
from tests.image.test_oci import content, needs_go

GO = Image(repository="r.io/shop", context="app", builder="daemonless")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Go module whose program is in its root, as that of many small services."""
    app = tmp_path / "app"
    app.mkdir()
    (app / "go.mod").write_text("module example.com/acme/shop/v2\n\ngo 1.21\n")
    (app / "main.go").write_text("package main\n\nfunc main() {}\n")
    (app / "Dockerfile").write_text("FROM golang:1.26-alpine\n")
    monkeypatch.setattr(source, "ROOT", tmp_path)
    monkeypatch.setattr("slipway.image.build_context.FOLDER", tmp_path / "context")
    return app


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The platforms that a made-up compiler was asked for."""
    platforms: list[str] = []

    def compile_(context: Path, image: Image, version: str, **_: Any) -> None:
        platforms.append(image.platform)
        binary = context / "dist" / binary_name(context, main_package(context, image))
        binary.write_text(f"{image.platform} {version}")
        binary.chmod(0o755)

    monkeypatch.setattr(source, "compile_program", compile_)
    return platforms


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        ("*\n!src\n!main.go\n", {"Dockerfile", "main.go", "src/a.go", "src/a_test.go", "src/doc/b.md"}),
        ("src\n!src/a.go\n", {"Dockerfile", "main.go", "go.mod", "src/a.go", ".env", "README.md"}),
        (
            "Dockerfile\n*.md\n",
            {"Dockerfile", "main.go", "go.mod", "src/a.go", "src/a_test.go", "src/doc/b.md", ".env"},
        ),
        (".*\n**/*.md\nsrc/*_test.go\n", {"Dockerfile", "main.go", "go.mod", "src/a.go"}),
        ("/src/\n./README.md\n?env\n", {"Dockerfile", "main.go", "go.mod"}),
        ("[a-s]*c\n", {"Dockerfile", "main.go", "go.mod", ".env", "README.md"}),
    ],
)
def test_an_ignore_file_means_what_it_means_to_docker(folder: Path, patterns: str, kept: set[str]):
    write(folder, "src/a.go", "src/a_test.go", "src/doc/b.md", ".env", "README.md")
    (folder / ".dockerignore").write_text(patterns)
    assert set(sources(folder)) - {".dockerignore"} == kept


def test_a_dockerfile_of_another_name_has_its_own_ignore_file(folder: Path):
    write(folder, "a.txt", "b.txt", "deploy/Dockerfile")
    (folder / ".dockerignore").write_text("a.txt\n")
    (folder / "deploy" / "Dockerfile.dockerignore").write_text("b.txt\ndeploy\n")
    assert {"a.txt", "deploy/Dockerfile"} <= set(sources(folder, "deploy/Dockerfile"))
    assert "b.txt" not in sources(folder, "deploy/Dockerfile")


def test_links_stay_links_and_count_by_where_they_lead(folder: Path, tmp_path: Path, compiled: list[str]):
    write(folder, "lib/a.js")
    (folder / "bin").symlink_to("lib")
    (folder / "dangling").symlink_to("nowhere")
    before = content_tag(folder, {})
    prepare(tmp_path / "copy", GO, "src-1")
    assert (tmp_path / "copy" / "bin").readlink() == Path("lib")
    assert (tmp_path / "copy" / "dangling").readlink() == Path("nowhere")
    (folder / "bin").unlink()
    (folder / "bin").symlink_to("lib/a.js")
    assert content_tag(folder, {}) != before


def test_the_whole_project_may_be_a_context_without_what_belongs_to_git_and_slipway(tmp_path: Path, folder: Path):
    write(tmp_path, ".git/HEAD", ".slipway/secrets/key", "stacks/Pulumi.dev.yaml", "Pulumi.yaml", "infra/__main__.py")
    write(tmp_path, "web/stacks/a.txt")
    assert set(sources(tmp_path)) == {"app/Dockerfile", "app/go.mod", "app/main.go", "web/stacks/a.txt"}


@pytest.mark.parametrize(
    ("programs", "given", "package", "binary"),
    [
        ([], None, ".", "shop"),
        (["cmd/server"], None, "./cmd/server", "server"),
        (["cmd/server", "cmd/tool"], "./cmd/tool", "./cmd/tool", "tool"),
        ([], "./tools/x", "./tools/x", "x"),
    ],
)
def test_the_program_is_the_given_one_or_the_only_one(
    folder: Path, programs: list[str], given: str | None, package: str, binary: str
):
    write(folder, *(f"{program}/main.go" for program in programs))
    found = main_package(folder, GO.model_copy(update={"package": given}))
    assert (found, binary_name(folder, found)) == (package, binary)


def test_of_several_programs_one_has_to_be_named(folder: Path):
    write(folder, "cmd/server/main.go", "cmd/tool/main.go")
    with pytest.raises(pulumi.RunError, match=r"app/cmd has several programs \(server, tool\).*package: ./cmd/server"):
        main_package(folder, GO)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("go 1.26\n", "local"),
        ("go 1.26.0\n\ntoolchain go1.27.3\n", "go1.27.3"),
        ("go 1.26\n\ntoolchain default\n", "local"),
    ],
)
def test_only_a_stated_toolchain_is_asked_for(folder: Path, lines: str, expected: str):
    (folder / "go.mod").write_text(f"module a\n\n{lines}")
    assert toolchain(folder / "go.mod") == expected


@needs_go
def test_a_go_that_is_too_old_is_reported_with_the_fix(folder: Path, tmp_path: Path):
    (folder / "go.mod").write_text("module a\n\ngo 1.99\n")
    with pytest.raises(
        pulumi.RunError, match=r"(?s)Go on this machine is older than app/go\.mod.*toolchain go1\.26\.0"
    ):
        prepare(tmp_path / "copy", GO, "src-1")


def config_of(image: Any) -> dict[str, Any]:
    return json.loads(content(image, json.loads(image.manifest.content)["config"]["digest"]))


def test_a_program_without_dockerfile_is_an_image_by_itself(folder: Path, tmp_path: Path, compiled: list[str]):
    (folder / "Dockerfile").unlink()
    write(folder, "motd.txt", "ui/index.html")
    image = GO.model_copy(update={"files": {"etc/motd": "motd.txt", "srv/ui": "ui"}})
    prepare(tmp_path / "copy", image, "src-1")
    built = from_context(tmp_path / "copy", image, "src-1")
    assert config_of(built)["config"]["Entrypoint"] == ["/shop"]
    assert config_of(built)["config"]["User"] == "65532:65532"
    names = [json.loads(built.manifest.content)["layers"][index]["digest"] for index in (2, 3)]
    assert b"etc/motd" in content(built, names[0])
    assert b"srv/ui/index.html" in content(built, names[1])


def test_what_is_compiled_here_is_in_the_context_whatever_is_ignored(folder: Path, tmp_path: Path, compiled: list[str]):
    (folder / ".dockerignore").write_text("dist\n")
    image = Image(repository="r.io/shop", context="app", package=".")
    prepare(tmp_path / "copy", image, "src-1")
    assert (tmp_path / "copy" / "dist" / "shop").exists()
    assert not (tmp_path / "copy" / ".dockerignore").exists()


@pytest.mark.feature("A9", part="without Docker")
def test_an_image_of_two_platforms_is_an_index_of_which_each_node_pulls_its_part(
    folder: Path, compiled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: False)
    monkeypatch.setattr("pulumi.log.info", lambda _: None)
    registries = serve_registry()
    registry: FakeRegistry = next(registries)
    both = {"platforms": ["linux/amd64", "linux/arm64"], "repository": f"{registry.host}/slipway/api"}
    image = GO.model_copy(update=both)
    reference = build_daemonless(image, "src-1")
    assert compiled == ["linux/amd64", "linux/arm64"]
    index = json.loads(registry.manifests["src-1"])
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
    for entry in index["manifests"]:
        manifest = json.loads(registry.manifests[entry["digest"]])
        config = json.loads(registry.blobs[manifest["config"]["digest"]])
        assert config["architecture"] == entry["platform"]["architecture"]
        binary = registry.blobs[manifest["layers"][1]["digest"]]
        assert f"linux/{config['architecture']} src-1".encode() in binary
    assert reference.endswith(assembled(image, "src-1").digest)
    next(registries, None)


@needs_go
def test_the_default_package_really_compiles(folder: Path, tmp_path: Path):
    prepare(tmp_path / "copy", GO, "src-1")
    assert shutil.which(str(tmp_path / "copy" / "dist" / "shop"))
