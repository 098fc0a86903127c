"""Volumes of the local cluster: folders, bound when a pod is scheduled, emptied when their claim is deleted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from local.node.names import NODE
from local.node.volumes import COUNT, STORAGE_CLASS, create_folders, manifest, names, released


def objects() -> list[dict[str, Any]]:
    return json.loads(manifest(Path("/run/slipway/cluster/data/volumes")))["items"]


def listed(name: str, phase: str, storage_class: str = STORAGE_CLASS) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"storageClassName": storage_class}, "status": {"phase": phase}}


def test_the_storage_class_is_the_default_and_waits_for_the_pod() -> None:
    [storage_class] = [o for o in objects() if o["kind"] == "StorageClass"]
    assert storage_class["volumeBindingMode"] == "WaitForFirstConsumer"
    assert storage_class["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}


def test_each_volume_is_a_separate_folder_on_the_node(tmp_path: Path) -> None:
    volumes = [o for o in objects() if o["kind"] == "PersistentVolume"]
    create_folders(tmp_path)
    assert [volume["metadata"]["name"] for volume in volumes] == names()
    assert {Path(volume["spec"]["local"]["path"]).name for volume in volumes} == {f.name for f in tmp_path.iterdir()}
    assert len(set(names())) == COUNT
    [term] = volumes[0]["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"][0]["values"] == [NODE]


def test_creating_the_folders_again_keeps_their_content(tmp_path: Path) -> None:
    create_folders(tmp_path)
    (tmp_path / names()[0] / "data").write_text("kept")
    create_folders(tmp_path)
    assert (tmp_path / names()[0] / "data").read_text() == "kept"


def test_only_our_volumes_whose_claim_was_deleted_are_emptied() -> None:
    volumes = [
        listed("local-01", "Bound"),
        listed("local-02", "Released"),
        listed("local-03", "Available"),
        listed("local-04", "Released", "somebody-else"),
        listed("pvc-1234", "Released"),
    ]
    assert released({"items": volumes}) == ["local-02"]


@pytest.mark.parametrize("version", ["1.34", "1.37"])
def test_class_and_volumes_are_valid(version: str) -> None:
    assert len(objects()) == COUNT + 1
    for item in objects():
        kubernetes_validate.validate(item, version, strict=True)
