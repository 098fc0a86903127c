"""Pushing an image without Docker: once, with the login of this machine, or with a message that says why not."""

from __future__ import annotations

import base64
import json
import re
import socket
from collections.abc import Generator
from pathlib import Path

import pulumi
import pytest

from slipway.image.app_image import build_daemonless
from slipway.image.oci import File, OciImage, assemble
from slipway.image.registry import blob, manifest, origin, push
from slipway.image.source import arguments, content_tag, folder_of_context
from slipway.settings.sections.images import Image
from tests.image.fake_registry import BASIC, FakeRegistry, digest_of, serve_registry
from tests.image.test_oci import needs_go, write_app


@pytest.fixture
def registry(docker_config: Path) -> Generator[FakeRegistry]:
    yield from serve_registry()


@pytest.fixture
def storage() -> Generator[FakeRegistry]:
    yield from serve_registry()


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Docker configuration of a user without any login."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def log_in(docker_config: Path, registry: FakeRegistry, **entry: str) -> None:
    docker_config.write_text(json.dumps({"auths": {registry.host: entry}}))


IMAGE = assemble([[File("a", b"first")], [File("b", b"second")]], {"Labels": {}}, "linux/amd64")
PASSWORD = BASIC.removeprefix("Basic ")


def push_to(registry: FakeRegistry, image: OciImage = IMAGE) -> bool:
    return push(image, f"{registry.host}/slipway/api", "src-1")


def test_an_empty_registry_gets_layers_configuration_and_then_the_manifest(registry: FakeRegistry):
    assert push_to(registry)
    assert digest_of(registry.manifests["src-1"]) == IMAGE.digest
    assert registry.blobs == {blob.digest: blob.content for blob in IMAGE.blobs}
    assert registry.done() == ["HEAD manifests", *["HEAD blobs", "POST blobs", "PUT blobs"] * 3, "PUT manifests"]


def test_an_image_that_the_registry_has_costs_one_request(registry: FakeRegistry):
    push_to(registry)
    registry.requests.clear()
    assert not push_to(registry)
    assert registry.done() == ["HEAD manifests"]


def test_blobs_that_the_registry_has_are_not_sent_again(registry: FakeRegistry):
    push_to(registry)
    registry.requests.clear()
    assert push_to(registry, assemble([[File("a", b"first")], [File("b", b"other")]], {"Labels": {}}, "linux/amd64"))
    assert registry.done().count("PUT blobs") == 2  # the layer of b, and the configuration, which refers to it


def test_a_tag_that_names_another_image_is_moved(registry: FakeRegistry):
    registry.manifests["src-1"] = b"{}"
    assert push_to(registry)
    assert digest_of(registry.manifests["src-1"]) == IMAGE.digest


@pytest.mark.parametrize("challenge", ['Basic realm="Registry Realm"', "basic"])
def test_a_registry_that_wants_a_password_gets_the_stored_one(
    registry: FakeRegistry, docker_config: Path, challenge: str
):
    registry.challenge, registry.authorization = challenge, BASIC
    log_in(docker_config, registry, auth=PASSWORD)
    assert push_to(registry)
    assert [request for request in registry.requests if BASIC not in request] == ["HEAD manifests/src-1"]


@pytest.mark.parametrize("entry", [{"auth": PASSWORD}, {"identitytoken": "canary"}])
def test_a_registry_that_wants_a_token_gets_one_for_push_and_pull(
    registry: FakeRegistry, docker_config: Path, entry: dict[str, str]
):
    registry.challenge = 'Bearer realm="http://{host}/token",service="the one",scope="repository:slipway/api:pull"'
    log_in(docker_config, registry, **entry)
    assert push_to(registry)
    assert registry.tokens["scope"] == "repository:slipway/api:pull,push"
    assert registry.tokens["service"] == "the one"
    assert len([request for request in registry.requests if "Bearer good" not in request]) == 1


