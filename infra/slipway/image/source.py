"""Sources of an image: the files of its build context, the hash that names them, and a copy of them to build from.

The hash covers paths, bytes, whether a file is executable, and build arguments, but no files that .dockerignore
excludes. It is the same in every clone, with every umask and on every machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import certifi

from slipway import files
from slipway.image.compiler import OUTPUT, compile_program
from slipway.image.dockerfile import last_stage
from slipway.project import ROOT
from slipway.settings.sections.images import Image

# Not those of this machine: an image must not depend on who builds it.
CA_CERTIFICATES = Path(certifi.where())
# What belongs to git and to Slipway, where the whole project is a build context.
_OF_THE_PROJECT = (".git", ".slipway", ".venv", "Pulumi.yaml", "infra", "rendered", "stacks")


def folder_of_context(image: Image) -> Path:
    """Return the folder that an image is built from."""
    return ROOT / image.context


def dockerfile_of(image: Image) -> str:
    """Return the text of the Dockerfile; empty if there is none, which a build without a daemon does not need."""
    file = folder_of_context(image) / image.dockerfile
    return files.read_text(file) if file.is_file() else ""


def arguments(image: Image) -> dict[str, str]:
    """Return what changes an image besides the files of its context."""
    certificates = hashlib.sha256(CA_CERTIFICATES.read_bytes()).hexdigest() if image.is_compiled_here else ""
    fixed = {
        "builder": image.builder,
        "target": target_of(image) or "",
        "platform": ",".join(image.platforms) or image.platform,
        "certificates": certificates,
    }
    given = {
        "dockerfile": image.dockerfile if image.dockerfile != "Dockerfile" else "",
        "package": image.package or "",
        "args": json.dumps(image.args, sort_keys=True) if image.args else "",
        "files": json.dumps(image.files, sort_keys=True) if image.files else "",
    }
    return fixed | {name: value for name, value in given.items() if value}


def target_of(image: Image) -> str | None:
    """Return the stage to build; None for the last one, if that has no name."""
    default = "prebuilt" if image.builder == "daemonless" else last_stage(dockerfile_of(image))
    return image.target or default


def content_tag(folder: Path, arguments: dict[str, str], dockerfile: str = "Dockerfile") -> str:
    """Return `src-` and 16 hex digits that change with any file of the build context or any build argument."""
    content = hashlib.sha256(repr(sorted(arguments.items())).encode())
    for path, file in sources(folder, dockerfile).items():
        if file.is_symlink():
            content.update(f"{path}\0link\0{file.readlink()}\0".encode())
        else:
            content.update(f"{path}\0{_mode(file):o}\0{file.stat().st_size}\0".encode())
            content.update(file.read_bytes())
    return f"src-{content.hexdigest()[:16]}"


def tag_of(image: Image) -> str:
    """Return the tag that a release of the present sources of an image has."""
    return content_tag(folder_of_context(image), arguments(image), image.dockerfile)


def prepare(context: Path, image: Image, tag: str, *, debugged: bool = False) -> None:
    """Fill an empty folder with a copy of the sources to build from. Raises `pulumi.RunError` if they do not compile.

    Of the file modes only the executable bit is kept: Docker plugins hash modes, and an image must not be built again
    because somebody cloned with another umask.
    """
    for path, file in sources(folder_of_context(image), image.dockerfile).items():
        if path in (".dockerignore", f"{image.dockerfile}.dockerignore"):
            continue  # was applied here, and would keep Docker from what is compiled below
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, context / path, follow_symlinks=False)
    if image.is_compiled_here:
        (context / OUTPUT).mkdir()
        shutil.copyfile(CA_CERTIFICATES, context / OUTPUT / "ca-certificates.crt")
        compile_program(context, image, tag, debugged=folder_of_context(image) if debugged else None)
    for path in context.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else _mode(path))


def sources(folder: Path, dockerfile: str = "Dockerfile") -> dict[str, Path]:
    """Return the files of the build context by path, in order: all but those that .dockerignore excludes.

    The Dockerfile is always among them, as for Docker.
    """
    # In a Go module, dist/ is built from the other files.
    left_out = {
        *(_OF_THE_PROJECT if folder == ROOT else (".git",)),
        *([OUTPUT] if (folder / "go.mod").exists() else []),
    }
    rules = list(_ignore_rules(folder, dockerfile))
    kept: dict[str, Path] = {}
    for path, file in _files(folder, left_out):
        if path in (dockerfile, f"{dockerfile}.dockerignore") or not _is_ignored(path, rules):
            kept[path] = file
    return {path: kept[path] for path in sorted(kept)}


def _files(folder: Path, left_out: set[str]) -> Iterator[tuple[str, Path]]:
    """Yield the files and links below a folder, each with its path in it, without some of its entries."""
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        if here == folder:
            folders[:] = [name for name in folders if name not in left_out]
            names = [name for name in names if name not in left_out]  # noqa: PLW2901
        prefix = "" if here == folder else f"{here.relative_to(folder).as_posix()}/"
        for name in (*names, *folders):
            entry = here / name
            if entry.is_file() or entry.is_symlink():
                yield prefix + name, entry


def _ignore_rules(folder: Path, dockerfile: str) -> Iterator[tuple[bool, re.Pattern[str]]]:
    """Yield for each pattern of .dockerignore whether it excludes, and what it matches. The last match decides."""
    own = folder / f"{dockerfile}.dockerignore"
    file = own if own.is_file() else folder / ".dockerignore"
    for line in files.read_text(file).splitlines() if file.is_file() else ():
        pattern = line.strip()
        if pattern and not pattern.startswith("#"):
            excludes = not pattern.startswith("!")
            yield excludes, _pattern(pattern.removeprefix("!").strip().strip("/"))


def _pattern(pattern: str) -> re.Pattern[str]:
    """Translate a pattern as Docker reads it: `*` and `?` stay within one folder, `**/` is any number of them."""
    parts = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[[^][]+\])", pattern.removeprefix("./"))
    text = "".join(parts.get(piece) or (piece if piece.startswith("[") else re.escape(piece)) for piece in pieces)
    return re.compile(text)


def _is_ignored(path: str, rules: list[tuple[bool, re.Pattern[str]]]) -> bool:
    """Return whether a file is no part of the context. A pattern that matches a folder holds for all it contains."""
    parts = path.split("/")
    paths = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    ignored = False
    for excludes, pattern in rules:
        if any(map(pattern.fullmatch, paths)):
            ignored = excludes
    return ignored


def _mode(file: Path) -> int:
    """Reduce the mode to its executable bit, so that the umask of a checkout does not change the hash."""
    return 0o755 if file.stat().st_mode & 0o100 else 0o644
