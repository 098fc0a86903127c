"""Compiles the Go program of an image on this machine. The same source gives the same bytes on every machine."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pulumi

from slipway.settings.sections.images import Image

# Where the binary is put in the build context.
OUTPUT = "dist"
# The value of GOTOOLCHAIN that takes the Go of this machine.
THIS_MACHINE = "local"


def compile_program(context: Path, image: Image, version: str, *, debugged: Path | None = None) -> None:
    """Compile the main package of an image inside its build context. Raises `pulumi.RunError` if that fails.

    `debugged` is the folder of the sources, for a program that runs under a debugger: it is compiled there, without
    optimization and with all symbols, so that its paths are those that an editor has open.
    """
    operating_system, architecture = image.platform.split("/")
    compiler = toolchain(context / "go.mod")
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOOS": operating_system,
        "GOARCH": architecture,
        # Also overrides the user's own flags and workspace.
        "GOFLAGS": "-buildvcs=false" if debugged else "-trimpath -buildvcs=false",
        "GOWORK": "off",
        "GOTOOLCHAIN": compiler,
    }
    package = main_package(context, image)
    output = str(context / OUTPUT / binary_name(context, package))
    stamp = f"-X main.version={version}"
    flags = ["-gcflags=all=-N -l", "-ldflags", stamp] if debugged else ["-ldflags", f"-s -w {stamp}"]
    command = ["go", "build", *flags, "-o", output, package]
    try:
        subprocess.run(command, cwd=debugged or context, env=environment, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise pulumi.RunError(
            f"{image.context}/ cannot be compiled: there is no `go` on the PATH. Install Go, or "
            "set builder: docker in the section of the image, without package and target: prebuilt."
        ) from None
    except subprocess.CalledProcessError as error:
        raise pulumi.RunError(_compile_error(error.stderr.strip(), compiler, image.context)) from None


def main_package(context: Path, image: Image) -> str:
    """Return the package to compile: the given one, else the only one below cmd/, else the folder itself."""
    if image.package:
        return image.package
    programs = sorted({file.parent.name for file in (context / "cmd").glob("*/*.go")})
    if len(programs) > 1:
        raise pulumi.RunError(
            f"{image.context}/cmd has several programs ({', '.join(programs)}); say which one is compiled: "
            f"`package: ./cmd/{programs[0]}` in the section of the image"
        )
    return f"./cmd/{programs[0]}" if programs else "."


def binary_name(context: Path, package: str) -> str:
    """Return the last part of a package's path; of the module's for the package `.`."""
    if package != ".":
        return package.rpartition("/")[2]
    module = re.search(r"^module\s+\"?([^\s\"]+)", (context / "go.mod").read_text(), re.MULTILINE)
    parts = (module[1] if module else "app").split("/")
    # The last part may be a major version: example.com/shop/v2.
    is_version = len(parts) > 1 and re.fullmatch(r"v[0-9]+", parts[-1])
    return parts[-2] if is_version else parts[-1]


def toolchain(go_mod: Path) -> str:
    """Return the `toolchain` of a go.mod, e.g. go1.27.3, as GOTOOLCHAIN takes it; `local` if it has none.

    It applies even where GOTOOLCHAIN is `local`: another compiler makes other bytes, and an old one has known
    vulnerabilities. Go downloads it from the module proxy unless it is that version itself. The line `go 1.26` does not
    name one: there may be no release of just that name.
    """
    match = re.search(r"^toolchain (go\S+)", go_mod.read_text(), re.MULTILINE)
    return match[1] if match else THIS_MACHINE


def _compile_error(output: str, compiler: str, folder: str) -> str:
    """Return the message for a failed `go build`: the code is wrong, or the compiler could not be downloaded."""
    if f"download {compiler}" in output:
        return (
            f"{folder}/ cannot be compiled: it needs {compiler} ({folder}/go.mod: toolchain), and Go could not "
            f"download it:\n{output}\n"
            "Install that version, or let Go reach a module proxy that has it (`go env -w GOPROXY=URL`)."
        )
    if "requires go >=" in output:
        return (
            f"{folder}/ cannot be compiled: Go on this machine is older than {folder}/go.mod demands:\n{output}\n"
            f"Install a newer Go, or name one in {folder}/go.mod, which Go then downloads: `toolchain go1.26.0`."
        )
    stated = "Go of this machine" if compiler == THIS_MACHINE else f"{compiler}, as {folder}/go.mod has it"
    return f"{folder}/ does not compile ({stated}):\n{output}"
