"""A Kyverno policy by which the cluster itself verifies the images of a stack's pods. Kyverno 1.17 or newer reads it.

It holds for the namespace of the stack, and asks the registry only. Each image has to be of a repository that the stack
file names, and to be signed by its key; those of this project have a provenance as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from slipway import files
from slipway.image.reference import parts
from slipway.objects import Object
from slipway.ops.supply_chain.cosign import EvidenceError
from slipway.ops.supply_chain.evidence import key_of
from slipway.ops.supply_chain.images import of_others
from slipway.settings.settings import Settings

NAME = "verified-images"
PROVENANCE = "https://slsa.dev/provenance/v1"
# cert-manager runs it in the namespace to answer challenges, by tag.
CHALLENGES = "quay.io/jetstack/cert-manager-acmesolver"
_ALL = "(images.containers + images.initContainers + images.ephemeralContainers)"
_PODS: Object = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "operations": ["CREATE", "UPDATE"],
    "resources": ["pods", "pods/ephemeralcontainers"],
}


def policy(stack: str, settings: Settings) -> Object:
    """Return the policy. Raises EvidenceError for a repository without a key and without a waiver that is in force."""
    keys: dict[str, str] = {}
    unsigned: list[str] = []
    for reference in _references(settings):
        repository, key = parts(reference)[0], key_of(settings, reference)
        if _is_waived(settings, repository):
            unsigned.append(repository)
        elif key is None:
            raise EvidenceError(f"stack {stack} names no key that verifies {repository} (slipway:evidence.publicKey)")
        else:
            keys[repository] = files.read_text(key)
    names = {text: f"key{number}" for number, text in enumerate(sorted(set(keys.values())), 1)}
    spec = {
        "validationActions": ["Deny"],
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [_PODS]},
        "matchImageReferences": [{"glob": "*"}],
        # The first validation demands the digest.
        "validationConfigurations": {"mutateDigest": False, "verifyDigest": False, "required": False},
        "attestors": [_attestor(name, text) for text, name in names.items()],
        "attestations": [{"name": "provenance", "intoto": {"type": PROVENANCE}}],
        "validations": [
            _known([*keys, *unsigned], challenges=bool(settings.challenge_hosts)),
            *_verified(settings, {repository: names[text] for repository, text in sorted(keys.items())}),
        ],
    }
    metadata = {"name": NAME, "namespace": settings.namespace}
    api_version, kind = "policies.kyverno.io/v1", "NamespacedImageValidatingPolicy"
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


def _references(settings: Settings) -> list[str]:
    """Return the images of the stack; those of this project without a digest, since releases change it."""
    return [*_own(settings), *of_others(settings).values()]


def _own(settings: Settings) -> list[str]:
    return [image.repository for image in settings.images.values() if image.source != "prebuilt"]


def _is_waived(settings: Settings, repository: str) -> bool:
    """Return whether images of a repository need no signature today."""
    return any(
        waiver.repository == repository and "signature" in waiver.lacks and waiver.until >= date.today()
        for waiver in settings.evidence.waivers
    )


def _attestor(name: str, key: str) -> Object:
    # Signatures are in no transparency log.
    return {"name": name, "cosign": {"key": {"data": key}, "ctlog": {"insecureIgnoreTlog": True}}}


def _known(repositories: Iterable[str], *, challenges: bool) -> Object:
    """Return the rule that each image is of one of these repositories, by digest."""
    named = [f"image.matches(r'^{_pattern(repository)}(:[^@]+)?@sha256:')" for repository in sorted(set(repositories))]
    named += [f"image.startsWith('{CHALLENGES}:')"] if challenges else []
    message = "an image is named by tag, or is of a repository that the stack file does not name"
    return {"expression": f"{_ALL}.all(image, {' || '.join(named)})", "message": message}


def _verified(settings: Settings, keys: Mapping[str, str]) -> Iterator[Object]:
    """Yield the rules that images have a signature, and those of this project a provenance, by the key named."""
    own = _own(settings)
    for repository, key in keys.items():
        # Others are left out, since Kyverno's functions find no signature of an image they do not look at.
        images = f"{_ALL}.filter(image, image.matches(r'^{_pattern(repository)}[:@]'))"
        signed = f"{images}.all(image, verifyImageSignatures(image, [attestors.{key}]) > 0)"
        yield {"expression": signed, "message": f"{repository} is not signed by the key that the stack file names"}
        if repository in own:
            attested = f"verifyAttestationSignatures(image, attestations.provenance, [attestors.{key}]) > 0"
            message = f"{repository} has no provenance by the key of this project"
            yield {"expression": f"{images}.all(image, {attested})", "message": message}


def _pattern(repository: str) -> str:
    return repository.replace(".", "[.]")
