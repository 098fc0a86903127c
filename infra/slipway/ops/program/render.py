"""`./slipway render`: a stack's Kubernetes objects as YAML, the same bytes each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from slipway import files
from slipway.ops.errors import UserError
from slipway.ops.program.recorder import Json, Program

HEADER = "# Rendered by ./slipway render. Do not edit: change the stack file or infra/ instead.\n"

# The order in which `kubectl apply` needs them; kinds not named here come last.
ORDER = ["Namespace", "ServiceAccount", "ConfigMap", "Secret", "Service", "Deployment", "HorizontalPodAutoscaler"]
FIRST_KEYS = ["apiVersion", "kind", "metadata"]


class FolderError(UserError):
    """The output folder holds a file that render did not write."""


# libyaml writes the same as PyYAML's own code in a fifth of the time, which grows with each service. Wheels have it.
_SafeDumper: type[yaml.SafeDumper] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_SafeDumper):
    """Dumps text of several lines as a block, as people write it."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def documents(program: Program) -> dict[str, str]:
    """Return the YAML of each object by file name, in an order in which they can be applied."""
    manifests = sorted(program.manifests().values(), key=position)
    return {file_name(manifest): document(manifest) for manifest in manifests}


def position(manifest: dict[str, Any]) -> tuple[int, str, str]:
    """Return the sort key of an object; the program declares objects in no fixed order."""
    kind = manifest["kind"]
    return ORDER.index(kind) if kind in ORDER else len(ORDER), kind, manifest["metadata"]["name"]


def file_name(manifest: dict[str, Any]) -> str:
    """Return the name of an object's file: `deployment-api.yaml`."""
    return f"{manifest['kind'].lower()}-{manifest['metadata']['name']}.yaml"


def one_stream(texts: dict[str, str]) -> str:
    """Join the documents into one stream, each after a `---`."""
    return HEADER + "".join(f"---\n{content}" for content in texts.values())


def write(texts: dict[str, str], folder: Path) -> list[Path]:
    """Write one file per object, and delete those of former objects. Raises FolderError if there are other files.

    A name may have a folder before it.
    """
    with files.file_errors():
        folder.mkdir(parents=True, exist_ok=True)
        present = sorted(file for file in folder.rglob("*") if not file.is_dir())
    if foreign := [str(file.relative_to(folder)) for file in present if not _is_ours(file)]:
        raise FolderError(
            f"{folder}: {foreign[0]} was not written by render. Give an empty folder, or move the file away."
        )
    files.write({folder / name: HEADER + content for name, content in texts.items()})
    with files.file_errors():
        for file in present:
            if file.relative_to(folder).as_posix() not in texts:
                file.unlink()
    return [folder / name for name in texts]


def _is_ours(file: Path) -> bool:
    return file.suffix == ".yaml" and file.is_file() and files.read_bytes(file).startswith(HEADER.encode())


def document(manifest: dict[str, Any]) -> str:
    """Return an object as YAML, its keys in the order in which people read them."""
    ordered = {key: _sorted(manifest[key]) for key in [*FIRST_KEYS, *sorted(manifest.keys() - set(FIRST_KEYS))]}
    return yaml.dump(ordered, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)


def _sorted(value: Json) -> Json:
    """Sort mappings by key, with `name` first, where people look for it; lists keep their order."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value, key=_name_first)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _name_first(key: str) -> tuple[bool, str]:
    return key != "name", key
