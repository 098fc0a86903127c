"""The local stack without a registry: its image goes from this machine to the node's containerd (`load`)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator
from typing import Any

import pytest
import urllib3

from local.bootstrap.downloads import architecture
from local.node import data_images
from local.paths import CONTAINERD_SOCKET, clone_paths
from slipway.image.reference import parts
from tests.e2e import conftest as e2e
from tests.e2e.conftest import LOCAL, ROOT, Edit, kubectl, outputs, pulumi, up, version

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

# Fixtures; pytest looks for them in the module that uses them.
api, edit = e2e.api, e2e.edit

PUSHED = (
    "    target: prebuilt # compiled on this machine: needs no base image from outside\n"
    "    repository: localhost:5000/slipway/api\n"
)
# Nobody can push to a host of this domain, or pull from it: RFC 6761.
REPOSITORY = "registry.invalid/slipway/api"
LOADED = f"    builder: daemonless\n    load: {CONTAINERD_SOCKET}\n    repository: {REPOSITORY}\n"
CTR = ("ctr", "--address", str(CONTAINERD_SOCKET), "--namespace", "k8s.io", "images")


def images() -> list[str]:
    """Return the names of the images of the node."""
    return subprocess.run([*CTR, "list", "--quiet"], capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture(scope="module", autouse=True)
def restored() -> Generator[None]:
    """Deploy the stack file as it is again, and remove the images of these tests."""
    yield
    up()
    if loaded := [name for name in images() if name.startswith("registry.invalid/")]:
        subprocess.run([*CTR, "remove", *loaded], capture_output=True, check=True)


def pods_of_the_api() -> list[dict[str, Any]]:
    found = kubectl("get", "pods", "-l", "app.kubernetes.io/name=api", "-o", "json")
    return [pod for pod in json.loads(found)["items"] if "deletionTimestamp" not in pod["metadata"]]


@pytest.mark.feature("A12")
def test_an_image_that_no_registry_has_is_loaded_and_serves(edit: Edit, api: urllib3.HTTPSConnectionPool):
    edit(LOCAL, PUSHED, LOADED)
    report = up()
    assert f"loaded ({CONTAINERD_SOCKET})" in report
    reference = outputs()["image"]
    repository, _, digest = parts(reference)
    assert repository == REPOSITORY
    assert f"{REPOSITORY}@{digest}" in images()
    for pod in pods_of_the_api():
        [container] = pod["spec"]["containers"]
        assert (container["image"], container["imagePullPolicy"]) == (reference, "IfNotPresent")
    assert version(api) == outputs()["version"]
    pulumi("preview", "--expect-no-changes")

    edit("app/cmd/api/main.go", "package main", "package main // loaded")
    up()
    assert outputs()["image"] != reference
    assert version(api) == outputs()["version"]
    assert "the node had it already" in up()


@pytest.mark.feature("A12", part="images of the stores")
def test_the_images_of_the_stores_are_loaded_too():
    cached = sorted(clone_paths(ROOT).cache.glob("image-redis-*/manifest.json"))
    assert cached, f"`make up` keeps the image of Redis for {architecture()} there"
    folder, repository = cached[-1].parent, "registry.invalid/slipway/redis"
    assert data_images.deliver(folder, repository, "trial", str(CONTAINERD_SOCKET))
    assert f"{repository}:trial" in images()
    assert not data_images.deliver(folder, repository, "trial", str(CONTAINERD_SOCKET))
