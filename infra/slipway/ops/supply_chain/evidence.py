"""What is missing or wrong in the evidence of images: the one question that `verify` and `promote` ask.

The stack file of the stack that is to run the images decides: its keys and its waivers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pulumi

from slipway.image.reference import parts
from slipway.image.registry import manifest
from slipway.ops.program.config import settings as settings_of
from slipway.ops.supply_chain import waivers
from slipway.ops.supply_chain.cosign import WORDS, EvidenceError, attested, verify_signature
from slipway.ops.supply_chain.govulncheck import Vulnerability
from slipway.ops.supply_chain.images import of_others
from slipway.ops.supply_chain.provenance import version_of
from slipway.ops.supply_chain.waivers import Verdict
from slipway.project import ROOT
from slipway.settings.sections.images import Evidence, EvidenceWaiver, Proof
from slipway.settings.settings import Settings

Verification = Callable[[str, Path], None]


def problems(stack: str, images: Mapping[str, str]) -> list[str]:
    """Return a sentence for each thing that is missing or wrong; none if everything is verified.

    `images`: references by digest, by name: those of a release, or of `images.of_others`.
    """
    return verdict(stack, images).refused


def verdict(stack: str, images: Mapping[str, str]) -> Verdict:
    """Return what is missing or wrong in the evidence of images, and what the stack file waives today."""
    settings, result = settings_of(stack), Verdict()
    for name, reference in images.items():
        _verify(stack, settings, name, reference, result)
    return result


def _verify(stack: str, settings: Settings, name: str, reference: str, result: Verdict) -> None:
    repository, _, digest = parts(reference)
    subject, pinned = f"image {name} ({reference})", f"{repository}@{digest}"
    if not digest.startswith("sha256:"):
        result.refused.append(f"{subject} has no digest, so nothing can be verified")
        return
    key = key_of(settings, reference)
    for proof, verify in _required(settings, name, reference, result).items():
        waiver = _waiver(settings.evidence, repository, proof)
        if waiver and waiver.until >= date.today():
            result.waived.append(f"{subject} may lack {WORDS[proof]} until {waiver.until}: {waiver.reason}")
            continue
        ended = f"; its waiver ended on {waiver.until}" if waiver else ""
        if key is None:
            rule = (
                f"stack {stack} names no key that verifies it (slipway:evidence.publicKey); to begin with: "
                "./slipway attest --new-key FOLDER"
            )
            result.refused.append(f"{subject}: {rule}{ended}")
            return
        try:
            verify(pinned, key)
        except (EvidenceError, pulumi.RunError) as error:
            result.refused.append(f"{subject} {error}{ended}")


def key_of(settings: Settings, reference: str) -> Path | None:
    """Return the file with the public key that has to verify an image; None if the stack file names none."""
    named = settings.evidence.keys.get(parts(reference)[0]) or settings.evidence.public_key
    return ROOT / named if named else None


def is_of_others(settings: Settings, name: str, reference: str) -> bool:
    """Return whether somebody else built an image: its signature is all that can be expected."""
    if name in settings.images and settings.images[name].source != "prebuilt":
        return False
    others = {(repository, digest) for repository, _, digest in map(parts, of_others(settings).values())}
    repository, _, digest = parts(reference)
    return repository in settings.evidence.keys or (repository, digest) in others


def _required(settings: Settings, name: str, reference: str, result: Verdict) -> dict[Proof, Verification]:
    """Return how each piece of evidence that an image needs is verified."""
    if is_of_others(settings, name, reference):
        return {"signature": verify_signature}

    def scan(pinned: str, key: Path) -> None:
        found = {one for scanned in attested(pinned, "vuln", key) for one in _found(scanned)}
        of_image = waivers.verdict_on(name, sorted(found), settings.waivers)
        result.waived += [f"image {name}: {line}" for line in of_image.waived]
        if of_image.refused:
            raise EvidenceError(f"reaches known vulnerabilities: {'; '.join(of_image.refused)}")

    def provenance(pinned: str, key: Path) -> None:
        tag = parts(reference)[1]
        built = {version_of(predicate) for predicate in attested(pinned, "slsaprovenance1", key)}
        if tag and tag not in built:
            raise EvidenceError(f"has a provenance of other sources: {', '.join(sorted(built))}")

    return {"signature": verify_signature, "sbom": _verify_sboms, "scan": scan, "provenance": provenance}


def _verify_sboms(pinned: str, key: Path) -> None:
    for _, single in platforms(pinned):
        attested(single, "cyclonedx", key)


def platforms(pinned: str) -> list[tuple[str, str]]:
    """Return the platform and the reference of each image behind a reference: itself, if it is for one platform.

    Raises `pulumi.RunError` if the registry does not have it, or has other bytes.
    """
    repository, _, digest = parts(pinned)
    entries: list[dict[str, Any]] = manifest(repository, digest).get("manifests", [])
    named = [(_platform(entry), f"{repository}@{entry['digest']}") for entry in entries]
    # Docker adds entries for its own attestations, which nothing runs.
    return [(platform, single) for platform, single in named if "unknown" not in platform] or [("", pinned)]


def _platform(entry: Mapping[str, Any]) -> str:
    fields = entry.get("platform") or {}
    return f"{fields.get('os', 'unknown')}/{fields.get('architecture', 'unknown')}"


def _found(result: Mapping[str, Any]) -> list[Vulnerability]:
    """Return the vulnerabilities in a scan result. Raises EvidenceError for one of another scanner."""
    try:
        return [Vulnerability(**found) for found in result["scanner"]["result"]["vulnerabilities"]]
    except (KeyError, TypeError):
        raise EvidenceError("has a scan result in a form that is not that of `./slipway attest`") from None


def _waiver(evidence: Evidence, repository: str, proof: Proof) -> EvidenceWaiver | None:
    """Return the waiver of this evidence that ends last; None if there is none."""
    fitting = [waiver for waiver in evidence.waivers if waiver.repository == repository and proof in waiver.lacks]
    return max(fitting, key=lambda waiver: waiver.until, default=None)
