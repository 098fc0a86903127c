"""What a stack needs of this machine, and of the registry that it pushes to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pulumi as sdk

from slipway.image import registry
from slipway.ops.prerequisites import stack_file
from slipway.ops.prerequisites.result import DEADLINE_SECONDS, Finding, Problem, failed, found
from slipway.ops.program.recorder import Program
from slipway.project import ROOT
from slipway.settings.settings import Settings

OLDEST_PYTHON = (3, 11)


def python() -> Finding:
    """Check the version of Python."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return failed(f"this is Python {version}; {oldest} is the oldest supported", "make venv PYTHON=python3.11")
    return Finding(version)


def pulumi() -> Finding:
    """Check that the Pulumi CLI is there, and not older than the SDK that talks to it."""
    wanted = metadata.version("pulumi")
    program = shutil.which("pulumi")
    if program is None:
        is_ours = (ROOT / ".slipway" / "bin" / "pulumi").exists()
        fix = ". ./activate" if is_ours else f"install Pulumi {wanted}: https://www.pulumi.com/docs/install/"
        return failed("there is no `pulumi` on the PATH", fix)
    command = [program, "version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS)
    version = done.stdout.strip().removeprefix("v")
    if done.returncode != 0 or _numbers(version) < _numbers(wanted)[:2]:
        shown = version or done.stderr.strip() or f"exit code {done.returncode}"
        return failed(f"{program} is {shown}; the Python SDK is {wanted}", f"install Pulumi {wanted}")
    return Finding(version)


def plugins(program: Program) -> Finding:
    """Check that the provider plugins are installed in the versions of their SDKs."""
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    declared = {resource.type.partition(":")[0] for resource in program.resources}
    wanted = {name: metadata.version(f"pulumi-{name}") for name in ("kubernetes", "docker") if name in declared}
    problems = [
        Problem(f"the provider plugin {name} {version} is not in {home}", f"pulumi plugin install {install}")
        for name, version in wanted.items()
        for install in [f"resource {name} {version}"]
        if not (home / "plugins" / f"resource-{name}-v{version}").is_dir()
        and not shutil.which(f"pulumi-resource-{name}")
    ]
    return found(problems, ", ".join(f"{name} {version}" for name, version in wanted.items()))


def docker(stack: str, settings: Settings) -> Finding:
    """Check that a Docker daemon answers, for the images that need one."""
    return found(stack_file.missing_builder(stack, settings), "a daemon answers")


def registries(stack: str, settings: Settings) -> Finding:
    """Check that the registry of each image that is built here answers, and takes the login of this machine."""
    pushed = {key: image for key, image in stack_file.built(settings).items() if not image.load}
    unreachable = list(stack_file.unreachable_registry(stack, settings))
    refused = [] if unreachable else list(_refusals([image.repository for image in pushed.values()]))
    return found([*unreachable, *refused], ", ".join(dict.fromkeys(image.repository for image in pushed.values())))


def _refusals(repositories: list[str]) -> Iterator[Problem]:
    for repository in dict.fromkeys(repositories):
        try:
            registry.tagged_manifest(repository, "slipway-doctor")  # no such tag: an answer is all that counts
        except sdk.RunError as error:
            host = repository.partition("/")[0]
            yield Problem(str(error), f"docker login {host}, as somebody who may push there")


def _numbers(version: str) -> tuple[int, ...]:
    """Return (3, 259, 0) of `3.259.0`; () of anything else."""
    parts = version.partition("-")[0].split(".")
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else ()
