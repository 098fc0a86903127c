"""Errors of the operating system become one message with a fix, without a traceback or a lost file."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pulumi
import pytest

from slipway import files
from slipway.__main__ import main
from slipway.files import FileError
from slipway.image.source import content_tag
from slipway.ops.drills import drill, report
from slipway.ops.drills.catalogue import DRILLS
from slipway.ops.drills.report import Report
from slipway.ops.drills.traffic import Measurement
from slipway.ops.program import policies, reference, render, schema
from slipway.ops.program.recorder import declare
from slipway.settings import source_files
from tests.paths import PROJECT, REPOSITORY

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def slipway(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a verb as a user does, with pipes and files instead of a terminal."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-m", "slipway", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, text=True, check=False, **{**pipes, **options})


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """`refused("render", "-s", "dev")`: what a verb that fails writes to stderr."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["slipway", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == 1
        return capsys.readouterr().err

    return run


UNUSABLE = {
    "a file": ("values.yaml", "File exists. Fix: move away what stands there, or choose another path"),
    "below a file": ("values.yaml/out", "Not a directory. Fix: move away what stands there, or choose another path"),
    "a circle of links": ("circle/out", "Too many levels of symbolic links. Fix: remove the symbolic links"),
    "too long": ("x" * 300, "File name too long. Fix: choose a shorter path"),
}


@pytest.mark.parametrize("path", UNUSABLE)
def test_render_names_a_folder_that_it_cannot_write_into_and_why(path: str, refused: Any, tmp_path: Path):
    (tmp_path / "values.yaml").write_text("mine: true\n")
    (tmp_path / "circle").symlink_to("circle")
    name, reason = UNUSABLE[path]
    assert f"error: {tmp_path / name}: {reason}" in refused("render", "-s", "dev", "-o", str(tmp_path / name))
    assert (tmp_path / "values.yaml").read_text() == "mine: true\n"


DOCUMENTS = {
    "policies": (policies, "DOCUMENT"),
    "config docs": (reference, "DOCUMENT"),
    "config schema": (schema, "SCHEMA"),
}


@pytest.mark.parametrize("verb", DOCUMENTS)
def test_write_names_the_document_that_cannot_be_written_in_a_read_only_checkout(
    verb: str, refused: Any, monkeypatch: pytest.MonkeyPatch
):
    module, name = DOCUMENTS[verb]
    monkeypatch.setattr(module, name, Path("/proc/docs.md"))
    assert refused(*verb.split(), "--write") == "error: /proc/docs.md: No such file or directory. Fix: check the path\n"


@pytest.mark.parametrize("verb", ["policies", "config show -s dev", "render -s dev", "diff dev staging"])
def test_a_full_disk_under_the_output_is_reported_and_fails(verb: str):
    with Path("/dev/full").open("w") as full:
        done = slipway(*verb.split(), stdout=full)
    assert done.returncode == 1
    assert done.stderr == "error: output: No space left on device. Fix: free some disk space\n"


@pytest.mark.parametrize("verb", ["policies", "config schema", "render -s dev"])
def test_a_reader_that_leaves_early_gets_no_error_message(verb: str):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert slipway(*verb.split(), stdout=writing).stderr == ""
    finally:
        os.close(writing)


def test_a_reader_that_leaves_early_changes_no_exit_code(monkeypatch: pytest.MonkeyPatch):
    class Gone:
        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Gone())
    monkeypatch.setattr("slipway.__main__.app", lambda **_: sys.exit(2))
    monkeypatch.setattr("slipway.__main__._discard_output", lambda: None)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2


def test_a_verb_works_with_stdout_and_stderr_closed(tmp_path: Path):
    command = ["sh", "-c", f"exec '{sys.executable}' -m slipway render -s dev -o '{tmp_path}' >&- 2>&-"]
    assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == 0
    assert (tmp_path / "deployment-api.yaml").is_file()


def test_a_program_that_is_not_installed_is_named():
    error = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "no-such-program")
    assert files.message(error) == "there is no program `no-such-program`. Fix: install it, or see `. ./activate`"