def test_a_token_that_ends_during_the_push_is_renewed(registry: FakeRegistry, docker_config: Path):
    registry.challenge, registry.refusals = 'Bearer realm="http://{host}/token"', {"PUT": [401]}
    log_in(docker_config, registry, auth=PASSWORD)
    assert push_to(registry)
    assert registry.done().count("PUT blobs") == 4


def test_a_credential_helper_is_asked(
    registry: FakeRegistry, docker_config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    helper = tmp_path / "docker-credential-keychain"
    helper.write_text("""#!/bin/sh\ncat > /dev/null\nprintf '{"Username": "me", "Secret": "canary-\\303\\251"}'\n""")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    docker_config.write_text(json.dumps({"credHelpers": {registry.host: "keychain"}}))
    registry.challenge, registry.authorization = "Basic", BASIC
    assert push_to(registry)


def test_storage_elsewhere_does_not_get_the_login(registry: FakeRegistry, storage: FakeRegistry, docker_config: Path):
    registry.challenge, registry.authorization, registry.uploads_to = "Basic", BASIC, storage.host
    registry.blobs = storage.blobs
    log_in(docker_config, registry, auth=PASSWORD)
    assert push_to(registry)
    assert storage.requests == ["PUT blobs/uploads/1"] * 3


def test_a_registry_on_this_machine_is_reached_without_proxy(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert push_to(registry)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost:5000", "http://localhost:5000/"),
        ("127.0.0.1", "http://127.0.0.1/"),
        ("k3d.localhost:5000", "http://k3d.localhost:5000/"),
        ("localhost.example.com", "https://localhost.example.com/"),
        ("registry.example.com:5000", "https://registry.example.com:5000/"),
        ("docker.io", "https://registry-1.docker.io/"),
    ],
)
def test_only_a_registry_on_this_machine_is_used_without_tls(host: str, expected: str):
    assert origin(host) == expected


def test_a_request_to_a_busy_registry_is_retried(registry: FakeRegistry):
    registry.refusals = {"POST": [503], "PUT": [502]}
    assert push_to(registry)
    assert registry.blobs == {blob.digest: blob.content for blob in IMAGE.blobs}


@pytest.mark.parametrize(
    ("refusals", "words"),
    [
        (
            {"HEAD": [401]},
            "HEAD was answered with 401 Unauthorized. Log in as somebody who may push there: `docker",
        ),
        ({"POST": [403]}, "POST was answered with 403 Forbidden: .*because.* Log in as somebody who may push"),
        ({"POST": [404]}, "404 Not Found: .* Create the repository there, or correct slipway:image.repository"),
        ({"PUT": [500]}, "PUT was answered with 500 Internal Server Error: .*of this.* Its log should say why"),
    ],
)
def test_a_refusal_names_registry_status_and_fix_in_one_line(
    registry: FakeRegistry, refusals: dict[str, list[int]], words: str
):
    registry.refusals = refusals
    with pytest.raises(pulumi.RunError, match=words) as refused:
        push_to(registry)
    assert str(refused.value).startswith(f"image registry {registry.host} refuses slipway/api: ")
    assert str(refused.value).endswith(" Nothing was changed.")
    assert "\n" not in str(refused.value)


def test_a_wrong_password_is_a_refusal_whose_message_does_not_contain_it(registry: FakeRegistry, docker_config: Path):
    registry.challenge = 'Bearer realm="http://{host}/token"'
    log_in(docker_config, registry, auth=base64.b64encode(b"me:canary").decode())
    with pytest.raises(pulumi.RunError, match="401 Unauthorized") as refused:
        push_to(registry)
    assert "canary" not in str(refused.value)
    assert not registry.blobs


@pytest.mark.parametrize("challenge", ["Negotiate", 'Bearer service="{host}"'])
def test_a_login_is_not_sent_where_nothing_asks_for_it(registry: FakeRegistry, docker_config: Path, challenge: str):
    registry.challenge = challenge
    log_in(docker_config, registry, auth=PASSWORD)
    with pytest.raises(pulumi.RunError, match="401 Unauthorized"):
        push_to(registry)
    assert registry.requests == ["HEAD manifests/src-1"]


