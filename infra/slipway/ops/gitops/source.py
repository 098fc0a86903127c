"""Where the objects of a stack are published, and read from: `oci://REGISTRY/REPOSITORY:TAG`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from slipway.image.reference import parts
from slipway.ops.errors import UserError
from slipway.settings.settings import Settings

SCHEME = "oci://"
_REPOSITORY = re.compile(r"[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class SourceError(UserError):
    """The place of an artifact is none, or is not given."""


@dataclass(frozen=True)
class Source:
    """A repository of a registry, and the tag that the cluster follows."""

    repository: str
    tag: str

    @property
    def url(self) -> str:
        """The repository as a controller names it."""
        return SCHEME + self.repository

    @property
    def host(self) -> str:
        """The registry."""
        return self.repository.partition("/")[0]


def source_of(stack: str, settings: Settings, given: str | None) -> Source:
    """Return the given place, or `gitops:STACK` beside the first image of the stack. Raises SourceError."""
    if given is None:
        image = next(iter(settings.images.values()), None)
        if image is None:
            raise SourceError("the stack has no image of its own, beside which its objects could be: give --to")
        return Source(f"{image.repository.rpartition('/')[0]}/gitops", stack)
    repository, tag, digest = parts(given.removeprefix(SCHEME))
    is_valid = given.startswith(SCHEME) and not digest
    if not (is_valid and _REPOSITORY.fullmatch(repository) and _TAG.fullmatch(tag or stack)):
        raise SourceError(f"--to {given}: has to be {SCHEME}REGISTRY/REPOSITORY:TAG, as {SCHEME}ghcr.io/acme/shop:prod")
    return Source(repository, tag or stack)
