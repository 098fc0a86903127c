"""Hands an image to the nodes of a cluster on this machine, without a registry between them (`load` of an image).

The image becomes an archive in the layout of OCI, in which containerd finds the names by which pods refer to it: with
the digest, and with the tag. https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pulumi

from slipway.image.oci import INDEX, Blob, OciImage

# The annotation by which containerd names what it imports.
NAME = "io.containerd.image.name"
# The namespace in which the kubelet looks for images.
NAMESPACE = "k8s.io"


def load(image: OciImage, target: str, context: str, repository: str, tag: str) -> bool:
    """Load the image into the nodes that `target` names. Return False if the node had it already.

    `context` is that of the kubeconfig, which has the name of a cluster of kind or k3d in it. Raises `pulumi.RunError`
    if the node does not take it.
    """
    if has(image.manifest, target, repository):
        return False
    names = [f"{repository}@{image.digest}", f"{repository}:{tag}"]
    with tempfile.TemporaryDirectory(prefix="slipway-image-") as folder:
        file = Path(folder) / "image.tar"
        write_archive(image, names, file)
        _run(command(target, context, file), target)
    return True


def has(manifest: Blob, target: str, repository: str) -> bool:
    """Return whether the node has the image. Those of kind and k3d are not asked: their commands find out."""
    name = f"{repository}@{manifest.digest}"
    return _is_socket(target) and name in _run([*_images(target), "list", "--quiet"], target).split()


def command(target: str, context: str, file: Path) -> list[str]:
    """Return the command that loads an archive."""
    if _is_socket(target):
        return [*_images(target), "import", "--all-platforms", str(file)]
    cluster = context.removeprefix(f"{target}-")
    if target == "kind":
        return ["kind", "load", "image-archive", str(file), "--name", cluster]
    return ["k3d", "image", "import", str(file), "--cluster", cluster]


def write_archive(image: OciImage, names: list[str], file: Path) -> None:
    """Write the archive of an image under these names."""
    entries: list[dict[str, Any]] = [{**image.manifest.descriptor(), "annotations": {NAME: name}} for name in names]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    contents = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index.encode()}
    contents |= {_path(blob): blob.content for blob in (*image.blobs, *image.manifests, image.manifest)}
    with tarfile.open(file, mode="w") as tar:
        for path, content in contents.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def _path(blob: Blob) -> str:
    return f"blobs/{blob.digest.replace(':', '/')}"


def _is_socket(target: str) -> bool:
    return target.startswith("/")


def _images(socket: str) -> list[str]:
    return ["ctr", "--address", socket, "--namespace", NAMESPACE, "images"]


def _run(command: list[str], target: str) -> str:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise pulumi.RunError(
            f"the image cannot be loaded: load: {target} needs the program `{command[0]}`, which is not on the PATH. "
            "Install it, or take load out of the section of the image and push to a registry. Nothing was changed."
        ) from None
    if done.returncode:
        reason = " ".join((done.stderr.strip() or done.stdout.strip()).split()[-60:])
        raise pulumi.RunError(
            f"the image cannot be loaded (load: {target}): {reason}. Is that cluster on this machine, and may you use "
            "it? Nothing was changed."
        )
    return done.stdout
