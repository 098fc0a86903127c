"""Watches files by polling: which of them were edited, added or removed.

Polling needs no library, and notices every editor's way of saving, also over network mounts that report no events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

# Within this time a saved file is followed by the others of the same command, such as a formatter or `git checkout`.
QUIET_SECONDS = 0.1

Stamps = dict[str, tuple[int, int, int]]
"""Time of change, size and mode by path."""


class Watched:
    """The files that a function lists by path, and their stamps when they were looked at last."""

    def __init__(self, list_files: Callable[[], Mapping[str, Path]]) -> None:
        self._list_files = list_files
        self._seen = self._stamps()

    @property
    def has_changed(self) -> bool:
        """Whether anything changed since `changes` was called last."""
        return self._stamps() != self._seen

    def changes(self) -> list[str]:
        """Return the paths that changed since the last call, once they have rested for a moment."""
        before, now = self._seen, self._stamps()
        if now == before:
            return []
        while now != (later := self._later()):
            now = later
        self._seen = now
        return sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))

    def _later(self) -> Stamps:
        time.sleep(QUIET_SECONDS)
        return self._stamps()

    def _stamps(self) -> Stamps:
        return dict(_stamped(self._list_files().items()))


def _stamped(files: Iterable[tuple[str, Path]]) -> Iterable[tuple[str, tuple[int, int, int]]]:
    for path, file in files:
        try:
            status = file.lstat()
        except FileNotFoundError:  # removed since it was listed; some editors replace a file when they save it
            continue
        yield path, (status.st_mtime_ns, status.st_size, status.st_mode)
