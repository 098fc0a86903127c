"""The definitions of the Prometheus Operator, whose module at hand has the types only.

They are made from the types as the project makes them, by controller-gen.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.schemas.modules import downloaded

TYPES = "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring@v0.95.2"
CONTROLLER_GEN = "sigs.k8s.io/controller-tools/cmd/controller-gen@v0.19.0"
ORIGIN = f"types of Go module {TYPES}, made by {CONTROLLER_GEN}"
KINDS = ("podmonitors", "prometheusrules")


def definitions(folder: Path) -> list[Path]:
    """Generate the CustomResourceDefinitions of the kinds that a stack declares, and return their files."""
    source = folder / "source"
    # The cache of modules is read-only, and the tool has to complete go.sum.
    shutil.copytree(downloaded(TYPES), source, copy_function=shutil.copyfile)
    subprocess.run(["chmod", "-R", "u+w", source], check=True)
    command = ["go", "run", CONTROLLER_GEN, "crd:crdVersions=v1", "paths=./v1", f"output:crd:dir={folder}/crd"]
    subprocess.run(command, env={**os.environ, "GOFLAGS": "-mod=mod"}, cwd=source, check=True)
    return [folder / "crd" / f"monitoring.coreos.com_{kind}.yaml" for kind in KINDS]
