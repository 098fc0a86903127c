"""`./slipway publish`: pushes what a controller applies to a registry, signed, and moves the tag that it follows.

Objects that the registry has already keep their artifact, whatever commit they come from: the same objects have one
digest. A rollback moves the tag back to a former artifact.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import typer

from slipway.image import registry
from slipway.image.oci import Blob, OciImage
from slipway.ops.errors import UserError
from slipway.ops.gitops import artifact, images
from slipway.ops.gitops.render import bundle_of
from slipway.ops.gitops.source import source_of
from slipway.ops.program import config
from slipway.ops.supply_chain import cosign
from slipway.ops.supply_chain.provenance import without_login
from slipway.ops.supply_chain.tools import COSIGN, compiled
from slipway.project import git
from slipway.settings.settings import Settings


class PublishError(UserError):
    """Nothing was published; the message says why."""


def command(stack: str, controller: str, given: Sequence[str], to: str | None, key: str | None) -> None:
    """Publish the objects of a stack."""
    if key:  # before anything is pushed
        cosign.named_key(key)
        compiled(COSIGN)
    settings = config.settings(stack)
    bundle = bundle_of(stack, controller, settings, _images(settings, given), to)
    source = source_of(stack, settings, to)
    made = artifact.assemble(bundle.artifact_files(), bundle.layer, _origin())
    tag = artifact.content_tag(stack, made.manifest)
    former = registry.tagged_manifest(source.repository, tag)
    # The same objects, and not only the same beginning of a digest.
    if former and artifact.layers_of(former) == artifact.layers_of(made.manifest):
        made = OciImage(former, ())
        typer.echo(f"the registry has these objects already, from revision {artifact.revision_of(former)}", err=True)
    registry.push(made, source.repository, tag)
    # Signed before the cluster sees it under the tag that it follows.
    reference = f"{source.repository}@{made.digest}"
    try:
        _sign(reference, key)
    except cosign.EvidenceError as error:
        raise PublishError(
            f"{error}. It is pushed as {tag}; {source.tag}, which the cluster follows, was not moved"
        ) from None
    registry.push(made, source.repository, source.tag)
    typer.echo(f"{len(bundle.published)} objects of {stack} published as {source.tag} and {tag}", err=True)
    sys.stdout.write(f"oci://{reference}\n")


def roll_back(stack: str, former: str, to: str | None) -> None:
    """Let the tag that the cluster follows name a former artifact again, given by its tag or digest."""
    source = source_of(stack, config.settings(stack), to)
    # The artifacts of all stacks may be in one repository.
    if not former.startswith("sha256:") and not re.fullmatch(rf"{re.escape(stack)}-[0-9a-f]*", former):
        raise PublishError(
            f"--former {former}: artifacts of {stack} are named {stack}- and 12 digits; give that tag, or the digest "
            "that publish printed. Nothing was changed"
        )
    manifest = registry.tagged_manifest(source.repository, former)
    if manifest is None:
        raise PublishError(f"{source.repository} has no artifact {former}; give the tag or digest that publish printed")
    if not _is_artifact_of(stack, manifest, source.repository):
        raise PublishError(
            f"--former {former}: {source.repository} has it, but not as an artifact of {stack}: no tag {stack}-... of "
            "its objects. Give the tag or digest that publish printed for this stack. Nothing was changed"
        )
    registry.push(OciImage(manifest, ()), source.repository, source.tag)
    revision = artifact.revision_of(manifest)
    typer.echo(f"{source.repository}:{source.tag} is {former} again, of revision {revision}", err=True)
    sys.stdout.write(f"oci://{source.repository}@{manifest.digest}\n")


def _sign(reference: str, key: str | None) -> None:
    if key:
        cosign.sign(reference, key)
    else:
        typer.echo("note: not signed, since there is no --key: a cluster that verifies signatures refuses it", err=True)


def _images(settings: Settings, given: Sequence[str]) -> dict[str, str]:
    """Return the images that no stack file names: those given, and those that other stacks run."""
    if settings.image_files:
        raise PublishError("slipway:imageFiles names images of this machine: give the image of each store instead")
    references = images.given_images(settings, given)
    references = {**images.promoted_images(settings, references), **references}
    if missing := images.unknown(settings, references):
        options = " ".join(f"--image {name}=REPOSITORY:TAG@sha256:DIGEST" for name in missing)
        raise PublishError(f"the digest of an image that is built is not known here. Push it, and give: {options}")
    return references


def _is_artifact_of(stack: str, manifest: Blob, repository: str) -> bool:
    """Return whether `publish` has pushed these objects for the stack: it gives each artifact a tag of their digest."""
    published = registry.tagged_manifest(repository, artifact.content_tag(stack, manifest))
    return published is not None and artifact.layers_of(published) == artifact.layers_of(manifest)


def _origin() -> dict[str, str]:
    """Return the repository, the commit and its time: two clean clones of a commit publish the same artifact."""
    commit = git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    url = without_login(git("remote", "get-url", "origin"))
    created = datetime.fromtimestamp(
        int(git("show", "--no-patch", "--no-show-signature", "--format=%ct", "HEAD") or 0), UTC
    )
    return {"source": url, "revision": commit, "created": f"{created:%Y-%m-%dT%H:%M:%SZ}"}
