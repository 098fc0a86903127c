"""Official releases: tried once, given up on at once where there is no internet."""

from __future__ import annotations

import os
import platform
import shutil
import tarfile
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

from .host import unreachable
from .places import Places
from .problems import Problem
from .progress import Task

CONNECT_SECONDS = 3
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def operating_system() -> str:
    """linux or darwin."""
    return platform.system().lower()


def architecture() -> str:
    """amd64 or arm64, as Go and Kubernetes say it."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


class Downloads:
    """A download site, asked once per run whether it is there: its silence costs 3 s in all."""

    def __init__(self, places: Places, site: str = "https://get.pulumi.com") -> None:
        self._places = places
        self._site = site
        self._reason: str | None = None
        self._lock = threading.Lock()

    def get(self, task: Task, name: str, path: str, strip: int = 0) -> Path | None:
        """The unpacked archive in the cache; None when it cannot be had."""
        folder = self._places.cache / f"{name}-official"
        if folder.is_dir():
            return folder
        if self._out_of_reach(task):
            return None
        url = f"{self._site}/{path}"
        try:
            return in_cache(folder, lambda temporary: unpack(url, temporary, strip))
        except (OSError, tarfile.TarError, EOFError) as error:
            task.say(f"the official download failed ({url}: {error})")
            return None

    def _out_of_reach(self, task: Task) -> str:
        with self._lock:
            if self._reason is None:
                self._reason = unreachable(self._site, CONNECT_SECONDS)
                if self._reason:
                    task.say(f"no official downloads: {self._site} cannot be reached ({self._reason})")
            return self._reason


def unpack(url: str, folder: Path, strip: int) -> None:
    """Unpack a .tar.gz while it comes in, without its first `strip` folder names."""
    with (
        urllib.request.urlopen(url, timeout=30) as answer,  # noqa: S310 made from our own constants
        tarfile.open(fileobj=answer, mode="r|gz") as archive,
    ):
        for member in archive:
            member.name = "/".join(member.name.split("/")[strip:])
            if member.name:
                archive.extract(member, folder, filter="data")


def in_cache(folder: Path, fill: Callable[[Path], None]) -> Path:
    """The folder, filled under another name first: what has its name is whole, whatever interrupts."""
    if folder.is_dir():
        return folder
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        fill(temporary)
        try:
            temporary.rename(folder)
        except OSError as error:  # another clone was faster
            if not folder.is_dir():
                raise Problem(
                    f"{folder} cannot be written: {error.strerror}", "look at its permissions, or set XDG_CACHE_HOME"
                ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
