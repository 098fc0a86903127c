"""Programs of others that tests run, compiled from their Go modules on first use."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.conftest import ROOT, run

SECONDS = 1800


def compiled(package: str, module: Path) -> Path:
    """Return the path of a program. The go.mod in the folder `module` pins its version."""
    program = ROOT / ".slipway" / "bin" / module.name
    if not program.exists():
        run("go", "build", "-o", str(program), package, cwd=module, seconds=SECONDS)
    return program


def helm() -> Path:
    return compiled("helm.sh/helm/v4/cmd/helm", ROOT / "tests/neighbours/helm")
