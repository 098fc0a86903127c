"""The provenance of an image: which sources it was built from, how, and by whom. A SLSA v1 predicate of in-toto.

See https://slsa.dev/spec/v1.0/provenance.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from slipway.project import PROJECT, git
from slipway.settings.sections.images import Image

BUILD_TYPE = "https://slsa.dev/provenance/v1?builder=slipway"
"""Says how `externalParameters` are read: the keys of `slipway:image`, and `version`, the hash of the sources."""


def provenance(name: str, image: Image, version: str, commit: str) -> dict[str, Any]:
    """Return the predicate for an image that was built from the sources of this version.

    `commit`: that of the release, as it was recorded; with `-dirty` it names no sources.
    """
    given = image.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    full = git("rev-parse", "--verify", f"{commit}^{{commit}}") if commit and not commit.endswith("-dirty") else ""
    repository = without_login(git("config", "--get", "remote.origin.url")) or PROJECT
    sources: dict[str, Any] = {"uri": f"git+{repository}"}
    if full:
        sources["digest"] = {"gitCommit": full}
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"image": name, "settings": given, "version": version},
            "internalParameters": {"commit": commit},
            "resolvedDependencies": [sources],
        },
        "runDetails": {
            "builder": {"id": builder()},
            "metadata": {"finishedOn": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")},
        },
    }


def version_of(predicate: Mapping[str, Any]) -> str:
    """Return the hash of the sources that a provenance names; empty for one that names none."""
    return str(predicate["buildDefinition"].get("externalParameters", {}).get("version", ""))


def builder() -> str:
    """Return who vouches: the workflow and its run on GitHub, else somebody with the key on a machine of their own."""
    if workflow := os.environ.get("GITHUB_WORKFLOW_REF"):
        return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{workflow}"
    return "urn:slipway:own-machine"


def without_login(url: str) -> str:
    """Return the URL of a repository without a user or token in it."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else url
