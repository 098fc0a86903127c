"""Projects of others in temporary folders, and the programs that run for them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from slipway.ops.project.templates import PROGRAM
from slipway.project import IMPORTED_FROM, ROOT

GO_SERVICE = """\
package main

import ("net/http"; "os")

func main() {
	http.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {})
	http.ListenAndServe(":"+os.Getenv("PORT"), nil)
}
"""
GO_DOCKERFILE = """\
FROM golang:1.26 AS build
COPY . /src
RUN cd /src && go build -o /shop .

FROM scratch
COPY --from=build /shop /shop
USER 12345:12345
EXPOSE 8000
ENTRYPOINT ["/shop"]
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write files below a folder, and return it."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return folder


def go_service(folder: Path) -> Path:
    """Write a service that knows nothing of Slipway."""
    module = "module example.com/shop\n\ngo 1.26\n"
    return write(folder, {"main.go": GO_SERVICE, "go.mod": module, "Dockerfile": GO_DOCKERFILE})


def renamed(folder: Path, name: str) -> Path:
    """Write a copy of the project that the tests work for, with another name and nothing of the package in it."""
    shutil.copytree(ROOT / "stacks", folder / "stacks")
    shutil.copytree(ROOT / "app", folder / "app")
    pulumi = f"name: {name}\nruntime: python\nmain: infra\nstackConfigDir: stacks\n"
    return write(folder, {"Pulumi.yaml": pulumi, "infra/__main__.py": PROGRAM})


def run(folder: Path, *command: str, python: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python inside a project, as a user does there; `python` has the package installed."""
    paths = {} if python else {"PYTHONPATH": str(IMPORTED_FROM)}
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), **paths}
    return subprocess.run(
        [python or sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def slipway(folder: Path, *arguments: str, python: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a verb inside a project."""
    return run(folder, "-m", "slipway", *arguments, python=python)
