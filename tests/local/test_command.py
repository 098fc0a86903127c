"""Errors of the machine are reported by `make up` and its siblings with cause and fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from local import command
from local.paths import ClonePaths


def test_a_file_in_place_of_the_state_folder_is_reported_with_a_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".slipway").write_text("a file")
    monkeypatch.setattr(command, "clone_paths", lambda clone: ClonePaths(clone=tmp_path, cache=tmp_path / "cache"))
    assert command.main(["down"]) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/.slipway: File exists\n  fix: move that file or folder away, then run it again\n"
    )
