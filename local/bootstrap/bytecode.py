"""python -m local.bootstrap.bytecode: compile the modules that the program, ./slipway and the plugins import.

Where PYTHONDONTWRITEBYTECODE is set, as in most container images, each start would compile about 800 modules again,
which takes longer than everything else. The packages have 4000 modules: importing shows which ones are used.
"""

from __future__ import annotations

import importlib
import py_compile
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import ModuleType

ENTRIES = (
    "slipway.__main__",
    "slipway.image.registry",  # imported by an update only
    "slipway.cluster.api_client",
    "lightkube",
    "local.plugins.kubernetes.provider",
    "local.plugins.kubernetes.connection",
    "local.plugins.docker.provider",
)


def main() -> None:
    sys.dont_write_bytecode = False
    before = list(sys.modules.values())
    for module in ENTRIES:
        importlib.import_module(module)
    import_late_modules()
    write_lean_modules()
    compile_early_modules(before)


def compile_early_modules(modules: Iterable[ModuleType]) -> None:
    """Compile the modules that Python itself has imported at its start, where its folder may be written."""
    for module in modules:
        if (spec := module.__spec__) and spec.cached and spec.origin and not Path(spec.cached).exists():
            # Official images of Python have no bytecode, and their folder is root's.
            with suppress(OSError):
                py_compile.compile(spec.origin)


def import_late_modules() -> None:
    """Import what a verb imports only when it runs, such as the modules of pulumi_kubernetes for each kind."""
    # Imported here, after main() has enabled writing bytecode.
    import pkgutil  # noqa: PLC0415

    from typer.testing import CliRunner  # noqa: PLC0415

    import slipway.ops  # noqa: PLC0415
    from slipway.__main__ import app  # noqa: PLC0415
    from slipway.ops.program.recorder import stacks  # noqa: PLC0415

    for module in pkgutil.walk_packages(slipway.ops.__path__, "slipway.ops."):
        importlib.import_module(module.name)
    for stack in stacks():
        # Errors in a stack file are ignored here: the verb that uses it reports them.
        CliRunner().invoke(app, ["render", "-s", stack])


def write_lean_modules() -> None:
    """Write the copies of the SDKs' modules that the program imports instead of them."""
    from slipway.sdk import lean_modules  # noqa: PLC0415 - as above

    lean_modules.write()


if __name__ == "__main__":
    main()
