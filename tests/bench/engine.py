"""A preview and an update that change nothing, beside other Pulumi programs and `kubectl`. Needs `make up`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.bench import plain
from tests.bench.measure import Command, Series, in_turns
from tests.bench.page import Section, table
from tests.e2e import go_programs

CONTEXT = "slipway-local"
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
        objects, without = folder / "objects", folder / "plain"
        in_turns([Command("render", ("./slipway", "render", "-s", "local", "-o", objects))], 0)
        empty = _empty_program(folder / "empty", own)
        count = plain.write(without, objects)
        chart = plain.write_chart(folder / "chart", objects)
        helm = (go_programs.helm(), "--kube-context", CONTEXT, "-n", plain.HELM_NAMESPACE)
        upgrade = Command("`helm upgrade` of the same objects", (*helm, "upgrade", "bench", chart))
        _new_stack(without, own)
        commands = [
            Command("preview of an empty program", PREVIEW, empty, own),
            Command("preview of a program without Slipway", PREVIEW, without, own),
            Command("preview of the local stack", (*PREVIEW, "-s", "local")),
            Command("update of an empty program", UPDATE, empty, own),
            Command("update of a program without Slipway", UPDATE, without, own),
            Command("update of the local stack", (*UPDATE, "-s", "local")),
            # The cluster looks at each object, and changes none.
            Command("`kubectl apply --server-side --dry-run=server` of the same objects", (*KUBECTL, objects)),
            upgrade,
        ]
        try:
            in_turns([Command("deploy the program without Slipway", UPDATE, without, own)], 0)
            in_turns([Command("helm install", (*helm, "install", "bench", chart, "--create-namespace"))], 0)
            series = in_turns(commands, runs)
        finally:
            # All objects are in these namespaces, so neither a state nor a release is needed.
            delete = ("kubectl", "--context", CONTEXT, "delete", "namespace", plain.NAMESPACE, plain.HELM_NAMESPACE)
            in_turns([Command("delete the namespaces", (*delete, "--ignore-not-found"))], 0)
    preview, update = series[0], series[3]
    bases = [preview] * 3 + [update] * 5
    rows = [_row(one, base) for one, base in zip(series, bases, strict=True)]
    heads = ["command", "time, s", "CPU time, s", "time, times that of an empty program"]
    text = (
        "Nothing has changed since the last update. The CPU time is that of the command and of the processes that it "
        "starts: the engine, the program, and the provider plugins. The program without Slipway calls a class of "
        f"pulumi_kubernetes for each of {count} rendered objects, in a namespace of its own, without pods and without "
        "the two Ingresses, whose hosts can exist only once; it checks nothing, builds no image and records no "
        "release. The chart is one template with the same objects, in another namespace."
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
    _new_stack(folder, environment)
    return folder


def _new_stack(folder: Path, environment: dict[str, str]) -> None:
    """Create the stack `bench` of a project, whose Python is that of this process, for the local cluster."""
    init = Command("pulumi stack init", ("pulumi", "stack", "init", "bench"), folder, environment)
    context = ("pulumi", "config", "set", "kubernetes:context", CONTEXT, "-s", "bench")
    in_turns([init, Command("pulumi config set", context, folder, environment)], 0)
