"""The image of a version that is being worked on: compiled on this machine, and handed to the nodes of the cluster."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from slipway.image import load
from slipway.image.compiler import OUTPUT
from slipway.image.daemonless import assembled
from slipway.image.oci import OciImage
from slipway.image.source import prepare
from slipway.ops.development import delve
from slipway.settings.sections.images import Image

RELEASED, DEVELOPED = "src-", "dev-"
"""What tags of images begin with. A version of a session never takes the tag of a release: its digest may differ, since
Docker makes other layers of the same files."""


def compiled(image: Image, tag: str, *, debugged: bool = False) -> OciImage:
    """Return the image of the present sources. Raises `pulumi.RunError` with the compiler's output.

    The folders that `pulumi up` builds from are not used: they belong to the tag of a release, and the files may change
    during a build. One that is `debugged` has Delve beside a program with all symbols.
    """
    added = {delve.PATH: f"{OUTPUT}/{delve.DELVE.name}"} if debugged else {}
    here = image.model_copy(update={"builder": "daemonless", "target": None, "files": {**image.files, **added}})
    with tempfile.TemporaryDirectory(prefix="slipway-dev-") as folder:

        def prepared(part: Image, tag: str, suffix: str) -> Path:
            context = Path(folder) / f"context{suffix}"
            context.mkdir()
            prepare(context, part, tag, debugged=debugged)
            if debugged:
                shutil.copy(delve.program(part.platform), context / OUTPUT / delve.DELVE.name)
            return context

        return assembled(here, tag, prepared)


def delivered(built: OciImage, image: Image, tag: str, context: str) -> str:
    """Push the image, or load it into the nodes. Return its reference. Raises `pulumi.RunError`."""
    if image.load:
        load.load(built, image.load, context, image.repository, tag)
    else:
        from slipway.image.registry import push  # noqa: PLC0415 - takes half a second, during which nothing would show

        push(built, image.repository, tag)
    return f"{image.repository}:{tag}@{built.digest}"
