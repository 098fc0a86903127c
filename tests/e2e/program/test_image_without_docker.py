"""The app's image is built without Docker, pushed to the local registry and pulled again."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Generator
from pathlib import Path

import pytest
import requests

from slipway.image.daemonless import from_context
from slipway.image.oci import OciImage
from slipway.image.registry import push
from slipway.image.source import arguments, content_tag, prepare
from slipway.project import ROOT
from slipway.settings.sections.images import Image

pytestmark = pytest.mark.e2e

TRIAL = Image(repository="localhost:5000/slipway/trial", builder="daemonless")
REGISTRY = "http://localhost:5000/v2/slipway/trial"
APP = ROOT / "app"
TAG = content_tag(APP, arguments(TRIAL))


def build(app: Path, monkeypatch: pytest.MonkeyPatch) -> OciImage:
    """Build the image from a copy of app/, as in another clone."""
    shutil.copytree(APP, app, copy_function=shutil.copyfile)
    monkeypatch.setattr("slipway.image.source.ROOT", app.parent)
    prepare(app.parent / "context", TRIAL, TAG)
    return from_context(app.parent / "context", TRIAL, TAG)


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[OciImage]:
    image = build(tmp_path / "here" / "app", monkeypatch)
    yield image
    requests.delete(f"{REGISTRY}/manifests/{image.digest}", timeout=10)


@pytest.mark.feature("A6", part="the app itself")
def test_two_clean_builds_of_the_app_give_one_digest(image: OciImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert build(tmp_path / "there" / "app", monkeypatch).digest == image.digest


@pytest.mark.feature("A5", part="the app itself, real registry")
@pytest.mark.feature("A7", part="the binary is static")
def test_the_registry_gives_back_an_image_that_runs(image: OciImage, tmp_path: Path):
    assert push(image, TRIAL.repository, TAG)
    assert not push(image, TRIAL.repository, TAG)
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    head = requests.head(f"{REGISTRY}/manifests/{TAG}", headers=accept, timeout=10)
    assert head.headers["Docker-Content-Digest"] == image.digest
    assert head.headers["Content-Type"] == accept["Accept"]
    manifest = requests.get(f"{REGISTRY}/manifests/{image.digest}", headers=accept, timeout=10).json()
    config = requests.get(f"{REGISTRY}/blobs/{manifest['config']['digest']}", timeout=10).json()
    assert config["config"]["User"] == "65532:65532"
    for layer in manifest["layers"]:
        content = requests.get(f"{REGISTRY}/blobs/{layer['digest']}", timeout=10).content
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(tmp_path, filter="data")
    binary = tmp_path / "api"
    assert b"ld-linux" not in binary.read_bytes()
    output = subprocess.run([binary, "version"], capture_output=True, text=True, check=True).stdout
    assert output.split()[0] == TAG
    assert json.dumps(config).count(TAG) == 2
