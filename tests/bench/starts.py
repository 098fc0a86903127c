"""How long each verb of every day takes to its first output, beside a start of Python that imports Pulumi."""

from __future__ import annotations

import sys

from tests.bench.measure import Command, in_turns
from tests.bench.page import Section, table

VERBS = (
    ("`./slipway --help`", ("--help",)),
    ("`./slipway stacks`", ("stacks",)),
    ("`./slipway policies`", ("policies",)),
    ("`./slipway render -s prod`", ("render", "-s", "prod")),
    ("`./slipway check -s prod`", ("check", "-s", "prod")),
    ("`./slipway diff staging prod`", ("diff", "staging", "prod")),
    ("`./slipway preview -s prod --base HEAD`", ("preview", "-s", "prod", "--base", "HEAD")),
)


def measured(runs: int) -> Section:
    floor = Command("Python that imports `pulumi`", (sys.executable, "-c", "import pulumi; print()"))
    verbs = [Command(name, ("./slipway", *words)) for name, words in VERBS]
    base, *others = in_turns([floor, *verbs], runs)
    rows = [
        [
            series.command.name,
            series.text("first_output"),
            series.text("cpu_seconds"),
            f"{series.ratio(base, 'cpu_seconds'):.1f}",
            f"{series.median('mebibytes'):.0f} MiB",
        ]
        for series in (base, *others)
    ]
    heads = ["command", "first output, s", "CPU time, s", "CPU, times an import of `pulumi`", "memory"]
    text = (
        "No cluster and no engine is needed. Every program in Python that uses Pulumi begins with the first line: "
        "nothing that declares objects can take less."
    )
    return Section("Starts of `./slipway`", text, table(heads, rows))
