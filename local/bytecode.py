"""python -m local.bytecode: compile what the program, ./slipway and the offline plugins import.

Where PYTHONDONTWRITEBYTECODE is set, as in most container images, each start would compile some 800 modules anew, which
takes longer than all the rest. The packages have 4000: those that are imported are found by importing them.
"""

from __future__ import annotations

import importlib
import py_compile
import sys
from pathlib import Path

ENTRIES = (
    "ops.__main__",
    "registry",  # what only an update imports
    "api_client",
    "lightkube",
    "local.plugins.kubernetes_provider",
    "local.plugins.kubernetes_connection",
    "local.plugins.docker",
)


def main() -> None:
    sys.dont_write_bytecode = False
    before = list(sys.modules.values())
    for module in ENTRIES:
        importlib.import_module(module)
    import_late_modules()
    for module in before:  # what Python itself imports at its start
        if (spec := module.__spec__) and spec.cached and spec.origin and not Path(spec.cached).exists():
            py_compile.compile(spec.origin)


def import_late_modules() -> None:
    """Import what a verb imports only when it runs, such as the modules of pulumi_kubernetes by kind of object."""
    # Not before bytecode may be written.
    from typer.testing import CliRunner  # noqa: PLC0415

    from ops.__main__ import app  # noqa: PLC0415
    from ops.recorder import stacks  # noqa: PLC0415

    for stack in stacks():
        # A mistake in a stack file is for the verb that uses it to report.
        CliRunner().invoke(app, ["render", "-s", stack])


if __name__ == "__main__":
    main()
