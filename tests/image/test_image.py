"""The image reference names its content: equal sources give equal names, different sources different ones."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from slipway.image.app_image import pinned
from slipway.image.compiler import toolchain
from slipway.image.source import arguments, content_tag, prepare, sources
from slipway.settings.sections.images import Image
from tests.conftest import Changed

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app"
DOCKERFILE = APP / "Dockerfile"
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


def stages() -> dict[str, list[str]]:
    """Return the instructions of each stage of app/Dockerfile by its name; FROM comes first."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found = [f"FROM {part}".strip().splitlines() for part in re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]]
    return {lines[0].split(" AS ")[1]: lines for lines in found}


def test_the_release_stage_compiles_with_the_toolchain_of_go_mod_whatever_its_base_image_has():
    (compile_step,) = [line for line in stages()["build"] if "go build" in line]
    setting = re.search(r'GOTOOLCHAIN="\$\((.*?)\)"', compile_step)
    assert setting
    chosen = subprocess.run(
        ["sh", "-c", setting[1]], cwd=APP, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert chosen == toolchain(APP / "go.mod")
    assert re.fullmatch(r"go\d+\.\d+\.\d+", chosen)


@pytest.mark.feature("A8")
def test_base_images_are_pinned_by_digest_and_newer_ones_are_proposed():
    bases = [lines[0].split()[1] for lines in stages().values()]
    unpinned = [base for base in bases if base not in {"scratch", *stages()}]
    assert unpinned
    assert all(re.fullmatch(r"golang:\d+\.\d+\.\d+-bookworm@sha256:[0-9a-f]{64}", base) for base in unpinned)
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    watched = {(update["package-ecosystem"], update["directory"]) for update in updates}
    assert watched == {
        ("docker", "/app"),
        ("gomod", "/app"),
        ("gomod", "/tests/load/vegeta"),
        ("gomod", "/tests/neighbours/helm"),
        ("pip", "/"),
        ("github-actions", "/"),
    }


@pytest.mark.feature("A7", part="Dockerfile")
def test_the_image_is_a_static_binary_run_by_a_number_and_modules_are_fetched_before_sources():
    build = stages()["build"]
    modules, sources = build.index("RUN go mod download"), build.index("COPY cmd cmd")
    assert build[modules - 1] == "COPY go.mod go.sum ./"
    assert modules < sources
    assert "CGO_ENABLED=0" in build[-1]
    assert "USER 65532:65532" in stages()["image"]
    assert stages()["release"][0] == "FROM image AS release"
    assert stages()["image"][0] == "FROM scratch AS image"


def test_both_ways_put_the_same_files_into_the_image():
    assert [line.split()[-1] for line in stages()["prebuilt"][1:]] == ["/etc/ssl/certs/ca-certificates.crt", "/api"]
    assert [line.split()[-1] for line in stages()["release"][1:]] == ["/etc/ssl/certs/ca-certificates.crt", "/api"]
