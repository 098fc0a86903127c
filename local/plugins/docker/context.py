"""Write the build context as one archive, and compute its digest.

Paths in `build` are relative to the folder of the Pulumi program, which is the working directory of a plugin.
"""

import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path
from typing import IO, Any, cast

from docker.utils.build import exclude_paths

from local.plugins.docker.image import ImageSpec
from local.plugins.provider import ProviderError


def context_digest(spec: ImageSpec) -> str:
    """Return the SHA-256 of the archive that the daemon would get: equal for equal files on every machine."""
    digest = hashlib.sha256()

    class Hasher(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any, /) -> int:
            digest.update(data)
            return len(data)

    write_context(spec, cast("IO[bytes]", Hasher()))
    return digest.hexdigest()


def write_context(spec: ImageSpec, to: IO[bytes]) -> str:
    """Write the build context as a tar archive, and return the Dockerfile's name in it.

    Owners, times and all permissions but the executable bit are left out, so that a fresh clone or another umask gives
    the same archive. So are empty folders, which git does not store either.
    """
    root, dockerfile = context_folder(spec), dockerfile_of(spec)
    inside = dockerfile.is_relative_to(root)
    name = dockerfile.relative_to(root).as_posix() if inside else f".dockerfile.{spec.target or 'image'}"
    files = {path: root / path for path in exclude_paths(str(root), ignore_patterns(root, dockerfile), dockerfile=name)}
    files[name] = dockerfile
    # w| writes a stream without seeking, so that the archive can be hashed while it is written.
    with tarfile.open(fileobj=to, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(files):
            _add(archive, path, files[path])
    return name


def _add(archive: tarfile.TarFile, name: str, file: Path) -> None:
    mode = file.lstat().st_mode
    entry = tarfile.TarInfo(name)
    if stat.S_ISDIR(mode):
        return
    if stat.S_ISLNK(mode):
        entry.type, entry.mode, entry.linkname = tarfile.SYMTYPE, 0o777, str(file.readlink())
        archive.addfile(entry)
    elif stat.S_ISREG(mode):
        entry.mode = 0o755 if mode & stat.S_IXUSR else 0o644
        with file.open("rb") as content:
            entry.size = os.fstat(content.fileno()).st_size
            archive.addfile(entry, content)
    else:
        raise ProviderError(
            f"build context: {file} is neither a file, a folder nor a link: remove it or add it to .dockerignore"
        )


def context_folder(spec: ImageSpec) -> Path:
    folder = Path(spec.context).resolve()
    if not folder.is_dir():
        raise ProviderError(
            f"build.context {spec.context!r} is not a folder (looked in {Path.cwd()}): set it relative to the program"
        )
    return folder


def dockerfile_of(spec: ImageSpec) -> Path:
    file = Path(spec.dockerfile)
    if file.is_file():
        # The file itself is not resolved: a Dockerfile that is a symlink belongs to the context it is in.
        return file.parent.resolve() / file.name
    in_context = Path(spec.context, spec.dockerfile)
    hint = f"try setting `dockerfile` to {str(in_context)!r}" if in_context.is_file() else "set build.dockerfile"
    raise ProviderError(f"could not open dockerfile at {spec.dockerfile!r} (looked in {Path.cwd()}): {hint}")


def ignore_patterns(root: Path, dockerfile: Path) -> list[str]:
    """Read the patterns of <Dockerfile>.dockerignore, else of the context's .dockerignore."""
    for file in (dockerfile.with_name(f"{dockerfile.name}.dockerignore"), root / ".dockerignore"):
        if file.is_file():
            lines = (line.strip() for line in file.read_text("utf-8").splitlines())
            return [line for line in lines if line and not line.startswith("#")]
    return []
