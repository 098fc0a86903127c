"""`./slipway publish` pushes a stack's objects once, signs them before the cluster sees them, and goes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from slipway.__main__ import main
from slipway.ops.supply_chain.tools import ToolError
from tests.image.fake_registry import FakeRegistry, digest_of, serve_registry

IMAGE = f"registry.example.com/slipway/api:src-1@sha256:{'1' * 64}"
OTHER = f"registry.example.com/slipway/api:src-2@sha256:{'2' * 64}"
# Writes down how it was called.
COSIGN = """#!/bin/sh
echo "$@" >> {log}
exit {code}
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[FakeRegistry]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    yield from serve_registry()


@pytest.fixture
def cosign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """`cosign(1)` stands for a cosign that fails; the file it returns has the arguments of each call."""

    def install(code: int = 0) -> Path:
        log, program = tmp_path / "calls", tmp_path / "cosign"
        program.write_text(COSIGN.format(log=log, code=code))
        program.chmod(0o755)
        for module in ("gitops.publish", "supply_chain.cosign"):
            monkeypatch.setattr(f"slipway.ops.{module}.compiled", lambda *_: program)
        return log

    return install


class Verb:
    """`./slipway publish`, as a user calls it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], to: str) -> None:
        self._monkeypatch, self._capsys, self._to = monkeypatch, capsys, to
        self.told = ""

    def __call__(self, *options: str) -> str:
        """Run it; return what it prints, or fail."""
        code, out = self._run(*options)
        assert code == 0, self.told
        return out.strip()

    def refused(self, *options: str) -> str:
        """Run it; return the message of its failure."""
        code, _ = self._run(*options)
        assert code == 1
        assert "Traceback" not in self.told
        return self.told

    def _run(self, *options: str) -> tuple[int, str]:
        to = () if "--to" in options else ("--to", self._to)
        self._monkeypatch.setattr("sys.argv", ["slipway", "publish", "-s", "prod", *to, *options])
        with pytest.raises(SystemExit) as left:
            main()
        out, self.told = self._capsys.readouterr()
        return int(left.value.code or 0), out


@pytest.fixture
def publish(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sdk: None
) -> Verb:
    monkeypatch.delenv("SLIPWAY_SIGNING_KEY", raising=False)
    return Verb(monkeypatch, capsys, f"oci://{registry.host}/shop/gitops:live")


def test_the_digest_that_is_printed_is_that_of_the_tag(publish: Verb, registry: FakeRegistry):
    printed = publish("--image", IMAGE)
    digest = digest_of(registry.manifests["live"])
    assert printed == f"oci://{registry.host}/shop/gitops@{digest}"
    [content] = [tag for tag in registry.manifests if tag.startswith("prod-")]
    assert digest_of(registry.manifests[content]) == digest


@pytest.mark.feature("P6", part="one digest for the same objects")
def test_objects_that_the_registry_has_keep_their_digest_whatever_commit_they_come_from(
    publish: Verb, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
):
    first = publish("--image", IMAGE)
    publish("--image", OTHER)
    monkeypatch.setattr(
        "slipway.ops.gitops.publish._origin",
        lambda: {"source": "", "revision": "another", "created": "2027-01-01T00:00:00Z"},
    )
    assert publish("--image", IMAGE) == first
    assert "the registry has these objects already" in publish.told
    assert first.endswith(digest_of(registry.manifests["live"]))


def test_images_that_are_promoted_are_those_that_the_other_stack_runs(
    publish: Verb, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
):
    asked: list[tuple[str, ...]] = []

    def engine(*arguments: str) -> str:
        asked.append(arguments)
        return json.dumps({"images": {"api": IMAGE}})

    monkeypatch.setattr("slipway.ops.program.engine_state.pulumi", engine)
    printed = publish()
    assert asked == [("stack", "output", "--json", "-s", "staging")]
    assert printed == publish("--image", IMAGE)
    assert any(b"1" * 64 in blob for blob in registry.blobs.values())


@pytest.mark.feature("P6", part="signature")
def test_it_is_signed_by_digest_before_the_tag_names_it(
    publish: Verb, registry: FakeRegistry, cosign: Callable[..., Path]
):
    log = cosign()
    printed = publish("--image", IMAGE, "--key", "cosign.key")
    options = "--key cosign.key --tlog-upload=false --yes --allow-http-registry"
    assert log.read_text() == f"sign {options} {printed.removeprefix('oci://')}\n"
    assert "not signed" not in publish.told


def test_what_cannot_be_signed_does_not_reach_the_cluster(
    publish: Verb, registry: FakeRegistry, cosign: Callable[..., Path]
):
    publish("--image", OTHER)
    before = registry.manifests["live"]
    cosign(1)
    message = publish.refused("--image", IMAGE, "--key", "cosign.key")
    assert "live, which the cluster follows, was not moved" in message
    assert registry.manifests["live"] == before


def test_without_cosign_a_key_is_refused_before_anything_is_pushed(
    publish: Verb, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
):
    def missing(*_: object) -> Path:
        raise ToolError("there is no `go` on the PATH")

    monkeypatch.setattr("slipway.ops.gitops.publish.compiled", missing)
    assert "there is no `go` on the PATH" in publish.refused("--image", IMAGE, "--key", "cosign.key")
    assert registry.requests == []


def test_a_key_in_place_of_its_name_is_refused_and_not_repeated(publish: Verb, registry: FakeRegistry):
    message = publish.refused("--image", IMAGE, "--key", "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nabc\n")
    assert "holds a private key itself" in message
    assert "abc" not in message
    assert registry.requests == []


def test_without_a_key_it_says_that_nothing_is_signed(publish: Verb):
    publish("--image", IMAGE)
    assert "note: not signed" in publish.told


@pytest.mark.feature("P6", part="rollback to the former artifact")
def test_a_rollback_lets_the_tag_name_the_former_artifact(publish: Verb, registry: FakeRegistry):
    first = publish("--image", IMAGE)
    former = next(tag for tag in registry.manifests if tag.startswith("prod-"))
    assert publish("--image", OTHER) != first
    assert publish("--former", former) == first
    assert first.endswith(digest_of(registry.manifests["live"]))
    assert "has no artifact prod-0" in publish.refused("--former", "prod-0")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--image", "registry.example.com/slipway/api:latest"), "a tag alone can be moved"),
        (("--image", f"shop={IMAGE}"), "This stack has: api=REFERENCE"),
        (("--image", IMAGE, "--to", "ghcr.io/acme/shop:prod"), "has to be oci://REGISTRY/REPOSITORY:TAG"),
        (
            ("--image", IMAGE, "--to", f"oci://ghcr.io/shop@sha256:{'1' * 64}"),
            "has to be oci://REGISTRY/REPOSITORY:TAG",
        ),
        (("--image", IMAGE, "--gitops", "fleet"), "there is flux and argocd"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_pushed(
    publish: Verb, registry: FakeRegistry, options: tuple[str, ...], words: str
):
    assert words in publish.refused(*options)
    assert registry.requests == []


def test_an_image_that_is_built_has_to_be_given(publish: Verb, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.argv", [])
    message = publish.refused("-s", "dev")
    assert "--image api=REPOSITORY:TAG@sha256:DIGEST" in message
    assert registry.requests == []


def test_a_stack_does_not_go_back_to_an_artifact_of_another_one(publish: Verb, registry: FakeRegistry):
    publish("--image", IMAGE)
    before = registry.manifests["live"]
    for former in ("dev-1f2e3d4c5b6a", "prod-eu-1f2e3d4c5b6a"):
        registry.manifests[former] = b"{}"
        assert f"--former {former}: artifacts of prod are named prod-" in publish.refused("--former", former)
    assert registry.manifests["live"] == before


def test_a_stack_does_not_go_back_to_the_digest_of_an_artifact_of_another_one(publish: Verb, registry: FakeRegistry):
    of_staging = publish("-s", "staging", "--image", IMAGE, "--to", f"oci://{registry.host}/shop/gitops:staging")
    of_prod = publish("--image", IMAGE)
    publish("--image", OTHER)
    before = registry.manifests["live"]
    digest = of_staging.partition("@")[2]
    message = publish.refused("--former", digest)
    assert f"--former {digest}: {registry.host}/shop/gitops has it, but not as an artifact of prod" in message
    assert registry.manifests["live"] == before
    assert publish("--former", of_prod.partition("@")[2]) == of_prod
    assert f"@{digest_of(registry.manifests['live'])}" in of_prod


def test_a_tag_that_was_given_to_another_artifact_by_hand_is_no_former_one(publish: Verb, registry: FakeRegistry):
    publish("-s", "staging", "--image", IMAGE)
    registry.manifests["prod-1f2e3d4c5b6a"] = registry.manifests["live"]
    assert "not as an artifact of prod" in publish.refused("--former", "prod-1f2e3d4c5b6a")


def test_no_part_of_a_login_in_the_url_of_the_repository_is_published(
    publish: Verb, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "slipway.ops.gitops.publish.git", lambda verb, *_: "https://me:can@ary@example.com/shop" * (verb == "remote")
    )
    publish("--image", IMAGE)
    manifest = registry.manifests["live"]
    assert b'"https://example.com/shop"' in manifest
    assert b"ary@" not in manifest
