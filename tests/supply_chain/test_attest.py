"""What is signed: the program that a registry gives back, of sources that have not changed since, and nothing else."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipway.image.oci import Blob, File, OciImage, assemble
from slipway.image.registry import push
from slipway.ops.supply_chain import attest, cosign, evidence, sbom
from slipway.ops.supply_chain.cosign import EvidenceError
from slipway.ops.supply_chain.sbom import program
from slipway.ops.supply_chain.vulnerability_database import PINNED, Database
from slipway.ops.supply_chain.waivers import Verdict
from slipway.releases import Release
from tests.api_server import settings
from tests.image.fake_registry import FakeRegistry, serve_registry
from tests.supply_chain.test_scan import PARSER

GO = b"\x7fELF \xff Go buildinf: the rest"
REPOSITORY, TAG = "registry.example.com/slipway/api", "src-0123456789abcdef"
RELEASE = Release("0a1b2c3d", {}, f"{REPOSITORY}:{TAG}@sha256:{'7' * 64}", commit="72015a6e")


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[FakeRegistry]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    yield from serve_registry()


def pushed(registry: FakeRegistry, image: OciImage) -> str:
    push(image, f"{registry.host}/slipway/api", "src-1")
    return f"{registry.host}/slipway/api@{image.digest}"


def compressed(image: OciImage) -> OciImage:
    """Return the same image as Docker pushes it, with gzip."""
    *layers, config = image.blobs
    packed = [Blob("application/vnd.oci.image.layer.v1.tar+gzip", gzip.compress(layer.content)) for layer in layers]
    described = json.loads(image.manifest.content)
    described["layers"] = [layer.descriptor() for layer in packed]
    return replace(
        image, manifest=Blob(image.manifest.media_type, json.dumps(described).encode()), blobs=(*packed, config)
    )


@pytest.mark.parametrize("pack", [lambda image: image, compressed], ids=["tar", "tar+gzip"])
def test_the_program_is_the_file_that_the_last_layer_has(registry: FakeRegistry, pack: Any):
    layers = [[File("api", b"former")], [File("api", GO), File("etc/motd", b"hi")], [File("api.txt", b"text")]]
    assert program(pushed(registry, pack(assemble(layers, {"Entrypoint": ["/api"]}, "linux/amd64")))) == GO


def test_a_link_to_a_file_of_another_layer_is_no_file(registry: FakeRegistry):
    content, link = io.BytesIO(), tarfile.TarInfo("api")
    link.type, link.linkname = tarfile.SYMTYPE, "opt/api"
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(link)
    image = assemble([[File("opt/api", GO)]], {"Entrypoint": ["/api"]}, "linux/amd64")
    layer = Blob(image.blobs[0].media_type, content.getvalue())
    described = json.loads(image.manifest.content)
    described["layers"].append(layer.descriptor())
    manifest = Blob(image.manifest.media_type, json.dumps(described).encode())
    with pytest.raises(EvidenceError, match="has no file api, which it would start"):
        program(pushed(registry, replace(image, manifest=manifest, blobs=(*image.blobs, layer))))


def test_an_image_that_starts_no_file_of_its_own_is_named(registry: FakeRegistry):
    image = assemble([[File("srv/app.py", b"serve()")]], {"Cmd": ["python", "app.py"]}, "linux/amd64")
    with pytest.raises(EvidenceError, match=r"has no file python, which it would start"):
        program(pushed(registry, image))


def test_a_program_that_go_has_not_linked_gets_no_sbom_and_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sbom, "program", lambda _: b"#!/usr/bin/node")
    with pytest.raises(EvidenceError, match=r"starts no Go program.*cosign attest --type cyclonedx"):
        sbom.sbom(f"{REPOSITORY}@sha256:77", "src-1")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is attested and signed for the dev stack, in order; its release runs what the sources are."""
    done: list[str] = []
    monkeypatch.setenv("SLIPWAY_SIGNING_KEY", "cosign.key")
    monkeypatch.setattr(attest.engine_state, "export", lambda stack: {})
    monkeypatch.setattr(attest.engine_state, "in_force", lambda state: RELEASE)
    monkeypatch.setattr(attest, "tag_of", lambda *_: TAG)
    monkeypatch.setattr(attest, "sbom", lambda pinned, version: {"version": version})
    monkeypatch.setattr(attest, "Scanner", FakeScanner)
    monkeypatch.setattr(evidence, "manifest", lambda *_: {})
    monkeypatch.setattr(cosign, "attest", lambda reference, kind, predicate, key: done.append(kind))
    monkeypatch.setattr(cosign, "sign", lambda reference, key: done.append(f"signed by {key}"))
    return done


