"""The help of the verbs: in groups and with examples, in boxes on a terminal and as plain lines elsewhere."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING

import typer
from typer.core import TyperGroup

from slipway.ops import exit_codes

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter


class Verbs(TyperGroup):
    """A group of verbs whose plain help has the headings of its boxes."""

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write a list of verbs for each heading."""
        headings: dict[str, list[tuple[str, str]]] = {}
        longest = max(map(len, self.commands))
        for name in self.list_commands(ctx):
            verb = self.commands[name]
            heading = getattr(verb, "rich_help_panel", None) or "Commands"
            headings.setdefault(heading, []).append((f"{name:{longest}}", verb.get_short_help_str(formatter.width)))
        for heading, rows in headings.items():
            with formatter.section(heading):
                formatter.write_dl(rows)


def describe(app: typer.Typer, group: str = "") -> None:
    """Take the help of all verbs of an application from their docstrings and the table of exit codes.

    Boxes and colours need a terminal for stdout and for stderr: errors are formatted in the same way as the help.
    """
    boxes = all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))
    app.rich_markup_mode = "rich" if boxes else None
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        codes = exit_codes.sentence(f"{group} {name}".strip())
        command.help = help_text(inspect.getdoc(command.callback) or "", codes, plain=not boxes)
    for inner in app.registered_groups:
        if inner.typer_instance:
            describe(inner.typer_instance, str(inner.typer_instance.info.name))


def help_text(docstring: str, codes: str = "", *, plain: bool) -> str:
    """Return a docstring, with the exit codes before its examples.

    A paragraph is one line, which the terminal wraps; examples stay as they stand.
    """
    paragraphs = docstring.split("\n\n")
    end = len(paragraphs) - paragraphs[-1].startswith("Example")
    paragraphs[end:end] = [codes] if codes else []
    return "\n\n".join(_paragraph(paragraph, plain=plain) for paragraph in paragraphs)


def _paragraph(text: str, *, plain: bool) -> str:
    if not text.startswith("Example"):
        return " ".join(text.split())
    return f"\b\n{text}" if plain else text  # \b: the plain formatter leaves the lines as they are
