"""The folders that images are built from, in .slipway/context: one for each content tag, built once and then reused.

A folder is filled under a temporary name and then renamed, so previews and updates that run at the same time see all of
it or nothing. The record beside it holds the digest of its files: what was cut off or edited is built anew.
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

import files
import pulumi
from settings import ROOT, Image
from source import prepare

FOLDER = ROOT / ".slipway" / "context"
# Stacks differ in how they build: this is room for all of them and some edits.
KEPT = 6
# Nothing younger goes: a run that still uses it may have begun this long ago.
IN_USE_SECONDS = 3600


def folder_of(tag: str) -> Path:
    """Return where the build context of a tag is kept."""
    return FOLDER / tag


def prepared(image: Image, tag: str) -> Path:
    """Return the complete build context of a tag; `pulumi.RunError` if the app does not compile."""
    folder = folder_of(tag)
    try:
        if not _is_intact(folder):
            FOLDER.mkdir(parents=True, exist_ok=True)
            with _locked(FOLDER / f".{tag}.lock"):
                if not _is_intact(folder):  # else another run has built it meanwhile
                    _build(folder, image, tag)
        os.utime(folder)
        _remove_old()
    except OSError as error:
        raise pulumi.RunError(f"the image cannot be prepared: {files.message(error)}") from None
    return folder


@contextmanager
def _locked(file: Path) -> Generator[None]:
    """Wait until no other run holds the lock. It ends with its process, so a killed run blocks nobody."""
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
        for left in FOLDER.glob(f"{temporary.name}*"):
            _remove(left)


def _is_intact(folder: Path) -> bool:
    try:
        return _record(folder).read_text() == digest(folder)
    except FileNotFoundError:
        return False


def _record(folder: Path) -> Path:
    return folder.with_suffix(".digest")


def digest(folder: Path) -> str:
    """Return the SHA-256 of all files of a folder: their paths, modes and bytes."""
    content = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content.update(f"{file.relative_to(folder)}\0{file.stat().st_mode:o}\0{file.stat().st_size}\0".encode())
        content.update(file.read_bytes())
    return content.hexdigest()


def _remove_old() -> None:
    """Remove all but the last used folders, and what killed runs have left."""
    ended = time.time() - IN_USE_SECONDS
    used = {path: path.stat().st_mtime for path in FOLDER.iterdir()}
    contexts = [path for path in used if path.is_dir() and not path.name.startswith(".")]
    kept = sorted(contexts, key=lambda path: used[path])[-KEPT:]
    for path, at in used.items():
        owner = path.with_suffix("")  # of a record
        if owner not in kept and used.get(owner, at) < ended:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
