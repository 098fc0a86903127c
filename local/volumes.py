"""Volumes of the local cluster: folders in .slipway, made ahead of time, since nobody here makes them on demand.

They are `local` volumes, not `hostPath`: the kubelet gives them to the pod's group, as it does with a cloud's disks.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .names import NODE

STORAGE_CLASS = "local"
# A claim that is deleted leaves its volume as it is until the next `make up`: enough for some rounds without one.
COUNT = 24
# What claims are compared with. Nobody measures the folder: the limit is the disk.
SIZE = "100Gi"


def names() -> list[str]:
    return [f"local-{number:02}" for number in range(1, COUNT + 1)]


def make(folder: Path) -> Path:
    """The folder, with one folder in it for each volume."""
    for name in names():
        (folder / name).mkdir(parents=True, exist_ok=True)
    return folder


def released(listed: dict[str, Any]) -> list[str]:
    """Our volumes that no claim holds any more, from what `kubectl get persistentvolumes -o json` prints."""
    return [
        volume["metadata"]["name"]
        for volume in listed["items"]
        if volume["spec"].get("storageClassName") == STORAGE_CLASS
        and volume["metadata"]["name"] in names()
        and volume.get("status", {}).get("phase") == "Released"
    ]


def manifest(folder: Path) -> str:
    """The storage class and its volumes, for `kubectl apply`; `folder` is where the node sees them."""
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    items = [storage_class, *(_volume(name, folder) for name in names())]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2)


def _volume(name: str, folder: Path) -> dict[str, Any]:
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "storageClassName": STORAGE_CLASS,
            "capacity": {"storage": SIZE},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(folder / name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }
