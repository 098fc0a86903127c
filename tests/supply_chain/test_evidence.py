"""What `verify` and `promote` are told of images: every missing or wrong piece of evidence, each with its reason."""

from __future__ import annotations

import subprocess
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pulumi
import pytest

from slipway.ops.supply_chain import cosign, evidence
from slipway.ops.supply_chain.cosign import EvidenceError
from slipway.ops.supply_chain.images import of_others
from slipway.ops.supply_chain.provenance import provenance
from slipway.settings.sections.images import Image
from tests.api_server import settings
from tests.supply_chain.test_scan import PARSER

DIGEST = "sha256:" + "7" * 64
REPOSITORY = "registry.example.com/slipway/api"
REFERENCE = f"{REPOSITORY}:src-0123456789abcdef@{DIGEST}"
SUBJECT = f"image api ({REFERENCE})"
MYSQL = f"docker.io/library/mysql:8.4@{DIGEST}"
EVIDENCE = {"publicKey": "stacks/cosign.pub"}


class FakeCosign:
    """What keys have signed, by reference and kind; a signature has the kind "signature"."""

    def __init__(self) -> None:
        self.made: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}

    def add(self, reference: str, kind: str, predicate: dict[str, Any] | None = None, key: str = "cosign.pub") -> None:
        self.made[reference, kind] = (key, predicate or {})

    def attested(self, reference: str, kind: str, public_key: Path) -> list[dict[str, Any]]:
        key, predicate = self.made.get((reference, kind), ("", {}))
        if key != public_key.name:
            raise EvidenceError(f"has {kind} by another key" if key else f"lacks {kind}")
        return [predicate]

    def verify_signature(self, reference: str, public_key: Path) -> None:
        self.attested(reference, "signature", public_key)


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> FakeCosign:
    """Evidence of the image that is complete."""
    fake, pinned = FakeCosign(), f"{REPOSITORY}@{DIGEST}"
    monkeypatch.setattr(evidence, "attested", fake.attested)
    monkeypatch.setattr(evidence, "verify_signature", fake.verify_signature)
    monkeypatch.setattr(evidence, "manifest", lambda repository, digest: {"layers": []})
    fake.add(pinned, "signature")
    fake.add(pinned, "cyclonedx")
    fake.add(pinned, "vuln", result())
    image = Image(repository=REPOSITORY)
    fake.add(pinned, "slsaprovenance1", provenance("api", image, "src-0123456789abcdef", ""))
    return fake


def result(*found: dict[str, str]) -> dict[str, Any]:
    return {"scanner": {"result": {"vulnerabilities": list(found)}}}


