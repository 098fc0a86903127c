"""`./slipway render`: a stack's Kubernetes objects as YAML, byte for byte the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from files import explained, read_bytes
from files import write as write_files

from ops.recorder import Json, Program

HEADER = "# Rendered by ./slipway render. Do not edit: change the stack file or infra/ instead.\n"

# The order in which `kubectl apply` needs them; kinds not named here come last.
ORDER = ["Namespace", "ServiceAccount", "ConfigMap", "Secret", "Service", "Deployment", "HorizontalPodAutoscaler"]
FIRST_KEYS = ["apiVersion", "kind", "metadata"]


class NotOurs(Exception):
    """The output folder holds a file that render did not write."""


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: text of several lines as a block."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def documents(program: Program) -> dict[str, str]:
    """File name -> YAML of each object, in the order they can be applied."""
    manifests = list(program.manifests().values())
    manifests.sort(key=lambda manifest: (_rank(manifest["kind"]), manifest["kind"], manifest["metadata"]["name"]))
    return {f"{m['kind'].lower()}-{m['metadata']['name']}.yaml": _yaml(m) for m in manifests}


def one_stream(files: dict[str, str]) -> str:
    """All documents, each after its `---`."""
    return HEADER + "".join(f"---\n{content}" for content in files.values())


def write(files: dict[str, str], folder: Path) -> list[Path]:
    """One file per object; objects that are gone lose their file. `NotOurs` if that would touch anything else."""
    with explained():
        folder.mkdir(parents=True, exist_ok=True)
        present = sorted(folder.iterdir())
    if foreign := [file.name for file in present if not _is_ours(file)]:
        raise NotOurs(f"{folder}: {foreign[0]} was not written by render. Give an empty folder, or move the file away.")
    write_files({folder / name: HEADER + content for name, content in files.items()})
    with explained():
        for file in present:
            if file.name not in files:
                file.unlink()
    return [folder / name for name in files]


def _is_ours(file: Path) -> bool:
    return file.suffix == ".yaml" and file.is_file() and read_bytes(file).startswith(HEADER.encode())


def _rank(kind: str) -> int:
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


def _yaml(manifest: dict[str, Any]) -> str:
    ordered = {key: _sorted(manifest[key]) for key in [*FIRST_KEYS, *sorted(manifest.keys() - set(FIRST_KEYS))]}
    return yaml.dump(ordered, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)


def _sorted(value: Json) -> Json:
    """Mappings by key, with `name` first, where people look for it; lists keep their order."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value, key=_name_first)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _name_first(key: str) -> tuple[bool, str]:
    return key != "name", key
