"""What every stack looked like when somebody last looked: its objects as YAML, and the identity of each live object.

`make golden` writes both anew; the change is then read in the diff of a commit. The folder `options` is a stack that
asks for everything that can be asked for.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from unittest import mock

from ops.program import render
from ops.program.recorder import Program, stacks
from tests.conftest import declared
from tests.variants import VARIANTS

FOLDER = Path(__file__).parent
URNS = FOLDER / "urns.txt"
NAMES = [*stacks(), "options"]
# Stands for the hash of app/, which changes with every edit there.
TAG = "src-" + "0" * 16


@functools.cache
def model(name: str) -> Program:
    """What the program declares for a stack, whatever app/ holds."""
    with mock.patch("slipway.image.app_image.content_tag", return_value=TAG):
        return declared(*VARIANTS.get(name, (name, {})))


def documents(name: str) -> dict[str, str]:
    """File name -> content, as `./slipway render -o` writes it."""
    return {file: render.HEADER + content for file, content in render.documents(model(name)).items()}


def identities() -> dict[str, str]:
    """What Pulumi knows each resource of every stack by, and the object that stands for."""
    return {urn: stands_for for name in NAMES for urn, stands_for in identities_of(name, model(name)).items()}


def identities_of(name: str, program: Program) -> dict[str, str]:
    """`dev slipway:index:WebService$kubernetes:core/v1:ConfigMap::api-env` -> `slipway-dev/ConfigMap/api-env-*`."""
    return {
        f"{name} {resource.urn.split('::', 2)[2]}": _object(resource.name, resource.inputs)
        for resource in program.resources
    }


def recorded() -> dict[str, str]:
    """The same as it was when `make golden` last ran."""
    lines = [line for line in URNS.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.rsplit(" ", 1) for line in lines)


def renew() -> None:
    """Write everything anew."""
    for name in NAMES:
        render.write(render.documents(model(name)), FOLDER / name)
    lines = [f"{identity} {stands_for}\n" for identity, stands_for in sorted(identities().items())]
    URNS.write_text("# Written by `make golden`: stack, URN, object. * is a hash of the content.\n" + "".join(lines))


def _object(logical: str, inputs: dict[str, object]) -> str:
    metadata = inputs.get("metadata")
    if not isinstance(metadata, dict):
        return "-"
    name = re.sub(rf"^({re.escape(logical)})-[0-9a-f]{{8}}$", r"\1-*", metadata["name"])
    return "/".join(filter(None, (metadata.get("namespace"), str(inputs["kind"]), name)))
