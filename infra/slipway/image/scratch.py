"""What a stage of a Dockerfile puts into an image, where that takes no base image and runs no command.

`builder: daemonless` assembles such a stage itself: the same files and configuration as Docker would give it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi

from slipway.image.dockerfile import Instruction, Stage, stages
from slipway.image.oci import File


@dataclass
class Contents:
    """The layers and the configuration of an image."""

    layers: list[list[File]] = field(default_factory=list[list[File]])
    config: dict[str, Any] = field(default_factory=dict[str, Any])


def contents(dockerfile: str, target: str, context: Path, arguments: Mapping[str, str]) -> Contents | None:
    """Return what a stage puts into an image; None if there is no such stage.

    Raises `pulumi.RunError` for a stage that only Docker can build.
    """
    known = {stage.name: stage for stage in stages(dockerfile) if stage.name}
    if target not in known:
        return None
    result, variables = Contents(), dict[str, str]()
    for instruction in _chain(known, target):
        _apply(result, variables, instruction, context, arguments)
    return result


def _chain(known: Mapping[str, Stage], target: str) -> Iterator[Instruction]:
    """Yield the instructions of a stage, after those of the stages it is based on."""
    stage = known[target]
    if stage.base.lower() in known:
        yield from _chain({name: other for name, other in known.items() if name != target}, stage.base.lower())
    elif stage.base != "scratch":
        raise _needs_docker(f"FROM {stage.base}")
    yield from stage.instructions


def _apply(
    result: Contents, variables: dict[str, str], instruction: Instruction, context: Path, arguments: Mapping[str, str]
) -> None:
    keyword, text = instruction.keyword, _expanded(instruction.text, variables)
    config = result.config
    match keyword:
        case "ARG":
            name, _, default = text.partition("=")
            variables[name] = arguments.get(name, _unquoted(default))
        case "COPY" if not text.startswith(("--", "[")) and "<<" not in text:
            result.layers.append(_copied(context, text))
        case "LABEL":
            config.setdefault("Labels", {}).update(_pairs(text))
        case "ENV":
            variables.update(_pairs(text))
            config.setdefault("Env", []).extend(f"{name}={value}" for name, value in _pairs(text).items())
        case "USER" | "WORKDIR":
            config[{"USER": "User", "WORKDIR": "WorkingDir"}[keyword]] = text
        case "STOPSIGNAL":
            config["StopSignal"] = text
        case "EXPOSE":
            config.setdefault("ExposedPorts", {}).update(
                {port if "/" in port else f"{port}/tcp": {} for port in text.split()}
            )
        case "ENTRYPOINT" | "CMD" if text.startswith("["):
            config[keyword.capitalize()] = json.loads(text)
        case "HEALTHCHECK" if text.startswith("CMD ["):
            config["Healthcheck"] = {"Test": ["CMD", *json.loads(text.removeprefix("CMD "))]}
        case _:
            raise _needs_docker(f"{keyword} {text}")


def _copied(context: Path, text: str) -> list[File]:
    """Return the files of one COPY."""
    *origins, destination = text.split()
    files: list[File] = []
    for origin in origins:
        is_folder = destination.endswith("/") or len(origins) > 1
        inside = f"{destination.rstrip('/')}/{Path(origin).name}" if is_folder else destination
        source = context / origin
        files += files_of(source, destination if source.is_dir() else inside)
    return files


def files_of(source: Path, destination: str) -> list[File]:
    """Return a file, or all files of a folder, at their place in the image."""
    if not source.exists():
        raise pulumi.RunError(f"the image cannot be assembled: there is no {source.name} in the build context")
    if not source.is_dir():
        return [_file(source, destination)]
    inside = sorted(path for path in source.rglob("*") if path.is_file())
    return [_file(path, f"{destination.rstrip('/')}/{path.relative_to(source).as_posix()}") for path in inside]


def _file(source: Path, destination: str) -> File:
    mode = 0o755 if source.stat().st_mode & 0o100 else 0o644
    return File(destination.lstrip("/"), source.read_bytes(), mode)


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: variables.get(match[1] or match[2], ""), text)


def _pairs(text: str) -> dict[str, str]:
    """Return the names and values of LABEL and ENV."""
    return {
        name: _unquoted(value) for name, value in re.findall(r"(?<![\w./-])([\w./-]+)=(\"[^\"]*\"|'[^']*'|\S*)", text)
    }


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _needs_docker(instruction: str) -> pulumi.RunError:
    return pulumi.RunError(
        f"the stage `prebuilt` of the Dockerfile needs Docker for `{instruction[:60]}`: without a daemon it may copy "
        "files of the build context into an empty image (FROM scratch). Set builder: docker, or remove the stage"
    )
