"""The pictures of a terminal: drawn from what a command leaves there, and shown on the pages."""

from __future__ import annotations

import re
import shutil
import socket
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from rich.text import Text

from slipway.ops.program.recorder import declare
from tests.docs.pages import PAGES, Page
from tests.docs.terminal import __main__ as scenes
from tests.docs.terminal import camera, picture
from tests.docs.terminal.camera import Camera, PictureError
from tests.docs.terminal.pictures import FOLDER, PICTURES, Picture
from tests.docs.terminal.screen import Screen
from tests.e2e import conftest
from tests.ops.terminal.pseudo_terminal import run_on_terminal
from tests.paths import HAS_REFERENCE_APP, REPOSITORY

DRAWN = sorted(FOLDER.glob("*.svg"))
HOME = re.compile(r"/(home|root|Users|tmp|work|mnt|private)/")
"""A path of somebody's machine. Paths in a pod, and of an API, are none."""

each_drawn = pytest.mark.parametrize("file", DRAWN, ids=lambda file: file.stem)


# What a command leaves on a terminal


def shown(*output: str, columns: int = 40) -> list[str]:
    screen = Screen(columns)
    for part in output:
        screen.write(part)
    return [line.plain for line in screen.lines]


def test_lines_that_are_written_over_are_shown_as_they_are_at_the_end():
    first, last = (
        "Updating:\r\n + api creating\r\n + web creating\r\n",
        " + api created\x1b[K\r\n + web failed\x1b[K\r\n",
    )
    assert shown(f"{first}\r\x1b[2A", last) == ["Updating:", " + api created", " + web failed"]
    assert shown("10 %\r100 %\r\ndone") == ["100 %", "done"]
    assert shown("a\r\nb\r\nc\x1b[1A\x1b[J") == ["a", "b"]
    assert shown("abcdef\x1b[3D\x1b[1K", "x") == ["   xef"]


def test_what_shows_nothing_on_a_terminal_is_not_in_the_lines():
    assert shown("\x1b[?25l\x1b]0;title\x07\x1b(Bvisible\x1b[?25h\r\n\r\n") == ["visible"]


def test_a_line_longer_than_the_terminal_goes_on_below():
    assert shown("0123456789abc\r\nnext", columns=10) == ["0123456789", "abc", "next"]


def test_colours_are_kept_also_where_a_line_was_written_over():
    screen = Screen(20)
    screen.write("\x1b[31mfailed\x1b[0m\r\x1b[1;32mok\x1b[0m\x1b[K")
    [line] = screen.lines
    assert line.plain == "ok"
    assert [(span.start, span.end, str(span.style)) for span in line.spans] == [(0, 2, "bold color(2)")]


def test_a_command_sees_a_terminal_of_the_size_and_its_exit_code_is_returned():
    program = "import os, sys; print(*os.get_terminal_size(), sys.stdin.isatty()); sys.exit(3)"
    assert run_on_terminal([sys.executable, "-c", program], {}, 100, 60) == (3, "100 60 True\r\n")


def test_a_command_that_takes_too_long_is_stopped_as_by_ctrl_c(tmp_path: Path):
    program = """import pathlib, time
try: time.sleep(60)
except KeyboardInterrupt: pathlib.Path("stopped").touch()"""
    with pytest.raises(TimeoutError, match="not done within 2 s"):
        run_on_terminal([sys.executable, "-c", program], {}, 80, 24, seconds=2, folder=tmp_path)
    assert (tmp_path / "stopped").exists()


# The picture of it


def parsed(drawn: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawn)  # noqa: S314 - our own file


def test_a_picture_holds_the_lines_in_their_columns_and_colours():
    lines = [picture.prompt("./slipway status"), Text("  api   2/2 <ok>", "green"), Text(), Text("a & b")]
    drawn = picture.draw("x", "A healthy stack", lines)
    assert picture.text_of(drawn) == ["$ ./slipway status", "  api   2/2 <ok>", "a & b"]
    assert 'aria-label="A healthy stack"' in drawn
    places = [(text["x"], text["text"]) for text in picture.TEXT.finditer(drawn)]
    assert places == [("0", "$ ./slipway status"), ("24", "api"), ("96", "2/2 &lt;ok&gt;"), ("0", "a &amp; b")]
    parsed(drawn)


def test_a_picture_is_as_wide_as_its_longest_line():
    def width(text: str) -> float:
        return float(parsed(picture.draw("x", "", [Text(text)])).attrib["width"])

    assert width("x" * 80) - width("x" * 70) == pytest.approx(10 * picture.LETTER_WIDTH * picture.SCALE, abs=1)
    assert width("") == width("x" * picture.MIN_COLUMNS)


def test_a_part_that_is_left_out_is_counted():
    lines = list(map(Text, ["a", "Previewing", "b", "Updating", "c", "Previewing", "d"]))
    left = picture.without(lines, [("^Preview", "^Updating"), ("^Preview", "^never")])
    assert [line.plain for line in left] == ["a", "⋮ 2 lines", "", "Updating", "c", "Previewing", "d"]


# Runs that are no picture


@pytest.mark.parametrize(
    ("code", "line", "problem"),
    [
        (1, "all is well", "exit code 1, expected 0"),
        (0, "all is lost", "it does not show 'is well'"),
        (0, "all is well in HERE/app", "it shows a path of this machine: HERE"),
        (0, "all is well on the-laptop", "it shows a name of this machine: the-laptop"),
        (0, "all is well with 0123456789abcdef", "it shows a secret of the local stack"),
    ],
)
def test_a_run_that_shows_something_else_or_too_much_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, line: str, problem: str
):
    (tmp_path / ".slipway" / "secrets").mkdir(parents=True)
    (tmp_path / ".slipway" / "secrets" / "signing-key").write_text("0123456789abcdef\n")
    monkeypatch.setattr(camera, "ROOT", tmp_path)
    monkeypatch.setattr(socket, "gethostname", lambda: "the-laptop.example.com")
    wanted = Picture("x", "./slipway x", "", ("is well",))
    camera.check(wanted, 0, [Text("all is we"), Text("ll")])
    with pytest.raises(PictureError, match=re.escape(problem.replace("HERE", str(tmp_path)))):
        camera.check(wanted, code, [Text(line.replace("HERE", str(tmp_path)))])


