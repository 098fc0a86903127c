"""The reviewed objects of every stack: rendered as YAML, and the identity of each live object.

`make golden` rewrites both, and the diff of a commit shows the change. The folder `options` is a stack that uses all
settings but those of monitoring and Jaeger, which `operator` and `prometheus` have. `gitops` holds what Flux gets of
dev.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from slipway import files
from slipway.ops.gitops.bundle import bundle
from slipway.ops.gitops.source import Source
from slipway.ops.program import render
from slipway.ops.program.check import without_source_hash
from slipway.ops.program.recorder import Program, stacks
from tests.conftest import declared
from tests.variants import VARIANTS

FOLDER = Path(__file__).parent
URNS = FOLDER / "urns.txt"
GITOPS = FOLDER / "gitops" / "flux.yaml"
NAMES = [*stacks(), "options", "operator", "prometheus"]


@functools.cache
def model(name: str) -> Program:
    """Return what the program declares for a stack, independent of the content of app/."""
    with without_source_hash():
        return declared(*VARIANTS.get(name, (name, {})))


def documents(name: str) -> dict[str, str]:
    """Return the content of each file that `./slipway render -o` writes, by name."""
    return {file: render.HEADER + content for file, content in render.documents(model(name)).items()}


def gitops() -> str:
    """Return what `./slipway render -s dev --gitops flux` prints."""
    return bundle(model("dev"), "flux", Source("registry.example.com/slipway/gitops", "dev")).stream()


def identities() -> dict[str, str]:
    """Return the Kubernetes object of each resource of every stack, by stack and URN."""
    return {urn: object_name for name in NAMES for urn, object_name in identities_of(name, model(name)).items()}


def identities_of(name: str, program: Program) -> dict[str, str]:
    """Return `{"dev slipway:index:WebService$...ConfigMap::api-env": "slipway-dev/ConfigMap/api-env-*"}`."""
    return {
        f"{name} {resource.urn.split('::', 2)[2]}": _object(resource.name, resource.inputs)
        for resource in program.resources
    }


def recorded() -> dict[str, str]:
    """Return the identities that `make golden` last wrote."""
    lines = [line for line in URNS.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.rsplit(" ", 1) for line in lines)


def renew() -> None:
    """Rewrite all golden files."""
    for name in NAMES:
        render.write(render.documents(model(name)), FOLDER / name)
    files.write({GITOPS: gitops()})
    lines = [f"{identity} {object_name}\n" for identity, object_name in sorted(identities().items())]
    URNS.write_text("# Written by `make golden`: stack, URN, object. * is a hash of the content.\n" + "".join(lines))


def _object(logical: str, inputs: dict[str, object]) -> str:
    metadata = inputs.get("metadata")
    if not isinstance(metadata, dict):
        return "-"
    name = re.sub(rf"^({re.escape(logical)})-[0-9a-f]{{8}}$", r"\1-*", metadata["name"])
    return "/".join(filter(None, (metadata.get("namespace"), str(inputs["kind"]), name)))
