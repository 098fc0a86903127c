"""python -m slipway.sdk: write lean copies of the SDKs' modules, once after an installation."""

from __future__ import annotations

import sys

from slipway.sdk import lean_modules

try:
    print(f"wrote lean copies of {lean_modules.write()} modules")
except OSError as error:
    sys.exit(f"error: {error}. Fix: run it as the user who has installed the packages; without, all runs but slower")
