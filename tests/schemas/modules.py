"""Go modules as folders, for the definitions in them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from slipway.schemas import CUSTOM


def downloaded(module: str) -> Path:
    """Return the folder of a Go module such as `sigs.k8s.io/gateway-api@v1.5.1`."""
    done = subprocess.run(
        ["go", "mod", "download", "-json", module],
        env={**os.environ, "GOFLAGS": "-mod=mod"},
        cwd=CUSTOM,
        capture_output=True,
        check=True,
    )
    return Path(json.loads(done.stdout)["Dir"])
