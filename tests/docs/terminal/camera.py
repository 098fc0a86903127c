"""Runs the command of a picture on a terminal, and draws what it left there."""

from __future__ import annotations

import getpass
import re
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
        self.drawn: list[str] = []
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
            self.drawn.append(name)
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
    env = {**of_a_user(environment()), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    code, output = run_on_terminal(shlex.split(wanted.command), env, COLUMNS, LINES, seconds=SECONDS, folder=ROOT)
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
    if paths := [path for path in (str(ROOT), str(Path.home())) if path in unbroken]:
        raise PictureError(f"it shows a path of this machine: {paths[0]}")
    if names := [name for name in _names() if re.search(rf"\b{re.escape(name)}\b", text)]:
        raise PictureError(f"it shows a name of this machine: {names[0]}")
    if any(secret in unbroken for secret in _secrets()):
        raise PictureError("it shows a secret of the local stack")


def _names() -> set[str]:
    host = socket.gethostname()
    return {host, host.partition(".")[0], getpass.getuser()} - COMMON_NAMES


def _secrets() -> Iterator[str]:
    for file in (ROOT / ".slipway" / "secrets").glob("*"):
        if secret := "".join(file.read_text(errors="replace").split()):
            yield secret
