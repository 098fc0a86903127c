"""The name of an image says where it is pulled from, as container runtimes read it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from pydantic import TypeAdapter

from slipway.settings.sections.images import Image
from slipway.settings.types.image_names import login_of, normalized
from slipway.settings.types.scalars import PinnedImage
from tests.conftest import Changed

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("acme/shop-api", "docker.io/acme/shop-api"),
        ("redis", "docker.io/library/redis"),
        ("docker.io/redis", "docker.io/library/redis"),
        ("docker.io/acme/api", "docker.io/acme/api"),
        ("index.docker.io/acme/api", "docker.io/acme/api"),
        ("localhost/api", "localhost/api"),
        ("localhost:5000/slipway/api", "localhost:5000/slipway/api"),
        ("registry/slipway/api", "docker.io/registry/slipway/api"),
        ("registry:5000/api", "registry:5000/api"),
        ("r.example.com/api", "r.example.com/api"),
        (f"mysql:8.4@{DIGEST}", f"docker.io/library/mysql:8.4@{DIGEST}"),
    ],
)
def test_a_name_without_a_registry_is_one_of_docker_hub(name: str, full: str):
    assert normalized(name) == full
    assert normalized(full) == full


def test_the_login_for_docker_hub_has_the_key_under_which_nodes_look_for_it():
    assert login_of("docker.io/acme/api") == "https://index.docker.io/v1/"
    assert login_of("localhost:5000/slipway/api") == "localhost:5000"


def test_the_stack_file_may_name_images_as_docker_does():
    assert Image.model_validate({"repository": "acme/shop-api"}).repository == "docker.io/acme/shop-api"
    assert TypeAdapter(PinnedImage).validate_python(f"mysql@{DIGEST}") == f"docker.io/library/mysql@{DIGEST}"


def test_pods_name_the_registry_and_pull_with_its_login(changed: Changed, monkeypatch: pytest.MonkeyPatch):
    written: list[str] = []
    spy = SimpleNamespace(dumps=lambda value: written.append(json.dumps(value)) or "{}")
    monkeypatch.setattr("slipway.environment.json", spy)
    image = {"source": "prebuilt", "digest": DIGEST, "repository": "acme/shop-api"}
    program = changed("dev", {"image": image, "registry": {"username": "puller"}})
    [container] = program.manifests()["Deployment", "api"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"docker.io/acme/shop-api@{DIGEST}"
    assert list(json.loads(written[0])["auths"]) == ["https://index.docker.io/v1/"]
