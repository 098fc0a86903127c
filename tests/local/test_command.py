"""What the machine refuses to `make up` and its siblings is told in two lines: what, and how to put it right."""

from __future__ import annotations

from pathlib import Path

import pytest

from local import command
from local.places import Places


def test_a_file_in_the_place_of_the_state_s_folder_is_named_with_its_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".slipway").write_text("a file")
    monkeypatch.setattr(command, "places", lambda clone: Places(clone=tmp_path, cache=tmp_path / "cache"))
    assert command.main(["down"]) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/.slipway: File exists\n  fix: move away what stands there, then run it again\n"
    )
