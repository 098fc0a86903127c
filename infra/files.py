"""Reading and writing files: whatever the operating system refuses becomes one message with a fix.

Files are written whole or not at all: a full disk leaves the former ones as they were.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pulumi

_TAKEN = "move away what stands there, or choose another path"
FIXES = {
    errno.ENOSPC: "free some disk space",
    errno.EDQUOT: "free some of your disk quota",
    errno.EACCES: "make it yours (chown), or choose another path",
    errno.EPERM: "make it yours (chown), or choose another path",
    errno.EROFS: "choose a path that can be written to",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: _TAKEN,
    errno.EEXIST: _TAKEN,
    errno.EISDIR: _TAKEN,
    errno.ELOOP: "remove the symbolic links that lead to each other",
    errno.ENAMETOOLONG: "choose a shorter path",
}


class FileError(pulumi.RunError):
    """A file or folder that cannot be read or written: which, why, and what to do."""


@contextmanager
def explained(path: Path | None = None) -> Generator[None]:
    """Raise FileError for an OSError that comes up meanwhile; about this path, or the one that the error names."""
    try:
        yield
    except OSError as error:
        raise FileError(message(error, path)) from None


def message(error: OSError, path: Path | None = None) -> str:
    """Return one line that says which path was refused, why, and what to do."""
    named = path or error.filename
    name = os.fsdecode(named) if isinstance(named, str | bytes | os.PathLike) else ""
    if isinstance(error, FileNotFoundError) and name and os.sep not in name and not shutil.which(name):
        return f"there is no program `{name}`. Fix: install it, or see `. ./activate`"
    fix = FIXES.get(error.errno or 0)
    refused = f"{name or 'output'}: {error.strerror}" if error.strerror and (name or fix) else str(error)
    return f"{refused}. Fix: {fix}" if fix else refused


def read_bytes(path: Path) -> bytes:
    """Return the content of a file. Raises FileError."""
    with explained():
        return path.read_bytes()


def read_text(path: Path) -> str:
    """Return the text of a file. Raises FileError, also for bytes that are no UTF-8."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError:
        raise FileError(f"{path}: is not UTF-8. Fix: save it as UTF-8") from None


def write(texts: Mapping[Path, str]) -> None:
    """Write files, and their folders; no file is changed before all of them fit on the disk. Raises FileError."""
    # A link stays a link: what it leads to is replaced.
    texts = {path.resolve(): text for path, text in texts.items()}
    new = {path: path.with_name(f".new-{path.name}") for path in texts}
    try:
        for path, text in texts.items():
            with explained():
                path.parent.mkdir(parents=True, exist_ok=True)
            with explained(path):
                new[path].write_text(text)
                if path.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        for path in texts:
            with explained(path):
                new[path].replace(path)
    finally:
        for file in new.values():
            with suppress(OSError):
                file.unlink()
