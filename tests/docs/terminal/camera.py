"""Runs the command of a picture on a terminal, and draws what it left there."""

from __future__ import annotations

import getpass
import shlex
import socket
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from rich.text import Text

from tests.docs.terminal import picture
from tests.docs.terminal.pictures import COLUMNS, FOLDER, LINES, PICTURES, Picture
from tests.docs.terminal.screen import Screen
from tests.e2e.conftest import ROOT, environment
from tests.ops.terminal.pseudo_terminal import of_a_user, run_on_terminal

SECONDS = 240
# Names that say nothing about who ran the command, and occur as words of their own.
COMMON_NAMES = {"root", "user", "runner", "localhost"}


class PictureError(Exception):
    """Why there is no picture."""


class Camera:
    """Draws the pictures that are wanted, and notes those that failed."""

    def __init__(self, wanted: Collection[str]) -> None:
        self._wanted = set(wanted)
        self.failures: list[str] = []

    def wants(self, *names: str) -> bool:
        """Whether one of these pictures is to be drawn."""
        return not self._wanted.isdisjoint(names)

    def take(self, name: str) -> None:
        """Draw a picture, if it is wanted. A failure is noted and printed, and the former picture stays."""
        if not self.wants(name):
            return
        try:
            draw(PICTURES[name])
        except (PictureError, TimeoutError) as error:
            self.fail(name, str(error))
        else:
            say(f"drawn: {PICTURES[name].file.relative_to(ROOT)}")

    def fail(self, what: str, reason: str) -> None:
        """Note that something failed."""
        self.failures.append(what)
        say(f"error: {what}: {reason}")


def say(message: str) -> None:
    """Print how far it is."""
    sys.stderr.write(f"{message}\n")


def draw(wanted: Picture) -> None:
    """Run the command of a picture, and write the picture. Raises PictureError and TimeoutError."""
    say(f"$ {wanted.command}")
    command = shlex.split(wanted.command)
    code, output = run_on_terminal(command, of_a_user(environment()), COLUMNS, LINES, seconds=SECONDS, folder=ROOT)
    screen = Screen(COLUMNS)
    screen.write(output)
    check(wanted, code, screen.lines)
    lines = [picture.prompt(wanted.command), *picture.without(screen.lines, wanted.hidden)]
    FOLDER.mkdir(exist_ok=True)
    wanted.file.write_text(picture.draw(wanted.name, wanted.title, lines))


def check(wanted: Picture, code: int, lines: list[Text]) -> None:
    """Raise PictureError if the command did something else, or shows what is nobody's business."""
    text = "\n".join(line.plain for line in lines)
    # A line may be broken within a word.
    unbroken = "".join(text.split())
    if code != wanted.exit_code:
        raise PictureError(f"exit code {code}, expected {wanted.exit_code}\n{text}")
    if missing := [shown for shown in wanted.shows if "".join(shown.split()) not in unbroken]:
        raise PictureError(f"it does not show {missing[0]!r}\n{text}")
    if any(private in unbroken for private in _private()):
        raise PictureError("it shows a secret, or a name or path of this machine; nothing was drawn")


def _private() -> Iterator[str]:
    """Yield what no picture may show: secrets, and what says where it was drawn."""
    names = {socket.gethostname(), getpass.getuser()} - COMMON_NAMES
    yield from {str(ROOT), str(Path.home()), *names}
    for file in (ROOT / ".slipway" / "secrets").glob("*"):
        yield "".join(file.read_text().split())
