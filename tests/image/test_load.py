"""An image without a registry: its archive, its names, the command that loads it, and what is refused."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pulumi
import pytest

from local.node import data_images
from slipway.image.load import NAME, load, write_archive
from slipway.image.oci import INDEX, File, OciImage, assemble, join
from slipway.settings.sections.images import Image
from tests import api_server

REPOSITORY = "localhost:5000/slipway/api"
SOCKET = "/run/slipway/containerd.sock"
IMAGE = assemble([[File("app", b"binary", 0o755)]], {"Entrypoint": ["/app"]}, "linux/amd64")
OTHER = assemble([[File("app", b"other", 0o755)]], {"Entrypoint": ["/app"]}, "linux/arm64")
BOTH = join([("linux/amd64", IMAGE), ("linux/arm64", OTHER)])


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a `ctr`, a `kind` and a `k3d`, which note their arguments, keep the archive and print `present`."""
    for name in ("ctr", "kind", "k3d"):
        (tmp_path / name).write_text(
            f'#!/bin/sh\ncd "{tmp_path}"\necho {name} "$@" >> calls\n'
            'for word; do case "$word" in *image.tar) cp "$word" kept.tar ;; esac; done\n'
            "cat present 2>/dev/null\n[ ! -e broken ] || { echo 'ctr: permission denied' >&2; exit 1; }\n"
        )
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def calls(programs: Path) -> list[str]:
    """Return the commands, with FILE for the archive."""
    lines = (programs / "calls").read_text().splitlines()
    return [" ".join("FILE" if word.endswith("image.tar") else word for word in line.split()) for line in lines]


@pytest.mark.feature("A12", part="the names by which pods find it")
@pytest.mark.parametrize("image", [IMAGE, BOTH], ids=["one platform", "two platforms"])
def test_the_archive_holds_every_blob_and_both_names_that_a_pod_may_use(image: OciImage, tmp_path: Path):
    names = [f"{REPOSITORY}@{image.digest}", f"{REPOSITORY}:src-1"]
    write_archive(image, names, tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as tar:
        content = {name: member.read() for name in tar.getnames() if (member := tar.extractfile(name))}
    index = json.loads(content["index.json"])
    assert index["mediaType"] == INDEX
    assert {entry["annotations"][NAME]: entry["digest"] for entry in index["manifests"]} == dict.fromkeys(
        names, image.digest
    )
    blobs = {f"blobs/sha256/{blob.digest[7:]}" for blob in (*image.blobs, *image.manifests, image.manifest)}
    assert content.keys() == {"oci-layout", "index.json", *blobs}


@pytest.mark.parametrize(
    ("target", "context", "command"),
    [
        (SOCKET, "slipway-local", f"ctr --address {SOCKET} --namespace k8s.io images import --all-platforms FILE"),
        ("kind", "kind-dev", "kind load image-archive FILE --name dev"),
        ("k3d", "k3d-dev", "k3d image import FILE --cluster dev"),
    ],
)
def test_each_cluster_is_loaded_by_its_own_command(programs: Path, target: str, context: str, command: str):
    assert load(IMAGE, target, context, REPOSITORY, "src-1")
    assert calls(programs)[-1] == command
    assert tarfile.is_tarfile(programs / "kept.tar")


def test_what_the_node_has_is_not_loaded_again(programs: Path):
    (programs / "present").write_text(f"docker.io/x:1\n{REPOSITORY}@{IMAGE.digest}\n")
    assert not load(IMAGE, SOCKET, "slipway-local", REPOSITORY, "src-1")
    assert calls(programs) == [f"ctr --address {SOCKET} --namespace k8s.io images list --quiet"]


def test_a_node_that_refuses_is_one_message_with_its_reason(programs: Path):
    (programs / "broken").touch()
    with pytest.raises(pulumi.RunError, match=rf"cannot be loaded \(load: {SOCKET}\): ctr: permission denied\. "):
        load(IMAGE, SOCKET, "slipway-local", REPOSITORY, "src-1")


def test_a_missing_program_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(pulumi.RunError, match="load: kind needs the program `kind`, which is not on the PATH"):
        load(IMAGE, "kind", "kind-dev", REPOSITORY, "src-1")


DAEMONLESS = {"image.builder": "daemonless", "image.target": None}
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("local", {"image.load": SOCKET}, "load needs builder: daemonless; this is builder: docker"),
    ("local", {**DAEMONLESS, "image.load": "minikube"}, "should be kind, k3d, or the path of containerd's socket"),
    ("local", {**DAEMONLESS, "image.load": "kind"}, "context is slipway-local, and one of kind is named kind-..."),
    ("dev", {"image.builder": "daemonless", "image.load": SOCKET}, "the nodes of tier dev pull from a registry"),
    ("prod", {"image.load": SOCKET}, "load goes with source: build, and only with it"),
]


@pytest.mark.parametrize(("stack", "changes", "message"), REFUSED, ids=[message for _, _, message in REFUSED])
def test_a_key_that_cannot_work_is_refused_with_the_reason(stack: str, changes: dict[str, Any], message: str):
    with pytest.raises(pulumi.RunError) as refused:
        api_server.settings(stack, changes)
    assert message in str(refused.value)


@pytest.mark.feature("A12", part="the names by which pods find it")
def test_pods_name_a_loaded_image_as_they_name_a_pushed_one(monkeypatch: pytest.MonkeyPatch, programs: Path):
    from slipway.image import app_image

    monkeypatch.setattr(app_image, "assembled", lambda *_: IMAGE)
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: False)
    monkeypatch.setattr(pulumi.log, "info", lambda *_: None)
    image = Image(repository=REPOSITORY, builder="daemonless", load=SOCKET)
    assert app_image.build_daemonless(image, "src-1") == f"{REPOSITORY}:src-1@{IMAGE.digest}"
    assert calls(programs)[-1].startswith("ctr ")


def test_a_preview_loads_nothing(monkeypatch: pytest.MonkeyPatch, programs: Path):
    from slipway.image import app_image

    monkeypatch.setattr(app_image, "assembled", lambda *_: IMAGE)
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    image = Image(repository=REPOSITORY, builder="daemonless", load=SOCKET)
    assert app_image.build_daemonless(image, "src-1") == f"{REPOSITORY}:src-1@{IMAGE.digest}"
    assert not (programs / "calls").exists()


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("slipway:image: {repository: r/a}", ""),
        (f"slipway:image: {{repository: r/a, load: {SOCKET}}}", SOCKET),
        ("slipway:images: {a: {load: kind}, b: {load: kind}}", "kind"),
        ("slipway:images: {a: {load: kind}, b: {repository: r/b}}", ""),
        ("slipway:namespace: a", ""),
    ],
)
def test_the_local_cluster_starts_no_registry_where_all_images_are_loaded(text: str, target: str, tmp_path: Path):
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text(f"config:\n  {text}\n")
    assert data_images.load_target(file) == target


def test_images_of_stores_are_loaded_like_that_of_the_app(programs: Path, tmp_path: Path):
    folder = tmp_path / "image"
    folder.mkdir()
    for blob in (*IMAGE.blobs, IMAGE.manifest):
        (folder / blob.digest[7:]).write_bytes(blob.content)
    (folder / "manifest.json").write_bytes(IMAGE.manifest.content)
    assert data_images.deliver(folder, REPOSITORY, "10.11", SOCKET)
    assert calls(programs)[-1].endswith("images import --all-platforms FILE")
