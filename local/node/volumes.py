"""The volumes of the local cluster: folders in .slipway that are created in advance, as there is no provisioner.

They are `local` volumes, not `hostPath`, so that the kubelet gives them to the pod's group as it does with cloud disks.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from local.node.names import NODE

STORAGE_CLASS = "local"
# Enough for several stacks without `make up`, which empties the volumes of deleted claims.
COUNT = 24
# Claims may not request more. Nothing enforces it: the limit is the disk.
SIZE = "100Gi"


def names() -> list[str]:
    return [f"local-{number:02}" for number in range(1, COUNT + 1)]


def create_folders(folder: Path) -> Path:
    """Create a folder for each volume."""
    for name in names():
        (folder / name).mkdir(parents=True, exist_ok=True)
    return folder


def released(listed: dict[str, Any]) -> list[str]:
    """Return our volumes whose claim was deleted, from `kubectl get persistentvolumes -o json`."""
    return [
        volume["metadata"]["name"]
        for volume in listed["items"]
        if volume["spec"].get("storageClassName") == STORAGE_CLASS
        and volume["metadata"]["name"] in names()
        and volume.get("status", {}).get("phase") == "Released"
    ]


def manifest(folder: Path) -> str:
    """Return the storage class and its volumes for `kubectl apply`. `folder` is their folder on the node."""
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
