"""`./slipway attest`: make the evidence for the images of a recorded release. `./slipway verify`: check it.

What is attested of an image is made from the image itself (SBOM) or from sources whose hash is its tag (scan result,
provenance): sources that have changed since are refused.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import Any

import typer

from slipway.image.reference import parts
from slipway.image.source import tag_of
from slipway.ops.program import config, engine_state
from slipway.ops.supply_chain import cosign, evidence, waivers
from slipway.ops.supply_chain.cosign import KEY_VARIABLE, EvidenceError
from slipway.ops.supply_chain.images import of_others
from slipway.ops.supply_chain.provenance import provenance
from slipway.ops.supply_chain.sbom import sbom
from slipway.ops.supply_chain.scan import Scanner, why_not
from slipway.ops.supply_chain.tools import GOVULNCHECK
from slipway.ops.supply_chain.vulnerability_database import MODULE, Database
from slipway.releases import Release
from slipway.settings.sections.images import Image
from slipway.settings.settings import Settings


def attest(stack: str) -> None:
    """Sign the images of the release in force, with SBOM, scan result and provenance. Raises EvidenceError."""
    settings, key = config.settings(stack), _signing_key()
    release, scanner = _release(stack), Scanner(newest=False)
    own = {name: settings.images[name] for name in release.images if name in settings.images}
    # Everything is looked at before the first signature.
    for name, image in own.items():
        if image.source == "build":
            _refuse_no_digest(name, release.images[name])
            _refuse_other_sources(name, image, release.images[name])
            _refuse_vulnerabilities(name, image, settings, scanner)
    for name, image in own.items():
        if image.source == "build":
            _attest(name, image, release, scanner, key)
        else:
            typer.echo(f"{stack}: image {name} is not built here (source: {image.source}): nothing to attest", err=True)


def verify(stack: str, *, as_json: bool) -> int:
    """Report what is missing in the evidence of all images that a stack runs. Return 1 if anything is."""
    settings = config.settings(stack)
    images = {**_release(stack).images, **of_others(settings)}
    found = evidence.verdict(stack, images)
    if as_json:
        data = {"stack": stack, "images": images, "refused": found.refused, "waived": found.waived}
        sys.stdout.write(json.dumps(data, indent=2) + "\n")
    else:
        _show(stack, found)
    return 1 if found.refused else 0


def _show(stack: str, found: waivers.Verdict) -> None:
    """Print what is refused on stdout, and all else on stderr."""
    for line in found.refused:
        typer.echo(f"{stack}: {line}")
    for line in found.waived:
        typer.echo(f"{stack}: {line}", err=True)
    if not found.refused:
        typer.echo(f"{stack}: the evidence of all images is complete, or waived", err=True)


def _signing_key() -> str:
    key = os.environ.get(KEY_VARIABLE)
    if not key:
        raise EvidenceError(
            f"{KEY_VARIABLE} is not set: it names the private key that signs, as a file, env://VARIABLE or a KMS "
            "(docs/supply-chain.md). `./slipway attest --new-key FOLDER` makes one. Nothing was signed"
        )
    return cosign.named_key(key)


def _release(stack: str) -> Release:
    release = engine_state.in_force(engine_state.export(stack))
    if release is None:
        raise EvidenceError(f"stack {stack} has no recorded release: run `./slipway up -s {stack}` first")
    return release


def _refuse_no_digest(name: str, reference: str) -> None:
    if not parts(reference)[2]:
        raise EvidenceError(
            f"image {name} ({reference}) has no digest: it is in no registry, so nothing can be attached to it. "
            "Push it to one (slipway:image without `load`). Nothing was signed"
        )


def _refuse_other_sources(name: str, image: Image, reference: str) -> None:
    here = tag_of(image)
    if (there := parts(reference)[1]) != here:
        raise EvidenceError(
            f"image {name} was built from {there}, and {image.context}/ is {here} by now: check out the commit of the "
            "release, or deploy first. Nothing was signed"
        )


def _refuse_vulnerabilities(name: str, image: Image, settings: Settings, scanner: Scanner) -> None:
    if why_not(image):
        return
    if refused := waivers.verdict_on(name, scanner.vulnerabilities_of(image), settings.waivers).refused:
        raise EvidenceError("\n  ".join([f"image {name} reaches known vulnerabilities; nothing was signed", *refused]))


def _attest(name: str, image: Image, release: Release, scanner: Scanner, key: str) -> None:
    reference = release.images[name]
    repository, version, digest = parts(reference)
    pinned, singles = f"{repository}@{digest}", evidence.platforms(f"{repository}@{digest}")
    made = ["signature", "provenance"]
    if not why_not(image) and scanner.database:
        made += ["SBOM", "scan result"]
        for _, single in singles:
            cosign.attest(single, "cyclonedx", sbom(single, version), key)
        cosign.attest(pinned, "vuln", _scan_result(image, scanner, scanner.database), key)
    cosign.attest(pinned, "slsaprovenance1", provenance(name, image, version, release.commit), key)
    # Last: what is signed is complete.
    cosign.sign(pinned, key)
    typer.echo(f"image {name} ({reference}): {', '.join(sorted(made))}", err=True)


def _scan_result(image: Image, scanner: Scanner, database: Database) -> dict[str, Any]:
    """Return the result in the form that cosign, Kyverno and others know as `vuln`."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {
        "invocation": {"parameters": [], "uri": "", "event_id": "", "builder.id": ""},
        "scanner": {
            "uri": f"pkg:golang/{GOVULNCHECK.package}@{GOVULNCHECK.version}",
            "version": GOVULNCHECK.version,
            "db": {"uri": f"pkg:golang/{MODULE}@{database.version}", "version": database.version},
            "result": {"vulnerabilities": [one.data for one in scanner.vulnerabilities_of(image)]},
        },
        "metadata": {"scanStartedOn": now, "scanFinishedOn": now},
    }
