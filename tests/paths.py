"""The two roots of the tests: this repository, and the fixture project that `slipway` works for in unit tests.

What the frame promises is tested on PROJECT, so that another app and other stacks in the repository change no result.
End-to-end tests (`pytest -m e2e`) deploy the repository itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
INFRA = REPOSITORY / "infra"
PROJECT = REPOSITORY / "tests" / "project"

# Whether app/ is the app that docs/reference-app.md describes; tests/reference_app/ holds what is promised of it.
HAS_REFERENCE_APP = (REPOSITORY / "app" / "internal" / "api" / "openapi.json").is_file()


def use_fixture_project() -> None:
    """Make PROJECT the root of `slipway` in this process and those it starts, except in end-to-end tests."""
    if "e2e" not in sys.argv:
        os.environ["SLIPWAY_PROJECT"] = str(PROJECT)
