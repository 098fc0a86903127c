"""Download official releases, and give up at once where there is no internet."""

from __future__ import annotations

import os
import platform
import shutil
import tarfile
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

from local.bootstrap.host import connection_error
from local.errors import SetupError
from local.paths import ClonePaths
from local.progress import Task

CONNECT_SECONDS = 3
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def operating_system() -> str:
    """Return linux or darwin."""
    return platform.system().lower()


def architecture() -> str:
    """Return the name that Go and Kubernetes use: amd64 or arm64."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


class Downloads:
    """A download site. Whether it can be reached is checked once per run, which takes 3 s at most."""

    def __init__(self, paths: ClonePaths, site: str = "https://get.pulumi.com") -> None:
        self._paths = paths
        self._site = site
        self._error: str | None = None
        self._lock = threading.Lock()

    def get(self, task: Task, name: str, path: str, strip: int = 0) -> Path | None:
        """Return the unpacked archive in the cache, or None if it cannot be downloaded."""
        folder = self._paths.cache / f"{name}-official"
        if folder.is_dir():
            return folder
        if self._unreachable(task):
            return None
        url = f"{self._site}/{path}"
        try:
            return cached_folder(folder, lambda temporary: unpack(url, temporary, strip))
        except (OSError, tarfile.TarError, EOFError) as error:
            task.report(f"the official download failed ({url}: {error})")
            return None

    def _unreachable(self, task: Task) -> str:
        with self._lock:
            if self._error is None:
                self._error = connection_error(self._site, CONNECT_SECONDS)
                if self._error:
                    task.report(f"no official downloads: {self._site} cannot be reached ({self._error})")
            return self._error


def unpack(url: str, folder: Path, strip: int) -> None:
    """Unpack a .tar.gz while it downloads, without the first `strip` folder names."""
    with (
        urllib.request.urlopen(url, timeout=30) as response,  # noqa: S310 built from our own constants
        tarfile.open(fileobj=response, mode="r|gz") as archive,
    ):
        for member in archive:
            member.name = "/".join(member.name.split("/")[strip:])
            if member.name:
                archive.extract(member, folder, filter="data")


def cached_folder(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Return the folder, filled first if it does not exist. It gets its name when it is complete."""
    if folder.is_dir():
        return folder
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        fill(temporary)
        try:
            temporary.rename(folder)
        except OSError as error:  # another clone created it in the meantime
            if not folder.is_dir():
                raise SetupError(
                    f"{folder} cannot be written: {error.strerror}", "check its permissions, or set XDG_CACHE_HOME"
                ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
