"""`./slipway config`: the settings of a stack, where each comes from, and what a stack file may say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from slipway.ops.verbs.options import Json, Stack
from slipway.project import ROOT

app = typer.Typer(name="config", help="Show and describe the settings of a stack.", no_args_is_help=True)
Write = Annotated[bool, typer.Option("--write", help="Write the file instead of printing it.")]


@app.command()
def show(stack: Stack, as_json: Json = False) -> None:
    """Print every setting in force, and the line it comes from.

    Examples:
      ./slipway config show -s prod
      ./slipway config show -s prod --json
    """
    from slipway.ops.program import config
    from slipway.ops.terminal.tables import table

    settings = config.show(stack)
    if as_json:
        sys.stdout.write(json.dumps([setting._asdict() for setting in settings], indent=2, ensure_ascii=False) + "\n")
        return
    sys.stdout.write(table([(setting.key, config.text(setting.value), setting.origin) for setting in settings]))


@app.command()
def schema(write: Write = False) -> None:
    """Print the JSON Schema of a stack file, for editors.

    Example:
      ./slipway config schema --write
    """
    from slipway.ops.program import schema

    text = json.dumps(schema.schema(), indent=2, ensure_ascii=False) + "\n"
    _write_or_print(text, schema.SCHEMA if write else None)


@app.command()
def docs(write: Write = False) -> None:
    """Print the reference of all settings.

    Example:
      ./slipway config docs --write
    """
    from slipway.ops.program import reference

    _write_or_print(reference.docs(), reference.DOCUMENT if write else None)


def _write_or_print(text: str, file: Path | None) -> None:
    from slipway import files

    if file is None:
        sys.stdout.write(text)
    else:
        files.write({file: text})
        typer.echo(f"wrote {file.relative_to(ROOT)}", err=True)
