"""Build contexts: folders in .slipway/context, one for each content tag, filled once and then reused.

A folder is filled under a temporary name and then renamed, so that concurrent previews and updates see all of it or
nothing. The record beside it has the digest of its files: a damaged or edited folder is built again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pulumi

from slipway import files
from slipway.image.source import prepare
from slipway.project import ROOT
from slipway.settings.sections.images import Image

FOLDER = ROOT / ".slipway" / "context"
# Enough for the images of all stacks, which may build differently, and some edits.
KEPT = 12
# Younger folders are kept, since a run that began this long ago may still use them.
IN_USE_SECONDS = 3600


def folder_of(tag: str, part: str = "") -> Path:
    """Return where the build context of a tag is kept, or one of its parts."""
    return FOLDER / f"{tag}{part}"


def prepared(image: Image, tag: str, part: str = "") -> Path:
    """Return the complete build context of a tag. Raises `pulumi.RunError` if the app does not compile.

    `part` separates the contexts of one tag that are compiled for several platforms.
    """
    folder = folder_of(tag, part)
    try:
        if not _is_intact(folder):
            FOLDER.mkdir(parents=True, exist_ok=True)
            with _locked(FOLDER / f".{folder.name}.lock"):
                if not _is_intact(folder):  # else another run has built it meanwhile
                    _build(folder, image, tag)
        os.utime(folder)
        _remove_old()
    except OSError as error:
        raise pulumi.RunError(f"the image cannot be prepared: {files.message(error)}") from None
    return folder


@contextmanager
def _locked(file: Path) -> Generator[None]:
    """Wait until no other run holds the lock. The lock of a killed process is released by the system."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(folder: Path, image: Image, tag: str) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=f".{tag}-", dir=FOLDER))
    temporary.chmod(0o755)  # Docker's daemon may run as another user
    try:
        prepare(temporary, image, tag)
        if folder.exists():  # damaged
            folder.rename(temporary.with_suffix(".damaged"))
        _record(folder).write_text(digest(temporary))
        temporary.rename(folder)
    finally:
        for leftover in FOLDER.glob(f"{temporary.name}*"):
            _remove(leftover)


def _is_intact(folder: Path) -> bool:
    try:
        return _record(folder).read_text() == digest(folder)
    except FileNotFoundError:
        return False


def _record(folder: Path) -> Path:
    return folder.with_suffix(".digest")


def digest(folder: Path) -> str:
    """Return the SHA-256 of the paths, modes and bytes of all files of a folder."""
    content = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink()):
        if file.is_symlink():
            content.update(f"{file.relative_to(folder)}\0{file.readlink()}\0".encode())
        else:
            content.update(f"{file.relative_to(folder)}\0{file.stat().st_mode:o}\0{file.stat().st_size}\0".encode())
            content.update(file.read_bytes())
    return content.hexdigest()


def _remove_old() -> None:
    """Remove all but the last used folders, and leftovers of killed runs."""
    unused_since = time.time() - IN_USE_SECONDS
    last_used = {path: path.stat().st_mtime for path in FOLDER.iterdir()}
    contexts = [path for path in last_used if path.is_dir() and not path.name.startswith(".")]
    kept = sorted(contexts, key=lambda path: last_used[path])[-KEPT:]
    for path, at in last_used.items():
        folder = path.with_suffix("")  # of a record
        if folder not in kept and last_used.get(folder, at) < unused_since:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