@pytest.fixture
def problems(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`problems(images, changes)` are those for the dev stack with these changes."""

    def problems_of(images: dict[str, str] | None = None, changes: dict[str, Any] | None = None) -> list[str]:
        given = settings("dev", {"evidence": EVIDENCE, **(changes or {})})
        monkeypatch.setattr(evidence, "settings_of", lambda stack: given)
        return evidence.problems("dev", images or {"api": REFERENCE})

    return problems_of


def test_a_key_for_its_repository_does_not_make_an_own_image_one_of_others(signed: FakeCosign, problems: Any):
    signed.made.pop((f"{REPOSITORY}@{DIGEST}", "vuln"))
    keys = {"evidence": {**EVIDENCE, "keys": {REPOSITORY: "stacks/cosign.pub"}}}
    assert problems(changes=keys) == [f"{SUBJECT} lacks vuln"]


def test_an_attestation_that_cosign_does_not_print_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cosign, "_cosign", lambda *_: (0, "", ""))
    with pytest.raises(EvidenceError, match=r"cannot be verified \(a scan result\): cosign printed none"):
        cosign.attested(f"{REPOSITORY}@{DIGEST}", "vuln", Path("stacks/cosign.pub"))


def test_complete_evidence_is_no_problem(signed: FakeCosign, problems: Any):
    assert problems() == []


@pytest.mark.feature("A10", part="each missing piece is named")
@pytest.mark.parametrize("kind", ["signature", "cyclonedx", "vuln", "slsaprovenance1"])
def test_each_piece_that_is_missing_or_by_another_key_is_one_sentence(signed: FakeCosign, problems: Any, kind: str):
    _, predicate = signed.made.pop((f"{REPOSITORY}@{DIGEST}", kind))
    assert problems() == [f"{SUBJECT} lacks {kind}"]
    signed.add(f"{REPOSITORY}@{DIGEST}", kind, predicate, key="other.pub")
    assert problems() == [f"{SUBJECT} has {kind} by another key"]


def test_without_a_key_or_a_digest_nothing_counts_as_verified(signed: FakeCosign, problems: Any):
    assert problems({"api": f"{REPOSITORY}:src-1"}) == [
        f"image api ({REPOSITORY}:src-1) has no digest, so nothing can be verified"
    ]
    (line,) = problems(changes={"evidence": {}})
    rule = "stack dev names no key that verifies it (slipway:evidence.publicKey)"
    assert line == f"{SUBJECT}: {rule}; to begin with: ./slipway attest --new-key FOLDER"


def test_a_scan_result_is_compared_with_the_waivers_of_the_stack_that_is_to_run_the_image(
    signed: FakeCosign, problems: Any
):
    signed.add(f"{REPOSITORY}@{DIGEST}", "vuln", result(PARSER.data))
    assert problems() == [f"{SUBJECT} reaches known vulnerabilities: {PARSER.text}"]
    waiver = {"rule": PARSER.id, "reason": "no header of ours gets there", "until": "2999-12-31"}
    assert problems(changes={"waivers": [waiver]}) == []
    signed.add(f"{REPOSITORY}@{DIGEST}", "vuln", {"scanner": {"result": {"Results": []}}})
    assert problems() == [f"{SUBJECT} has a scan result in a form that is not that of `./slipway attest`"]


def test_a_provenance_of_other_sources_is_refused(signed: FakeCosign, problems: Any):
    other = REFERENCE.replace("src-0123456789abcdef", "src-fedcba9876543210")
    assert problems({"api": other}) == [f"image api ({other}) has a provenance of other sources: src-0123456789abcdef"]


def test_an_image_for_several_platforms_needs_an_sbom_for_each(
    signed: FakeCosign, problems: Any, monkeypatch: pytest.MonkeyPatch
):
    digests = {architecture: "sha256:" + digit * 64 for architecture, digit in (("amd64", "a"), ("unknown", "b"))}
    entries = [
        {"digest": digest, "platform": {"os": "linux", "architecture": architecture}}
        for architecture, digest in digests.items()
    ]
    monkeypatch.setattr(evidence, "manifest", lambda *_: {"manifests": entries})
    assert problems() == [f"{SUBJECT} lacks cyclonedx"]
    signed.add(f"{REPOSITORY}@{digests['amd64']}", "cyclonedx")
    assert problems() == []


def test_a_registry_that_does_not_answer_is_a_problem_and_no_crash(
    signed: FakeCosign, problems: Any, monkeypatch: pytest.MonkeyPatch
):
    def manifest(*_: str) -> None:
        raise pulumi.RunError("image registry registry.example.com cannot be reached")

    monkeypatch.setattr(evidence, "manifest", manifest)
    assert problems() == [f"{SUBJECT} image registry registry.example.com cannot be reached"]


@pytest.mark.feature("A10", part="images of others: a signature or a waiver until a day")
def test_an_image_of_others_needs_a_signature_by_the_key_of_its_makers_or_a_waiver(signed: FakeCosign, problems: Any):
    images, subject = {"server mysql": MYSQL}, f"image server mysql ({MYSQL})"
    changes: dict[str, Any] = {"mysql.image": MYSQL}
    assert problems(images, changes) == [f"{subject} lacks signature"]
    signed.add(f"docker.io/library/mysql@{DIGEST}", "signature", key="makers.pub")
    assert problems(images, changes) == [f"{subject} has signature by another key"]
    keys = {"docker.io/library/mysql": "keys/makers.pub"}
    assert problems(images, {"evidence": {**EVIDENCE, "keys": keys}}) == []


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        (date.today(), []),
        (date.today() - timedelta(days=1), [f"{SUBJECT} lacks cyclonedx; its waiver ended on {{until}}"]),
    ],
)
def test_a_waiver_lets_evidence_be_missing_until_its_day(
    signed: FakeCosign, problems: Any, until: date, expected: list[str]
):
    del signed.made[f"{REPOSITORY}@{DIGEST}", "cyclonedx"]
    waiver = {"repository": REPOSITORY, "lacks": ["sbom"], "reason": "the tool was down", "until": str(until)}
    found = problems(changes={"evidence": {**EVIDENCE, "waivers": [waiver]}})
    assert found == [line.format(until=until) for line in expected]


def test_images_of_others_are_all_that_the_stack_does_not_build():
    tool = f"ghcr.io/acme/tool:1.4.0@{DIGEST}"
    found = of_others(
        settings("dev", {"services.tool": {"image": tool, "contract": "none", "probes": {"ready": {"path": "/"}}}})
    )
    assert found["service tool"] == tool
    assert found["server mysql"].startswith("docker.io/library/mysql:8.4@sha256:")
    assert "image api" not in found
    prebuilt = settings("dev", {"image": {"source": "prebuilt", "repository": REPOSITORY, "digest": DIGEST}})
    assert of_others(prebuilt)["image api"] == f"{REPOSITORY}@{DIGEST}"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "Error: no signatures found\nmain.go:74: error during command execution: no signatures found",
            "lacks an SBOM",
        ),
        ("Error: no matching attestations: \nerror during command execution: no matching", "lacks an SBOM"),
        ("Error: none of the attestations matched the predicate type: cyclonedx, found: x", "lacks an SBOM"),
        ("Error: no matching attestations: invalid signature when validating ASN.1", "that key cosign.pub does not"),
        ('Error: Get "https://r.io/v2/": dial tcp: connection refused', "cannot be verified .*connection refused"),
    ],
    ids=["no signature", "no attestation", "none of this kind", "another key", "no registry"],
)
def test_what_cosign_says_becomes_a_reason(monkeypatch: pytest.MonkeyPatch, message: str, expected: str):
    done = subprocess.CompletedProcess[str]([], 1, "", message)
    monkeypatch.setattr(cosign, "attempt", lambda *_, **__: done)
    monkeypatch.setattr(cosign, "compiled", lambda _: Path("cosign"))
    with pytest.raises(EvidenceError, match=expected):
        cosign.attested(f"r.io/a@{DIGEST}", "cyclonedx", Path("keys/cosign.pub"))


def test_the_password_of_the_key_is_in_no_argument(monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []

    def attempt(*command: object, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        seen.extend(map(str, command))
        assert environment["COSIGN_PASSWORD"] == "canary"
        assert environment["SIGSTORE_ROOT_FILE"] == "/dev/null"  # or it would ask Sigstore's servers
        return subprocess.CompletedProcess([], 0, "", "")

    monkeypatch.setenv("COSIGN_PASSWORD", "canary")
    monkeypatch.setattr(cosign, "attempt", attempt)
    monkeypatch.setattr(cosign, "compiled", lambda _: Path("cosign"))
    cosign.sign(REFERENCE, "cosign.key")
    assert "cosign.key" in seen
    assert "canary" not in " ".join(seen)


def test_a_provenance_names_the_repository_without_a_login(monkeypatch: pytest.MonkeyPatch):
    answers = {"config": "https://robot:canary@git.example.com/shop.git", "rev-parse": "a" * 40}
    monkeypatch.setattr("slipway.ops.supply_chain.provenance.git", lambda verb, *_: answers[verb])
    made = provenance("api", Image(repository=REPOSITORY), "src-1", "72015a6e")
    assert made["buildDefinition"]["resolvedDependencies"] == [
        {"uri": "git+https://git.example.com/shop.git", "digest": {"gitCommit": "a" * 40}}
    ]


def test_a_provenance_of_uncommitted_changes_names_no_commit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("slipway.ops.supply_chain.provenance.git", lambda verb, *_: "b" * 40)
    (sources,) = provenance("api", Image(repository=REPOSITORY), "src-1", "72015a6e-dirty")["buildDefinition"][
        "resolvedDependencies"
    ]
    assert "digest" not in sources