class FakeScanner:
    """Finds what a test puts there."""

    database = Database(Path("/db"), PINNED)
    vulnerabilities: tuple[Any, ...] = ()

    def __init__(self, **_: Any) -> None: ...

    def vulnerabilities_of(self, image: Any) -> list[Any]:
        return list(self.vulnerabilities)


@pytest.mark.feature("A10", part="signed last, when the rest is there")
def test_the_signature_comes_after_all_other_evidence(made: list[str], capsys: pytest.CaptureFixture[str]):
    attest.attest("dev")
    assert made == ["cyclonedx", "vuln", "slsaprovenance1", "signed by cosign.key"]
    assert f"image api ({RELEASE.image}): SBOM, provenance, scan result, signature" in capsys.readouterr().err


def test_without_a_key_or_a_release_the_error_says_what_to_do(made: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attest.engine_state, "in_force", lambda state: None)
    with pytest.raises(EvidenceError, match=r"stack dev has no recorded release: run `./slipway up -s dev` first"):
        attest.attest("dev")
    monkeypatch.delenv("SLIPWAY_SIGNING_KEY")
    with pytest.raises(EvidenceError, match=r"SLIPWAY_SIGNING_KEY is not set.*Nothing was signed"):
        attest.attest("dev")


def test_a_key_in_place_of_its_name_reaches_no_argument_and_no_message(
    made: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SLIPWAY_SIGNING_KEY", "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\ncanary\n")
    with pytest.raises(EvidenceError, match="holds a private key itself") as refused:
        attest.attest("dev")
    assert "canary" not in str(refused.value)
    assert made == []


def test_an_image_that_is_in_no_registry_is_refused(made: list[str], monkeypatch: pytest.MonkeyPatch):
    release = replace(RELEASE, image=RELEASE.image.partition("@")[0])
    monkeypatch.setattr(attest.engine_state, "in_force", lambda state: release)
    with pytest.raises(EvidenceError, match=r"image api \(.*\) has no digest: it is in no registry"):
        attest.attest("dev")
    assert made == []


def test_changed_sources_are_refused_before_anything_is_signed(made: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attest, "tag_of", lambda *_: "src-fedcba9876543210")
    with pytest.raises(EvidenceError, match=f"image api was built from {TAG}, and app/ is src-fedcba9876543210 by now"):
        attest.attest("dev")
    assert made == []


def test_a_reachable_vulnerability_is_refused_unless_it_is_waived(made: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(FakeScanner, "vulnerabilities", (PARSER,))
    with pytest.raises(EvidenceError, match=f"nothing was signed\n  {PARSER.id} golang.org/x/text"):
        attest.attest("dev")
    assert made == []
    waiver = {"rule": PARSER.id, "reason": "no header of ours gets there", "until": "2999-12-31"}
    given = settings("dev", {"waivers": [waiver]})
    monkeypatch.setattr(attest.config, "settings", lambda _: given)
    attest.attest("dev")
    assert made[-1] == "signed by cosign.key"


def test_an_image_that_another_stack_built_is_not_attested_again(made: list[str], capsys: pytest.CaptureFixture[str]):
    attest.attest("staging")
    assert made == []
    assert "staging: image api is not built here (source: promote): nothing to attest" in capsys.readouterr().err


def test_programs_read_as_json_what_is_verified_and_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    verdict = Verdict(refused=["image api has no signature"], waived=["image api may lack an SBOM until 2027-01-01"])
    monkeypatch.setattr(attest, "_release", lambda _: RELEASE)
    monkeypatch.setattr(evidence, "verdict", lambda *_: verdict)
    assert attest.verify("prod", as_json=True) == 1
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert report["images"]["api"] == RELEASE.images["api"]
    assert (report["stack"], report["refused"], report["waived"]) == ("prod", verdict.refused, verdict.waived)
    assert printed.err == ""
