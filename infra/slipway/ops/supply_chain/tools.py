"""The programs that make and check evidence: pinned Go modules, compiled on first use and kept for all clones.

Go checks each module against sum.golang.org. Once a program is compiled it needs no network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import typer

from slipway.image.compiler import THIS_MACHINE
from slipway.ops.errors import UserError


class ToolError(UserError):
    """A program is missing, does not compile, or failed."""


@dataclass(frozen=True)
class GoTool:
    """A program of a Go module."""

    package: str
    version: str

    @property
    def name(self) -> str:
        """File name of the program."""
        return self.package.rpartition("/")[2]


# Compiles them: that of a machine may be too old, or have known vulnerabilities.
TOOLCHAIN = "go1.27.3"
# BSD-3-Clause, by the Go team: reports the vulnerabilities that a program can reach.
GOVULNCHECK = GoTool("golang.org/x/vuln/cmd/govulncheck", "v1.9.0")
# Apache-2.0, by OWASP: lists the modules in a Go binary.
CYCLONEDX = GoTool("github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod", "v1.10.0")
# Apache-2.0, by Sigstore: signs and verifies. Of v2, since v3 asks Sigstore's servers even where a key is given.
COSIGN = GoTool("github.com/sigstore/cosign/v2/cmd/cosign", "v2.6.5")


def compiled(tool: GoTool, toolchain: str = TOOLCHAIN) -> Path:
    """Return the path of a program, compiled first if need be. Raises ToolError.

    `toolchain` as GOTOOLCHAIN takes it: a program that reads Go sources has to be made by their compiler.
    """
    compiler = toolchain if toolchain != THIS_MACHINE else run("go", "env", "GOVERSION").strip()

    def install(folder: Path) -> None:
        typer.echo(f"compiling {tool.name} {tool.version}, once", err=True)
        settings = {"GOBIN": str(folder), "GOFLAGS": "-mod=mod", "GOWORK": "off", "GOTOOLCHAIN": toolchain}
        command = ["go", "install", "-trimpath", "-ldflags", "-s -w", f"{tool.package}@{tool.version}"]
        run(*command, environment=go_environment(settings))

    return cached(f"{tool.name}-{tool.version}-{compiler}", install) / tool.name


def go_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a Go command: that of the user without another platform, and these settings."""
    own = {name: value for name, value in os.environ.items() if name not in ("GOOS", "GOARCH")}
    return {**own, "CGO_ENABLED": "0", **settings}


def cached(name: str, fill: Callable[[Path], None]) -> Path:
    """Return a folder of the user's cache, filled first if it does not exist. It gets its name when it is complete."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway" / "supply-chain"
    folder = cache / name
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=cache))
    try:
        fill(temporary)
        if not folder.is_dir():  # else another run was faster
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def run(*command: str | Path, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> str:
    """Return what a program prints. Raises ToolError with the end of its own message."""
    done = attempt(*command, environment=environment, folder=folder)
    if done.returncode != 0:
        raise ToolError(f"{Path(command[0]).name} failed: {last_lines(done.stderr)}")
    return done.stdout


def attempt(
    *command: str | Path, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever its exit code. It gets no terminal. Raises ToolError if it is missing."""
    try:
        return subprocess.run(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise ToolError(
            f"there is no `{Path(command[0]).name}` on the PATH. Install Go 1.26 or newer: the programs that make "
            "and check evidence are compiled by it"
        ) from None


def last_lines(output: str) -> str:
    """Return the last lines of a program's messages, where it says why it failed."""
    return "\n".join(output.strip().splitlines()[-5:])
