"""Reads and writes files: an error of the operating system becomes one message with a fix.

Files are written completely or not at all: a full disk leaves the old ones unchanged.
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
    """A file or folder cannot be read or written; the message says which, why, and what to do."""


@contextmanager
def file_errors(path: Path | None = None) -> Generator[None]:
    """Turn an OSError of the block into a FileError, about the given path or the one that the error names."""
    try:
        yield
    except OSError as error:
        raise FileError(message(error, path)) from None


def message(error: OSError, path: Path | None = None) -> str:
    """Return one line that says which path failed, why, and what to do."""
    subject = path or error.filename
    name = os.fsdecode(subject) if isinstance(subject, str | bytes | os.PathLike) else ""
    if isinstance(error, FileNotFoundError) and name and os.sep not in name and not shutil.which(name):
        return f"there is no program `{name}`. Fix: install it, or see `. ./activate`"
    fix = FIXES.get(error.errno or 0)
    problem = f"{name or 'output'}: {error.strerror}" if error.strerror and (name or fix) else str(error)
    return f"{problem}. Fix: {fix}" if fix else problem


def read_bytes(path: Path) -> bytes:
    """Return the content of a file. Raises FileError."""
    with file_errors():
        return path.read_bytes()


def read_text(path: Path) -> str:
    """Return the text of a file. Raises FileError, also if it is not UTF-8."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError:
        raise FileError(f"{path}: is not UTF-8. Fix: save it as UTF-8") from None


def write(texts: Mapping[Path, str], mode: int = 0o666) -> None:
    """Write files and create their folders. No file changes unless all of them fit on the disk. Raises FileError.

    `mode` as of new files: the umask takes from it.
    """
    # A symbolic link stays one: the file it points to is replaced.
    texts = {path.resolve(): text for path, text in texts.items()}
    new = {path: path.with_name(f".new-{path.name}") for path in texts}
    try:
        for path, text in texts.items():
            with file_errors():
                path.parent.mkdir(parents=True, exist_ok=True)
            with file_errors(path):
                new[path].touch(mode)
                new[path].write_text(text)
                if path.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        for path in texts:
            with file_errors(path):
                new[path].replace(path)
    finally:
        for file in new.values():
            with suppress(OSError):
                file.unlink()