@pytest.mark.filterwarnings("ignore:docker-credential-nowhere")
@pytest.mark.parametrize("config", ['{"auths": {"HOST": {"auth": "%%%"}}}', '{"credHelpers": {"HOST": "nowhere"}}'])
def test_a_login_that_cannot_be_read_is_reported(registry: FakeRegistry, docker_config: Path, config: str):
    registry.challenge = "Basic"
    docker_config.write_text(config.replace("HOST", registry.host))
    with pytest.raises(pulumi.RunError, match=f"the login for image registry {registry.host} cannot be read .* Run"):
        push_to(registry)


def test_a_registry_that_is_down_is_reported_within_seconds():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(pulumi.RunError) as refused:
        push(IMAGE, f"{host}/slipway/api", "src-1")
    reason = f"image registry {host} cannot be reached (Connection refused)."
    assert str(refused.value) == f"{reason} Start it, or correct slipway:image.repository. Nothing was changed."


def test_a_certificate_that_is_not_trusted_names_the_setting_for_it(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("slipway.image.registry.origin", lambda host: f"https://{host}/")
    with pytest.raises(pulumi.RunError, match=r"cannot be reached \(.*SSL.*\)\. Name .* in REQUESTS_CA_BUNDLE; only"):
        push_to(registry)


@pytest.fixture
def messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages that the program logs while it builds a small app without Docker."""
    lines: list[str] = []
    monkeypatch.setattr("pulumi.log.info", lines.append)
    write_app(tmp_path / "app")
    monkeypatch.setattr("slipway.image.source.ROOT", tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    return lines


def reference(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch, *, preview: bool) -> str:
    """Return the reference of the image that a run of the program builds."""
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: preview)
    image = Image(repository=f"{registry.host}/slipway/api", builder="daemonless")
    folder = folder_of_context(image)
    monkeypatch.setattr("slipway.image.build_context.FOLDER", folder.parent / "context")
    return build_daemonless(image, content_tag(folder, arguments(image)))


@pytest.mark.feature("A5")
@needs_go
def test_a_build_needs_no_docker_daemon(registry: FakeRegistry, messages: list[str], monkeypatch: pytest.MonkeyPatch):
    name = reference(registry, monkeypatch, preview=False)
    tag, _, digest = name.removeprefix(f"{registry.host}/slipway/api:").partition("@")
    assert digest_of(registry.manifests[tag]) == digest
    [line] = messages
    assert re.fullmatch(rf"image {re.escape(name)}: pushed, [12]\.\d MB \(layers are not compressed\)", line)


@needs_go
def test_a_preview_has_the_reference_and_sends_no_request(
    registry: FakeRegistry, messages: list[str], monkeypatch: pytest.MonkeyPatch
):
    name = reference(registry, monkeypatch, preview=True)
    assert registry.requests == []
    assert messages == []
    assert reference(registry, monkeypatch, preview=False) == name


@needs_go
def test_a_second_up_says_that_nothing_was_sent(
    registry: FakeRegistry, messages: list[str], monkeypatch: pytest.MonkeyPatch
):
    reference(registry, monkeypatch, preview=False)
    reference(registry, monkeypatch, preview=False)
    assert "the registry had it already" in messages[1]
    assert registry.done().count("PUT manifests") == 1


def test_what_was_pushed_can_be_read_again(registry: FakeRegistry):
    push_to(registry)
    repository = f"{registry.host}/slipway/api"
    read = manifest(repository, IMAGE.digest)
    assert [layer["digest"] for layer in read["layers"]] == [blob.digest for blob in IMAGE.blobs[:2]]
    assert blob(repository, IMAGE.blobs[0].digest) == IMAGE.blobs[0].content


def test_other_bytes_than_those_of_the_digest_are_refused(registry: FakeRegistry):
    push_to(registry)
    registry.blobs[IMAGE.blobs[0].digest] += b"!"
    with pytest.raises(pulumi.RunError, match=rf"has other bytes for slipway/api@{IMAGE.blobs[0].digest}"):
        blob(f"{registry.host}/slipway/api", IMAGE.blobs[0].digest)
