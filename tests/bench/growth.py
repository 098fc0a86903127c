"""How a run grows with the number of services: 2, 10, 50 and 200 copies of one service in a stack."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import yaml

from tests.bench.measure import Command, Series, in_turns
from tests.bench.page import Picture, Section, table
from tests.paths import REPOSITORY

SIZES = (2, 10, 50, 200)
STACK = "bench"


def measured(runs: int) -> Section:
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        commands = [
            Command(f"{size} services", (REPOSITORY / "slipway", "render", "-s", STACK), project(Path(folder), size))
            for size in SIZES
        ]
        series = in_turns(commands, runs)
    rows = [
        [
            str(size),
            one.text("cpu_seconds"),
            one.text("seconds"),
            f"{one.median('mebibytes'):.0f} MiB",
            f"{per_service(series[0], one, size):.1f} ms" if size > SIZES[0] else "",
        ]
        for size, one in zip(SIZES, series, strict=True)
    ]
    heads = ["services", "CPU time, s", "time, s", "memory", "CPU time for each further service"]
    points = list(zip(SIZES, [one.median("cpu_seconds") for one in series], strict=True))
    picture = Picture("growth.svg", "CPU time of ./slipway render", "services", "seconds", points)
    text = "`./slipway render` of a stack with copies of one service; each declares about seven objects."
    return Section("Growth with the number of services", text, table(heads, rows), picture)


def per_service(base: Series, series: Series, size: int) -> float:
    """Return the milliseconds of CPU time that each service beyond those of the first size takes."""
    pairs = zip(base.runs, series.runs, strict=True)
    differences = sorted(own.cpu_seconds - first.cpu_seconds for first, own in pairs)
    return differences[len(differences) // 2] / (size - SIZES[0]) * 1000


def project(folder: Path, size: int) -> Path:
    """Return a project in which a stack has so many services, all like the first one of this repository's stack."""
    root = folder / str(size)
    root.mkdir()
    shutil.copy(REPOSITORY / "Pulumi.yaml", root)
    shutil.copytree(REPOSITORY / "stacks", root / "stacks", ignore=shutil.ignore_patterns("golden"))
    for name in ("infra", "app"):
        (root / name).symlink_to(REPOSITORY / name)
    config = {
        "slipway:cluster": {"context": "bench", "ingressNamespace": "ingress-nginx"},
        "slipway:image": {
            "source": "prebuilt",
            "repository": "registry.example.com/shop",
            "digest": f"sha256:{'0' * 64}",
        },
        "slipway:tier": "dev",
        "slipway:services": {f"shop-{number}": {} for number in range(size)},
    }
    (root / "stacks" / "defaults.yaml").write_text("config: {}\n")
    for other in (root / "stacks").glob("Pulumi.*.yaml"):
        other.unlink()
    (root / "stacks" / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump({"config": config}))
    return root
