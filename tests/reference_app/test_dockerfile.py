"""app/Dockerfile: pinned bases, the compiler of go.mod, a static binary that a number runs, the same without Docker."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from slipway.image.compiler import toolchain
from slipway.image.scratch import contents
from tests.paths import REPOSITORY
from tests.reference_app import only_with_the_reference_app

pytestmark = only_with_the_reference_app

APP = REPOSITORY / "app"
DOCKERFILE = APP / "Dockerfile"


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
    updates = yaml.safe_load((REPOSITORY / ".github" / "dependabot.yml").read_text())["updates"]
    watched = {(update["package-ecosystem"], update["directory"]) for update in updates}
    assert watched == {
        ("docker", "/app"),
        ("gomod", "/app"),
        ("gomod", "/tests/load/vegeta"),
        ("gomod", "/tests/neighbours/helm"),
        ("gomod", "/tests/neighbours/keda"),
        ("gomod", "/tests/neighbours/queue/app"),
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


def test_an_image_without_docker_has_the_configuration_of_the_dockerfile(tmp_path: Path):
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "api").write_bytes(b"ELF")
    (tmp_path / "dist" / "ca-certificates.crt").write_text("public authorities")
    built = contents(DOCKERFILE.read_text(), "prebuilt", tmp_path, {"VERSION": "src-1"})
    assert built and [[file.path for file in layer] for layer in built.layers] == [
        ["etc/ssl/certs/ca-certificates.crt"],
        ["api"],
    ]
    lines = [line.replace("${VERSION}", "src-1") for line in stages()["image"][1:] if line]
    instructions = {line.split(" ")[0]: line.partition(" ")[2] for line in lines}
    assert instructions.keys() == {"ARG", "LABEL", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT"}
    assert built.config == {
        "User": instructions["USER"],
        "ExposedPorts": {f"{port}/tcp": {} for port in instructions["EXPOSE"].split()},
        "Healthcheck": {"Test": ["CMD", *json.loads(instructions["HEALTHCHECK"].removeprefix("CMD "))]},
        "Entrypoint": json.loads(instructions["ENTRYPOINT"]),
        "Labels": dict(re.findall(r'([\w.]+)="([^"]*)"', instructions["LABEL"])),
    }