def test_a_picture_that_fails_is_named_and_the_next_one_is_drawn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    drawn: list[str] = []

    def draw(wanted: Picture) -> None:
        if wanted.name == "up":
            raise PictureError("exit code 1, expected 0")
        drawn.append(wanted.name)

    monkeypatch.setattr(camera, "draw", draw)
    camera_ = Camera(["up", "status"])
    for name in ("preview", "up", "status"):
        camera_.take(name)
    assert (drawn, camera_.drawn, camera_.failures) == (["status"], ["status"], ["up"])
    assert "error: up: exit code 1, expected 0" in capsys.readouterr().err


# The changes in which they are drawn


@pytest.fixture
def stack_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the stack files, which the scenes change; nothing is run."""
    shutil.copytree(REPOSITORY / "stacks", tmp_path / "stacks")
    monkeypatch.setattr(conftest, "ROOT", tmp_path)
    for name in ("up", "run", "build_server_images", "eventually"):
        monkeypatch.setattr(scenes, name, lambda *_, **__: None)
    monkeypatch.setattr(scenes, "Load", lambda *_: nullcontext())
    monkeypatch.setattr(scenes, "ingress_pool", lambda host: host)
    return tmp_path / "stacks"


class FakeCamera(Camera):
    """Keeps the stack file of each picture instead of drawing it."""

    def __init__(self, stacks: Path, *failing: str) -> None:
        super().__init__(PICTURES)
        self.stacks, self.failing = stacks, failing
        self.taken: dict[str, Any] = {}

    def take(self, name: str) -> None:
        if name in self.failing:
            raise KeyboardInterrupt
        stack = "prod" if name == "preview-prod" else "local"
        self.taken[name] = yaml.safe_load((self.stacks / f"Pulumi.{stack}.yaml").read_text())["config"]


@pytest.mark.skipif(not HAS_REFERENCE_APP, reason="the pictures show the stacks of the reference app")
def test_every_picture_is_of_a_scene_whose_stack_file_the_program_takes(stack_files: Path):
    fake = FakeCamera(stack_files)
    before = {file: file.read_bytes() for file in stack_files.glob("*.yaml")}
    for scene, names in scenes.SCENES.items():
        scene(fake)
        assert set(names) <= fake.taken.keys()
        assert {file: file.read_bytes() for file in before} == before
    assert fake.taken.keys() == PICTURES.keys()
    services = fake.taken["failed-up"]["slipway:services"]
    assert (services["web"]["env"]["LOG_LEVEL"], services["api"]["env"]["LOG_LEVEL"]) == ("loud", "info")
    assert services["web"]["progressSeconds"] == 20
    for name in ("preview", "failed-up", "slo"):
        assert declare("local", fake.taken[name]).outputs["image"]


@pytest.mark.skipif(not HAS_REFERENCE_APP, reason="the pictures show the stacks of the reference app")
def test_after_ctrl_c_the_stack_file_is_as_before(stack_files: Path):
    before = (stack_files / "Pulumi.local.yaml").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        scenes.updates(FakeCamera(stack_files, "failed-up"))
    assert (stack_files / "Pulumi.local.yaml").read_bytes() == before


def test_a_scene_that_fails_is_named_and_the_others_are_drawn(
    monkeypatch: pytest.MonkeyPatch, stack_files: Path, capsys: pytest.CaptureFixture[str]
):
    def up() -> None:
        raise AssertionError("pulumi up -> 255: no cluster answers")

    monkeypatch.setattr(scenes, "up", up)
    monkeypatch.setattr(camera, "draw", lambda wanted: None)
    assert scenes.main(["up", "failed-up", "status"]) == 1
    messages = capsys.readouterr().err
    assert "error: up, failed-up: pulumi up -> 255: no cluster answers\n" in messages
    assert "drawn: docs/reference/terminal/status.svg\n" in messages
    assert scenes.main(["status"]) == 0
    assert scenes.main(["stauts"]) == 2


# Those on the pages


def test_every_picture_is_drawn_and_none_is_left_of_those_that_are_drawn_no_more():
    assert sorted(file.stem for file in DRAWN) == sorted(PICTURES), "run `make terminal-pictures`"


@each_drawn
def test_the_first_line_of_a_picture_is_its_command(file: Path):
    assert picture.text_of(file.read_text())[0] == f"$ {PICTURES[file.stem].command}"


@each_drawn
def test_a_picture_loads_nothing_and_shows_nobody_s_files(file: Path):
    drawn = file.read_text()
    parsed(drawn)
    assert set(re.findall(r"https?://[^\s\"'<]+", drawn.partition(">")[0])) == {"http://www.w3.org/2000/svg"}
    assert re.findall(r"url\(|@import|@font-face|<script|<image|href=", drawn) == []
    assert HOME.findall(drawn) == []


@each_drawn
def test_a_picture_is_on_a_page_with_a_text_for_those_who_do_not_see_it(file: Path):
    texts = [
        alternative
        for page in PAGES
        for alternative, link in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", Page(page).prose)
        if (page.parent / link).resolve() == file
    ]
    assert texts
    assert all(len(text.split()) > 5 for text in texts)
