"""A preview and an update that change nothing, beside an empty Pulumi program and `kubectl`. Needs `make up`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.bench.measure import Command, Series, in_turns
from tests.bench.page import Section, table

PROJECT = "name: empty\nruntime: python\n"
PREVIEW = ("pulumi", "preview", "--non-interactive")
UPDATE = ("pulumi", "up", "--non-interactive", "--yes", "--skip-preview")
KUBECTL = ("kubectl", "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f")


def measured(runs: int) -> Section:
    for program in ("pulumi", "kubectl"):
        if not shutil.which(program):
            raise SystemExit(f"make bench: there is no {program}. Fix: make up, then . ./activate")
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as name:
        folder = Path(name)
        own = {"PULUMI_BACKEND_URL": f"file://{folder}", "PULUMI_CONFIG_PASSPHRASE": "bench"}
        empty = _empty_program(folder / "empty", own)
        objects = folder / "objects"
        in_turns([Command("render", ("./slipway", "render", "-s", "local", "-o", objects))], 0)
        commands = [
            Command("preview of an empty program", PREVIEW, empty, own),
            Command("preview of the local stack", (*PREVIEW, "-s", "local")),
            Command("update of an empty program", UPDATE, empty, own),
            Command("update of the local stack", (*UPDATE, "-s", "local")),
            # The cluster looks at each object, and changes none.
            Command("`kubectl apply --server-side --dry-run=server` of the same objects", (*KUBECTL, objects)),
        ]
        empty_preview, preview, empty_update, update, kubectl = in_turns(commands, runs)
    rows = [
        _row(empty_preview, empty_preview),
        _row(preview, empty_preview),
        _row(empty_update, empty_update),
        _row(update, empty_update),
        _row(kubectl, empty_update),
    ]
    heads = ["command", "time, s", "CPU time, s", "time, times that of an empty program"]
    text = (
        "Nothing has changed since the last update. The CPU time is that of the command and of the processes that it "
        "starts: the engine, the program, and the provider plugins."
    )
    return Section("Preview and update without a change", text, table(heads, rows))


def _row(series: Series, base: Series) -> list[str]:
    return [
        series.command.name,
        series.text("seconds"),
        series.text("cpu_seconds"),
        f"{series.ratio(base, 'seconds'):.1f}",
    ]


def _empty_program(folder: Path, environment: dict[str, str]) -> Path:
    """Return a project whose program declares nothing, with a stack of its own."""
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(PROJECT)
    (folder / "__main__.py").write_text("import pulumi\n")
    command = Command("pulumi stack init", ("pulumi", "stack", "init", "bench"), folder, environment)
    in_turns([command], 0)
    return folder
