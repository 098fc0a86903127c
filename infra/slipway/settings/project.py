"""The project that the program and the CLI work for: its root folder and its name."""

from __future__ import annotations

import os
from pathlib import Path

_FILE = "Pulumi.yaml"


def _root() -> Path:
    """Return the folder with Pulumi.yaml: SLIPWAY_PROJECT, or the nearest one from the working folder up.

    The engine runs the program in a folder of the project. Elsewhere it is the clone that this package belongs to.
    """
    if given := os.environ.get("SLIPWAY_PROJECT"):
        return Path(given).resolve()
    here = Path.cwd()
    nearest = (folder for folder in (here, *here.parents) if (folder / _FILE).is_file())
    return next(nearest, Path(__file__).resolve().parents[3])


ROOT = _root()
PROJECT = "slipway"