def test_a_disk_that_fills_up_half_way_leaves_the_old_files_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    render.write({"a.yaml": "kind: A\n", "b.yaml": "kind: B\n", "c.yaml": "kind: C\n"}, tmp_path)
    before = {file: file.read_text() for file in tmp_path.iterdir()}
    write_text = Path.write_text

    def until_full(path: Path, text: str) -> int:
        written = write_text(path, text[: len(text) // 2] if "b.yaml" in path.name else text)
        if "b.yaml" in path.name:
            raise FULL
        return written

    monkeypatch.setattr(Path, "write_text", until_full)
    with pytest.raises(FileError, match=r"b\.yaml: No space left on device\. Fix: free some disk space"):
        render.write({"a.yaml": "kind: A2\n", "b.yaml": "kind: B2\n"}, tmp_path)
    assert {file: file.read_text() for file in tmp_path.iterdir()} == before


def test_a_folder_in_the_place_of_a_file_changes_no_other_file(tmp_path: Path):
    (tmp_path / "a.md").write_text("before")
    (tmp_path / "b.md").mkdir()
    with pytest.raises(FileError, match=r"b\.md: Is a directory"):
        files.write({tmp_path / "a.md": "after", tmp_path / "b.md": "after"})
    assert (tmp_path / "a.md").read_text() == "before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.md", "b.md"]


def test_a_document_that_is_a_symbolic_link_stays_one(tmp_path: Path):
    (tmp_path / "link.md").symlink_to("real.md")
    files.write({tmp_path / "link.md": "text"})
    assert (tmp_path / "link.md").is_symlink()
    assert (tmp_path / "real.md").read_text() == "text"


def test_a_drill_does_not_begin_if_its_report_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / ".slipway").write_text("a file")
    monkeypatch.setattr(report, "REPORTS", tmp_path / ".slipway" / "drills")
    with pytest.raises(OSError, match="Not a directory"), drill._exclusive():  # pyright: ignore[reportPrivateUsage]
        pytest.fail("began")


def test_a_report_that_cannot_be_written_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(report, "REPORTS", tmp_path)
    monkeypatch.setattr(Path, "write_text", lambda *_: (_ for _ in ()).throw(FULL))
    drill_report = Report(DRILLS[0], "dev", datetime.now(UTC), 1, [], [], Measurement([]))
    with pytest.raises(FileError, match="No space left on device"):
        drill._save(drill_report, as_json=True)  # pyright: ignore[reportPrivateUsage]
    assert "## Checks" in capsys.readouterr().err


def unreadable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Make files of that name unreadable, also for root, as whom the tests run in containers."""
    read_bytes = Path.read_bytes

    def reading(path: Path) -> bytes:
        if path.name == name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", reading)


DENIED = "Permission denied. Fix: make it yours"


def test_an_unreadable_stack_file_is_named(monkeypatch: pytest.MonkeyPatch):
    unreadable(monkeypatch, "Pulumi.dev.yaml")
    with pytest.raises(pulumi.RunError, match=rf"stacks/Pulumi\.dev\.yaml: {DENIED}"):
        source_files.read_files("dev")


@pytest.mark.parametrize("name", ["signing-key", "tls.key"])
def test_an_unreadable_secret_of_the_local_stack_is_named(name: str, sdk: None, monkeypatch: pytest.MonkeyPatch):
    unreadable(monkeypatch, name)
    with pytest.raises(pulumi.RunError, match=rf"{name}: {DENIED}"):
        declare("local")


def test_an_unreadable_source_file_is_named(sdk: None, monkeypatch: pytest.MonkeyPatch):
    assert content_tag(PROJECT / "app", {}).startswith("src-")
    unreadable(monkeypatch, "go.mod")
    with pytest.raises(pulumi.RunError, match=rf"app/go\.mod: {DENIED}"):
        declare("dev")


def test_a_secret_that_is_not_text_is_named(tmp_path: Path):
    (tmp_path / "signing-key").write_bytes(b"\xff\xfe")
    with pytest.raises(FileError, match=r"signing-key: is not UTF-8\. Fix: save it as UTF-8"):
        files.read_text(tmp_path / "signing-key")
